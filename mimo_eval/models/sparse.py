"""Learned sparse retrieval: SPLADE and its kin, any SparseEncoder of sentence-transformers, by sparse products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mimo_eval.errors import ModelError
from mimo_eval.models.hits import best, stack
from mimo_eval.models.sources import at_least_one
from mimo_eval.models.transformer import PromptedModel
from mimo_eval.protocols import Hits, Role

PART = 4096
"""Texts whose vectors are collected before they become a matrix."""
ENTRIES = 2**23
"""Most scores of a chunk of queries that are in memory at a time."""
FILE = "vectors.npz"


@dataclass(eq=False, kw_only=True)
class SparseRetriever(PromptedModel):
    """A SparseEncoder as a retriever: documents as a sparse matrix, scores as sparse products.

    A document that shares no active dimension with a query scores 0 and is not found.

    :param max_active_dims: keep only this many of a text's largest dimensions; the model's own number if None.
    :param query_active_dims: likewise of a query; as `max_active_dims` if None.
    """

    max_active_dims: int | None = None
    query_active_dims: int | None = None
    _active: dict[Role, list[int]] = field(
        default_factory=lambda: {"query": [0, 0], "document": [0, 0]}, init=False, repr=False
    )

    KIND: ClassVar[str] = "sparse"
    NAMED: ClassVar[tuple[str, ...]] = (*PromptedModel.NAMED, "max_active_dims", "query_active_dims")

    def __post_init__(self) -> None:
        at_least_one({"max active dims": self.max_active_dims, "query active dims": self.query_active_dims})
        super().__post_init__()

    def encoder_class(self) -> Any:
        """Return sentence-transformers' SparseEncoder."""
        from sentence_transformers import SparseEncoder

        return SparseEncoder

    def check_kind(self) -> None:
        """Refuse what is neither a SparseEncoder nor a bare masked language model, from which one is made.

        :raises ModelError: naming the model.
        """
        kind = self.files.config.get("model_type")
        if kind is None and not self.files.has("modules.json"):
            architectures = (self.files.json("config.json") or {}).get("architectures") or []
            if any(str(name).endswith("ForMaskedLM") for name in architectures):
                return
            kind = ", ".join(map(str, architectures))
        if kind != "SparseEncoder":
            raise ModelError(
                f"the model '{self.model}' is no sparse encoder, but {kind or 'SentenceTransformer'}; "
                "what it lacks would be filled with random weights"
            )

    @cached_property
    def similarity(self) -> str:
        """`dot` or `cosine`, as the model says.

        :raises ModelError: if it says anything else: a distance is not a sum over shared dimensions.
        """
        name = str(self.encoder.similarity_fn_name)
        if name not in ("dot", "cosine"):
            raise ModelError(f"{self.name}: similarity '{name}' cannot be searched by sparse products; only dot and cosine can")
        return name

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score; what concerns queries alone changes no index."""
        return {
            **self.known(),
            "prompt": self.sent("document"),
            "max_active_dims": self.max_active_dims,
            "reading": {"prompt": self.sent("query"), "query_active_dims": self.query_active_dims},
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {
            **super().describe(),
            "max_active_dims": self.max_active_dims,
            "query_active_dims": self.query_active_dims,
            "mean_active_dims": {role: round(sum_ / n, 1) if n else None for role, (sum_, n) in self._active.items()},
        }

    def _matrix(self, texts: Sequence[str], role: Role) -> Any:
        """Encode texts as rows of a CSR matrix, a text that stands twice once."""
        from scipy.sparse import csr_matrix, vstack

        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        different = list(places)
        parts = [self._part(different[start : start + PART], role) for start in range(0, len(different), PART)]
        matrix = vstack(parts, "csr") if parts else csr_matrix((0, 1), dtype=np.float32)
        bad = np.flatnonzero(~np.isfinite(matrix.data))
        if len(bad):
            place = int(np.searchsorted(matrix.indptr, bad[0], "right")) - 1
            number = next(n for n, text in enumerate(texts) if places[text] == place)
            raise ModelError(f"{self.name}: NaN or infinity in the vector of {role} {number + 1} of {len(texts)}")
        if self.similarity == "cosine":
            norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), np.float64)).reshape(-1)
            matrix.data /= np.repeat(np.where(norms > 0, norms, 1), np.diff(matrix.indptr)).astype(np.float32)
        matrix = matrix[[places[text] for text in texts]]
        self._count(matrix, role)
        return matrix

    def _part(self, texts: list[str], role: Role) -> Any:
        from scipy.sparse import csr_matrix

        cap = self.query_active_dims if role == "query" and self.query_active_dims else self.max_active_dims
        vectors = self.vectors(texts, role, convert_to_sparse_tensor=True, save_to_cpu=True, max_active_dims=cap).coalesce()
        row, column = vectors.indices().numpy()
        matrix = csr_matrix((vectors.values().float().numpy(), (row, column)), shape=tuple(vectors.shape))
        matrix.eliminate_zeros()
        return matrix

    def _count(self, matrix: Any, role: Role) -> None:
        self._active[role][0] += int(matrix.nnz)
        self._active[role][1] += int(matrix.shape[0])

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        """Encode documents.

        :param texts: the documents.
        :param langs: not used: one model for all languages.
        :return: a CSR matrix, one row per document.
        """
        return self._matrix(texts, "document")

    @cached_property
    def _queries(self) -> Any:
        """Encodes queries; those of the last searches are remembered, since every language is searched for the same."""
        return lru_cache(maxsize=16)(lambda texts: self._matrix(texts, "query"))

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Return every document that scores at least as high as the k-th, so that ties are not cut; none scores 0."""
        if not index.shape[0] or not len(queries):
            return stack([(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries))
        vectors, documents = self._queries(tuple(queries)), index.T.tocsr()
        size = max(1, ENTRIES // index.shape[0])
        found = []
        for start in range(0, len(queries), size):
            scores = vectors[start : start + size] @ documents
            for first, last in zip(scores.indptr[:-1], scores.indptr[1:], strict=True):
                values, rows = scores.data[first:last], scores.indices[first:last]
                values, rows = values[values > 0], rows[values > 0]
                chosen = best(values, k)
                found.append((rows[chosen], values[chosen]))
        return stack(found)

    def save(self, index: Any, folder: Path) -> None:
        """Write an index.

        :param index: what `index` returned.
        :param folder: an empty folder.
        """
        from scipy.sparse import save_npz

        save_npz(folder / FILE, index, compressed=False)

    def load(self, folder: Path) -> Any:
        """Read an index; nothing in the file is executed.

        :param folder: as `save` wrote it.
        :return: the index.
        """
        from scipy.sparse import load_npz

        index = load_npz(folder / FILE)
        self._count(index, "document")
        return index
