"""The heat map of alignment between languages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimo_eval.figures.canvas import Files, distinct, numbers
from mimo_eval.figures.heat_map import HeatMap, draw_heat_map


def draw_language_pairs(
    stem: Path,
    matrix: Any,
    languages: Sequence[str],
    *,
    title: str = "",
    label: str = "Alignment (lower is better)",
    lower_is_better: bool = True,
    limits: tuple[float, float] | None = None,
) -> Files:
    """Draw a number for every two languages.

    :param stem: path of the files without ending.
    :param matrix: (L, L) numbers; None or NaN where there is none, as on the diagonal of alignment.
    :param languages: L codes, L >= 1.
    :param title: above the figure.
    :param label: of the colour scale.
    :param lower_is_better: bright cells are the good ones.
    :param limits: ends of the colour scale, to compare figures; those of the numbers if None.
    :return: the files.
    :raises DataError: if the matrix is empty, has another shape, no number or an infinite one, or a language stands twice.
    """
    codes = distinct(languages, "language")
    values = numbers(matrix, (len(codes), len(codes)), "the matrix of language pairs")
    content = HeatMap(values, codes, codes, "", "", label, title, limits, lower_is_better, open_diagonal=True)
    return draw_heat_map(stem, content)
