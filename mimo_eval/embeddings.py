"""Vectors on disk: one folder per (encoder fingerprint, role, language), one file per chunk of rows, written atomically.

A chunk's file appears under its name only when it is complete and flushed, and holds a checksum of its vectors. So a killed
run resumes at the chunk that was in flight, and a torn or damaged chunk is encoded again, never used. Chunks are fixed by
row: the vectors do not depend on where a run was interrupted. Rows of a text that another version of the collection has
already had encoded are copied. A lock per folder makes a second process wait and then find the work done.
"""

from __future__ import annotations

import errno
import json
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from mimo_eval.collections.collection import Texts
from mimo_eval.errors import CacheError, ModelError
from mimo_eval.files import atomic_write, cache_dir, digest, write_json
from mimo_eval.protocols import Role

FORMAT = 1
CHUNK_ROWS = 2048
TILE_ROWS = 65_536
OPEN_CHUNKS = 16
"""Chunks of a language that are mapped at a time: each holds an open file."""
LONGEST = 1e18
"""Largest norm of a vector whose dot products are sure to be finite."""
Encode = Callable[[Sequence[str], str], np.ndarray]
"""(texts, language) to vectors."""


class Filled(NamedTuple):
    """What filling rows took."""

    encoded: int
    read: int


@dataclass
class Chunk:
    """One chunk as it lies on disk, memory-mapped."""

    rows: np.ndarray
    """Offsets within the chunk that are filled, ascending."""
    vectors: np.ndarray
    """(len(rows), d) float32 or float16."""
    texts: np.ndarray
    """(len(rows), 16) uint8: hash of each text."""


def text_hash(text: str) -> bytes:
    """Return the 16 bytes by which a text is known to the store."""
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


class Shard:
    """The vectors of one language's texts in one role by one encoder.

    :param folder: where the chunks lie; need not exist.
    :param size: number of rows.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._verified: set[int] = set()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"

    def chunk(self, number: int) -> Chunk | None:
        """Return a chunk, or None if it is not there; one that fails its checksum is not there."""
        if number in self._chunks:
            self._chunks.move_to_end(number)
            return self._chunks[number]
        chunk = read_chunk(self._path(number), verify=number not in self._verified)
        if chunk is not None:
            self._verified.add(number)
            self._chunks[number] = chunk
            if len(self._chunks) > OPEN_CHUNKS:
                self._chunks.popitem(last=False)
        return chunk

    def forget(self) -> None:
        """Look at the files anew: another process may have written them."""
        self._chunks.clear()
        self._verified.clear()

    def missing(self, rows: np.ndarray) -> dict[int, np.ndarray]:
        """Return what is not yet encoded of some rows.

        :param rows: row numbers, ascending.
        :return: chunk number to offsets in the chunk, only where some are missing.
        """
        found = {}
        for number, offsets in _by_chunk(rows):
            chunk = self.chunk(number)
            lacking = offsets if chunk is None else np.setdiff1d(offsets, chunk.rows, assume_unique=True)
            if len(lacking):
                found[number] = lacking
        return found

    def write(self, number: int, offsets: np.ndarray, vectors: np.ndarray, texts: np.ndarray) -> None:
        """Add rows to a chunk and replace its file.

        :param number: the chunk.
        :param offsets: (n,) offsets in the chunk, none of them filled yet.
        :param vectors: (n, d).
        :param texts: (n, 16) uint8 hashes.
        """
        old = self.chunk(number)
        if old is not None:
            offsets = np.concatenate([old.rows, offsets])
            vectors = np.concatenate([old.vectors, vectors.astype(old.vectors.dtype)])
            texts = np.concatenate([old.texts, texts])
        order = np.argsort(offsets, kind="stable")
        write_chunk(self._path(number), Chunk(offsets[order].astype(np.uint32), vectors[order], texts[order]))
        self._chunks.pop(number, None)
        self._verified.discard(number)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return vectors of any rows.

        :param rows: (n,) row numbers in any order.
        :return: (n, d) float32.
        :raises CacheError: if a row is not encoded.
        """
        order = np.argsort(rows, kind="stable")
        parts = [self._take(number, offsets) for number, offsets in _by_chunk(rows[order])]
        if not parts:
            return np.empty((0, self.width() or 0), np.float32)
        vectors = np.concatenate(parts)
        result = np.empty_like(vectors)
        result[order] = vectors
        return result

    def _take(self, number: int, offsets: np.ndarray) -> np.ndarray:
        chunk = self.chunk(number)
        if chunk is None:
            raise CacheError(f"{self._path(number)}: missing or damaged; run again to encode it")
        if len(offsets) == len(chunk.rows) and np.array_equal(offsets, chunk.rows):
            return np.asarray(chunk.vectors, np.float32)
        at = np.searchsorted(chunk.rows, offsets).clip(max=len(chunk.rows) - 1)
        if not np.array_equal(chunk.rows[at], offsets):
            raise CacheError(f"{self._path(number)}: not every row is encoded; run again to encode it")
        return np.asarray(chunk.vectors[at], np.float32)

    def tiles(self, rows: np.ndarray, size: int = TILE_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Stream vectors of ascending rows.

        :param rows: row numbers.
        :param size: most rows in one tile.
        :yield: (rows of the tile, (n, d) float32); the array is used again for the next tile where shapes allow.
        """
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield part, self.gather(part)

    def width(self) -> int | None:
        """Return the width of the vectors, or None if there are none."""
        for path in sorted(self.folder.glob("*.safetensors")):
            chunk = self.chunk(int(path.stem))
            if chunk is not None:
                return int(chunk.vectors.shape[1])
        return None


def _by_chunk(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Split ascending row numbers by chunk."""
    if not len(rows):
        return
    numbers = rows // CHUNK_ROWS
    bounds = np.flatnonzero(np.diff(numbers)) + 1
    for part in np.split(rows, bounds):
        number = int(part[0] // CHUNK_ROWS)
        yield number, part - number * CHUNK_ROWS


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a chunk in safetensors format, whole or not at all.

    :param path: its file.
    :param chunk: rows, vectors and text hashes.
    :raises CacheError: if the disk is full or the folder read-only.
    """
    from safetensors.numpy import save

    tensors = {"rows": chunk.rows, "texts": chunk.texts, "vectors": np.ascontiguousarray(chunk.vectors)}
    with atomic_write(path) as stream:
        stream.write(save(tensors, {"checksum": _checksum(tensors)}))  # a second entry's place would be random


def _checksum(tensors: dict[str, np.ndarray]) -> str:
    hasher = xxhash.xxh3_128()
    for name in ("rows", "texts", "vectors"):
        array = np.ascontiguousarray(tensors[name])
        hasher.update(f"{name}{array.shape}{array.dtype}".encode())
        hasher.update(array.view(np.uint8).reshape(-1).data if array.size else b"")
    return hasher.hexdigest()


TYPES = {"F32": np.float32, "F16": np.float16, "U32": np.uint32, "U8": np.uint8}


def read_chunk(path: Path, verify: bool = True) -> Chunk | None:
    """Map a chunk into memory and verify its checksum.

    :param path: its file.
    :param verify: False for one whose checksum was right before.
    :return: the chunk, or None if the file is missing, torn or damaged.
    :raises CacheError: if the file may be whole, but cannot be opened.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size - 8, 100_000):
                return None
            header = json.loads(stream.read(length))
        metadata = header.pop("__metadata__")
        data = np.memmap(path, np.uint8, "r", offset=8 + length)
        tensors = {name: _tensor(data, header[name]) for name in ("rows", "texts", "vectors")}
        if verify and metadata["checksum"] != _checksum(tensors):
            return None
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise CacheError(f"{path}: cannot be read ({error.strerror})") from error
        return None
    except (ValueError, KeyError, TypeError, struct.error):
        return None
    return Chunk(**tensors)


def _tensor(data: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    start, end = entry["data_offsets"]
    return data[start:end].view(TYPES[entry["dtype"]]).reshape(entry["shape"])


@dataclass
class VectorStore:
    """The vectors of documents or queries of one collection by one encoder.

    :param fingerprint: everything that changes a vector; goes into the folder's name and into `encoder.json`.
    :param role: `query` or `document`.
    :param texts: the texts, by language.
    :param cosine: whether vectors are stored with length 1, so that their dot product is the cosine.
    :param root: folder of all vectors.
    """

    fingerprint: dict[str, Any]
    role: Role
    texts: Texts
    cosine: bool = True
    root: Path = field(default_factory=lambda: cache_dir() / "vectors")
    _width: int | None = field(default=None, init=False)

    @property
    def _name(self) -> str:
        return str(self.fingerprint.get("model", "encoder"))

    @property
    def folder(self) -> Path:
        """Folder of this encoder and role."""
        key = json.dumps([FORMAT, self.role, self.fingerprint], sort_keys=True, ensure_ascii=False)
        return self.root / digest(key)[:20]

    @cached_property
    def shards(self) -> dict[str, Shard]:
        """Language to its vectors."""
        return {
            lang: Shard(self.folder / lang / revision[:20], len(self.texts.rows(lang)))
            for lang, revision in self.texts.shards.items()
        }

    @cached_property
    def _position(self) -> np.ndarray:
        """(rows,) int64: place of each row of the collection within its language."""
        position = np.empty(len(self.texts), np.int64)
        for lang in self.texts.languages:
            rows = self.texts.rows(lang)
            position[rows] = np.arange(len(rows))
        return position

    def fill(self, lang: str, rows: np.ndarray, encode: Encode, progress: Callable[[int], None] = lambda n: None) -> Filled:
        """Make sure that rows of one language are encoded.

        :param lang: the language.
        :param rows: rows of the collection, ascending.
        :param encode: what turns texts into vectors.
        :param progress: told the number of rows done, in steps.
        :return: how many texts were encoded and how many vectors were there already.
        :raises CacheError: if vectors cannot be written.
        :raises ModelError: if the encoder returns something unusable; nothing of it is kept.
        """
        shard, positions = self.shards[lang], self._position[rows]
        lacking = shard.missing(positions)
        total = sum(map(len, lacking.values()))
        progress(len(rows) - total)
        if not total:
            return Filled(0, len(rows))
        with self._lock(shard):
            shard.forget()  # another process may have written while this one waited
            lacking = shard.missing(positions)
            progress(total - sum(map(len, lacking.values())))
            known = TextIndex.of_siblings(shard) if lacking else TextIndex()
            self._width = self._width or shard.width()
            encoded = 0
            for number, offsets in lacking.items():
                encoded += self._fill_chunk(lang, number, offsets, encode, known)
                progress(len(offsets))
        return Filled(encoded, len(rows) - encoded)

    def _fill_chunk(self, lang: str, number: int, offsets: np.ndarray, encode: Encode, known: TextIndex) -> int:
        """Encode what no chunk has, copy what one has, write the chunk; return the number of texts encoded."""
        shard = self.shards[lang]
        rows = self.texts.rows(lang)[number * CHUNK_ROWS + offsets]
        texts = self.texts.read(rows)
        hashes = np.frombuffer(b"".join(map(text_hash, texts)), np.uint8).reshape(-1, 16)
        copied = known.find(hashes)
        _, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
        fresh = np.sort(first[[int(i) not in copied for i in first]])  # a text that stands twice is encoded once
        vectors = None
        if len(fresh):
            encoded = encode([texts[i] for i in fresh], lang)
            vectors = check_vectors(encoded, self.texts.ids(rows[fresh]), self._name, cosine=self.cosine)
        some = [*([vectors[0]] if vectors is not None else []), *copied.values()]
        widths = {len(vector) for vector in some} | ({self._width} if self._width else set())
        if len(widths) > 1:
            raise ModelError(f"{self._name}: vectors of {min(widths)} and of {max(widths)} dimensions ({lang}, chunk {number})")
        self._width = widths.pop()
        result = np.empty((len(rows), self._width), some[0].dtype)
        if vectors is not None:
            place = np.searchsorted(fresh, first[which.reshape(-1)]).clip(max=len(fresh) - 1)
            result[:] = vectors[place]
        for i, vector in copied.items():
            result[i] = vector
        shard.write(number, offsets, result, hashes)
        known.add(shard, number)
        return len(fresh)

    @contextmanager
    def _lock(self, shard: Shard) -> Iterator[None]:
        """Keep other processes from one language's folder; what a killed one left half-written is removed."""
        from filelock import FileLock

        try:
            shard.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "encoder.json").exists():
                write_json(self.folder / "encoder.json", {"role": self.role, **self.fingerprint})
            lock = FileLock(shard.folder / ".lock")
            lock.acquire()
            for leftover in shard.folder.glob(".*.tmp"):
                leftover.unlink()
        except OSError as error:
            raise CacheError(
                f"{shard.folder}: vectors cannot be stored ({error.strerror or error}); free space, or set MIMO_EVAL_CACHE to "
                "a folder that can be written"
            ) from error
        try:
            yield
        finally:
            lock.release()

    @property
    def width(self) -> int | None:
        """Width of the vectors, or None if there are none."""
        return self._width or next((width for shard in self.shards.values() if (width := shard.width())), None)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return vectors of any rows of the collection.

        :param rows: (n,) rows, any languages, any order.
        :return: (n, d) float32.
        """
        languages = self.texts.language[rows]
        result: np.ndarray | None = None
        for number in np.unique(languages):
            where = np.flatnonzero(languages == number)
            part = self.shards[self.texts.languages[number]].gather(self._position[rows[where]])
            if result is None:
                result = np.empty((len(rows), part.shape[1]), np.float32)
            result[where] = part
        return np.empty((0, 0), np.float32) if result is None else result

    def tiles(self, lang: str, rows: np.ndarray, size: int = TILE_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Stream the vectors of some rows of one language.

        :param lang: the language.
        :param rows: rows of the collection, ascending.
        :param size: most rows in one tile.
        :yield: (rows of the collection, (n, d) float32).
        """
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield part, self.shards[lang].gather(self._position[part])


class TextIndex:
    """Finds the vectors of texts by their hashes, in 16 bytes per text; the vectors stay on disk."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._chunks: list[tuple[Shard, int]] = []

    @classmethod
    def of_siblings(cls, shard: Shard) -> TextIndex:
        """Index every version of one language's texts that this encoder has seen, the given one included."""
        index = cls()
        for folder in sorted(path for path in shard.folder.parent.iterdir() if path.is_dir()):
            version = shard if folder == shard.folder else Shard(folder, 0)
            for path in sorted(folder.glob("*.safetensors")):
                index.add(version, int(path.stem))
        return index

    def add(self, shard: Shard, number: int) -> None:
        """Index one chunk; a damaged one is passed over."""
        chunk = shard.chunk(number)
        if chunk is None or not len(chunk.texts):
            return
        keys = np.ascontiguousarray(chunk.texts[:, :8]).view(np.uint64).reshape(-1)
        places = (np.uint64(len(self._chunks)) << np.uint64(32)) + np.arange(len(keys), dtype=np.uint64)
        self._chunks.append((shard, number))
        order = np.argsort(keys, kind="stable")
        self._parts.append((keys[order], places[order]))
        while len(self._parts) > 1 and len(self._parts[-2][0]) <= 2 * len(self._parts[-1][0]):
            self._merge()

    def _merge(self) -> None:
        """Join the last two parts, so that their number grows with the logarithm of the texts."""
        (a, b), (c, d) = self._parts.pop(), self._parts.pop()
        keys, places = np.concatenate([c, a]), np.concatenate([d, b])
        order = np.argsort(keys, kind="stable")
        self._parts.append((keys[order], places[order]))

    def find(self, hashes: np.ndarray) -> dict[int, np.ndarray]:
        """Return the vectors of those texts that are known.

        :param hashes: (n, 16) uint8.
        :return: position in `hashes` to vector.
        """
        wanted = np.ascontiguousarray(hashes[:, :8]).view(np.uint64).reshape(-1)
        found: dict[int, np.ndarray] = {}
        for keys, places in self._parts:
            at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
            for i in np.flatnonzero(keys[at] == wanted):
                number, offset = divmod(int(places[at[i]]), 1 << 32)
                shard, chunk_number = self._chunks[number]
                chunk = shard.chunk(chunk_number)
                if int(i) not in found and chunk is not None and np.array_equal(chunk.texts[offset], hashes[i]):
                    found[int(i)] = np.asarray(chunk.vectors[offset])
        return found


def _off_torch(vectors: Any) -> Any:
    """Return a tensor of torch as NumPy takes it: on the CPU, without gradient, in a type that NumPy has."""
    if not hasattr(vectors, "detach"):
        return vectors
    vectors = vectors.detach().cpu()
    return vectors.float() if str(vectors.dtype) == "torch.bfloat16" else vectors


def check_vectors(vectors: Any, ids: list[str], model: str, *, cosine: bool) -> np.ndarray:
    """Refuse what an encoder must not return.

    :param vectors: what it returned for the texts of `ids`.
    :param ids: ids of the texts.
    :param model: its name, for messages.
    :param cosine: whether to divide vectors by their length.
    :return: (n, d) float32 or float16, contiguous.
    :raises ModelError: naming the model and the first text concerned.
    """
    try:
        several = isinstance(vectors, (list, tuple)) and len(vectors) and hasattr(vectors[0], "detach")
        array = np.asarray([_off_torch(v) for v in vectors] if several else _off_torch(vectors))
        if array.dtype not in (np.float16, np.float32):
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{model}: the vectors are not an array of numbers ({error})") from error
    if array.ndim != 2 or array.shape[1] < 1:
        raise ModelError(f"{model}: expected vectors of shape ({len(ids)}, d), got {array.shape} (first text: {ids[0]})")
    if len(array) != len(ids):
        raise ModelError(f"{model}: {len(array)} vectors for {len(ids)} texts (first text: {ids[0]})")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise ModelError(f"{model}: NaN or infinity in the vector of text '{ids[bad[0]]}' and {len(bad) - 1} more")
    norms = np.sqrt(np.einsum("nd,nd->n", array, array, dtype=np.float64))  # squares of float32 may overflow or vanish
    if cosine:
        zero = np.flatnonzero(norms == 0)
        if len(zero):
            raise ModelError(f"{model}: the vector of text '{ids[zero[0]]}' and {len(zero) - 1} more is zero; it has no cosine")
        array = (array / norms[:, None]).astype(array.dtype)
    elif norms.max(initial=0) > LONGEST:
        raise ModelError(f"{model}: the vector of text '{ids[int(norms.argmax())]}' is longer than {LONGEST:g}")
    return np.ascontiguousarray(array)
