"""RSIM: whether two languages arrange the same texts alike."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.uncertainty import MacroMean
from mimo_eval.geometry.vectors import LabelledVectors

LIMIT = 500
"""Translations per language pair: two similarity matrices of each pair are held."""


def rsim(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the relational similarity of translations.

    :param x: (n, d) unit vectors in one language, n >= 3.
    :param y: (n, e) unit vectors of their translations.
    :return: Pearson correlation, in [−1, 1], of the n(n−1)/2 cosines within x and within y; NaN if either is constant.
    """
    return _correlations(x, y)[0]


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the RSIM of each language pair, and their mean.

    After Vulić et al. (2020), as the field uses it: Pearson's correlation over the upper triangles, because the
    diagonal is 1 in both languages and every pair would count twice. The vectors are not centred, because a search does
    not centre them either.

    :param vectors: parallel vectors.
    :param seed: of the sample.
    :param sample: translations per language pair, at most 500.
    :return: value in [−1, 1], higher is better; n counts parallel items; `matrix` is symmetric. The standard error
        leaves each item out in turn.
    """
    present, limit = vectors.present, min(sample, LIMIT)
    matrix = np.full((len(present),) * 2, np.nan)
    mean = MacroMean(len(vectors.translations.rows))
    for a, b in combinations(range(len(present)), 2):
        pairs = vectors.pairs(present[a], present[b], limit=limit, seed=seed)
        if len(pairs.items) < 3:
            continue
        value, without_each = _correlations(vectors.take(pairs.first), vectors.take(pairs.second))
        if np.isfinite(value):
            matrix[a, b] = matrix[b, a] = value
            mean.add_jackknife(value, without_each, pairs.items)
    if not mean.cells:
        raise DataError("needs two languages that share at least three items that differ")
    details = {"languages": vectors.present_names, "matrix": matrix, "pairs": mean.cells, "limit": limit, "seed": seed}
    return Finding(mean.value, len(vectors.translations.rows), mean.standard_error, details)


def _correlations(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Correlate the upper triangles, with all items and (n,) without each: its row and column leave the sums."""
    first, second = _centred_cosines(x), _centred_cosines(y)
    products = (first, second, first * first, second * second, first * second)
    totals = np.array([product.sum() / 2 for product in products])
    by_item = np.array([product.sum(axis=1) for product in products])
    n = len(x)
    value = _pearson(n * (n - 1) / 2, totals[:, None])[0]
    return float(value), _pearson((n - 1) * (n - 2) / 2, totals[:, None] - by_item)


def _centred_cosines(x: np.ndarray) -> np.ndarray:
    """Compute cosines (n, n) less their mean over pairs, 0 on the diagonal; sums of powers then keep their digits."""
    x = x.astype(np.float64)
    cosines = x @ x.T
    np.fill_diagonal(cosines, 0)
    cosines -= cosines.sum() / (len(x) * (len(x) - 1))
    np.fill_diagonal(cosines, 0)
    return np.asarray(cosines)


def _pearson(count: float, sums: np.ndarray) -> np.ndarray:
    """Correlate from (5, …) sums of x, y, x², y², xy; NaN where rounding is all the variance there is."""
    x, y, xx, yy, xy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.minimum(xx - x * x / count, yy - y * y / count) / count
        r = (xy - x * y / count) / np.sqrt((xx - x * x / count) * (yy - y * y / count))
    return np.asarray(np.where(spread > 1e-12, np.clip(r, -1, 1), np.nan))


DIAGNOSTIC = Diagnostic(
    name="rsim",
    answers="Do two languages arrange the same texts alike?",
    function=measure,
    range=(-1.0, 1.0),
    direction=Direction.HIGHER,
    needs=(VectorNeed.TRANSLATIONS,),
    source="Vulić et al. 2020 (arXiv 2004.04070)",
)
