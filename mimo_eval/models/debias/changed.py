"""Stored vectors as a debiasing changes them, tile by tile, and a scorer for changes that depend on the query's language."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mimo_eval.collections.collection import Texts
from mimo_eval.embeddings import TILE_ROWS, VectorStore
from mimo_eval.errors import ModelError
from mimo_eval.search.block_search import Found
from mimo_eval.search.dense import DenseScorer

Change = Callable[[np.ndarray, str], np.ndarray]
"""((n, d) float64, language) to (n, d) float64. A row's result must not depend on the rows beside it, to the last bit."""
BLOCK = 4096
NOTHING = 1e-6
"""Share of a vector's length below which what is left of it is rounding error."""


class ChangedVectors:
    """What a scorer asks of a vector store, answered with changed vectors; the stored ones stay as they are.

    :param store: the stored vectors.
    :param change: what is done to them; not called for languages nobody asks for.
    :param normalise: whether to divide what comes out by its length.
    """

    def __init__(self, store: VectorStore, change: Change, normalise: bool) -> None:
        self.store, self.change, self.normalise = store, change, normalise
        self.texts = store.texts

    @property
    def width(self) -> int | None:
        """Width of the vectors, or None if there are none."""
        return self.store.width

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return vectors of any rows of the collection.

        :param rows: (n,) rows, any languages, any order.
        :return: (n, d) float32.
        """
        vectors = self.store.gather(rows)
        languages = self.texts.language[rows]
        for number in np.unique(languages):
            mine = np.flatnonzero(languages == number)
            vectors[mine] = self._changed(vectors[mine], self.texts.languages[number], rows[mine])
        return vectors

    def tiles(self, lang: str, rows: np.ndarray, size: int = TILE_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Stream the vectors of some rows of one language.

        :param lang: the language.
        :param rows: rows of the collection, ascending.
        :param size: most rows in one tile.
        :yield: (rows of the collection, (n, d) float32).
        """
        for part, vectors in self.store.tiles(lang, rows, size):
            yield part, self._changed(vectors, lang, part)

    def _changed(self, vectors: np.ndarray, lang: str, rows: np.ndarray) -> np.ndarray:
        result = np.empty_like(vectors)
        for start in range(0, len(vectors), BLOCK):
            part = slice(start, start + BLOCK)
            before = vectors[part].astype(np.float64)
            after = self.change(before, lang)
            result[part] = self._unit(after, before, rows[part]) if self.normalise else after
        return result

    def _unit(self, after: np.ndarray, before: np.ndarray, rows: np.ndarray) -> np.ndarray:
        norms = _norms(after)
        lost = np.flatnonzero(norms <= NOTHING * _norms(before))
        if len(lost):
            first = self.texts.ids(rows[lost[:1]])[0]
            raise ModelError(
                f"debiasing leaves nothing of the vector of text '{first}' and {len(lost) - 1} more, so it has no cosine; take "
                "a larger sample or a lower rank"
            )
        return np.asarray(after / norms[:, None])


def _norms(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vectors, vectors)))


class PerQueryLanguage:
    """A scorer that leaves the queries of each language to a scorer of their own; see `onepass.CompleteScorer`.

    :param queries: the queries.
    :param make: makes the scorer of one query language.
    """

    def __init__(self, queries: Texts, make: Callable[[str], DenseScorer]) -> None:
        self.queries, self.make = queries, make
        self._made: dict[str, DenseScorer] = {}

    @property
    def engines(self) -> set[str]:
        """What has ranked documents so far, by name."""
        return set().union(*(scorer.engines for scorer in self._made.values()))

    def _parts(self, query_rows: np.ndarray) -> Iterator[tuple[DenseScorer, np.ndarray]]:
        """Yield each language's scorer and the positions of its queries, ascending."""
        languages = self.queries.language[query_rows]
        for number in np.unique(languages) if len(languages) else (0,):  # to no queries any scorer has the right answer
            lang = self.queries.languages[number]
            if lang not in self._made:
                self._made[lang] = self.make(lang)
            yield self._made[lang], np.flatnonzero(languages == number)

    def _joined(self, query_rows: np.ndarray, answer: Callable[[DenseScorer, np.ndarray], np.ndarray]) -> np.ndarray:
        """Put the answers of all languages' scorers together, in the order of the queries."""
        parts = [(mine, answer(scorer, mine)) for scorer, mine in self._parts(query_rows)]
        result = np.empty((len(query_rows), *parts[0][1].shape[1:]), parts[0][1].dtype)
        for mine, part in parts:
            result[mine] = part
        return result

    def top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        """Find the best documents of one block, and some more.

        :param lang: language of the block.
        :param rows: its documents, ascending.
        :param query_rows: (q,) rows of the queries.
        :param k: how many are needed.
        :return: (q, m) keys, descending, near ties not yet settled.
        """
        return self._joined(query_rows, lambda scorer, mine: scorer.top(lang, rows, query_rows[mine], k))

    def settle(self, best: np.ndarray, query_rows: np.ndarray, keep: int) -> np.ndarray:
        """Order merged lists as exact scores would, and cut them.

        :param best: (q, m) keys, descending.
        :param query_rows: (q,) rows of the queries.
        :param keep: how many to keep.
        :return: (q, min(m, keep)) keys, descending.
        """
        return self._joined(query_rows, lambda scorer, mine: scorer.settle(best[mine], query_rows[mine], keep))

    def exact(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return the scores of some pairs.

        :param query_rows: (n,) rows of queries.
        :param document_rows: (n,) rows of documents.
        :return: (n,) float32.
        """
        return self._joined(query_rows, lambda scorer, mine: scorer.exact(query_rows[mine], document_rows[mine]))

    def table(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return the scores of all pairs.

        :param query_rows: (q,) rows of queries.
        :param document_rows: (n,) rows of documents.
        :return: (q, n) float32.
        """
        return self._joined(query_rows, lambda scorer, mine: scorer.table(query_rows[mine], document_rows))

    def find(
        self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int, at: np.ndarray, document_keys: np.ndarray
    ) -> Found:
        """Find the best documents of one block, and count those that stand above given ones.

        :param lang: language of the block.
        :param rows: its documents, ascending.
        :param query_rows: (q,) rows of the queries.
        :param k: how many are needed.
        :param at: (n,) the position in `query_rows` of each given document's query, ascending.
        :param document_keys: (n,) exact keys of given documents.
        :return: (q, m) keys, descending, near ties not yet settled, and (n,) counts.
        """
        above, longest = np.zeros(len(at), np.int64), 0.0

        def answer(scorer: DenseScorer, mine: np.ndarray) -> np.ndarray:
            nonlocal longest
            given = np.flatnonzero(np.isin(at, mine))
            found = scorer.find(lang, rows, query_rows[mine], k, np.searchsorted(mine, at[given]), document_keys[given])
            above[given], longest = found.above, max(longest, found.longest)
            return found.lists

        return Found(self._joined(query_rows, answer), above, longest)
