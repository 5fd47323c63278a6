"""Retrievers in the one pass: their results for one language's documents as ranking keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimo_eval.collections.collection import Collection
from mimo_eval.errors import ModelError
from mimo_eval.models.protocols import Hits, Retriever
from mimo_eval.search import keys

BATCH = 4096


class RetrieverScorer:
    """Asks a retriever block by block; an index is made once per block.

    :param retriever: the model.
    :param collection: the texts.
    """

    def __init__(self, retriever: Retriever, collection: Collection) -> None:
        self.retriever, self.collection = retriever, collection
        self.name = str(getattr(retriever, "name", type(retriever).__name__))
        self.indexed = 0

    def top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        """Return keys of what the retriever found, at most k for each query."""
        index = self.retriever.index(self.collection.documents.read(rows), lang=lang)
        self.indexed += len(rows)
        parts = [self._search(index, rows, query_rows[start : start + BATCH], k) for start in range(0, len(query_rows), BATCH)]
        width = max((part.shape[1] for part in parts), default=0)
        return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])

    def _search(self, index: Any, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        queries = self.collection.queries
        langs = [queries.languages[n] for n in queries.language[query_rows]]
        hits = self.retriever.search(index, queries.read(query_rows), langs=langs, k=k)
        documents, scores = self._check(hits, len(query_rows), len(rows), queries.ids(query_rows[:1]))
        found = documents >= 0
        place = self.collection.documents.id_order[rows[np.where(found, documents, 0)]]
        return keys.largest(np.where(found, keys.encode(np.where(found, scores, 0), place), keys.EMPTY), k)

    def _check(self, hits: Hits, queries: int, size: int, first: list[str]) -> tuple[np.ndarray, np.ndarray]:
        documents, scores = np.asarray(hits[0]), np.asarray(hits[1], np.float32)
        where = f"{self.name} (first query of the batch: {first[0] if first else 'none'})"
        if documents.shape != scores.shape or documents.ndim != 2 or len(documents) != queries:
            raise ModelError(f"{where}: documents {documents.shape} and scores {scores.shape} for {queries} queries")
        if documents.size and (documents.max() >= size or documents.min() < -1):
            raise ModelError(f"{where}: returned document number {documents.max()}, but the index holds {size}")
        found = documents >= 0
        if not np.isfinite(scores[found]).all():
            raise ModelError(f"{where}: NaN or infinity among the scores")
        ordered = np.sort(np.where(found, documents, -1 - np.arange(documents.shape[1])), axis=1)
        if documents.shape[1] > 1 and (ordered[:, 1:] == ordered[:, :-1]).any():
            raise ModelError(f"{where}: the same document twice for one query")
        return documents, scores

    def settle(self, best: np.ndarray, query_rows: np.ndarray, keep: int) -> np.ndarray:
        """Cut the lists, which are in order: a retriever's scores are final."""
        return best[:, :keep]
