"""Lucene's BM25 with Lucene's own analyzers, from the jar inside pyserini; pyserini itself is never imported.

pyserini's own table of analyzers has 25 languages and takes every other, Greek, Romanian and Vietnamese among them, for English
without a word. Here each language has the analyzer that the jar holds for it, and whatever else serves a language is logged
and stands in the result.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.files import read_json, write_json
from mimo_eval.models import jvm
from mimo_eval.models.hits import is_number, stack
from mimo_eval.models.lucene_analyzers import STANDARD, WHITESPACE, Choice, choose
from mimo_eval.protocols import Hits
from mimo_eval.specs import spec_name

logger = logging.getLogger(__name__)

MODES = ("language", "neutral", "whitespace")
FIELD = "contents"
CONTENT = "content.json"
"""What is in an index on disk, beside Lucene's own files."""
LOCK = "write.lock"
MARGIN = 16
"""Documents asked for beyond k, so that most ties at the cut need no second search."""
MAX_CLAUSES = 1_000_000
BUFFER_MB = 64.0
"""Documents are held in Java's memory up to this size, then written as one segment."""


@cache
def _warn(lang: str, choice: Choice) -> None:
    """Say once per language that a fallback serves it."""
    logger.warning("pyserini: '%s' is analysed by %s (%s)", lang, choice.name, choice.fallback)


class Index:
    """Documents that are searched together.

    :param choice: what analyses them, and queries.
    :param lang: their language; `*` for several.
    :param size: their number.
    :param folder: Lucene's files.
    :param temporary: whether the files are deleted by `close()`, with the index, or at the end of the process.
    """

    def __init__(self, choice: Choice, lang: str, size: int, folder: Path, temporary: bool) -> None:
        self.choice, self.lang, self.size, self.folder = choice, lang, size, folder
        directory = _directory(folder)
        reader = _lucene("index.DirectoryReader").open(directory)
        # pyjnius chooses overloads by the number of arguments first, and takes a wrong one for the reader itself
        self.searcher: Any = _lucene("search.IndexSearcher")(reader.getContext())
        self._release = weakref.finalize(self, _release, os.getpid(), reader, directory, folder if temporary else None)

    def close(self) -> None:
        """Release it; it cannot be searched any more."""
        self.searcher = None
        self._release()


def _release(pid: int, reader: Any, directory: Any, folder: Path | None) -> None:
    if os.getpid() != pid:  # a forked child has neither the JVM nor a claim on its parent's files
        return
    try:
        reader.close()
        directory.close()
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


class Lucene:
    """BM25 as Lucene computes it, with one index and one analyzer per document language, or one index for all.

    Queries are analysed as the documents they are compared with. Document lengths are kept in one byte, as Lucene does: exact
    up to 40 tokens, rounded down above.

    :param k1: saturation of term frequency; 0.9 is Anserini's setting, also for MIRACL.
    :param b: weight of document length; 0.4 likewise.
    :param merge: how results of several languages become one list; carried out by the evaluation.
    :param analyzers: `language`, Lucene's own for each document language; `neutral`, one index over all documents with
        StandardAnalyzer (Unicode words and lower case; Thai, Lao, Khmer and Burmese phrases stay whole); or `whitespace`, for
        texts that are tokenised already.
    :raises ConfigError: if an argument is out of range.
    """

    def __init__(self, k1: float = 0.9, b: float = 0.4, merge: str = "raw", analyzers: str = "language") -> None:
        if not (is_number(k1) and k1 >= 0 and is_number(b) and 0 <= b <= 1):
            raise ConfigError(f"pyserini(k1={k1}, b={b}): k1 must be a number of at least 0 and b between 0 and 1")
        if analyzers not in MODES:
            raise ConfigError(f"pyserini(analyzers={analyzers}): must be one of {', '.join(MODES)}")
        self.k1, self.b, self.merge, self.analyzers = float(k1), float(b), merge, analyzers
        usual = {"k1": (k1, 0.9), "b": (b, 0.4), "merge": (merge, "raw"), "analyzers": (analyzers, "language")}
        self.name, self.per_language = spec_name("pyserini", usual), analyzers != "neutral"
        self._served: dict[str, Choice] = {}

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score; what serves Thai depends on Java, k1 and b change no index of Lucene's."""
        known = {"model": "pyserini", "analyzers": self.analyzers, "engine": jvm.start()["jar"]}
        thai = {"thai": choose("th").name} if self.analyzers == "language" else {}
        return {**known, **thai, "reading": {"k1": self.k1, "b": self.b, "merge": self.merge}}

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        served = dict(sorted(self._served.items()))
        return {
            "kind": "bm25",
            "k1": self.k1,
            "b": self.b,
            "engine": jvm.start()["jar"],
            "merge": self.merge if self.per_language else "none: one index over all languages",
            "java": jvm.start()["java"],
            "lucene": str(_lucene("util.Version").LATEST.toString()),
            "mode": self.analyzers,
            "analyzers": {lang: choice.name for lang, choice in served.items()},
            "fallbacks": {lang: choice.fallback for lang, choice in served.items() if choice.fallback},
        }

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Index | None:
        """Index documents.

        :param texts: the documents.
        :param langs: the language of each; one and the same unless `analyzers="neutral"`.
        :return: the index, or None if there are no documents.
        :raises ModelError: if they are of several languages, or Java fails.
        """
        jvm.start()
        if not texts:
            return None
        choice = self._serve(langs)
        folder = Path(tempfile.mkdtemp(prefix="mimo-eval-lucene-"))
        try:
            with jvm.java_errors(f"pyserini: indexing {len(texts)} documents of {', '.join(sorted(set(langs)))}"):
                self._write(folder, texts, choice)
                return self._open(choice, langs[0] if self.per_language else "*", len(texts), folder, temporary=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _open(self, choice: Choice, lang: str, size: int, folder: Path, temporary: bool) -> Index:
        index = Index(choice, lang, size, folder, temporary)
        index.searcher.setSimilarity(self._similarity())
        return index

    def save(self, index: Index | None, folder: Path) -> None:
        """Write an index.

        :param index: what `index` returned.
        :param folder: an empty folder.
        """
        if index is None:
            write_json(folder / CONTENT, None)
            return
        write_json(folder / CONTENT, {"language": index.lang, "analyzer": index.choice.name, "documents": index.size})
        for path in index.folder.iterdir():
            if path.name != LOCK:
                shutil.copyfile(path, folder / path.name)

    def load(self, folder: Path) -> Index | None:
        """Open an index where it lies.

        :param folder: as `save` wrote it.
        :return: the index.
        :raises ValueError: if another analyzer would serve its queries than served its documents.
        """
        content = read_json(folder / CONTENT)
        if content is None:
            return None
        jvm.start()
        choice = self._serve([content["language"]])
        if choice.name != content["analyzer"]:
            raise ValueError(f"it was made with {content['analyzer']}, and {choice.name} is here")
        with jvm.java_errors(f"pyserini: opening {folder}"):
            return self._open(choice, content["language"], int(content["documents"]), folder, temporary=False)

    def _serve(self, langs: Sequence[str]) -> Choice:
        """Return the analyzer of documents, and note it for the result."""
        if not self.per_language:
            self._served["*"] = choice = Choice(STANDARD, STANDARD)
            return choice
        if len(set(langs)) != 1:
            raise ModelError(f"pyserini: one language is indexed at a time, not {', '.join(sorted(set(langs)))}")
        choice = choose(langs[0]) if self.analyzers == "language" else Choice(WHITESPACE, WHITESPACE)
        self._served[langs[0]] = choice
        if choice.fallback:
            _warn(langs[0], choice)
        return choice

    def _similarity(self) -> Any:
        return _lucene("search.similarities.BM25Similarity")(self.k1, self.b)

    def _write(self, folder: Path, texts: Sequence[str], choice: Choice) -> None:
        """Write an index whose n-th document is the n-th text: one thread, and merges of neighbours only."""
        config = _lucene("index.IndexWriterConfig")(_analyzer(choice.java))
        config.setSimilarity(self._similarity())
        config.setRAMBufferSizeMB(BUFFER_MB)
        config.setMergePolicy(_lucene("index.LogByteSizeMergePolicy")())
        directory = _directory(folder)
        writer = _lucene("index.IndexWriter")(directory, config)
        try:
            document, field = _document()
            for text in texts:
                field.setStringValue(_prepared(choice, text))
                writer.addDocument(document)
            writer.close()
        except BaseException:
            writer.rollback()
            raise
        finally:
            directory.close()

    def search(self, index: Index | None, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Return every document that scores at least as high as the k-th, so that ties are not cut.

        :param index: what `index` returned.
        :param queries: n queries.
        :param langs: their languages, which change nothing: the index's analyzer serves them.
        :param k: most documents per query, ties at the cut aside.
        :return: documents and scores, best first; at least k columns only if some query found as many.
        :raises ModelError: if the index is closed, or Java fails.
        """
        jvm.start()
        if index is not None and index.searcher is None:
            raise ModelError("pyserini: the index is closed")
        return stack([_EMPTY if index is None else _search(index, query, k) for query in queries])


_EMPTY = (np.empty(0, np.int64), np.empty(0, np.float32))


def _search(index: Index, text: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Ask for more and more documents until the tie with the k-th ends."""
    with jvm.java_errors(f"pyserini: searching '{text[:80]}'"):
        query = _queries().buildQuery(FIELD, _analyzer(index.choice.java), _prepared(index.choice, text))
        wanted = min(k + MARGIN, index.size)
        while True:
            documents, scores = _unpack(index.searcher.search(query, wanted))
            if len(documents) <= k:
                return documents, scores
            if len(documents) < wanted or wanted == index.size or scores[-1] < scores[k - 1]:
                kept = scores >= scores[k - 1]
                return documents[kept], scores[kept]
            wanted = min(4 * wanted, index.size)


def _unpack(top: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return hits as arrays: one call writes them all as JSON, where two calls per hit would take five times as long."""
    text = _writer().writeValueAsString(top).replace("[", "").replace("]", "")
    if not text:
        return _EMPTY
    pairs = np.fromstring(text, sep=",").reshape(-1, 2)
    return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.float32)


@cache
def _writer() -> Any:
    """Return a JSON writer that shows TopDocs as [[[doc, score], …]]."""
    jackson = "com.fasterxml.jackson"
    writer = jvm.java_class(f"{jackson}.databind.ObjectMapper")()
    writer.configure(jvm.java_class(f"{jackson}.databind.MapperFeature").SORT_PROPERTIES_ALPHABETICALLY, True)
    shape = jvm.java_class(f"{jackson}.annotation.JsonFormat$Shape").ARRAY
    loader = jvm.java_class("java.lang.ClassLoader").getSystemClassLoader()
    for name, left_out in (("TopDocs", "totalHits"), ("ScoreDoc", "shardIndex")):
        names = jvm.java_class("java.util.HashSet")()
        names.add(left_out)
        shown = writer.configOverride(loader.loadClass(f"org.apache.lucene.search.{name}"))
        shown.setFormat(jvm.java_class(f"{jackson}.annotation.JsonFormat$Value").forShape(shape))
        shown.setIgnorals(jvm.java_class(f"{jackson}.annotation.JsonIgnoreProperties$Value").forIgnoredProperties(names))
    return writer


@cache
def _queries() -> Any:
    """Return Anserini's bag of words; a query may be as long as a document."""
    _lucene("search.IndexSearcher").setMaxClauseCount(MAX_CLAUSES)
    return jvm.java_class("io.anserini.search.query.BagOfWordsQueryGenerator")()


@cache
def _analyzer(name: str) -> Any:
    return _lucene(f"analysis.{name}")()


def _document() -> tuple[Any, Any]:
    """Return a document and its one field, whose text is set again for each: term frequencies, no positions, nothing stored."""
    kind = _lucene("document.FieldType")()
    kind.setTokenized(True)
    kind.setIndexOptions(_lucene("index.IndexOptions").DOCS_AND_FREQS)
    kind.freeze()
    signature = "(Ljava/lang/String;Ljava/lang/CharSequence;Lorg/apache/lucene/index/IndexableFieldType;)V"
    field = _lucene("document.Field")(FIELD, "", kind, signature=signature)
    document = _lucene("document.Document")()
    document.add(field)
    return document, field


def _directory(folder: Path) -> Any:
    return _lucene("store.FSDirectory").open(jvm.java_class("java.io.File")(str(folder)).toPath())


def _prepared(choice: Choice, text: str) -> str:
    return jvm.java_text(" ".join(choice.tokens(text)) if choice.tokens else text)


def _lucene(name: str) -> Any:
    return jvm.java_class(f"org.apache.lucene.{name}")
