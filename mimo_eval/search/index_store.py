"""Indexes on disk: one folder per (retriever's fingerprint, language, documents), complete or not there.

An index is written into a temporary folder, which is renamed when every file of it is complete; a manifest holds the size and
checksum of each. A torn or damaged index is built again, never used. A lock per index makes a second process wait and then
find the work done.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mimo_eval import locks
from mimo_eval.collections.collection import Texts
from mimo_eval.digests import checksums, digest
from mimo_eval.errors import CacheError, DataError
from mimo_eval.files import cache_dir, new_folder, read_sealed, write_json, write_sealed, writing
from mimo_eval.locks import Use

FORMAT = 2
"""Of the folders, and of what this package itself makes of texts before a library indexes them: raise it when either changes.
A release alone makes nothing anew; libraries' versions stand in the fingerprints of the retrievers that use them."""
ABOUT = "retriever.json"
"""The file that says whose indexes lie in a folder."""
MANIFEST = "manifest.json"

logger = logging.getLogger(__name__)


class Indexed(Protocol):
    """What has indexes that are kept, such as a StoredRetriever."""

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes an index; what stands in it under `reading` does not."""

    def save(self, index: Any, folder: Path) -> None:
        """Write an index into an empty folder."""

    def load(self, folder: Path) -> Any:
        """Read an index whose files are whole."""


class Found(NamedTuple):
    """An index, and whether it had to be built."""

    index: Any
    built: bool


class IndexStore:
    """The indexes of one retriever.

    :param retriever: the model, or what else has indexes; what its fingerprint says under `reading` changes how an index is
        searched, not the index.
    :param root: folder of all indexes.
    """

    def __init__(self, retriever: Indexed, root: Path | None = None) -> None:
        self.retriever = retriever
        self.name = str(getattr(retriever, "name", type(retriever).__name__))
        changing = {name: value for name, value in retriever.fingerprint().items() if name != "reading"}
        self.fingerprint = {"type": _kind(retriever), **changing}
        key = json.dumps([FORMAT, self.fingerprint], sort_keys=True, ensure_ascii=False)
        self.folder = (root or cache_dir() / "indexes") / digest(key)[:20]
        self._use: Use | None = None

    def get(self, lang: str, texts: Texts, rows: np.ndarray, build: Callable[[], Any]) -> Found:
        """Return the index of some documents; it is built and stored if it is not there.

        :param lang: their language; empty for a corpus in several.
        :param texts: the collection's documents.
        :param rows: which of them, in the order indexed.
        :param build: makes the index.
        :return: the index.
        :raises CacheError: if it cannot be stored.
        """
        folder = self.folder / (lang or "all") / content_key(texts, rows)[:20]
        if self.folder.is_dir():
            with suppress(CacheError):  # read-only
                self._describe()
            self._use = self._use or Use(self.folder)
        index = self._read(folder)
        if index is not None:
            return index
        with self._lock(folder):
            index = self._read(folder)  # another process may have built it while this one waited
            if index is not None:
                return index
            try:
                found = Found(build(), built=True)
                self._write(folder, found.index, len(rows))
            except BaseException:
                self._clear()
                raise
        return found

    def _clear(self) -> None:
        """Remove the folder of a retriever that has no index yet, unless another process is about to put one there."""
        self._use = None
        with suppress(OSError), locks.unused(self.folder) as free:
            if free and not any(self.folder.glob(f"*/*/{MANIFEST}")):
                self.folder.rename(trash := self.folder.with_name(f".removed-{self.folder.name}-{os.getpid()}"))
                shutil.rmtree(trash, ignore_errors=True)

    def _read(self, folder: Path) -> Found | None:
        if not folder.is_dir():
            return None
        if not intact(folder):
            logger.warning("%s: damaged index of %s; it is built again", folder, self.name)
            return None
        try:
            return Found(self.retriever.load(folder), built=False)
        except (DataError, OSError, ValueError, KeyError, TypeError, EOFError) as error:
            logger.warning("%s: index of %s cannot be read (%s); it is built again", folder, self.name, error)
            return None

    def _write(self, folder: Path, index: Any, documents: int) -> None:
        with writing(folder, "the index cannot be stored"):
            temporary = new_folder(folder.parent, f".{folder.name}.", ".tmp")
            try:
                self.retriever.save(index, temporary)
                content = {"format": FORMAT, "documents": documents, "files": checksums(temporary, MANIFEST)}
                write_json(temporary / MANIFEST, content)
                if folder.exists():  # damaged; NFS keeps files of it that are still open, so it is moved away first
                    trash = temporary.with_name(f"{temporary.name}.tmp")
                    folder.rename(trash)
                    shutil.rmtree(trash, ignore_errors=True)
                try:
                    temporary.rename(folder)
                except OSError:
                    if not intact(folder):  # NFS may report a failure though its server has done it
                        raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _describe(self) -> None:
        """Say whose indexes they are, unless that is said already, and whole."""
        try:
            read_sealed(self.folder / ABOUT)
        except DataError:
            write_sealed(self.folder / ABOUT, {**self.fingerprint, "format": FORMAT})

    @contextmanager
    def _lock(self, folder: Path) -> Iterator[None]:
        """Keep other processes from one index; what a killed one left half-written is removed."""
        from filelock import FileLock

        with writing(folder.parent, "indexes cannot be stored"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._describe()
            self._use = self._use or Use(self.folder)  # before it waits: who waits keeps the folder
            lock = FileLock(folder.parent / f".{folder.name}.lock")
            if alone := locks.work(folder.parent):  # else two processes may build the same index; one is kept
                lock.acquire()
        try:
            for leftover in folder.parent.glob(f".{folder.name}.*.tmp") if alone else ():
                shutil.rmtree(leftover, ignore_errors=True)
            yield
        finally:
            lock.release()


def _kind(retriever: Any) -> str:
    """Return a retriever's class, so that two that call themselves the same do not share."""
    return f"{type(retriever).__module__}.{type(retriever).__qualname__}"


def content_key(texts: Texts, rows: np.ndarray) -> str:
    """Return a hash of the documents of an index: their texts, languages and order.

    :param texts: the collection's documents.
    :param rows: which of them, in the order indexed.
    :return: 32 hexadecimal characters; the same in every collection that holds the same texts of these languages.
    """
    numbers = texts.language[rows]
    present = np.unique(numbers)
    names = [texts.languages[number] for number in present]
    positions = np.empty(len(rows), np.int64)
    for number, name in zip(present, names, strict=True):
        mine = numbers == number
        positions[mine] = np.searchsorted(texts.rows(name), rows[mine])
    shards = [part for name in names for part in (name, texts.shards[name])]
    return digest(*shards, np.searchsorted(present, numbers).astype("<i8").tobytes(), positions.astype("<i8").tobytes())


def intact(folder: Path) -> bool:
    """Say whether an index is what was written: the same files, with the same content.

    :param folder: the index's folder.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return bool(manifest["format"] == FORMAT and manifest["files"] == checksums(folder, MANIFEST))
    return False
