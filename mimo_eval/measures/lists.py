"""Lists of results: their canonical order, and the ranks of some of their documents.

Ranks follow trec_eval: scores are compared as float32, descending, and equal ones by document id, descending. Only what
the measures need is sorted out. Scores are sorted as integers with the place of their row in the low bits; ids are compared
only where the scores of judged documents are tied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SIGN = np.uint32(0x80000000)


@dataclass(frozen=True)
class Lists:
    """The results of some queries, one after another."""

    row: np.ndarray
    """(b,) int64: row of each query among the judgements, -1 if it is not judged."""
    size: np.ndarray
    """(b,) int64: number of its results."""
    score: np.ndarray
    """(s,) float32."""
    ids: Callable[[np.ndarray], pa.Array]
    """Positions among the s results to document ids."""

    @cached_property
    def of(self) -> np.ndarray:
        """(s,) int64: the list of each result."""
        return np.repeat(np.arange(len(self.size)), self.size)

    @cached_property
    def start(self) -> np.ndarray:
        """(b,) int64: position of the first result of each list."""
        return np.asarray(np.cumsum(self.size) - self.size)

    @property
    def bits(self) -> int:
        """Number of bits that a position takes."""
        return max(len(self.score) - 1, 0).bit_length()


class Found(NamedTuple):
    """Judged documents that some lists have."""

    judgement: np.ndarray
    """(h,) int64: which judgement."""
    list: np.ndarray
    """(h,) int64: which list."""
    score: np.ndarray
    """(h,) float32."""


def canonical(lists: Lists) -> np.ndarray:
    """Put every list in canonical order.

    :param lists: b lists.
    :return: (s,) int64 positions: list after list, each by score and then document id, descending.
    """
    ordered, bits = _descending(lists), np.uint64(lists.bits)
    position = (ordered & mask(lists.bits)).astype(np.int64)
    equal = (ordered[1:] >> bits) == (ordered[:-1] >> bits)
    if not equal.any():
        return position
    tied = np.zeros(len(ordered), bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    group = np.cumsum(~np.concatenate([[False], equal]))[tied]
    place = _descending_ids(lists.ids(position[tied]))
    position[tied] = position[tied][np.lexsort((place, group))]
    return position


def ranks(lists: Lists, found: Found, documents: pa.Array) -> np.ndarray:
    """Return the ranks of found documents: 1, plus the better scores of the list, plus the equal ones of larger ids.

    :param lists: b lists.
    :param found: h documents of theirs.
    :param documents: ids of all judged documents.
    :return: (h,) int64.
    """
    ordered = _descending(lists)
    key = _key(found.list, found.score, lists.bits)
    low = np.searchsorted(ordered, key)
    high = np.searchsorted(ordered, key | mask(lists.bits), side="right")
    rank = low - lists.start[found.list] + 1
    tied = np.flatnonzero(high - low > 1)
    if len(tied):
        start, group = np.unique(low[tied], return_inverse=True)
        stop = np.zeros(len(start), np.int64)
        stop[group] = high[tied]
        members = ranges(start, stop)
        of = np.repeat(np.arange(len(start)), stop - start)
        ids = lists.ids((ordered[members] & mask(lists.bits)).astype(np.int64))
        place = _descending_ids(ids)
        mine = place[pc.index_in(documents.take(pa.array(found.judgement[tied])), ids).to_numpy()]
        sorted_places = np.sort((of.astype(np.uint64) << np.uint64(32)) | place)
        wanted = (group.astype(np.uint64) << np.uint64(32)) | mine
        rank[tied] += np.searchsorted(sorted_places, wanted) - (np.cumsum(stop - start) - (stop - start))[group]
    return np.asarray(rank)


def ranges(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Concatenate ranges of integers.

    :param start: (b,) int64.
    :param stop: (b,) int64, not below `start`.
    :return: int64: start[0] up to stop[0], then start[1] up to stop[1], and so on.
    """
    size = stop - start
    return np.asarray(np.arange(size.sum()) + np.repeat(start - (np.cumsum(size) - size), size))


def _descending(lists: Lists) -> np.ndarray:
    """Return (s,) uint64, ascending: list, falling score and position of every result, from the highest bit down."""
    bits = lists.bits
    keys = _key(lists.of, lists.score, bits) | np.arange(len(lists.score), dtype=np.uint64)
    keys.sort()
    return keys


def _key(of: np.ndarray, score: np.ndarray, bits: int) -> np.ndarray:
    """Return list and score as integers that ascend as the score falls, with `bits` free bits below."""
    raw = (score + np.float32(0)).view(np.uint32)  # adding 0 makes -0 and 0 equal
    falling = np.where(raw & SIGN, raw, ~(raw | SIGN))
    return np.asarray(((of.astype(np.uint64) << np.uint64(32)) | falling) << np.uint64(bits))


def mask(bits: int) -> np.uint64:
    """Return an integer whose low bits alone are set."""
    return np.uint64((1 << bits) - 1)


def _descending_ids(ids: pa.Array) -> np.ndarray:
    """Return uint64 numbers that ascend as ids fall, equal for equal ids."""
    return np.asarray(pc.rank(ids, sort_keys="descending", tiebreaker="dense").to_numpy().astype(np.uint64))
