"""How many documents stand above given ones, by scores that err a little: what they do not tell is computed exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimo_eval.search import keys

if TYPE_CHECKING:
    from mimo_eval.search.dense import DenseScorer

NEAR = 100_000
"""Pairs that are computed exactly at a time."""
FIRST_PLACE, LAST_PLACE = np.zeros(1, np.uint32), np.full(1, 2**32 - 1, np.uint32)


class Bounds(NamedTuple):
    """Scores from which on it is sure that a document stands below or above a given one, (n,) float32."""

    low: np.ndarray
    high: np.ndarray


class Counts:
    """Counts of documents above given ones, added up over parts of a block.

    :param scorer: gives exact scores and error bounds.
    :param query_rows: (q,) rows of queries.
    :param at: (n,) the position in `query_rows` of each given document's query.
    :param document_keys: (n,) exact keys of the given documents.
    """

    def __init__(self, scorer: DenseScorer, query_rows: np.ndarray, at: np.ndarray, document_keys: np.ndarray) -> None:
        self.scorer, self.query_rows, self.at, self.document_keys = scorer, query_rows, at, document_keys
        self.above = np.zeros(len(at), np.int64)
        self._near: list[tuple[np.ndarray, np.ndarray]] = []
        self._size = 0

    def bounds(self, longest: float) -> Bounds:
        """Return what scores with documents up to a norm tell."""
        eps = self.scorer.eps(self.query_rows, longest)[self.at]
        score = keys.scores(self.document_keys).astype(np.float64)
        return Bounds((score - eps).astype(np.float32), (score + eps).astype(np.float32))

    def add_lists(self, which: np.ndarray, lists: np.ndarray, bounds: Bounds) -> None:
        """Count the documents of lists.

        :param which: (m,) for which of the given documents.
        :param lists: (q, k) keys, in any order; of each of these queries, all documents that may stand above are in its list.
        :param bounds: of all given documents.
        """
        queries, at = np.unique(self.at[which], return_inverse=True)
        mine = np.sort(lists[queries], axis=1)[:, ::-1]
        sure = keys.count_above(mine, at, keys.encode(bounds.high[which], LAST_PLACE))
        near = keys.count_above(mine, at, keys.encode(bounds.low[which], FIRST_PLACE)) - sure
        self.above[which] += sure
        index = np.repeat(np.arange(len(which)), near)
        column = np.arange(len(index)) - np.repeat(np.cumsum(near) - near - sure, near)
        place = keys.places(mine[at[index], column])
        self.add_near(which[index], self.scorer.documents.texts.row_at[place])

    def add_scored(self, given: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> None:
        """Count those of some documents that stand above given ones.

        :param given: (p,) positions of given documents.
        :param rows: (p,) rows of documents that may stand above them.
        :param scores: (p,) float32 exact scores of these documents.
        """
        np.add.at(self.above, given, keys.encode(scores, self.scorer.place[rows]) > self.document_keys[given])

    def add_near(self, given: np.ndarray, rows: np.ndarray) -> None:
        """Count likewise, after computing the exact scores of (p,) documents."""
        if not len(rows):
            return
        self._near.append((given, rows))
        self._size += len(rows)
        if self._size > NEAR:
            self._resolve()

    def result(self) -> np.ndarray:
        """Return the (n,) int64 counts."""
        self._resolve()
        return self.above

    def _resolve(self) -> None:
        if not self._near:
            return
        given, rows = (np.concatenate(parts) for parts in zip(*self._near, strict=True))
        self._near, self._size = [], 0
        self.add_scored(given, rows, self.scorer.exact(self.query_rows[self.at[given]], rows))
