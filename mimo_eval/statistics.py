"""Significance of a difference between two models, over queries that may be translations of one another.

The unit that was drawn is the question, not its wording: translations of one question succeed and fail together.
Every procedure here therefore takes `clusters`, the query group of each query, and moves a group as a whole; counting
translations as independent calls far too many differences significant. Without `clusters` every query is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from mimo_eval.errors import DataError

BATCH_CELLS = 250_000
"""Random cells (draws × clusters) held at a time: 2 MB as float64, which stays in a processor's cache."""
TIE = 1e-9
"""Scores that differ by less are equal: means of the same gains in another order differ by about 1e-16."""


class Interval(NamedTuple):
    """A confidence interval; both ends are NaN where one cluster leaves nothing to resample."""

    low: float
    high: float


class TTest(NamedTuple):
    """A paired t-test; all NaN but the degrees of freedom where there are fewer than two clusters."""

    statistic: float
    p_value: float
    degrees_of_freedom: int


class WinTieLoss(NamedTuple):
    """How many queries the first model answers better, equally well and worse."""

    win: int
    tie: int
    loss: int


class _Clusters(NamedTuple):
    sums: np.ndarray
    """(clusters,) of weighted values."""
    sizes: np.ndarray
    """(clusters,) of weights: numbers of queries where all weigh 1."""


def bootstrap_interval(
    values: np.ndarray,
    clusters: np.ndarray | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    samples: int = 10_000,
) -> Interval:
    """Estimate an interval of a mean by resampling whole clusters with replacement (percentile method).

    :param values: (n,) one value, or one difference, per query.
    :param clusters: (n,) group of each query; every query its own by default.
    :param rng: source of the resamples.
    :param level: coverage, in (0, 1).
    :param samples: number of resamples.
    :return: the interval of the mean over queries; a resample's mean divides by the queries that it drew.
    :raises DataError: if values are missing, not finite, or do not match the clusters.
    """
    grouped = _grouped(values, clusters)

    def means(times: np.ndarray) -> np.ndarray:
        return np.asarray(times @ grouped.sums / (times @ grouped.sizes))[:, None]

    return bootstrap_intervals(means, len(grouped.sums), rng=rng, level=level, samples=samples)[0]


def bootstrap_intervals(
    means: Callable[[np.ndarray], np.ndarray], clusters: int, *, rng: np.random.Generator, level: float, samples: int
) -> list[Interval]:
    """Estimate the intervals of several means from the same resamples of their clusters.

    :param means: turns (rows, clusters) numbers of times that each cluster was drawn into (rows, m) means.
    :param clusters: number of clusters.
    :param rng: source of the resamples.
    :param level: coverage, in (0, 1).
    :param samples: number of resamples.
    :return: m intervals.
    """
    found, narrow = [], np.uint16 if clusters <= 1 << 16 else np.int64
    for rows in _batches(samples, clusters):
        drawn = rng.integers(0, clusters, size=(rows, clusters), dtype=narrow) + clusters * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        found.append(means(times.astype(np.float64)))
    ends = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2], axis=0)
    if clusters < 2:
        ends[:] = np.nan
    return [Interval(float(low), float(high)) for low, high in ends.T]


def permutation_test(
    differences: np.ndarray,
    clusters: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    *,
    rng: np.random.Generator,
    permutations: int = 10_000,
) -> float:
    """Test by exchanging the two models' scores, for whole clusters at random.

    Under the null hypothesis the two models of a pair are exchangeable, so the sign of each cluster's sum of
    differences is a fair coin. The observed labelling is one of the possible ones: (count + 1)/(permutations + 1) can
    never be 0 and is valid at every number of permutations.

    :param differences: (n,) score of the first model less that of the second, per query.
    :param clusters: (n,) group of each query; every query its own by default.
    :param weights: (n,) share of each query in the mean; equal by default.
    :param rng: source of the permutations.
    :param permutations: how many.
    :return: the two-sided p-value, in [1/(permutations + 1), 1].
    :raises DataError: if differences are missing, not finite, or do not match clusters or weights.
    """
    sums = _grouped(differences, clusters, weights).sums
    return float(permutation_tests(sums[:, None], rng=rng, permutations=permutations)[0])


def permutation_tests(sums: np.ndarray, *, rng: np.random.Generator, permutations: int) -> np.ndarray:
    """Test several comparisons of the same clusters with the same permutations.

    :param sums: (clusters, m) sum of the weighted differences of each cluster.
    :param rng: source of the permutations.
    :param permutations: how many.
    :return: (m,) p-values.
    """
    # A permutation that gives the observed sum in another order of addition must count as reaching it.
    observed = np.abs(sums.sum(axis=0)) - 1e-12 * np.abs(sums).sum(axis=0)
    reached = np.zeros(sums.shape[1], np.int64)
    for rows in _batches(permutations, len(sums)):
        bits = np.frombuffer(rng.bytes(rows * -(-len(sums) // 8)), dtype=np.uint8).reshape(rows, -1)
        heads = np.unpackbits(bits, axis=1, count=len(sums)).astype(np.float64)
        # Σ ±s = 2 Σ_heads s − Σ s: a product with 0 and 1 instead of with signs.
        reached += (np.abs(2 * (heads @ sums) - sums.sum(axis=0)) >= observed).sum(axis=0)
    return np.asarray((reached + 1) / (permutations + 1))


def paired_t(differences: np.ndarray, clusters: np.ndarray | None = None, weights: np.ndarray | None = None) -> TTest:
    """Test a mean difference with a cluster-robust t-test (CR1).

    The estimate stays the mean d̄ = Σ w_i d_i / Σ w_i over queries; its variance is C/(C − 1) · Σ_c (Σ_{i in c} w_i (d_i − d̄))²
    / (Σ w_i)² with C − 1 degrees of freedom. With equal weights and one query per cluster that is the paired t-test; with
    equal clusters it is the t-test on cluster means.

    :param differences: (n,) score of the first model less that of the second, per query.
    :param clusters: (n,) group of each query; every query its own by default.
    :param weights: (n,) share of each query in the mean; equal by default.
    :return: statistic, two-sided p-value, degrees of freedom. Differences that are all equal give an infinite statistic
        and p 0, or 0 and p 1 if they are all zero.
    :raises DataError: if differences are missing, not finite, or do not match clusters or weights.
    """
    grouped = _grouped(differences, clusters, weights)
    count, total = len(grouped.sums), grouped.sizes.sum()
    if count < 2:
        return TTest(float("nan"), float("nan"), count - 1)
    mean = grouped.sums.sum() / total
    error = np.sqrt(count / (count - 1) * ((grouped.sums - grouped.sizes * mean) ** 2).sum()) / total
    if error <= 1e-12 * abs(mean):
        return TTest(float(np.sign(mean) * np.inf) if mean else 0.0, 0.0 if mean else 1.0, count - 1)
    return TTest(float(mean / error), float(2 * stdtr(count - 1, -abs(mean / error))), count - 1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust a family of p-values so that the chance of any false rejection stays at the level (Holm 1979).

    :param p_values: (m,) p-values of all comparisons that are looked at together; NaN takes no part and stays NaN.
    :return: (m,) adjusted p-values: the largest of (m − i)·p_(i) up to each rank i = 0, 1, …, at most 1.
    :raises DataError: if a p-value lies outside [0, 1].
    """
    adjusted = np.array(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(adjusted))
    p = adjusted[tested]
    if ((p < 0) | (p > 1)).any():
        raise DataError("p-values must lie in [0, 1]")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted[tested[order]] = np.minimum(steps, 1)
    return adjusted


def effect_size(differences: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return Cohen's d of paired differences (d_z): how large a difference is, whatever its significance.

    :param differences: (n,) score of the first model less that of the second, per query.
    :param weights: (n,) share of each query in the mean; equal by default.
    :return: mean over standard deviation; NaN for one query, infinite where all differences are equal and not 0.
    :raises DataError: if differences are missing, not finite, or do not match the weights.
    """
    grouped = _grouped(differences, None, weights)
    differences, weights, n = _checked(differences), grouped.sizes / grouped.sizes.sum(), len(grouped.sums)
    if n < 2:
        return float("nan")
    mean = float(weights @ differences)
    spread = float(np.sqrt(weights @ (differences - mean) ** 2 * n / (n - 1)))
    if spread <= 1e-12 * abs(mean):
        return float(np.copysign(np.inf, mean)) if mean else 0.0
    return mean / spread


def win_tie_loss(differences: np.ndarray, *, tolerance: float = TIE) -> WinTieLoss:
    """Count the queries that the first model answers better, equally well and worse.

    :param differences: (n,) score of the first model less that of the second, per query.
    :param tolerance: differences up to this are ties.
    :return: the counts.
    :raises DataError: if differences are missing or not finite.
    """
    differences = _checked(differences)
    win, loss = int((differences > tolerance).sum()), int((differences < -tolerance).sum())
    return WinTieLoss(win, len(differences) - win - loss, loss)


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise DataError(f"needs one value per query and at least one query, not an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise DataError(f"query {int(np.flatnonzero(~np.isfinite(values))[0])} has no finite value")
    return values


def _grouped(values: np.ndarray, clusters: np.ndarray | None, weights: np.ndarray | None = None) -> _Clusters:
    """Sum weighted values and weights per cluster."""
    values = _checked(values)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != values.shape or not (np.isfinite(weights) & (weights > 0)).all():
        raise DataError(f"needs one positive weight for each of the {len(values)} queries")
    if clusters is None:
        return _Clusters(values * weights, weights)
    if np.shape(clusters) != values.shape:
        raise DataError(f"needs one cluster for each of the {len(values)} queries, not {np.shape(clusters)}")
    _, cluster = np.unique(clusters, return_inverse=True)
    return _Clusters(np.bincount(cluster, values * weights), np.bincount(cluster, weights))


def _batches(draws: int, clusters: int) -> Iterator[int]:
    """Cut the draws so that a batch of draws × clusters fits in memory."""
    step = max(1, BATCH_CELLS // clusters)
    return (min(step, draws - start) for start in range(0, draws, step))
