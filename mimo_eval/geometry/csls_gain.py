"""CSLS gain: how much translation retrieval gains when hubs are marked down."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.uncertainty import MacroMean
from mimo_eval.geometry.vectors import LabelledVectors

K = 10
LIMIT = 1000
"""Translations per language pair: the similarity matrix of each pair is held."""


def csls(similarity: np.ndarray, k: int = K) -> np.ndarray:
    """Re-score cosines so that vectors in dense regions lose their head start.

    :param similarity: (n, m) cosines between two sets.
    :param k: neighbours whose mean cosine is the density; fewer where a set has fewer.
    :return: (n, m) 2 cos(x, y) − r_k(x) − r_k(y) in [−4, 4], r_k the mean cosine to the k nearest of the other set.
    """
    return np.asarray(2 * similarity - _density(similarity, k)[:, None] - _density(similarity.T, k))


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure how much the accuracy of nearest-neighbour translation retrieval rises with CSLS.

    Conneau et al. (2018), k = 10 as in MUSE. For each ordered language pair the candidates are the translations of the
    items asked with. A translation counts as found if it scores above every other candidate: a tie is a miss, so that
    the order of rows never decides.

    :param vectors: parallel vectors.
    :param seed: of the sample.
    :param sample: translations per language pair, at most 1,000; accuracy falls with their number.
    :return: value in [−1, 1], near 0 means that hubs do no harm; n counts parallel items; `cosine` and `csls` are mean
        accuracies over ordered pairs, `matrix` the gain from row language to column language.
    """
    present, limit = vectors.present, min(sample, LIMIT)
    matrix, accuracies = np.full((len(present),) * 2, np.nan), []
    mean = MacroMean(len(vectors.translations.rows))
    for a, b in combinations(range(len(present)), 2):
        pairs = vectors.pairs(present[a], present[b], limit=limit, seed=seed)
        if len(pairs.items) < 2:
            continue
        similarity = vectors.take(pairs.first) @ vectors.take(pairs.second).T
        rescored = csls(similarity)
        for place, plain, marked_down in (((a, b), similarity, rescored), ((b, a), similarity.T, rescored.T)):
            before, after = found(plain), found(marked_down)
            matrix[place] = mean.add_mean(after - before, pairs.items)
            accuracies.append((before.mean(), after.mean()))
    if not mean.cells:
        raise DataError("needs two languages that share at least two items")
    cosine, marked = np.mean(accuracies, axis=0)
    details = {"cosine": cosine, "csls": marked, "languages": vectors.present_names, "matrix": matrix}
    details |= {"pairs": mean.cells, "k": K, "limit": limit, "seed": seed}
    return Finding(mean.value, len(vectors.translations.rows), mean.standard_error, details)


def found(scores: np.ndarray) -> np.ndarray:
    """Say for which rows the translation scores above every other candidate.

    :param scores: (n, n), the translation of row i in column i, n >= 2.
    :return: (n,) 1.0 or 0.0.
    """
    others = scores.copy()
    np.fill_diagonal(others, -np.inf)
    return np.asarray(np.diagonal(scores) > others.max(axis=1), dtype=np.float64)


def _density(similarity: np.ndarray, k: int) -> np.ndarray:
    """Average the k largest of each row."""
    k = min(k, similarity.shape[1])
    return np.asarray(np.partition(similarity, -k, axis=1)[:, -k:].mean(axis=1))


DIAGNOSTIC = Diagnostic(
    name="csls_gain",
    answers="How much does translation retrieval gain when hubs are marked down?",
    function=measure,
    range=(-1.0, 1.0),
    direction=Direction.ZERO,
    needs=(VectorNeed.TRANSLATIONS,),
    source="CSLS: Conneau et al. 2018 (arXiv 1710.04087)",
    beside=("cosine", "csls"),
)
