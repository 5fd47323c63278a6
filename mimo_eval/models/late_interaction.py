"""Late interaction: ColBERT and its kin, one vector per token and exact MaxSim.

Built on sentence-transformers' MultiVectorEncoder, which reads its own models, PyLate's and Stanford's ColBERT
checkpoints: markers, query expansion, skiplist and projection are the library's. PyLate itself pins sentence-transformers 5.3.0
and transformers 5.3 and cannot stand beside the versions that this package is tested with; its PLAID index is approximate, and
is not needed for an exact ranking.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mimo_eval.errors import CacheError, ConfigError, ModelError
from mimo_eval.models.hits import best, stack
from mimo_eval.models.sources import at_least_one
from mimo_eval.models.transformer import PromptedModel
from mimo_eval.protocols import Hits, Role

PART = 1024
"""Documents whose vectors are in memory before they are written to a file."""
TOKENS = 4096
"""Tokens of documents, and of queries, that are compared at a time."""
ENTRIES = 2**24
"""Most scores of a chunk of queries that are in memory at a time."""
PYLATE = (
    "query_prefix", "document_prefix", "query_length", "document_length", "do_query_expansion", "attend_to_expansion_tokens",
    "skiplist_words",
)  # fmt: skip
"""What stands in the settings of PyLate's models, and of no others."""


class Ragged(NamedTuple):
    """Vectors of the tokens of several texts."""

    vectors: np.ndarray
    """(tokens, d)."""
    bounds: np.ndarray
    """(texts + 1,) int64: where each text's tokens begin, and where the last one's end."""

    @property
    def lengths(self) -> np.ndarray:
        """(texts,) int64: number of tokens."""
        return np.diff(self.bounds)


class Index(NamedTuple):
    """Some documents."""

    tokens: Ragged
    """Of the different texts, memory-mapped."""
    texts: np.ndarray
    """(documents,) int64: which text each document is."""


@dataclass(eq=False, kw_only=True)
class LateInteraction(PromptedModel):
    """A multi-vector model as a retriever: a score is the sum, over a query's tokens, of the best match among a document's.

    Every document is scored. One without a token that counts (only punctuation, for most models) is not found. `max_length` is
    of documents; queries have the length that the model was trained with, where its files say it.

    :param storage: of documents' vectors: float16, which halves their size, or float32, for scores to the last digit.
    :param truncate_dim: keep this many leading dimensions of every token's vector; what is stored has all of them.
    """

    storage: str = "float16"
    truncate_dim: int | None = None

    KIND: ClassVar[str] = "colbert"
    NAMED: ClassVar[tuple[str, ...]] = (*PromptedModel.NAMED, "storage", "truncate_dim")

    def __post_init__(self) -> None:
        if self.storage not in ("float16", "float32"):
            raise ConfigError(f"{self.KIND}(storage={self.storage}): choose float16 or float32")
        at_least_one({"dimension": self.truncate_dim})
        super().__post_init__()

    def encoder_class(self) -> Any:
        """Return sentence-transformers' MultiVectorEncoder."""
        from sentence_transformers import MultiVectorEncoder

        return MultiVectorEncoder

    def check_kind(self) -> None:
        """Refuse what is neither sentence-transformers' nor PyLate's nor Stanford's format.

        :raises ModelError: naming the model.
        """
        config = self.files.config
        kind = config.get("model_type")
        if kind in ("MultiVectorEncoder", "ColBERT") or any(name in config for name in PYLATE):
            return
        architectures = (self.files.json("config.json") or {}).get("architectures") or []
        if "HF_ColBERT" not in architectures:
            raise ModelError(
                f"the model '{self.model}' is no late interaction model, but "
                f"{kind or ', '.join(map(str, architectures)) or 'SentenceTransformer'}; "
                "what it lacks would be filled with random weights"
            )

    def limit(self, encoder: Any, length: int) -> None:
        """Set the most tokens of a document."""
        encoder.max_seq_length = length
        encoder[0].document_length = length

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score; what concerns queries, and truncation, changes no index."""
        return {
            **self.known(),
            "prompt": self.sent("document"),
            "storage": self.storage,
            "reading": {"prompt": self.sent("query"), "truncate_dim": self.truncate_dim},
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {
            **super().describe(),
            "storage": self.storage,
            "truncate_dim": self.truncate_dim,
            "search": "exact MaxSim",
        }

    def _ragged(self, texts: Sequence[str], role: Role, dtype: str) -> Iterator[tuple[np.ndarray, list[int]]]:
        """Encode texts part by part; yield (tokens, d) vectors and the number of tokens of each text."""
        for start in range(0, len(texts), PART):
            part = texts[start : start + PART]
            vectors = self.vectors(part, role, convert_to_numpy=True)
            joined = np.concatenate(vectors).astype(dtype)
            bad = np.flatnonzero(~np.isfinite(joined).all(axis=1))
            if len(bad):
                number = int(np.searchsorted(np.cumsum([len(v) for v in vectors]), bad[0], "right")) + start + 1
                raise ModelError(f"{self.name}: NaN or infinity in a vector of {role} {number} of {len(texts)} different ones")
            yield joined, [len(v) for v in vectors]

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Index:
        """Encode documents, each text once; their vectors lie in a temporary file.

        :param texts: the documents.
        :param langs: not used: one model for all languages.
        :return: vectors of their tokens.
        """
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        lengths, width = [0], 1
        try:
            with tempfile.TemporaryFile() as file:
                for vectors, counts in self._ragged(list(places), "document", self.storage):
                    file.write(vectors.tobytes())
                    width = vectors.shape[1]
                    lengths += counts
                file.flush()
                bounds = np.cumsum(lengths, dtype=np.int64)
                shape = (int(bounds[-1]), width)
                tokens = np.memmap(file, self.storage, "r", shape=shape) if bounds[-1] else np.empty(shape, self.storage)
        except OSError as error:
            raise CacheError(
                f"{self.name}: no room for the vectors in {tempfile.gettempdir()} ({error}); set TMPDIR"
            ) from error
        return Index(Ragged(tokens, bounds), np.array([places[text] for text in texts], np.int64))

    @cached_property
    def _queries(self) -> Any:
        """Encodes queries; those of the last search are remembered, since every language is searched for the same."""

        def encode(texts: tuple[str, ...]) -> Ragged:
            parts = list(self._ragged(texts, "query", "float32"))
            counts = [0, *(count for _, counts in parts for count in counts)]
            return Ragged(np.concatenate([vectors for vectors, _ in parts]), np.cumsum(counts, dtype=np.int64))

        return lru_cache(maxsize=2)(encode)

    def search(self, index: Index, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Return every document that scores at least as high as the k-th, so that ties are not cut."""
        if not len(queries) or not len(index.texts):
            return stack([(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries))
        tokens = self._queries(tuple(queries))
        size = max(1, ENTRIES // len(index.texts))
        found = []
        for start, end in _chunks(tokens.bounds, TOKENS, size):
            first, last = tokens.bounds[start], tokens.bounds[end]
            part = Ragged(tokens.vectors[first:last], tokens.bounds[start : end + 1] - first)
            for scores in self._scores(part, index.tokens):
                of_documents = scores[index.texts]
                rows = np.flatnonzero(np.isfinite(of_documents))
                rows = rows[best(of_documents[rows], k)]
                found.append((rows, of_documents[rows]))
        return stack(found)

    def _scores(self, queries: Ragged, texts: Ragged) -> np.ndarray:
        """Return (queries, texts) float32; -inf where a text or a query has no token."""
        import torch

        device = self.encoder.device
        result = np.full((len(queries.lengths), len(texts.lengths)), -np.inf, np.float32)
        asked = np.flatnonzero(queries.lengths)
        flat, parts = torch.from_numpy(self._cut(queries.vectors)).to(device).T, queries.lengths[asked].tolist()
        for start, end in _chunks(texts.bounds, TOKENS, TOKENS):
            filled = start + np.flatnonzero(texts.lengths[start:end])
            if not len(filled) or not parts:
                continue
            vectors = self._cut(np.array(texts.vectors[texts.bounds[start] : texts.bounds[end]], np.float32))
            matches = torch.from_numpy(vectors).to(device) @ flat
            largest = torch.stack([match.amax(0) for match in matches.split(texts.lengths[filled].tolist())])
            sums = torch.stack([of_query.sum(1, dtype=torch.float64) for of_query in largest.split(parts, 1)])
            result[np.ix_(asked, filled)] = sums.cpu().numpy()
        if self.encoder.similarity_fn_name == "meanmaxsim":
            result /= np.maximum(queries.lengths, 1)[:, None].astype(np.float32)
        return result

    def _cut(self, vectors: np.ndarray) -> np.ndarray:
        """Keep the leading dimensions; what is left of a vector has the length that it had, 1 for most models."""
        if self.truncate_dim is None or not len(vectors):
            return vectors
        if self.truncate_dim > vectors.shape[1]:
            raise ConfigError(
                f"{self.name}: --truncate-dim {self.truncate_dim}, but the model's vectors have {vectors.shape[1]} dimensions"
            )
        left = np.ascontiguousarray(vectors[:, : self.truncate_dim])
        before, after = (np.linalg.norm(part, axis=1, keepdims=True) for part in (vectors, left))
        return np.asarray(left * (before / np.where(after > 0, after, 1)), np.float32)

    def save(self, index: Index, folder: Path) -> None:
        """Write an index.

        :param index: what `index` returned.
        :param folder: an empty folder.
        """
        for name, array in (("vectors", index.tokens.vectors), ("bounds", index.tokens.bounds), ("texts", index.texts)):
            np.save(folder / f"{name}.npy", array, allow_pickle=False)

    def load(self, folder: Path) -> Index:
        """Map an index into memory; nothing in the files is executed.

        :param folder: as `save` wrote it.
        :return: the index.
        """
        bounds = np.load(folder / "bounds.npy", allow_pickle=False)
        vectors = np.load(folder / "vectors.npy", allow_pickle=False, mmap_mode="r" if bounds[-1] else None)
        return Index(Ragged(vectors, bounds), np.load(folder / "texts.npy", allow_pickle=False))


def _chunks(bounds: np.ndarray, tokens: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut texts into runs of at most so many tokens and so many texts; a longer text stands alone."""
    start = 0
    while start < len(bounds) - 1:
        end = int(np.searchsorted(bounds, bounds[start] + tokens, "right")) - 1
        end = min(max(end, start + 1), start + most, len(bounds) - 1)
        yield start, end
        start = end
