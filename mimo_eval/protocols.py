"""What a model must offer to be evaluated. Nothing has to be inherited: having the methods is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

Role = Literal["query", "document"]


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors. Everything else (store, search, geometry) follows from them.

    Attributes that are used where they exist: `name` (str); `similarity` (`"cosine"`, the default, or `"dot"`);
    `fingerprint(role) -> dict`, everything that changes a vector: with it vectors are kept on disk and never computed twice,
    without it they are kept for one run only; `describe() -> dict` for the result file. Two entries of a fingerprint are
    carried out by the store: `"storage"` (`float32`, `float16`, `int8` or `binary`), how vectors lie on disk, and `"reading"`,
    a dict of what changes vectors only when they are read, of which it understands `"truncate_dim"`. A plan asks an encoder
    for its `width` (int or None) and `count_tokens(texts, role)` (a list of ints, or None), which need no weights.
    """

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts.

        :param texts: n texts.
        :param role: whether they are queries or documents; some models put different prompts before them.
        :param lang: their language, a short BCP 47 code.
        :return: (n, d) floats, finite, one row per text in the order given.
        """


class Hits(NamedTuple):
    """What a retriever found for n queries, best first or not."""

    documents: np.ndarray
    """(n, k) int64: positions in the indexed texts; -1 where fewer than k were found."""
    scores: np.ndarray
    """(n, k) float32; larger is better."""


@runtime_checkable
class Retriever(Protocol):
    """Searches texts without vectors of fixed width.

    Attributes that are used where they exist: `name`; `fingerprint() -> dict`, everything that changes a score; `describe()
    -> dict`; `per_language` (bool): if true, the default, one language's documents are indexed at a time and a corpus in
    several languages is the merge of its languages' results; if false, the whole mixed corpus is indexed at once; `merge`: how
    they are merged, see `mimo_eval.search.retrieved.MERGES`; by raw score if not given. One that is a StoredRetriever has its
    indexes kept on disk.
    """

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        """Index documents.

        :param texts: the documents.
        :param langs: the language of each.
        :return: anything that `search` understands.
        """

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Search one index.

        :param index: what `index` returned.
        :param queries: n queries.
        :param langs: the language of each query.
        :param k: documents wanted per query; more may be returned, so that a tie at the cut need not be broken.
        :return: documents and scores.
        """


@runtime_checkable
class StoredRetriever(Retriever, Protocol):
    """A retriever whose indexes are kept on disk and never built twice: what a Retriever has, and three methods more."""

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes an index or a score; it must fit into JSON.

        :return: what changes a score alone, and no index, stands in a dict under `"reading"`.
        """

    def save(self, index: Any, folder: Path) -> None:
        """Write an index.

        :param index: what `index` returned.
        :param folder: an empty folder; its checksums are kept by the caller.
        """

    def load(self, folder: Path) -> Any:
        """Read an index. Nothing in the files may be executed, so no pickle.

        :param folder: as `save` wrote it, its files whole.
        :return: an index that `search` answers from as from the one that was saved.
        """


class CorpusTexts(Protocol):
    """What a combination may look at: the texts of one corpus. Documents are known by their row in the collection."""

    revision: str
    """Hash of the collection's content and of its order: with it, a row means the same document wherever it is met."""

    def phase(self, name: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """Show the progress of long work; the value of the `with` block is called with the number of units done, in steps."""

    def queries(self) -> list[str]:
        """Return the texts of the queries."""

    def query_ids(self) -> list[str]:
        """Return the ids of the queries."""

    def documents(self, rows: np.ndarray) -> list[str]:
        """Return the texts of some documents."""

    def languages(self, rows: np.ndarray) -> np.ndarray:
        """Return a number for each document that says its language."""


@runtime_checkable
class Combination(Protocol):
    """Ranks what other models have found: fusion, re-ranking."""

    bases: Sequence[Any]
    """The models it is made of."""

    def combine(self, found: Sequence[Hits], *, texts: CorpusTexts) -> Hits:
        """Make one ranking of several.

        :param found: per base (n, k) documents, as rows of the collection, best first, and their scores.
        :param texts: the corpus.
        :return: (n, m) documents and scores.
        """


@runtime_checkable
class Derived(Protocol):
    """Scores by the stored vectors of another encoder, changed in some way; nothing is encoded again.

    Where there is a method `check(collection, pools)`, it is called before anything is encoded, to refuse what cannot be
    ranked.
    """

    base: Any
    """The encoder."""

    def scorer(self, queries: Any, documents: Any, sample: Callable[[Any], Any]) -> Any:
        """Return what scores queries and documents.

        :param queries: the base's vectors of queries, a VectorStore.
        :param documents: the base's vectors of documents.
        :param sample: encodes other texts as documents by the base and returns their VectorStore.
        :return: a scorer of the one pass.
        """
