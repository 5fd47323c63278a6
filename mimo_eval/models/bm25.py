"""BM25 without Java: bm25s with an analyzer per language."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.errors import ConfigError
from mimo_eval.models.protocols import Hits
from mimo_eval.models.tokenizing import analyzer


class Index(NamedTuple):
    """One language's documents."""

    lang: str
    bm25: Any
    """bm25s's index, or None if no document has a token."""
    size: int


class BM25:
    """One index per document language; queries are analysed as the documents they are compared with.

    Statistics are of one language, so a document's score does not depend on what other languages stand in the corpus; the
    languages' results are merged by raw score.

    :param k1: saturation of term frequency; 0.9 is Anserini's setting, also for MIRACL.
    :param b: weight of document length; 0.4 likewise.
    """

    def __init__(self, k1: float = 0.9, b: float = 0.4) -> None:
        if not (isinstance(k1, (int, float)) and k1 >= 0 and isinstance(b, (int, float)) and 0 <= b <= 1):
            raise ConfigError(f"bm25(k1={k1}, b={b}): k1 must be at least 0 and b between 0 and 1")
        self.k1, self.b, self.name = float(k1), float(b), "bm25"
        self._analyzers: dict[str, str] = {}

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score."""
        from importlib.metadata import version

        return {"model": "bm25", "k1": self.k1, "b": self.b, "engine": f"bm25s {version('bm25s')}"}

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {
            **self.fingerprint(),
            "kind": "bm25",
            "merge": "raw scores",
            "analyzers": dict(sorted(self._analyzers.items())),
        }

    def index(self, texts: Sequence[str], *, lang: str) -> Index:
        """Index the documents of one language."""
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        chosen = analyzer(lang)
        self._analyzers[lang] = chosen.name
        tokens = [chosen.tokens(text) for text in texts]
        if not any(tokens):
            return Index(lang, None, len(texts))
        bm25 = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        bm25.index(tokens, show_progress=False)
        return Index(lang, bm25, len(texts))

    def search(self, index: Index, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Return every document that scores at least as high as the k-th, so that ties are not cut; none scores 0."""
        tokens = analyzer(index.lang).tokens
        found = [self._search(index, tokens(query), k) for query in queries]
        width = max([1, *(len(documents) for documents, _ in found)])
        hits = Hits(np.full((len(queries), width), -1), np.full((len(queries), width), -np.inf, np.float32))
        for row, (documents, scores) in enumerate(found):
            hits.documents[row, : len(documents)] = documents
            hits.scores[row, : len(scores)] = scores
        return hits

    def _search(self, index: Index, tokens: list[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        known = [] if index.bm25 is None else [token for token in tokens if token in index.bm25.vocab_dict]
        if not known:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores = np.asarray(index.bm25.get_scores(known), np.float32)
        floor = np.partition(scores, len(scores) - k)[-k] if k < len(scores) else -np.inf
        documents = np.flatnonzero((scores >= floor) & (scores > 0))
        return documents, scores[documents]
