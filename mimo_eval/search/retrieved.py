"""Retrievers in the one pass: their results for one language's documents as ranking keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from mimo_eval.asking import asking, fingerprint
from mimo_eval.collections.collection import Collection
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.protocols import Hits, Retriever, StoredRetriever
from mimo_eval.search import keys
from mimo_eval.search.index_store import IndexStore

BATCH = 4096
Merge = Callable[[np.ndarray], np.ndarray]
"""(q, k) descending scores of one language's list, -inf past its end, to scores that are compared across languages."""


def _minmax(scores: np.ndarray) -> np.ndarray:
    low = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, keepdims=True)
    span = scores[:, :1] - low
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(span > 0, (scores - low) / span, 1.0)


MERGES: dict[str, Merge] = {
    "raw": lambda scores: scores,
    "minmax": _minmax,
    "roundrobin": lambda scores: np.broadcast_to(1 / np.arange(1, scores.shape[1] + 1), scores.shape),
    "rrf": lambda scores: np.broadcast_to(1 / (60 + np.arange(1, scores.shape[1] + 1)), scores.shape),
}
"""How the results of several languages become one: raw scores; scores scaled to [0, 1] within each language's list; the first
of each list, then the second of each; reciprocal rank fusion with its usual constant 60 (the order of the third; the scores
differ)."""


class RetrieverScorer:
    """Asks a retriever block by block; an index is made once per block, and kept on disk if the retriever can save it.

    :param retriever: the model.
    :param collection: the texts.
    """

    def __init__(self, retriever: Retriever, collection: Collection) -> None:
        self.retriever, self.collection = retriever, collection
        self.name = str(getattr(retriever, "name", type(retriever).__name__))
        self.engines = {self.name}
        self.whole_corpus = not getattr(retriever, "per_language", True)
        merge = str(getattr(retriever, "merge", "raw"))
        if merge not in MERGES:
            raise ConfigError(f"{self.name}: unknown way to merge languages '{merge}'; choose one of {', '.join(MERGES)}")
        self.merge = MERGES[merge]
        self.store: IndexStore | None = None
        if isinstance(retriever, StoredRetriever):
            fingerprint(retriever, self.name)  # refused by name if it does not fit into JSON
            self.store = IndexStore(retriever)
        self.indexed = self.read = 0

    def top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        """Return keys of what the retriever found, at most k for each query."""
        index = self._index(lang, rows)
        parts = [self._search(index, rows, query_rows[start : start + BATCH], k) for start in range(0, len(query_rows), BATCH)]
        width = max((part.shape[1] for part in parts), default=1) or 1
        return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])

    def _index(self, lang: str, rows: np.ndarray) -> Any:
        documents = self.collection.documents

        def build() -> Any:
            langs = [documents.languages[n] for n in documents.language[rows]]
            with asking(self.name, "index"):
                return self.retriever.index(documents.read(rows), langs=langs)

        index, built = self.store.get(lang, documents, rows, build) if self.store else (build(), True)
        self.indexed += len(rows) if built else 0
        self.read += 0 if built else len(rows)
        return index

    def _search(self, index: Any, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        queries = self.collection.queries
        langs = [queries.languages[n] for n in queries.language[query_rows]]
        with asking(self.name, "search"):
            hits = self.retriever.search(index, queries.read(query_rows), langs=langs, k=k)
        documents, scores = self._check(hits, query_rows, len(rows))
        found = documents >= 0
        place = self.collection.documents.id_order[rows[np.where(found, documents, 0)]]
        best = keys.largest(np.where(found, keys.encode(np.where(found, scores, 0), place), keys.EMPTY), k)
        merged = self.merge(keys.scores(best).astype(np.float64))
        filled = best != keys.EMPTY
        return np.where(filled, keys.encode(np.where(filled, merged, 0).astype(np.float32), keys.places(best)), keys.EMPTY)

    def _check(self, hits: Hits, query_rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        where, queries = f"{self.name} (first query of the batch: {self._query(query_rows)})", len(query_rows)
        try:
            documents, scores = np.asarray(hits[0]), np.asarray(hits[1], np.float32)
        except (TypeError, ValueError, IndexError) as error:
            raise ModelError(f"{where}: expected an array of documents and one of scores ({error})") from error
        if documents.shape != scores.shape or documents.ndim != 2 or len(documents) != queries:
            raise ModelError(f"{where}: documents {documents.shape} and scores {scores.shape} for {queries} queries")
        if documents.size and documents.dtype.kind not in "iu":
            raise ModelError(f"{where}: documents must be whole numbers, positions in the index, not {documents.dtype}")
        wrong = np.argwhere((documents >= size) | (documents < -1))
        if len(wrong):
            number = documents[tuple(wrong[0])]
            self._refuse(query_rows[wrong[0, 0] :], f"returned document number {number}, but the index holds {size}")
        found = documents >= 0
        bad = np.flatnonzero((found & ~np.isfinite(scores)).any(axis=1))
        if len(bad):
            self._refuse(query_rows[bad], "NaN or infinity among the scores")
        ordered = np.sort(np.where(found, documents, -1 - np.arange(documents.shape[1])), axis=1)
        twice = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if len(twice):
            self._refuse(query_rows[twice], "the same document twice for one query")
        return documents, scores

    def _query(self, query_rows: np.ndarray) -> str:
        """Return the id of the first of some queries."""
        return next(iter(self.collection.queries.ids(query_rows[:1])), "none")

    def _refuse(self, query_rows: np.ndarray, why: str) -> NoReturn:
        """Raise what is wrong with the answer to the first of some queries."""
        raise ModelError(f"{self.name} (query '{self._query(query_rows)}'): {why}")

    def settle(self, best: np.ndarray, query_rows: np.ndarray, keep: int) -> np.ndarray:
        """Cut the lists, which are in order: a retriever's scores are final."""
        return best[:, :keep]
