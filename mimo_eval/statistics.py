"""Significance of a difference between two models, over queries that may be translations of one another.

The unit that was drawn is the question, not its wording: translations of one question succeed and fail together.
Every procedure here therefore takes `clusters`, the query group of each query, and moves a group as a whole; counting
translations as independent calls far too many differences significant. Without `clusters` every query is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from mimo_eval.errors import DataError

BATCH_CELLS = 2_000_000
"""Random cells (draws × clusters) held at a time: 16 MB as float64."""
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


class Effect(NamedTuple):
    """How large a difference is, whatever its significance."""

    mean: float
    """Mean difference over queries."""
    cohens_d: float
    """Mean over standard deviation of the paired differences; NaN for one query, infinite for a constant difference."""
    share: float
    """Share of queries won, ties counting half: 0.5 is no difference (the common-language effect size)."""


@dataclass(frozen=True)
class Comparison:
    """All that is said about two models on the same queries; differences are first minus second."""

    effect: Effect
    interval: Interval
    """Bootstrap interval of the mean difference."""
    permutation_p: float
    t: TTest
    counts: WinTieLoss
    queries: int
    clusters: int


class _Clusters(NamedTuple):
    sums: np.ndarray
    sizes: np.ndarray


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
    count = len(grouped.sums)
    if count < 2:
        return Interval(float("nan"), float("nan"))
    means = np.empty(samples)
    for part in _batches(samples, count):
        drawn = rng.integers(0, count, size=(part.stop - part.start, count))
        means[part] = grouped.sums[drawn].sum(axis=1) / grouped.sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def permutation_test(
    differences: np.ndarray,
    clusters: np.ndarray | None = None,
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
    :param rng: source of the permutations.
    :param permutations: how many.
    :return: the two-sided p-value, in [1/(permutations + 1), 1].
    :raises DataError: if differences are missing, not finite, or do not match the clusters.
    """
    sums = _grouped(differences, clusters).sums
    # A permutation that gives the observed sum in another order of addition must count as reaching it.
    observed = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    count = 0
    for part in _batches(permutations, len(sums)):
        rows = part.stop - part.start
        bits = np.frombuffer(rng.bytes(rows * -(-len(sums) // 8)), dtype=np.uint8).reshape(rows, -1)
        heads = np.unpackbits(bits, axis=1, count=len(sums)).astype(np.float64)
        # Σ ±s = 2 Σ_heads s − Σ s: a product with 0 and 1 instead of with signs.
        count += int((np.abs(2 * (heads @ sums) - sums.sum()) >= observed).sum())
    return (count + 1) / (permutations + 1)


def paired_t(differences: np.ndarray, clusters: np.ndarray | None = None) -> TTest:
    """Test a mean difference with a cluster-robust t-test (CR1).

    The estimate stays the mean over queries; its variance is C/(C − 1) · Σ_c (Σ_{i in c} (d_i − d̄))² / n² with C − 1
    degrees of freedom. With one query per cluster that is the paired t-test; with equal clusters it is the t-test on
    cluster means.

    :param differences: (n,) score of the first model less that of the second, per query.
    :param clusters: (n,) group of each query; every query its own by default.
    :return: statistic, two-sided p-value, degrees of freedom. Differences that are all equal give an infinite statistic
        and p 0, or 0 and p 1 if they are all zero.
    :raises DataError: if differences are missing, not finite, or do not match the clusters.
    """
    grouped = _grouped(differences, clusters)
    count, n = len(grouped.sums), grouped.sizes.sum()
    if count < 2:
        return TTest(float("nan"), float("nan"), count - 1)
    mean = grouped.sums.sum() / n
    error = np.sqrt(count / (count - 1) * ((grouped.sums - grouped.sizes * mean) ** 2).sum()) / n
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


def effect_size(differences: np.ndarray) -> Effect:
    """Compute how large a difference is.

    :param differences: (n,) score of the first model less that of the second, per query.
    :return: mean, Cohen's d of the paired differences (d_z) and share of queries won.
    :raises DataError: if differences are missing or not finite.
    """
    differences = _checked(differences)
    counts = win_tie_loss(differences)
    mean = float(differences.mean())
    return Effect(mean, _cohens_d(differences, mean), (counts.win + counts.tie / 2) / len(differences))


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


def compare_scores(
    first: np.ndarray,
    second: np.ndarray,
    clusters: np.ndarray | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    samples: int = 10_000,
) -> Comparison:
    """Compare two models on the same queries.

    :param first: (n,) scores of the first model.
    :param second: (n,) scores of the second model, query by query.
    :param clusters: (n,) group of each query; every query its own by default.
    :param rng: source of resamples and permutations.
    :param level: coverage of the interval.
    :param samples: number of resamples, and of permutations.
    :return: effect, interval and tests of first minus second.
    :raises DataError: if the scores are not of the same queries, are missing, or are not finite.
    """
    if np.shape(first) != np.shape(second):
        raise DataError(f"two models must be compared on the same queries: {np.shape(first)} and {np.shape(second)}")
    differences = _checked(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))
    return Comparison(
        effect=effect_size(differences),
        interval=bootstrap_interval(differences, clusters, rng=rng, level=level, samples=samples),
        permutation_p=permutation_test(differences, clusters, rng=rng, permutations=samples),
        t=paired_t(differences, clusters),
        counts=win_tie_loss(differences),
        queries=len(differences),
        clusters=len(_grouped(differences, clusters).sums),
    )


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise DataError(f"needs one value per query and at least one query, not an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise DataError(f"query {int(np.flatnonzero(~np.isfinite(values))[0])} has no finite value")
    return values


def _grouped(values: np.ndarray, clusters: np.ndarray | None) -> _Clusters:
    """Sum values and count queries per cluster."""
    values = _checked(values)
    if clusters is None:
        return _Clusters(values, np.ones(len(values)))
    if np.shape(clusters) != values.shape:
        raise DataError(f"needs one cluster for each of the {len(values)} queries, not {np.shape(clusters)}")
    _, cluster = np.unique(clusters, return_inverse=True)
    return _Clusters(np.bincount(cluster, weights=values), np.bincount(cluster).astype(np.float64))


def _batches(draws: int, clusters: int) -> list[slice]:
    """Cut the draws so that a batch of draws × clusters fits in memory."""
    step = max(1, BATCH_CELLS // clusters)
    return [slice(start, min(start + step, draws)) for start in range(0, draws, step)]


def _cohens_d(differences: np.ndarray, mean: float) -> float:
    if len(differences) < 2:
        return float("nan")
    spread = float(differences.std(ddof=1))
    if spread <= 1e-12 * abs(mean):
        return float(np.copysign(np.inf, mean)) if mean else 0.0
    return mean / spread
