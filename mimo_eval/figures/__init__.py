"""Figures: plain data to PNG and SVG, colour-blind-safe, the same bytes for the same data and fonts.

Every function writes `STEM.png` and `STEM.svg`. Text in the SVG stays text. Names are drawn as they are, never read as
formulas; what no installed font can draw is replaced by what can be read, and the log says by what.
"""

from mimo_eval.figures.alignment_uniformity import ModelPoint, draw_alignment_uniformity
from mimo_eval.figures.canvas import Files
from mimo_eval.figures.composition import draw_composition
from mimo_eval.figures.language_pairs import draw_language_pairs
from mimo_eval.figures.projection import draw_projection
from mimo_eval.figures.scores import ScoreMatrix, draw_scores, score_matrix

__all__ = [
    "Files",
    "ModelPoint",
    "ScoreMatrix",
    "draw_alignment_uniformity",
    "draw_composition",
    "draw_language_pairs",
    "draw_projection",
    "draw_scores",
    "score_matrix",
]
