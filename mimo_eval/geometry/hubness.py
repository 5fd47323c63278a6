"""Hubness: whether a few vectors are among the nearest neighbours of very many."""

from __future__ import annotations

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.neighbours import nearest
from mimo_eval.geometry.uncertainty import jackknife_error
from mimo_eval.geometry.vectors import LabelledVectors

K = 10


def occurrence_skewness(counts: np.ndarray) -> float:
    """Compute the skewness of k-occurrences.

    :param counts: (n,) how often each vector is among the k nearest neighbours of another.
    :return: the (biased) sample skewness; NaN if all counts are equal.
    """
    return float(_skewness(*(np.asarray([(counts.astype(np.float64) ** p).sum()]) for p in range(4)))[0])


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the skewness of N_k, k = 10, in a sample in which every row asks all others.

    Radovanović et al. (2010) define N_k(y) as the number of times y is among the k nearest neighbours of another
    point. The row itself and its translations are no neighbours. Sampling both sides alike keeps the mean of N_k
    at k; the skewness grows with the number of rows, so compare only equal n.

    :param vectors: the vectors.
    :param seed: of the sample.
    :param sample: rows drawn, the same number per language.
    :return: value, near 0 is better; n counts the rows drawn; `largest_hub` is the highest N_k, `never` the share of
        rows that nobody has among its neighbours. The standard error leaves each item's counts out in turn; it takes
        counts as given and so misses how neighbours would change.
    """
    drawn = vectors.select(vectors.sample(sample, seed))
    k = min(K, drawn.items - 1)
    if k < 1:
        raise DataError("the sample holds no two different items; draw a larger one")
    found = nearest(drawn, np.arange(len(drawn)), k).rows
    counts = np.bincount(found[found >= 0], minlength=len(drawn)).astype(np.float64)
    value = occurrence_skewness(counts)
    if not np.isfinite(value):
        raise DataError("every vector is a neighbour equally often")
    powers = [counts**p for p in range(4)]
    rest = (total.sum() - np.bincount(drawn.item_of_row, total) for total in powers)
    details = {"k": k, "seed": seed, "largest_hub": int(counts.max()), "never": (counts == 0).mean()}
    return Finding(value, len(drawn), jackknife_error(_skewness(*rest)), details)


def _skewness(n: np.ndarray, first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Compute skewness from the number of values and the sums of their first three powers."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = first / n
        variance = second / n - mean**2
        spread = np.where(variance > 1e-12 * (second / n), variance, np.nan)
        return np.asarray((third / n - 3 * mean * second / n + 2 * mean**3) / spread**1.5)


DIAGNOSTIC = Diagnostic(
    name="hubness",
    answers="Are a few vectors among the nearest neighbours of very many?",
    function=measure,
    range=(-np.inf, np.inf),
    direction=Direction.ZERO,
    needs=(VectorNeed.ITEMS,),
    source="Radovanović et al. 2010 (JMLR 11)",
)
