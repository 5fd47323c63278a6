"""Significance of a difference of macro means, the numbers that a result shows.

A result's score is the mean over (corpus, query language) cells, each the mean over its queries. Query i of cell c therefore
weighs w_i = 1 / (cells · queries of c), and the difference of two models is D = Σ w_i d_i.

The unit is the question. Its versions, in every language and asked of every corpus, form one cluster g (the query group) with
the sum s_g = Σ_{i in g} w_i d_i, so that D = Σ s_g. The permutation test exchanges the two models for whole clusters: under
the null hypothesis the sign of each s_g is a fair coin, and p is the share of sign patterns whose |Σ ± s_g| reaches |D|,
the observed one counted in. Weights stay as they are, for no query is moved or removed. The bootstrap does remove queries:
it draws clusters with replacement and averages each cell over the queries that it drew, a cell without any staying out.

`mimo_eval.statistics` has the same tests for plain means; where all weights are equal the two agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mimo_eval.statistics import Interval

BATCH_CELLS = 250_000
"""Random cells (draws × clusters) held at a time: 2 MB as float64, which stays in a processor's cache."""


class Sample(NamedTuple):
    """Differences of n queries, and what they are averaged by."""

    difference: np.ndarray
    """(n,) float64, finite."""
    cell: np.ndarray
    """(n,) int: number of the (corpus, query language) cell."""
    group: np.ndarray
    """(n,) int: number of the query group."""

    @property
    def weight(self) -> np.ndarray:
        """(n,) float64: 1 / (cells · queries of the cell); they sum to 1."""
        _, cell, count = np.unique(self.cell, return_inverse=True, return_counts=True)
        return np.asarray(1 / (len(count) * count[cell]))


class Estimate(NamedTuple):
    """What is said of one sample."""

    interval: Interval
    """Bootstrap interval of the macro mean; nan where all queries are of one group."""
    p: float
    """Two-sided p-value of the permutation test."""


class _Cells(NamedTuple):
    """A sample by clusters; cells that ask the same queries are one column, which changes no mean."""

    sums: np.ndarray
    """(clusters, columns)."""
    counts: np.ndarray
    """(clusters, columns): queries of one of the merged cells."""
    merged: np.ndarray
    """(columns,) cells that each column holds."""
    flips: np.ndarray
    """(clusters,) weighted sums, for the permutation test."""


def estimate(samples: Sequence[Sample], *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> list[Estimate]:
    """Estimate intervals and p-values of differences of macro means.

    Samples of the same clusters share their draws, and every set of clusters starts from the same seed: a number does not
    depend on what else is compared.

    :param samples: differences with cells and clusters.
    :param level: coverage of the intervals.
    :param draws: number of permutations, and of bootstrap samples.
    :param seed: of both.
    :return: one estimate per sample.
    """
    families: dict[bytes, list[int]] = {}
    for i, sample in enumerate(samples):
        families.setdefault(np.unique(sample.group).tobytes(), []).append(i)
    found: dict[int, Estimate] = {}
    for members in families.values():
        cells = [_cells(samples[i]) for i in members]
        p = _permutation_p(np.stack([c.flips for c in cells], axis=1), draws, np.random.default_rng(seed))
        intervals = _bootstrap(cells, level, draws, np.random.default_rng(seed))
        found.update({i: Estimate(intervals[k], float(p[k])) for k, i in enumerate(members)})
    return [found[i] for i in range(len(samples))]


def effect_size(sample: Sample) -> float:
    """Return Cohen's d of paired differences under the weights of the macro mean.

    :param sample: differences with cells.
    :return: mean over standard deviation; nan for one query, infinite where all differences are equal and not 0.
    """
    d, weight, n = sample.difference, sample.weight, len(sample.difference)
    if n < 2:
        return float("nan")
    mean = float(weight @ d)
    spread = float(np.sqrt(weight @ (d - mean) ** 2 * n / (n - 1)))
    if spread <= 1e-12 * abs(mean):
        return float(np.copysign(np.inf, mean)) if mean else 0.0
    return mean / spread


def _cells(sample: Sample) -> _Cells:
    clusters, cluster = np.unique(sample.group, return_inverse=True)
    names, cell = np.unique(sample.cell, return_inverse=True)
    shape = len(clusters), len(names)
    place = cluster * shape[1] + cell
    sums = np.bincount(place, sample.difference, minlength=shape[0] * shape[1]).reshape(shape)
    counts = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    kinds: dict[bytes, int] = {}
    kind = np.array([kinds.setdefault(column.tobytes(), len(kinds)) for column in counts.T])
    first = np.array([int(np.argmax(kind == k)) for k in range(len(kinds))])
    together = (kind[:, None] == np.arange(len(kinds))).astype(np.float64)
    flips = np.bincount(cluster, sample.weight * sample.difference)
    return _Cells(sums @ together, counts[:, first].astype(np.float64), np.bincount(kind).astype(np.float64), flips)


def _permutation_p(sums: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Flip the signs of clusters, the same for every column of (clusters, samples) sums."""
    # A permutation that gives the observed sum in another order of addition must count as reaching it.
    observed = np.abs(sums.sum(axis=0)) - 1e-12 * np.abs(sums).sum(axis=0)
    reached = np.zeros(sums.shape[1], np.int64)
    for rows in _batches(draws, len(sums)):
        bits = np.frombuffer(rng.bytes(rows * -(-len(sums) // 8)), dtype=np.uint8).reshape(rows, -1)
        heads = np.unpackbits(bits, axis=1, count=len(sums)).astype(np.float64)
        reached += (np.abs(2 * (heads @ sums) - sums.sum(axis=0)) >= observed).sum(axis=0)
    return np.asarray((reached + 1) / (draws + 1))


def _bootstrap(cells: Sequence[_Cells], level: float, draws: int, rng: np.random.Generator) -> list[Interval]:
    """Draw clusters with replacement, the same for every sample."""
    count = len(cells[0].flips)
    if count < 2:
        return [Interval(float("nan"), float("nan"))] * len(cells)
    sums, counts = np.hstack([c.sums for c in cells]), np.hstack([c.counts for c in cells])
    owner = np.repeat(np.arange(len(cells)), [len(c.merged) for c in cells])
    merged = np.concatenate([c.merged for c in cells])[:, None] * (owner[:, None] == np.arange(len(cells)))
    means, narrow = [], np.uint16 if count <= 1 << 16 else np.int64
    for rows in _batches(draws, count):
        drawn = rng.integers(0, count, size=(rows, count), dtype=narrow) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
        asked = times @ counts
        present = asked > 0
        mean = np.divide(times @ sums, asked, out=np.zeros_like(asked), where=present)
        # a column's sums are those of all its cells, so `mean` is the sum of their means
        means.append((mean @ (merged > 0)) / (present @ merged))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _batches(draws: int, clusters: int) -> Iterator[int]:
    """Cut the draws so that a batch of draws × clusters fits in memory."""
    step = max(1, BATCH_CELLS // clusters)
    return (min(step, draws - start) for start in range(0, draws, step))
