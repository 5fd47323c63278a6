"""A frozen teacher: each text is encoded once, kept in the vector store, and known to losses by a row number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import numpy as np

from mimo_eval.asking import asking, fingerprint
from mimo_eval.collections.collection import Texts
from mimo_eval.digests import digest
from mimo_eval.embeddings import TILE_ROWS, Encode, VectorStore, read_chunk, text_hash
from mimo_eval.errors import CacheError, ConfigError, ModelError
from mimo_eval.files import cache_dir
from mimo_eval.languages import normalise
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.protocols import Encoder, Role
from mimo_eval.systems import Progress
from mimo_eval.training.data.lines import as_dataset

Decode = Callable[[np.ndarray], np.ndarray]
LARGEST = 2**33
"""Bytes of vectors that are held in memory; more are mapped from a temporary file, which the system pages in and out."""


class Instructed:
    """An encoder whose queries are its documents with an instruction before them.

    :param base: the encoder; it must not put a prompt of its own before documents.
    :param instruction: put before every query as it is.
    """

    def __init__(self, base: Encoder, instruction: str) -> None:
        own = base.prompt("document") if hasattr(base, "prompt") else ""
        if own:
            raise ConfigError(
                f"{model_name(base)} puts {own!r} before documents, so it takes no instruction besides; give the query "
                "prompt as an option of the model"
            )
        self.base, self.instruction = base, instruction
        self.name = model_name(base)
        self.similarity = getattr(base, "similarity", "cosine")
        if hasattr(base, "fingerprint"):
            self.fingerprint = self._fingerprint

    def _fingerprint(self, role: Role) -> dict[str, Any]:
        own = fingerprint(self.base, self.name, "document")
        return {**own, "instruction": self.instruction} if role == "query" else own

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts as the base encodes documents, queries with the instruction before them."""
        before = self.instruction if role == "query" else ""
        return self.base.encode([before + text for text in texts], role="document", lang=lang)


class Teacher:
    """An encoder whose vectors are what a student learns.

    `rows` gives numbers, `vectors` what they stand for. Numbers stay valid when more texts are added. Vectors are looked for in
    the store first, whatever set of texts they were made with; what is missing is encoded longest first, in chunks that are
    kept as they are finished, so a killed run goes on where it was.

    :param model: an encoder, or its name as in `mimo-eval run`.
    :param anchor: language of the texts, such as `en`.
    :param query_prompt: put before queries; the encoder's own by default.
    :param progress: told how encoding goes.
    :param options: of the model, where it is given by name.
    :raises ConfigError: if the model is no encoder.
    """

    def __init__(
        self,
        model: str | Encoder,
        *,
        anchor: str = "en",
        query_prompt: str | None = None,
        progress: Progress | None = None,
        options: ModelOptions | None = None,
    ) -> None:
        found = encoder(model, options)
        self.model: Encoder = found if query_prompt is None else Instructed(found, query_prompt)
        self.base, self.query_prompt = found, query_prompt
        self.name, self.anchor = model_name(found), normalise(anchor)
        self.progress = progress or Progress()
        self.encoded = 0
        """Number of texts encoded by this object: what was not in the store."""
        self._known: dict[tuple[Role, bytes], int] = {}
        self._parts: list[np.ndarray] = []

    def rows(self, texts: Iterable[str], role: Role = "document") -> np.ndarray:
        """Return the numbers of some texts' vectors, encoding those that no one has encoded before.

        :param texts: n texts in the anchor language; repeats cost nothing.
        :param role: `query` to have the query prompt before each.
        :return: (n,) int64 rows of `vectors`.
        :raises ModelError: if the encoder fails.
        :raises CacheError: if vectors cannot be stored.
        """
        texts = list(texts)
        keys = [(role, text_hash(text)) for text in texts]
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if fresh:
            part = self._vectors(list(fresh.values()), [key[1] for key in fresh], role)
            if self._parts and part.shape[1] != self.width:
                raise ModelError(f"{self.name}: vectors of {self.width} and of {part.shape[1]} dimensions")
            for number, key in enumerate(fresh, start=len(self._known)):
                self._known[key] = number
            self._parts.append(part)
        return np.array([self._known[key] for key in keys], np.int64)

    @property
    def vectors(self) -> np.ndarray:
        """(rows so far, width) float32, of length 1 unless the encoder compares by dot product."""
        if len(self._parts) > 1:
            joined = allocated(sum(map(len, self._parts)), self.width)
            self._parts = [np.concatenate(self._parts, out=joined)]
        return self._parts[0] if self._parts else np.empty((0, self.width), np.float32)

    @property
    def width(self) -> int:
        """Width of the vectors, 0 as long as there are none."""
        return int(self._parts[0].shape[1]) if self._parts else 0

    def describe(self) -> dict[str, Any]:
        """Return what changes the vectors, for a run's fingerprint and the model card."""
        known = {role: fingerprint(self.model, self.name, role) for role in ("document", "query")} if self._is_known else None
        return {"name": self.name, "anchor": self.anchor, "query_prompt": self.query_prompt, "fingerprint": known}

    @property
    def _is_known(self) -> bool:
        return hasattr(self.model, "fingerprint")

    @cached_property
    def _temporary(self) -> TemporaryDirectory[str]:
        """Folder for vectors of an encoder without a fingerprint, gone with this object."""
        return TemporaryDirectory(prefix="mimo-eval-teacher-")

    @property
    def _cosine(self) -> bool:
        return getattr(self.model, "similarity", "cosine") == "cosine"

    def _identity(self, role: Role) -> dict[str, Any]:
        return fingerprint(self.model, self.name, role) if self._is_known else {"model": self.name}

    def _store(self, texts: list[str], role: Role) -> VectorStore:
        """Return a store that gives vectors as they were encoded; leading dimensions are taken here."""
        identity = {name: value for name, value in self._identity(role).items() if name != "reading"}
        root = cache_dir() / "vectors" if self._is_known else Path(self._temporary.name)
        return VectorStore(identity, role, in_one_language(texts, self.anchor), cosine=self._cosine, root=root)

    def _vectors(self, texts: list[str], hashes: list[bytes], role: Role) -> np.ndarray:
        """Return (n, width) vectors of different texts: stored ones, and the rest encoded."""
        wanted = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)
        known = self._store([], role)
        vectors, missing = stored(known.folder / self.anchor, wanted, known.storage.decode)
        rest = sorted(missing.tolist(), key=lambda i: (-len(texts[i]), hashes[i]))  # longest first: even batches, early failure
        store, rows = self._store([texts[i] for i in rest], role), np.arange(len(rest))
        if rest:
            with self.progress.phase(f"teacher {self.name}", len(rest), "texts") as advance:
                self.encoded += store.fill(self.anchor, rows, self._ask(role), advance).encoded
        for part, block in store.tiles(self.anchor, rows):
            vectors = allocated(len(texts), block.shape[1]) if vectors is None else vectors
            if block.shape[1] != vectors.shape[1]:
                raise ModelError(f"{self.name}: vectors of {block.shape[1]} dimensions; stored are {vectors.shape[1]}")
            vectors[np.array(rest)[part]] = block
        dim = self._identity(role).get("reading", {}).get("truncate_dim")
        return np.empty((0, 0), np.float32) if vectors is None else self._leading(vectors, dim)

    def _leading(self, vectors: np.ndarray, dim: int | None) -> np.ndarray:
        """Return the first dimensions, for models trained for it, with length 1 again where cosines are wanted."""
        if dim is None:
            return vectors
        if dim > vectors.shape[1]:
            raise ConfigError(f"{self.name}: truncate_dim={dim}, but the model's vectors have {vectors.shape[1]} dimensions")
        shorter = allocated(len(vectors), dim)
        for start in range(0, len(vectors), TILE_ROWS):
            block = vectors[start : start + TILE_ROWS, :dim]
            norms = np.linalg.norm(block, axis=1, keepdims=True) if self._cosine else np.float32(1)
            shorter[start : start + TILE_ROWS] = block / np.where(norms == 0, 1, norms)
        return shorter

    def _ask(self, role: Role) -> Encode:
        def encode(batch: Sequence[str], lang: str) -> np.ndarray:
            with asking(self.name, "encode"):
                return self.model.encode(batch, role=role, lang=lang)

        return encode


def encoder(model: str | Encoder, options: ModelOptions | None = None) -> Encoder:
    """Return the encoder that teaches, its weights not loaded yet.

    :param model: an encoder, or its name as in `mimo-eval run`.
    :param options: of the model, where it is given by name.
    :raises ConfigError: if nothing answers to that name, or what answers is no encoder.
    """
    found = load_model(model, options)
    if not isinstance(found, Encoder):
        raise ConfigError(f"'{model_name(found)}' cannot teach: it has no vectors; a teacher is an encoder")
    return found


def in_one_language(texts: Sequence[str], lang: str) -> Texts:
    """Make what the vector store takes of plain texts.

    :param texts: the texts, in memory.
    :param lang: their language.
    :return: the texts; their ids, which messages name, are their beginnings.
    """
    import pyarrow as pa

    strings = pa.large_string()
    columns = {
        "id": pa.array([text[:60] for text in texts], strings),
        "text": pa.array(texts, strings),
        "lang": pa.array([lang] * len(texts), strings),
        "group": pa.array([str(i) for i in range(len(texts))], strings),
    }
    content = digest(*texts)
    return Texts(as_dataset(pa.table(columns), content), {lang: content})


def stored(folder: Path, wanted: np.ndarray, decode: Decode) -> tuple[np.ndarray | None, np.ndarray]:
    """Read the vectors of texts from every set of texts that the store has of one encoder, role and language.

    :param folder: the language's folder.
    :param wanted: (n, 16) uint8 hashes of different texts.
    :param decode: turns rows as they lie on disk into vectors.
    :return: (n, width) float32, None if there are no vectors at all, and the rows that were not found.
    """
    keys = np.ascontiguousarray(wanted[:, :8]).view(np.uint64).reshape(-1)
    order = np.argsort(keys, kind="stable")
    keys, missing = keys[order], np.ones(len(wanted), bool)
    vectors: np.ndarray | None = None
    for path in sorted(folder.glob("*/*.safetensors")):
        if not missing.any():
            break
        chunk = read_chunk(path)
        if chunk is None or not len(chunk.texts):
            continue
        there = np.ascontiguousarray(chunk.texts[:, :8]).view(np.uint64).reshape(-1)
        at = order[np.searchsorted(keys, there).clip(max=len(keys) - 1)]
        hit = (wanted[at] == chunk.texts).all(axis=1) & missing[at]
        if hit.any():
            decoded = decode(chunk.vectors[hit])
            vectors = allocated(len(wanted), decoded.shape[1]) if vectors is None else vectors
            vectors[at[hit]] = decoded
            missing[at[hit]] = False
    return vectors, np.flatnonzero(missing)


def allocated(rows: int, width: int) -> np.ndarray:
    """Return an array of float32 in memory, or in an unnamed file beside the store if it is too large for that.

    :param rows: its rows.
    :param width: its columns.
    :return: (rows, width) float32, without content.
    :raises CacheError: if there is no room on the disk.
    """
    if rows * width * 4 <= LARGEST:
        return np.empty((rows, width), np.float32)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=cache_dir()) as stream:
            return np.memmap(stream, np.float32, "w+", shape=(rows, width))
    except OSError as error:
        raise CacheError(f"{cache_dir()}: no room for {rows:,} vectors of the teacher ({error.strerror or error})") from error
