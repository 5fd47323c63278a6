"""Strong alignment: whether a translation lies closer than every other text of the own language."""

from __future__ import annotations

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.neighbours import nearest
from mimo_eval.geometry.uncertainty import MacroMean
from mimo_eval.geometry.vectors import LabelledVectors


def strong_alignment(x: np.ndarray, y: np.ndarray) -> float:
    """Compute how often a translation is closer than any other text of the own language.

    :param x: (n, d) unit vectors in one language, n >= 2.
    :param y: (n, d) unit vectors of their translations.
    :return: share of i with cos(x_i, y_i) > max over j ≠ i of cos(x_i, x_j), in [0, 1].
    """
    own = x @ x.T
    np.fill_diagonal(own, -np.inf)
    return float(np.mean(np.einsum("ij,ij->i", x, y) > own.max(axis=1)))


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the strong-alignment rate of each ordered language pair, and their mean.

    LAReQA (arXiv 2004.05484) calls an embedding strongly aligned when a text is closer to its translations than to
    anything that is not one. It gives no formula; ours compares with the texts of the own language only, the ones that
    a model with language clusters puts first. Items are sampled, their competitors are not: a maximum over a sample
    would be too small and the rate too high.

    :param vectors: parallel vectors.
    :param seed: of the sample.
    :param sample: rows asked with, about; all versions of an item are in or out together.
    :return: value in [0, 1], higher is better; n counts the items drawn; `matrix` holds row language → column language.
    """
    table = _sampled_items(vectors, seed, sample)
    present = vectors.present
    matrix = np.full((len(present),) * 2, np.nan)
    mean = MacroMean(len(table))
    for a, language in enumerate(present):
        items = np.flatnonzero(table[:, a] >= 0)
        asked = table[items, a]
        pool = np.flatnonzero(vectors.languages == language)
        rival = nearest(vectors, asked, 1, pool=pool).scores[:, 0]
        contested = np.isfinite(rival)  # an item without a rival in its language says nothing
        items, rival, x = items[contested], rival[contested], vectors.take(asked[contested])
        for b in range(len(present)):
            both = table[items, b] >= 0
            if b != a and both.any():
                closer = np.einsum("ij,ij->i", x[both], vectors.take(table[items[both], b])) > rival[both]
                matrix[a, b] = mean.add_mean(closer.astype(np.float64), items[both])
    if not mean.cells:
        raise DataError("needs a language with two items of which one is translated")
    details = {"languages": vectors.present_names, "matrix": matrix, "pairs": mean.cells, "seed": seed}
    return Finding(mean.value, len(table), mean.standard_error, details)


def _sampled_items(vectors: LabelledVectors, seed: int, sample: int) -> np.ndarray:
    """Draw parallel items until their versions fill the sample; (items, present languages) rows, -1 for none."""
    table = vectors.translations.rows[:, vectors.present]
    drawn = np.random.default_rng(seed).permutation(len(table))
    filled = np.cumsum((table[drawn] >= 0).sum(axis=1))
    return np.asarray(table[np.sort(drawn[: max(2, int((filled <= sample).sum()))])])


DIAGNOSTIC = Diagnostic(
    name="strong_alignment",
    answers="How often is a translation closer than every other text of the own language?",
    function=measure,
    range=(0.0, 1.0),
    direction=Direction.HIGHER,
    needs=(VectorNeed.TRANSLATIONS,),
    source="idea: LAReQA (arXiv 2004.05484); definition ours",
)
