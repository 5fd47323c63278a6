"""BM25 without Java: bm25s with an analyzer per language."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.errors import ConfigError
from mimo_eval.files import read_json, write_json
from mimo_eval.models.hits import best, is_number, stack
from mimo_eval.models.tokenizing import NEUTRAL, Analyzer, analyzer
from mimo_eval.protocols import Hits
from mimo_eval.specs import spec_name

LANGUAGES = "languages.json"


class Index(NamedTuple):
    """Some documents, as bm25s indexes them."""

    langs: frozenset[str]
    """Their languages."""
    bm25: Any
    """bm25s's index, or None if no document has a token."""


class BM25:
    """BM25 with Lucene's formula and an analyzer per language, or one for all.

    With `analyzers="language"` there is one index per document language; queries are analysed as the documents they are
    compared with. Statistics are of one language, so a document's score does not depend on what other languages stand in the
    corpus, and the languages' results are merged. With `analyzers="neutral"` there is one index over the whole corpus.

    :param k1: saturation of term frequency; 0.9 is Anserini's setting, also for MIRACL.
    :param b: weight of document length; 0.4 likewise.
    :param merge: how languages are merged: raw, minmax, roundrobin or rrf.
    :param analyzers: language or neutral.
    """

    def __init__(self, k1: float = 0.9, b: float = 0.4, merge: str = "raw", analyzers: str = "language") -> None:
        if not (is_number(k1) and k1 >= 0 and is_number(b) and 0 <= b <= 1):
            raise ConfigError(f"bm25(k1={k1}, b={b}): k1 must be a number of at least 0 and b between 0 and 1")
        if analyzers not in ("language", "neutral"):
            raise ConfigError(f"bm25(analyzers={analyzers}): choose language or neutral")
        self.k1, self.b, self.merge, self.analyzers = float(k1), float(b), merge, analyzers
        self.per_language = analyzers == "language"
        usual = {"k1": (k1, 0.9), "b": (b, 0.4), "merge": (merge, "raw"), "analyzers": (analyzers, "language")}
        self.name = spec_name("bm25", usual)
        self._analyzers: dict[str, str] = {}

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score."""
        settings = {"k1": self.k1, "b": self.b, "analyzers": self.analyzers}
        return {"model": "bm25", **settings, "versions": versions(), "reading": {"merge": self.merge}}

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        merge = self.merge if self.per_language else "one index over the whole corpus"
        served = dict(sorted(self._analyzers.items()))
        settings = {"k1": self.k1, "b": self.b, "merge": merge, "mode": self.analyzers}
        return {"kind": "bm25", **settings, "analyzers": served, "versions": versions()}

    def _analyzer(self, lang: str) -> Analyzer:
        chosen = NEUTRAL if self.analyzers == "neutral" else analyzer(lang)
        self._analyzers[lang] = chosen.name
        return chosen

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Index:
        """Index documents."""
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        tokens = [self._analyzer(lang).tokens(text) for text, lang in zip(texts, langs, strict=True)]
        if not any(tokens):
            return Index(frozenset(langs), None)
        bm25 = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        bm25.index(tokens, show_progress=False)
        return Index(frozenset(langs), bm25)

    def search(self, index: Index, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Return every document that scores at least as high as the k-th, so that ties are not cut; none scores 0."""
        only = next(iter(index.langs)) if len(index.langs) == 1 else None
        found = [
            self._search(index, self._analyzer(only or lang).tokens(query), k)
            for query, lang in zip(queries, langs, strict=True)
        ]
        return stack(found)

    def _search(self, index: Index, tokens: list[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        known = [] if index.bm25 is None else [token for token in tokens if token in index.bm25.vocab_dict]
        if not known:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores = np.asarray(index.bm25.get_scores(known), np.float32)
        documents = best(scores, k)
        documents = documents[scores[documents] > 0]
        return documents, scores[documents]

    def save(self, index: Index, folder: Path) -> None:
        """Write an index.

        :param index: what `index` returned.
        :param folder: an empty folder.
        """
        write_json(folder / LANGUAGES, sorted(index.langs))
        if index.bm25 is not None:
            index.bm25.save(folder / "bm25s", show_progress=False)

    def load(self, folder: Path) -> Index:
        """Read an index; nothing in the files is executed.

        :param folder: as `save` wrote it.
        :return: the index.
        """
        import bm25s

        langs = frozenset(read_json(folder / LANGUAGES))
        for lang in langs:
            self._analyzer(lang)  # so that it is recorded
        there = (folder / "bm25s").is_dir()
        return Index(langs, bm25s.BM25.load(folder / "bm25s", show_progress=False, allow_pickle=False) if there else None)


def versions() -> dict[str, str]:
    """Return the versions of what makes tokens and scores."""
    found = {}
    for package in ("bm25s", "PyStemmer", "pythainlp", "regex"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
