"""The little that most measures look at: where the judged documents stand in a run, and how long the run is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Hits:
    """The judged documents among what was retrieved for n queries; row i is query i."""

    retrieved: np.ndarray
    """(n,) int64: number of documents in the run."""
    asked: np.ndarray
    """(n,) bool: whether the run has the query at all."""
    query: np.ndarray
    """(h,) int64: the row of each hit, ascending."""
    rank: np.ndarray
    """(h,) int64: its rank from 1, ascending within a query."""
    gain: np.ndarray
    """(h,) int: its relevance; below 0 for a document of the pool that nobody judged."""
    judged_query: np.ndarray
    """(j,) int64: the row of each judgement, whether retrieved or not."""
    judged_gain: np.ndarray
    """(j,) int: its relevance."""

    def __len__(self) -> int:
        return len(self.retrieved)

    @cached_property
    def number(self) -> np.ndarray:
        """(h,) int64: the number of each hit among the hits of its query, from 1."""
        return numbered(self.query, len(self))

    def count(self, which: np.ndarray) -> np.ndarray:
        """Count hits by query.

        :param which: (h,) bool.
        :return: (n,) int64.
        """
        return np.bincount(self.query[which], minlength=len(self))

    def relevant(self, rel: int) -> np.ndarray:
        """Count the relevant documents of each query, retrieved or not.

        :param rel: the least relevance that counts.
        :return: (n,) int64.
        """
        return np.bincount(self.judged_query[self.judged_gain >= rel], minlength=len(self))

    def only(self, which: np.ndarray) -> Hits:
        """Return some of the hits, at the ranks at which they stand.

        :param which: (h,) bool.
        :return: the hits; judgements and sizes are the same.
        """
        return replace(self, query=self.query[which], rank=self.rank[which], gain=self.gain[which])

    @cached_property
    def condensed(self) -> Hits:
        """The same run without the documents that nobody judged."""
        judged = self.only(self.gain >= 0)
        return replace(judged, rank=judged.number, retrieved=np.bincount(judged.query, minlength=len(self)))


def numbered(group: np.ndarray, n: int) -> np.ndarray:
    """Number the members of each group.

    :param group: (h,) int64 below n, ascending.
    :param n: number of groups.
    :return: (h,) int64, from 1.
    """
    count = np.bincount(group, minlength=n)
    return np.arange(1, len(group) + 1) - np.repeat(np.cumsum(count) - count, count)
