"""Which models a test tells apart, for all pairs of a board at once.

Every pair is compared by the paired, cluster-robust t-test (CR1) on macro means: the unit is the question with all its
translations and corpora, as everywhere here. A permutation test cannot serve a board: with 100 models Holm divides 0.05 by
4,950, and p-values that small would need a million permutations for each pair. The t-test agrees with it where both can
answer (a test holds that), and for all pairs of complete scores it is one matrix of distances.

The family that Holm adjusts for is every pair of one ranking (one setting, measure and choice of languages).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from mimo_eval.comparison.macro import Sample, estimate
from mimo_eval.statistics import TIE, Interval, holm, paired_t


class Scores(NamedTuple):
    """What n queries of one ranking scored."""

    values: np.ndarray
    """(n, models) float64; nan where a query has no value."""
    cell: np.ndarray
    """(n,) int: number of the (corpus, query language) cell."""
    group: np.ndarray
    """(n,) int: number of the question."""


def intervals(scores: Scores, *, level: float, samples: int, seed: int) -> list[Interval | None]:
    """Return a clustered bootstrap interval of each model's mean over cells.

    :param scores: per-query scores.
    :param level: coverage.
    :param samples: of the bootstrap.
    :param seed: of the bootstrap.
    :return: one interval per model; None without any value, or with a single question.
    """
    known = ~np.isnan(scores.values)
    rows = [m for m in range(known.shape[1]) if known[:, m].any()]
    drawn = [Sample(scores.values[k, m], scores.cell[k], scores.group[k]) for m in rows for k in (known[:, m],)]
    found = estimate(drawn, level=level, draws=samples, seed=seed) if drawn else []
    ends = {m: e.interval for m, e in zip(rows, found, strict=True) if np.isfinite(e.interval.low)}
    return [ends.get(m) for m in range(known.shape[1])]


def distinct_pairs(scores: Scores, level: float) -> np.ndarray:
    """Return which pairs of models differ significantly, after Holm over all pairs.

    :param scores: per-query scores.
    :param level: 1 less the family-wise error rate.
    :return: (models, models) bool, symmetric; False where a pair shares no query.
    """
    p = pairwise_p(scores)
    upper = np.triu_indices(len(p), 1)
    found = np.zeros_like(p, dtype=bool)
    if len(upper[0]):
        found[upper] = holm(p[upper]) < 1 - level  # nan compares as False
    return np.asarray(found | found.T)


def pairwise_p(scores: Scores) -> np.ndarray:
    """Return the p-value of every pair.

    :param scores: per-query scores.
    :return: (models, models), symmetric; 1 on the diagonal, nan where a pair shares no query or all are of one question.
    """
    models = scores.values.shape[1]
    whole = ~np.isnan(scores.values).any(axis=0)
    p = np.eye(models)
    complete = np.flatnonzero(whole)
    p[np.ix_(complete, complete)] = _complete(scores._replace(values=scores.values[:, complete]))
    for i in range(models):
        for j in range(i + 1, models):
            if not (whole[i] and whole[j]):
                p[i, j] = p[j, i] = _pair(scores, i, j)
    return p


def _complete(scores: Scores) -> np.ndarray:
    """Test pairs without gaps: the variance of a difference is a squared distance of residuals."""
    if not scores.values.shape[1]:
        return np.empty((0, 0))
    _, group = np.unique(scores.group, return_inverse=True)
    count = int(group.max()) + 1
    if count < 2:
        return np.where(np.eye(scores.values.shape[1], dtype=bool), 1.0, np.nan)
    weight = Sample(scores.values[:, 0], scores.cell, scores.group).weight
    sums = np.stack([np.bincount(group, weight * column) for column in scores.values.T], axis=1)
    mean = sums.sum(axis=0)
    residuals = sums - np.bincount(group, weight)[:, None] * mean
    difference = mean[:, None] - mean[None, :]
    variance = np.array([((residuals - r[:, None]) ** 2).sum(axis=0) for r in residuals.T]) * count / (count - 1)
    error = np.sqrt(variance)
    constant = error <= 1e-12 * np.abs(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(count - 1, -np.abs(difference / error))
    return np.where(np.abs(difference) < TIE, 1.0, np.where(constant, 0.0, p))


def _pair(scores: Scores, i: int, j: int) -> float:
    difference = scores.values[:, i] - scores.values[:, j]
    difference[np.abs(difference) < TIE] = 0
    known = ~np.isnan(difference)
    if not known.any():
        return np.nan
    sample = Sample(difference[known], scores.cell[known], scores.group[known])
    return paired_t(sample.difference, sample.group, sample.weight).p_value


def pack(distinct: np.ndarray) -> list[int]:
    """Pack the upper triangle of a symmetric matrix, row by row, 24 pairs to a number, the first in the lowest bit."""
    bits = distinct[np.triu_indices(len(distinct), 1)]
    padded = np.pad(bits, (0, -len(bits) % 24)).reshape(-1, 24).astype(np.int64)
    return [int(n) for n in padded @ (1 << np.arange(24, dtype=np.int64))]


def unpack(packed: list[int], models: int) -> np.ndarray:
    """Return the matrix that `pack` packed.

    :param packed: numbers of 24 pairs.
    :param models: its size.
    :return: (models, models) bool.
    """
    bits = (np.array(packed, np.int64)[:, None] >> np.arange(24)) & 1
    found = np.zeros((models, models), dtype=bool)
    upper = np.triu_indices(models, 1)
    found[upper] = bits.ravel()[: len(upper[0])].astype(bool)
    return found | found.T
