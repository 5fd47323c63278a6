"""Exact nearest neighbours among other items, by chunks of the pool; the score matrix is never held."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimo_eval.geometry.vectors import CHUNK, LabelledVectors


class Neighbours(NamedTuple):
    """The best of the pool for each query, best first; of equal scores the lower row comes first."""

    scores: np.ndarray
    """(queries, k) float32 cosines; -inf where the pool has no more."""
    rows: np.ndarray
    """(queries, k) int64 rows; -1 where the pool has no more."""


def nearest(
    vectors: LabelledVectors, queries: np.ndarray, k: int, *, pool: np.ndarray | None = None, chunk: int = CHUNK
) -> Neighbours:
    """Find the k nearest rows by cosine, without the query itself and its translations.

    :param vectors: the vectors.
    :param queries: rows to ask with.
    :param k: neighbours per query, at least 1.
    :param pool: ascending rows to search, all by default.
    :param chunk: pool rows at a time.
    :return: the neighbours.
    """
    asked = vectors.take(queries)
    best = Neighbours(np.full((len(queries), k), -np.inf, dtype=np.float32), np.full((len(queries), k), -1, dtype=np.int64))
    for rows, block in vectors.chunks(pool, size=chunk):
        scores = asked @ block.T
        scores[vectors.groups[queries][:, None] == vectors.groups[rows]] = -np.inf
        query, column = np.nonzero(_candidates(scores, best.scores[:, -1], k))
        best = _merge(best, query, scores[query, column], rows[column])
    return best


def _candidates(scores: np.ndarray, floor: np.ndarray, k: int) -> np.ndarray:
    """Mark the scores that can still be among the best k: above the floor and, where there is none, near the top.

    The floor settles nearly all of a long pool with one comparison, where a partial sort of each chunk would cost
    more than the matrix product.
    """
    marked = scores > floor[:, None]
    unfilled = np.flatnonzero(np.isneginf(floor))
    if unfilled.size:
        # Equal scores at the cut stay in, so that rows decide between them and not the partial sort.
        cut = min(k, scores.shape[1])
        marked[unfilled] &= scores[unfilled] >= np.partition(scores[unfilled], -cut, axis=1)[:, -cut, None]
    return np.asarray(marked)


def _merge(best: Neighbours, query: np.ndarray, scores: np.ndarray, rows: np.ndarray) -> Neighbours:
    """Put candidates among the best so far and keep the first k of each query."""
    count, k = best.scores.shape
    query = np.concatenate([np.repeat(np.arange(count), k), query])
    scores = np.concatenate([best.scores.reshape(-1), scores])
    rows = np.concatenate([best.rows.reshape(-1), rows])
    order = np.lexsort((rows, -scores, query))
    starts = np.searchsorted(query[order], np.arange(count))
    kept = order[starts[:, None] + np.arange(k)]
    return Neighbours(scores[kept], rows[kept])
