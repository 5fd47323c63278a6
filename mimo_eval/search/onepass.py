"""The one pass: every corpus of every mix is a union of language blocks, so each block is searched once and merged often.

For each query and each block the best k documents are kept, and for each judged document the number of documents above it
in each block of its corpora. A corpus's ranking is the merge of its blocks' lists; an exact rank is 1 plus the sum of counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import xxhash

from mimo_eval.collections.collection import Collection
from mimo_eval.measures.ranking import EMPTY, UNJUDGED, Ranking
from mimo_eval.mixing import Pool
from mimo_eval.search import keys
from mimo_eval.search.block_search import Found

Progress = Callable[[int], None]
TABLE = 2**27
"""Scores up to which a corpus's whole table is computed for measures that look beyond the run: half a gigabyte."""
WASTE = 64
"""How many scores may be computed for one that is asked for, since tables are that much faster than pairs."""
WHOLE = 2
"""A block of up to so many times the documents that are kept is ranked whole."""
MERGED = 2048
"""Queries whose lists are merged at a time."""


class Scorer(Protocol):
    """What the pass needs: best documents of a block, as ranking keys."""

    @property
    def engines(self) -> set[str]:
        """What has ranked documents so far, by name: libraries, or a retriever."""

    def top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        """Return keys, descending, with the best k among them; EMPTY where fewer documents were found."""

    def settle(self, best: np.ndarray, query_rows: np.ndarray, keep: int) -> np.ndarray:
        """Return the best `keep` of merged lists, in canonical order."""


@runtime_checkable
class CompleteScorer(Scorer, Protocol):
    """A scorer that has a score for every document, so that exact ranks can be counted."""

    def exact(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return float32 scores of pairs."""

    def table(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return the float32 scores of all pairs, (queries, documents), to an engine's precision."""

    def find(
        self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int, at: np.ndarray, document_keys: np.ndarray
    ) -> Found:
        """Return what `top` returns, and how many documents of the block stand above given ones."""


class BlockId(NamedTuple):
    """A language, or some rows of it; or some rows of all."""

    lang: str
    """Empty for a whole corpus."""
    rows: bytes
    """Hash of the rows; empty for the whole language."""


@dataclass
class _Block:
    rows: np.ndarray
    queries: np.ndarray
    pairs: np.ndarray
    lists: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.uint64))
    settled: bool = False
    """Whether the lists are cut and in the order of exact scores; else this is done once they are merged."""
    above: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


class PoolRanking(NamedTuple):
    """What one corpus retrieved."""

    pool: Pool
    lists: np.ndarray
    """(q, k) keys, canonical order."""
    judged_rank: np.ndarray
    """(j,) float64 exact ranks; nan where unknown."""
    scorer: CompleteScorer | None = None
    """What gave every document a score, if something did."""


class OnePass:
    """Search every block that some corpora need, then read the corpora out.

    :param collection: the texts.
    :param pools: the corpora.
    :param scorer: scores a block.
    :param depth: documents kept per query and block.
    """

    def __init__(self, collection: Collection, pools: Sequence[Pool], scorer: Scorer, depth: int) -> None:
        self.collection, self.pools, self.scorer, self.depth = collection, pools, scorer, depth
        self.place = collection.documents.id_order
        codes = [self._codes(pool) for pool in pools]
        self._pairs = np.unique(np.concatenate(codes)) if codes else np.empty(0, np.int64)
        self._blocks = self._plan(codes)

    def _codes(self, pool: Pool) -> np.ndarray:
        """Number every (query, judged document) pair across corpora."""
        return np.asarray(pool.queries[pool.judged_query] * len(self.place) + pool.judged_document)

    def _plan(self, codes: list[np.ndarray]) -> dict[BlockId, _Block]:
        rows: dict[BlockId, np.ndarray] = {}
        queries: dict[BlockId, list[np.ndarray]] = {}
        pairs: dict[BlockId, list[np.ndarray]] = {}
        for pool, code in zip(self.pools, codes, strict=True):
            for name, members in self._blocks_of(pool):
                rows[name] = members
                queries.setdefault(name, []).append(pool.queries)
                pairs.setdefault(name, []).append(code)
        return {name: _Block(rows[name], _union(queries[name]), _union(pairs[name])) for name in rows}

    def _blocks_of(self, pool: Pool) -> Iterator[tuple[BlockId, np.ndarray]]:
        """Yield the blocks of a corpus: its languages, or the whole of it for a scorer that wants it so."""
        if getattr(self.scorer, "whole_corpus", False):
            rows = np.sort(np.concatenate(list(pool.documents.values())))
            yield BlockId("", xxhash.xxh3_128_digest(rows.data)), rows
            return
        for lang, rows in pool.documents.items():
            if len(rows):
                whole = len(rows) == len(self.collection.documents.rows(lang))
                yield BlockId(lang, b"" if whole else xxhash.xxh3_128_digest(np.ascontiguousarray(rows).data)), rows

    @property
    def work(self) -> int:
        """Number of query-document scores the pass will compute; what `progress` counts."""
        return sum(len(block.rows) * len(block.queries) for block in self._blocks.values())

    def search(self, progress: Progress = lambda n: None) -> None:
        """Search every block and count exact ranks.

        :param progress: told the number of scores computed, in steps.
        """
        scorer = self.scorer if isinstance(self.scorer, CompleteScorer) else None
        pair_keys = self._pair_keys(scorer) if scorer else np.empty(0, np.uint64)
        for name, block in sorted(self._blocks.items(), key=lambda item: item[0].lang):  # blocks of one index together
            whole = scorer is not None and len(block.rows) <= WHOLE * self.depth
            k = max(len(block.rows), self.depth) if whole else self.depth
            if scorer:
                at = np.searchsorted(block.queries, block.pairs // len(self.place))
                given = pair_keys[np.searchsorted(self._pairs, block.pairs)]
                block.lists, block.above, _ = scorer.find(name.lang, block.rows, block.queries, k, at, given)
            else:
                block.lists = self.scorer.top(name.lang, block.rows, block.queries, k)
            if whole:
                block.lists, block.settled = self.scorer.settle(block.lists, block.queries, self.depth), True
            progress(len(block.rows) * len(block.queries))

    def _pair_keys(self, scorer: CompleteScorer) -> np.ndarray:
        query_rows, document_rows = np.divmod(self._pairs, len(self.place))
        return keys.encode(scorer.exact(query_rows, document_rows), self.place[document_rows])

    def rankings(self) -> Iterator[PoolRanking]:
        """Yield the ranking of each corpus, in the order given."""
        for pool in self.pools:
            lists = self._merge(pool)
            complete = self.scorer if isinstance(self.scorer, CompleteScorer) else None
            yield PoolRanking(pool, lists, self._ranks(pool, lists), complete)

    def _merge(self, pool: Pool) -> np.ndarray:
        blocks = [self._blocks[name] for name, _ in self._blocks_of(pool)]
        at = [np.searchsorted(block.queries, pool.queries) for block in blocks]
        if len(blocks) == 1 and blocks[0].settled:
            return blocks[0].lists[at[0]]
        parts = []
        for start in range(0, max(len(pool.queries), 1), MERGED):  # all of it at once would be three copies of every list
            some = slice(start, start + MERGED)
            lists = np.concatenate([block.lists[rows[some]] for block, rows in zip(blocks, at, strict=True)], axis=1)
            merged = lists if len(blocks) == 1 else np.sort(lists, axis=1)[:, ::-1]
            parts.append(self.scorer.settle(merged, pool.queries[some], self.depth))
        return np.concatenate(parts)

    def _ranks(self, pool: Pool, lists: np.ndarray) -> np.ndarray:
        if not isinstance(self.scorer, CompleteScorer):
            return ranks_in_lists(pool, lists, self.place)
        codes = self._codes(pool)
        ranks = np.ones(len(codes))
        for name, _ in self._blocks_of(pool):
            block = self._blocks[name]
            ranks += block.above[np.searchsorted(block.pairs, codes)]
        return ranks


def ranks_in_lists(pool: Pool, lists: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the ranks of judged documents that stand in ranked lists.

    :param pool: the corpus.
    :param lists: (q, k) keys, descending.
    :param place: place of each document among the sorted ids.
    :return: (j,) float64; nan where a document is not in its list.
    """
    wanted = place[pool.judged_document]
    ranks = np.full(len(wanted), np.nan)
    for start in range(0, len(wanted), 65_536):
        part = slice(start, start + 65_536)
        mine = lists[pool.judged_query[part]]
        hit = (keys.places(mine) == wanted[part, None]) & (mine != keys.EMPTY)
        ranks[part] = np.where(hit.any(1), hit.argmax(1) + 1, np.nan)
    return ranks


def _union(parts: list[np.ndarray]) -> np.ndarray:
    first = parts[0]
    if all(part is first or np.array_equal(part, first) for part in parts[1:]):
        return np.unique(first)
    return np.unique(np.concatenate(parts))


def ranking_of(collection: Collection, found: PoolRanking) -> Ranking:
    """Join a corpus's ranked lists with its judgements.

    :param collection: the texts.
    :param found: ranked lists and exact ranks.
    :return: what measures are computed from.
    """
    pool, documents, queries = found.pool, collection.documents, collection.queries
    filled = found.lists != keys.EMPTY
    rows = np.where(filled, documents.row_at[np.where(filled, keys.places(found.lists), 0)], 0)
    names = collection.languages
    of_document = np.array([names.index(lang) for lang in documents.languages], np.int16)
    of_query = np.array([names.index(lang) for lang in queries.languages], np.int16)[queries.language]
    return Ranking(
        query_ids=np.array(queries.ids(pool.queries)),
        gains=_gains(pool, found.judged_rank, filled),
        judged_query=pool.judged_query,
        judged_gain=pool.judged_gain,
        judged_rank=found.judged_rank,
        languages=names,
        query_language=of_query[pool.queries],
        document_language=np.where(filled, of_document[documents.language[rows]], -1).astype(np.int16),
        judged_language=of_document[documents.language[pool.judged_document]],
        pool_size=np.full(len(pool.queries), pool.size, np.int64),
        query_group=queries.group[pool.queries],
        full=found.scorer is not None,
        pool_languages=np.tile([len(pool.documents.get(lang, ())) for lang in names], (len(pool.queries), 1)),
        documents=np.where(filled, rows, -1),
        scores=_scores(pool, found.scorer) if found.scorer is not None else None,
    )


def _scores(pool: Pool, scorer: CompleteScorer) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return what gives the scores of any documents to measures that look beyond the run.

    They are rounded to six decimals, so that documents with equal vectors tie whatever computed them.
    """

    @cache
    def table() -> tuple[np.ndarray, np.ndarray]:
        """Return all scores, and the column of each row of the collection."""
        rows = np.sort(np.concatenate(list(pool.documents.values())))
        column = np.zeros(int(rows.max(initial=0)) + 1, np.int64)
        column[rows] = np.arange(len(rows))
        return scorer.table(pool.queries, rows), column

    def scores(queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
        if len(pool.queries) * pool.size > TABLE:
            return np.round(_some_scores(scorer, pool.queries[queries], documents), 6)
        found, column = table()
        return np.asarray(np.round(found[queries[:, None], column[documents]], 6))

    return scores


def _some_scores(scorer: CompleteScorer, queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Return the scores of (p,) queries with (p, m) documents: a table of them if many are asked for, else the pairs alone."""
    asked, row = np.unique(queries, return_inverse=True)
    distinct, column = np.unique(documents, return_inverse=True)
    if len(asked) * len(distinct) > WASTE * documents.size:
        return scorer.exact(np.repeat(queries, documents.shape[1]), documents.reshape(-1)).reshape(documents.shape)
    return scorer.table(asked, distinct)[row[:, None], column.reshape(documents.shape)]


def _gains(pool: Pool, ranks: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Return the relevance of ranked documents, UNJUDGED where nobody judged them, EMPTY where there is none."""
    gains = np.where(filled, np.int32(UNJUDGED), np.int32(EMPTY))
    listed = np.flatnonzero(ranks <= filled.shape[1])
    gains[pool.judged_query[listed], ranks[listed].astype(np.int64) - 1] = pool.judged_gain[listed]
    return gains
