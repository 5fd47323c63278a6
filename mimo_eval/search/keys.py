"""Ranking keys: a score and a document in 64 bits, so that sorting integers gives the canonical order.

The upper half holds the float32 score, mapped so that larger scores are larger integers; the lower half the document's place
among the sorted ids. Descending keys are thus "score descending, document id descending", trec_eval's order, and a list of
keys is a ranked list. 0 is "no document".
"""

from __future__ import annotations

import numpy as np

EMPTY = np.uint64(0)
SIGN = np.uint32(0x80000000)


def encode(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Make keys.

    :param scores: float32, finite.
    :param places: uint32 places of the documents among the sorted ids, of a shape that broadcasts.
    :return: uint64 keys of the same shape.
    """
    bits = (np.asarray(scores, np.float32) + np.float32(0)).view(np.uint32)  # adding 0 makes -0 and 0 equal
    flipped = (bits.view(np.int32) >> 31).view(np.uint32) | SIGN  # all bits of a negative number, the sign of others
    return ((bits ^ flipped).astype(np.uint64) << np.uint64(32)) | np.asarray(places, np.uint64)


def scores(keys: np.ndarray) -> np.ndarray:
    """Return the float32 scores of keys; -inf for EMPTY."""
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(ordered & SIGN, ordered ^ SIGN, ~ordered)
    return np.where(keys == EMPTY, np.float32(-np.inf), bits.view(np.float32))


def places(keys: np.ndarray) -> np.ndarray:
    """Return the int64 places of the documents among the sorted ids; meaningless for EMPTY."""
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def largest(keys: np.ndarray, count: int) -> np.ndarray:
    """Return the best of each row, best first.

    :param keys: (n, m) keys in any order.
    :param count: how many to keep.
    :return: (n, min(count, m)) keys, descending.
    """
    return np.sort(cut(keys, count), axis=1)[:, ::-1]


def cut(keys: np.ndarray, count: int) -> np.ndarray:
    """Return the best of each row as `largest` does, in any order."""
    return keys if keys.shape[1] <= count else np.partition(keys, keys.shape[1] - count, axis=1)[:, -count:]


def count_above(lists: np.ndarray, at: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Count the keys of lists that are larger than a bound, by bisection of all at once.

    :param lists: (q, k) keys, descending.
    :param at: (n,) which list.
    :param bounds: (n,) keys.
    :return: (n,) int64 counts.
    """
    low, high = np.zeros(len(at), np.int64), np.full(len(at), lists.shape[1], np.int64)
    for _ in range(int(lists.shape[1]).bit_length()):
        middle = (low + high) // 2
        larger = lists[at, middle.clip(max=lists.shape[1] - 1)] > bounds
        low = np.where(larger & (low < high), middle + 1, low)
        high = np.where(larger, high, np.minimum(high, middle))
    return low
