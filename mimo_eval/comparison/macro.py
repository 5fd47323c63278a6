"""Significance of a difference of macro means, the numbers that a result shows.

A result's score is the mean over (corpus, query language) cells, each the mean over its queries. Query i of cell c therefore
weighs w_i = 1 / (cells · queries of c), and the difference of two models is D = Σ w_i d_i.

The unit is the question. Its versions, in every language and asked of every corpus, form one cluster g (the query group) with
the sum s_g = Σ_{i in g} w_i d_i, so that D = Σ s_g. The permutation test exchanges the two models for whole clusters: under
the null hypothesis the sign of each s_g is a fair coin, and p is the share of sign patterns whose |Σ ± s_g| reaches |D|,
the observed one counted in. Weights stay as they are, for no query is moved or removed. The bootstrap does remove queries:
it draws clusters with replacement and averages each cell over the queries that it drew, a cell without any staying out.

The tests are those of `mimo_eval.statistics` under these weights; the bootstrap of cells is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mimo_eval.statistics import Interval, bootstrap_intervals, permutation_tests


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
        flips = np.stack([c.flips for c in cells], axis=1)
        p = permutation_tests(flips, rng=np.random.default_rng(seed), permutations=draws)
        intervals = _intervals(cells, np.random.default_rng(seed), level, draws)
        found.update({i: Estimate(intervals[k], float(p[k])) for k, i in enumerate(members)})
    return [found[i] for i in range(len(samples))]


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


def _intervals(cells: Sequence[_Cells], rng: np.random.Generator, level: float, draws: int) -> list[Interval]:
    """Draw clusters with replacement, the same for every sample."""
    sums, counts = np.hstack([c.sums for c in cells]), np.hstack([c.counts for c in cells])
    owner = np.repeat(np.arange(len(cells)), [len(c.merged) for c in cells])
    merged = np.concatenate([c.merged for c in cells])[:, None] * (owner[:, None] == np.arange(len(cells)))

    def means(times: np.ndarray) -> np.ndarray:
        asked = times @ counts
        present = asked > 0
        mean = np.divide(times @ sums, asked, out=np.zeros_like(asked), where=present)
        # a column's sums are those of all its cells, so `mean` is the sum of their means
        return np.asarray((mean @ (merged > 0)) / (present @ merged))

    return bootstrap_intervals(means, len(sums), rng=rng, level=level, samples=draws)
