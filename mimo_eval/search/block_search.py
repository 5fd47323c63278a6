"""Search of a block of documents: the best of each query, and how many stand above given ones, from one product.

Scores are computed for some queries and a piece of the block at a time, few enough to stay in the processor's cache. A document
comes into a query's list only with a score as high as the list's last, its floor, which rises. Of a given document with a
score above the floor, all that may stand above it are in the list or wait for it, so they are counted there, at the latest when
the floor passes it; from then on every score is compared with its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimo_eval.search import keys
from mimo_eval.search.arithmetic import Arithmetic, Array, arithmetics, exact_products, full_precision, with_room
from mimo_eval.search.counts import Counts
from mimo_eval.threads import ahead

if TYPE_CHECKING:
    from mimo_eval.search.dense import DenseScorer


class Found(NamedTuple):
    """What a search of a block finds."""

    lists: np.ndarray
    """(q, m) keys, descending; near ties not yet settled."""
    above: np.ndarray
    """(n,) int64: how many documents stand above each of the given ones."""
    longest: float
    """Largest norm of a document's vector."""


def search_block(
    scorer: DenseScorer,
    lang: str,
    rows: np.ndarray,
    query_rows: np.ndarray,
    keep: int,
    at: np.ndarray,
    document_keys: np.ndarray,
) -> Found:
    """Search a block, at once in all places where scores can be computed.

    Where there are many queries, each place has some of them: a list is filled once. Else each has some of the tiles, and what
    is found by the same queries is joined.

    :param scorer: has the vectors, and gives exact scores and error bounds.
    :param lang: language of the block.
    :param rows: its documents, ascending.
    :param query_rows: (q,) rows of queries.
    :param keep: length of the lists.
    :param at: (n,) for each given document, the position of its query in `query_rows`, ascending.
    :param document_keys: (n,) exact keys of the given documents, of this block or another.
    :return: lists of `keep` documents, if there are so many, and counts.
    """
    places = arithmetics(2 * len(rows) * len(query_rows) * (scorer.documents.width or 1))
    scorer.engines.add(places[0].name)
    each = -(-len(query_rows) // len(places))
    apart = each >= places[0].worth_own_queries
    size = min(each, places[0].queries_at_once) if apart else places[0].queries_at_once
    groups = [slice(start, start + size) for start in range(0, len(query_rows), size)]

    def part(place: Arithmetic, group: slice) -> PartialSearch:
        given = slice(*np.searchsorted(at, [group.start, group.stop]))
        return PartialSearch(scorer, place, query_rows[group], keep, at[given] - group.start, document_keys[given])

    with full_precision(), with_room():
        if apart:
            teams = [Workers([[part(places[number % len(places)], group)]]) for number, group in enumerate(groups)]
        else:
            teams = [Workers([[part(place, group) for group in groups] for place in places])]
        tiles = (Tile(*tile) for tile in scorer.documents.tiles(lang, rows, scorer.tile))
        tasks = ((team, tile) for tile in tiles for team in teams)
        for _ in ahead(lambda task: task[0].add(task[1]), tasks, len(places)):
            pass
    found = [joined([one.result() for one in parts], keep) for team in teams for parts in team.by_queries()]
    return Found(
        np.concatenate([part.lists for part in found]),
        np.concatenate([part.above for part in found]),
        max(part.longest for part in found),
    )


def joined(parts: list[Found], keep: int) -> Found:
    """Join what was found by the same queries in different documents."""
    lists = keys.largest(np.concatenate([part.lists for part in parts], axis=1), keep)
    return Found(lists, np.sum([part.above for part in parts], axis=0), max(part.longest for part in parts))


def longest_norm(vectors: np.ndarray) -> float:
    """Return the largest Euclidean norm of some vectors."""
    return float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max())) if len(vectors) else 0.0


class Tile:
    """Some documents.

    :param rows: (m,) their rows.
    :param vectors: (m, d) float32.
    """

    def __init__(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        self.rows, self.vectors = rows, vectors

    @cached_property
    def longest(self) -> float:
        """Largest norm of a vector."""
        return longest_norm(self.vectors)


class Workers:
    """Places that search the same queries; each tile goes to whichever is free.

    :param searches: of each place, those of all groups of queries.
    """

    def __init__(self, searches: list[list[PartialSearch]]) -> None:
        self._searches = searches
        self._free: SimpleQueue[list[PartialSearch]] = SimpleQueue()
        for place in searches:
            self._free.put(place)

    def add(self, tile: Tile) -> None:
        """Search a tile, for all queries."""
        mine = self._free.get()
        try:
            documents = mine[0].arithmetic.put(tile.vectors)
            for one in mine:
                one.add(tile, documents)
        finally:
            self._free.put(mine)

    def by_queries(self) -> Iterator[tuple[PartialSearch, ...]]:
        """Return the searches of the same queries, for all queries in their order."""
        return zip(*self._searches, strict=True)


class PartialSearch:
    """The best documents of some queries, and counts, over the pieces seen so far.

    :param scorer: gives exact scores and error bounds.
    :param arithmetic: where scores are computed.
    :param query_rows: (q,) rows of queries.
    :param keep: length of the lists.
    :param at: (n,) for each given document, the position of its query in `query_rows`.
    :param document_keys: (n,) exact keys of the given documents, of this block or another.
    """

    def __init__(
        self,
        scorer: DenseScorer,
        arithmetic: Arithmetic,
        query_rows: np.ndarray,
        keep: int,
        at: np.ndarray,
        document_keys: np.ndarray,
    ) -> None:
        self.arithmetic, self.keep, self.at, self.place = arithmetic, keep, at, scorer.place
        self.longest = 0.0
        self._vectors = scorer.queries.gather(query_rows)
        self._queries = arithmetic.put(self._vectors)
        self._best = np.zeros((len(query_rows), 0), np.uint64)
        self._floor = np.full(len(query_rows), -np.inf, np.float32)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._width = 0
        """Documents that wait, at most, for one list: so many columns are merged."""
        self._counts = Counts(scorer, query_rows, at, document_keys)
        self._bounds = self._counts.bounds(0.0)
        self._listed = np.ones(len(at), bool)
        """Whether all documents that may stand above a given one are still in its list, or wait for it."""

    def add(self, tile: Tile, documents: Array) -> None:
        """Search a tile.

        :param tile: the documents.
        :param documents: (m, d) their vectors, where scores are computed.
        """
        if tile.longest > self.longest:
            self._lengthen(tile.longest)
        rows = tile.rows
        step = max(8, self.arithmetic.scores_at_once // len(self._floor) // 8 * 8)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            scores = self.arithmetic.scores(self._queries, documents[part])
            if self._best.shape[1] < self.keep < len(rows[part]):
                self._set_floor(scores)
            self._take(scores, rows[part])
            self._compare(scores, rows[part], tile.vectors[part])
            if self._width >= self.keep:
                self._merge()

    def result(self) -> Found:
        """Return what was found."""
        self._merge()
        self._leave(self._listed, self._best)
        return Found(self._best, self._counts.result(), self.longest)

    def _lengthen(self, longest: float) -> None:
        """Widen the bounds, as errors grow with the length of vectors."""
        self._merge()
        wider = self._counts.bounds(longest)
        self._leave(self._listed & (wider.low <= self._floor[self.at]), self._best)
        self.longest, self._bounds = longest, wider

    def _set_floor(self, scores: Array) -> None:
        """Set the first floor by the scores of a piece, so that not all of it comes into the lists."""
        self._merge()
        self._floor = np.maximum(self._floor, self.arithmetic.nth(scores, self.keep))
        self._leave(self._listed & (self._bounds.low <= self._floor[self.at]), self._best)

    def _take(self, scores: Array, rows: np.ndarray) -> None:
        """Let the documents that reach the floor wait for the lists."""
        count, column, score = self.arithmetic.reaching(scores, self._floor)
        self._waiting.append((count, keys.encode(score, self.place[rows[column]])))
        self._width += int(count.max(initial=0))

    def _merge(self) -> None:
        """Put what waits into the lists, and raise the floor."""
        if not self._waiting:
            return
        lists = np.concatenate([self._best, *(_padded(count, found) for count, found in self._waiting)], axis=1)
        self._waiting, self._width = [], 0
        self._best = keys.cut(lists, self.keep)
        if self._best.shape[1] == self.keep:
            self._floor = keys.scores(self._best.min(axis=1))
            self._leave(self._listed & (self._bounds.low <= self._floor[self.at]), lists)

    def _leave(self, leaving: np.ndarray, lists: np.ndarray) -> None:
        """Count in lists for the last time, for some given documents."""
        self._counts.add_lists(np.flatnonzero(leaving), lists, self._bounds)
        self._listed &= ~leaving

    def _compare(self, scores: Array, rows: np.ndarray, vectors: np.ndarray) -> None:
        """Count among all documents of a piece, for the given documents that are below the floor."""
        which = np.flatnonzero(~self._listed)
        if not len(which):
            return
        at, low, high = self.at[which], self._bounds.low[which], self._bounds.high[which]
        sure, reach = self.arithmetic.count(scores, at, low, high)
        self._counts.above[which] += sure
        near = np.flatnonzero(reach > sure)
        index, column = self.arithmetic.between(scores, at[near], low[near], high[near])
        exact = exact_products(self._vectors, at[near[index]], vectors, column)
        self._counts.add_scored(which[near[index]], rows[column], exact)


def _padded(count: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the keys of one query after the other as (queries, most of one), with EMPTY behind."""
    filled = np.arange(count.max(initial=0)) < count[:, None]
    result = np.full(filled.shape, keys.EMPTY)
    result[filled] = found
    return result
