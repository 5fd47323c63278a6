"""What a model must offer to be evaluated. Nothing has to be inherited: having the methods is enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

Role = Literal["query", "document"]


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors. Everything else (store, search, geometry) follows from them.

    Attributes that are used where they exist: `name` (str); `similarity` (`"cosine"`, the default, or `"dot"`);
    `fingerprint(role) -> dict`, everything that changes a vector: with it vectors are kept on disk and never computed twice,
    without it they are kept for one run only; `describe() -> dict` for the result file.
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

    One language's documents are indexed at a time, and a corpus in several languages is the merge of its languages' results
    by raw score. Attributes that are used where they exist: `name`, `describe() -> dict`.
    """

    def index(self, texts: Sequence[str], *, lang: str) -> Any:
        """Index the documents of one language.

        :param texts: the documents.
        :param lang: their language.
        :return: anything that `search` understands.
        """

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Search one index.

        :param index: what `index` returned.
        :param queries: n queries.
        :param langs: the language of each query.
        :param k: most documents per query.
        :return: documents and scores.
        """
