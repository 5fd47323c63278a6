"""The vectors of one language as chunks on disk, and finding a text's vector by its hash.

A chunk's file appears under its name only when it is complete and flushed, and holds a checksum of its vectors. So a killed
run resumes at the chunk that was in flight, and a torn or damaged chunk is encoded again, never used. Chunks are fixed by
row: the vectors do not depend on where a run was interrupted.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from mimo_eval.collections.numbers import leading
from mimo_eval.embeddings.chunks import Chunk, read_chunk, read_texts, write_chunk
from mimo_eval.embeddings.storage import STORAGES, Storage
from mimo_eval.errors import CacheError
from mimo_eval.mapped import scratch
from mimo_eval.shared import AT_ONCE, shared_store
from mimo_eval.threads import ahead

CHUNK_ROWS = 2048
TILE_ROWS = 4096
"""Vectors that are in memory at a time."""
CHUNK_NAME, VERSION_NAME = re.compile(r"(\d{6,12})\.safetensors"), re.compile(r"[0-9a-f]{20}")
IN_MEMORY = 2**16
"""Texts of which the index may be in memory; that of more is in files."""
OPEN_CHUNKS = 16
"""Chunks of a language that are mapped at a time: each holds an open file."""


class Shard:
    """The vectors of one language's texts in one role by one encoder.

    :param folder: where the chunks lie; need not exist.
    :param size: number of rows.
    :param storage: how the vectors are stored.
    """

    def __init__(self, folder: Path, size: int, storage: Storage = STORAGES["float32"]) -> None:
        self.folder, self.size, self.storage = folder, size, storage
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._verified: set[int] = set()
        self._shared = shared_store(folder)
        self._fetched: set[int] = set()

    def _path(self, number: int) -> Path:
        return self.folder / _name(number)

    def chunk(self, number: int) -> Chunk | None:
        """Return a chunk, or None if it is not there; one that fails its checksum is not there."""
        if (chunk := self._chunks.get(number)) is not None:
            with suppress(KeyError):  # another thread may have let it go meanwhile
                self._chunks.move_to_end(number)
            return chunk
        chunk = read_chunk(self._path(number), verify=number not in self._verified)
        if chunk is None and self._fetch([number]):
            chunk = read_chunk(self._path(number))
        if chunk is not None:
            self._verified.add(number)
            self._chunks[number] = chunk
            if len(self._chunks) > OPEN_CHUNKS:
                with suppress(KeyError):
                    self._chunks.popitem(last=False)
        return chunk

    def texts(self, number: int) -> np.ndarray | None:
        """Return the (n, 16) hashes of a chunk's texts, or None if it is not there; its vectors are not read or verified.

        Of one that lies in the store that machines share they are all that is fetched.
        """
        path = self._path(number)
        chunk = read_chunk(path, verify=False)
        return chunk.texts if chunk is not None else read_texts(partial(self._shared.read, path))

    def forget(self, number: int) -> None:
        """Look at a chunk's file anew: another process may have written it."""
        self._chunks.pop(number, None)
        self._verified.discard(number)

    def _fetch(self, numbers: Iterable[int]) -> bool:
        """Fetch chunks from the store that machines share, each once, as far as it has them; say whether it has any."""
        there = self._unfetched(numbers)
        self._shared.fetch([self._path(number) for number in there], lambda path: read_chunk(path) is not None)
        self._fetched.update(there)
        return bool(there)

    def _merge(self, number: int) -> Chunk | None:
        """Join the rows of a chunk that lies here with those that it has in the store that machines share."""
        mine = self.chunk(number)
        if mine is None or not self._unfetched([number]):
            return mine
        mine = mine.copy()
        self.forget(number)
        self._fetch([number])
        theirs = self.chunk(number)
        only = np.flatnonzero(~np.isin(mine.rows, () if theirs is None else theirs.rows))
        del theirs
        if len(only):
            self.write(number, mine.rows[only], mine.vectors[only], mine.texts[only])
        return self.chunk(number)

    def _unfetched(self, numbers: Iterable[int]) -> list[int]:
        """Return those of some chunks that the store that machines share has, whole or not, and that were not fetched."""
        names = self._shared.names(self.folder)
        return sorted(number for number in set(numbers) - self._fetched if _name(number) in names)

    def numbers(self, elsewhere: bool = True) -> set[int]:
        """Return the numbers of the chunks that have a file, whole or not.

        :param elsewhere: also those that are not here, but in the store that machines share.
        """
        here = _numbers(path.name for path in self.folder.glob("*.safetensors"))
        return here | _numbers(self._shared.names(self.folder)) if elsewhere else here

    def share(self, rows: np.ndarray) -> None:
        """Put chunks that lie here into the store that machines share, where it lacks them.

        :param rows: row numbers, ascending, whose chunks are meant.
        """
        for number, _ in _by_chunk(rows):
            if self._shared.lacks(path := self._path(number)) and path.exists() and self.chunk(number) is not None:
                self._shared.put(path)

    def missing(self, rows: np.ndarray, claimed: bool = False, texts: np.ndarray | None = None) -> dict[int, np.ndarray]:
        """Return what is not yet encoded of some rows; what is, is fetched from the store that machines share.

        :param rows: row numbers, ascending.
        :param claimed: whether their chunks are locked by the caller. Only then are files that lie here joined with those of
            the store: another process may just have written one that the store does not have yet.
        :param texts: (n,) uint64, leading bytes of the hashes of the rows' texts: a vector of another text counts as missing.
        :return: chunk number to offsets in the chunk, only where some are missing.
        """
        found, done = {}, 0
        parts = list(_by_chunk(rows))
        there = self._unfetched(number for number, _ in parts)
        self._fetch(number for number in there if not self._path(number).exists())
        for number, offsets in parts:
            wanted = None if texts is None else texts[done : done + len(offsets)]
            done += len(offsets)
            lacking = _lacking(self.chunk(number), offsets, wanted)
            if len(lacking) and claimed:
                lacking = _lacking(self._merge(number), offsets, wanted)
            if len(lacking):
                found[number] = lacking
        return found

    def write(self, number: int, offsets: np.ndarray, vectors: np.ndarray, texts: np.ndarray) -> None:
        """Add rows to a chunk, in place of those that it has of the same offsets, and replace its file.

        :param number: the chunk.
        :param offsets: (n,) offsets in the chunk.
        :param vectors: (n, columns), as they are stored.
        :param texts: (n, 16) uint8 hashes.
        """
        old = self.chunk(number)
        if old is not None:
            stay = ~np.isin(old.rows, offsets)
            offsets = np.concatenate([old.rows[stay], offsets])
            vectors = np.concatenate([old.vectors[stay], vectors.astype(old.vectors.dtype)])
            texts = np.concatenate([old.texts[stay], texts])
        order = np.argsort(offsets, kind="stable")
        chunk = Chunk(offsets[order].astype(np.uint32), vectors[order], texts[order])
        del old
        self.forget(number)  # before it is written: Windows replaces no file that is mapped
        write_chunk(self._path(number), chunk)
        self._shared.put(self._path(number))

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return vectors of any rows.

        :param rows: (n,) row numbers in any order.
        :return: (n, d) float32.
        :raises CacheError: if a row is not encoded.
        """
        if not len(rows):
            return np.empty((0, self.width() or 0), np.float32)
        ascending = bool((rows[1:] > rows[:-1]).all())
        order = np.argsort(rows, kind="stable")
        result: np.ndarray | None = None
        done = 0
        for number, offsets in _by_chunk(rows[order]):
            part = self._take(number, offsets)
            if result is None:
                result = np.empty((len(rows), part.shape[1]), np.float32)
            where = slice(done, done + len(part))
            result[where if ascending else order[where]] = part  # copied once: a tile is large
            done += len(part)
        return np.asarray(result)

    def _take(self, number: int, offsets: np.ndarray) -> np.ndarray:
        chunk = self.chunk(number)
        if chunk is None:
            raise CacheError(f"{self._path(number)}: missing or damaged; run again to encode it")
        if len(offsets) == len(chunk.rows) and np.array_equal(offsets, chunk.rows):
            return self.storage.decode(chunk.vectors)
        at = np.searchsorted(chunk.rows, offsets).clip(max=len(chunk.rows) - 1)
        if not np.array_equal(chunk.rows[at], offsets):
            raise CacheError(f"{self._path(number)}: not every row is encoded; run again to encode it")
        return self.storage.decode(chunk.vectors[at])

    def width(self) -> int | None:
        """Return the width of the vectors, or None if there are none."""
        for elsewhere in (False, True):
            for number in sorted(self.numbers(elsewhere)):
                chunk = self.chunk(number)
                if chunk is not None:
                    return self.storage.width(int(chunk.vectors.shape[1]))
        return None


def _lacking(chunk: Chunk | None, offsets: np.ndarray, texts: np.ndarray | None) -> np.ndarray:
    """Return those of some offsets that a chunk has no vector for, or one of another text."""
    if chunk is None or not len(chunk.rows):
        return offsets
    at = np.searchsorted(chunk.rows, offsets).clip(max=len(chunk.rows) - 1)
    right = chunk.rows[at] == offsets
    if texts is not None:
        right &= leading(chunk.texts)[at] == texts
    return np.asarray(offsets[~right])


def _name(number: int) -> str:
    """Return the name of a chunk's file."""
    return f"{number:06d}.safetensors"


def _numbers(names: Iterable[str]) -> set[int]:
    """Return the numbers of chunks among the names of files."""
    return {int(match[1]) for match in map(CHUNK_NAME.fullmatch, names) if match}


def _by_chunk(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Split ascending row numbers by chunk."""
    if not len(rows):
        return
    numbers = rows // CHUNK_ROWS
    bounds = np.flatnonzero(np.diff(numbers)) + 1
    for part in np.split(rows, bounds):
        number = int(part[0] // CHUNK_ROWS)
        yield number, part - number * CHUNK_ROWS


class TextIndex:
    """Finds the vectors of texts by their hashes, in 16 bytes per text, of which few are in memory.

    :param folder: where there is room; exists when the first chunk is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._chunks: list[tuple[Shard, int]] = []

    @classmethod
    def of_language(cls, folder: Path, mine: Shard | None = None) -> TextIndex:
        """Index every version of one language's texts that an encoder has seen.

        :param folder: holds a folder per version; need not exist.
        :param mine: the version that is being filled, if it is one of them.
        :return: the index.
        """
        index, shared = cls(folder), shared_store(folder)
        versions = {path.name for path in folder.glob("*") if path.is_dir()}
        versions |= {name for name in shared.names(folder) if VERSION_NAME.fullmatch(name)}
        for name in sorted(versions):
            own = mine is not None and folder / name == mine.folder
            version = mine if mine is not None and own else Shard(folder / name, 0)
            numbers = sorted(version.numbers(elsewhere=not own))  # of mine, what others have done is not looked at
            for number, texts in zip(numbers, ahead(version.texts, numbers, AT_ONCE if shared.url else 0), strict=True):
                index._add(version, number, texts)
        return index

    def add(self, shard: Shard, number: int) -> None:
        """Index one chunk by its texts alone: vectors are fetched, and compared with their checksum, when they are taken."""
        self._add(shard, number, shard.texts(number))

    def _add(self, shard: Shard, number: int, texts: np.ndarray | None) -> None:
        if texts is None or not len(texts):
            return
        keys = leading(texts)
        places = (np.uint64(len(self._chunks)) << np.uint64(32)) + np.arange(len(keys), dtype=np.uint64)
        self._chunks.append((shard, number))
        order = np.argsort(keys, kind="stable")
        self._parts.append((keys[order], places[order]))
        while len(self._parts) > 1 and len(self._parts[-2][0]) <= 2 * len(self._parts[-1][0]):
            self._merge()

    def _merge(self) -> None:
        """Join the last two parts, so that their number grows with the logarithm of the texts."""
        later, earlier = self._parts.pop(), self._parts.pop()
        merged = self._empty(len(earlier[0]) + len(later[0])), self._empty(len(earlier[0]) + len(later[0]))
        for (keys, places), (others, _), last in ((earlier, later, False), (later, earlier, True)):
            for start in range(0, len(keys), IN_MEMORY):
                part = slice(start, start + IN_MEMORY)
                at = np.searchsorted(others, keys[part], "right" if last else "left")
                at += np.arange(start, start + len(at))
                merged[0][at], merged[1][at] = keys[part], places[part]
        self._parts.append(merged)

    def _empty(self, size: int) -> np.ndarray:
        return np.empty(size, np.uint64) if size <= IN_MEMORY else scratch(self._folder, np.uint64, size)

    def find(self, hashes: np.ndarray) -> dict[int, np.ndarray]:
        """Return the vectors of those texts that are known.

        :param hashes: (n, 16) uint8.
        :return: position in `hashes` to vector, as it is stored.
        """
        wanted = leading(hashes)
        found: dict[int, np.ndarray] = {}
        for keys, places in self._parts:
            at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
            for i in np.flatnonzero(keys[at] == wanted):
                if int(i) in found:
                    continue
                number, offset = divmod(int(places[at[i]]), 1 << 32)
                shard, chunk_number = self._chunks[number]
                chunk = shard.chunk(chunk_number)
                if chunk is None or offset >= len(chunk.texts):  # damaged, or made again of fewer texts
                    continue
                if np.array_equal(chunk.texts[offset], hashes[i]):
                    found[int(i)] = np.array(chunk.vectors[offset])  # a copy: the chunk itself may be replaced
        return found
