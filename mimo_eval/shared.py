"""A store that machines share beside their own cache folders: `$MIMO_EVAL_STORE`, a URL that fsspec understands.

The cache folder stays the working copy. Vectors and collections that are written there are put into the store as well, under
the same names, and what is lacking there is fetched. On S3, GCS and in local folders an object is put whole or not at all; of
other kinds this is not known. What is fetched is compared with its checksum, and counts as missing if it differs, so it is made
again and replaced. Keys, endpoints and retries are those of fsspec and its clients (`AWS_ACCESS_KEY_ID`, …):
nothing of them is read or kept here. A store that may only be read is read; that what is made here stays here is said once.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from mimo_eval.errors import CacheError, ConfigError, MissingExtraError
from mimo_eval.files import DENIED, UnwrittenError, atomic_write, cache_dir, rename, unwritten

VARIABLE = "MIMO_EVAL_STORE"
LISTED = 30.0
"""Seconds for which the list of a folder's objects is taken for true."""
WRITTEN_SO = "write such as s3://bucket/prefix, or the path of a folder"
MISTYPED = re.compile(r"[A-Za-z][\w+.-]+(:/?(?![/:])|//)")
"""The beginning of a URL without its `://`: would be taken for a folder of that name."""
AT_ONCE = 8
"""Objects that are fetched at the same time."""

logger = logging.getLogger(__name__)


def shared_store(path: Path | None = None) -> SharedStore | None:
    """Return the store that machines share; None if there is none.

    :param path: of what is to lie there; what lies outside the cache folder is never shared.
    :raises ConfigError: if `$MIMO_EVAL_STORE` is no URL of a known kind.
    :raises MissingExtraError: if the package for its kind is not installed.
    """
    url = os.environ.get(VARIABLE)
    if not url:
        return None
    if not url.strip() or MISTYPED.match(url):
        raise ConfigError(f"{VARIABLE}={url}: neither a URL nor a path; {WRITTEN_SO}")
    store = _opened(url, cache_dir().absolute(), os.getpid())
    return store if path is None or store.name(path) else None


@lru_cache(4)
def _opened(url: str, cache: Path, process: int) -> SharedStore:
    """Open a store once per process: connections do not outlive a fork."""
    return SharedStore(url, cache)


class SharedStore:
    """Objects under a URL, named like the files of the cache folder.

    :param url: such as `s3://bucket/prefix`, or a folder.
    :param cache: the cache folder.
    """

    def __init__(self, url: str, cache: Path) -> None:
        import fsspec
        from fsspec.implementations.memory import MemoryFileSystem

        self.url, self.cache = url, cache
        try:
            self._system, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise MissingExtraError(f"{VARIABLE}={url}: {error}; for S3: pip install 'mimo-eval[remote]'") from error
        except ValueError as error:
            raise ConfigError(f"{VARIABLE}={url}: {error}; {WRITTEN_SO}") from error
        if isinstance(getattr(self._system, "fs", self._system), MemoryFileSystem):
            raise ConfigError(f"{VARIABLE}={url}: the memory of one process is shared with nobody; {WRITTEN_SO}")
        self._local = isinstance(self._system, fsspec.implementations.local.LocalFileSystem)
        if self._local:
            self.url = self._root  # absolute, so that other processes can be told
        self._listed: dict[str, tuple[float, set[str]]] = {}
        self._read_only = False

    def name(self, path: Path) -> str | None:
        """Return the object of a file or folder of the cache; None for what lies elsewhere."""
        path = path.absolute()
        if not path.is_relative_to(self.cache) or path == self.cache:
            return None
        return f"{self._root.rstrip('/')}/{path.relative_to(self.cache).as_posix()}"

    def names(self, folder: Path) -> set[str]:
        """Return the names of objects and folders in a folder, by one request that lists it.

        :param folder: of the cache.
        """
        key = str(self.name(folder))
        at, found = self._listed.get(key, (0.0, set[str]()))
        if time.monotonic() - at > LISTED or not at:
            with self._asking("be listed"):
                try:
                    found = {str(name).rstrip("/").rpartition("/")[2] for name in self._system.ls(key, detail=False)}
                except FileNotFoundError as error:
                    _refuse_without_bucket(error)
                    found = set()
            self._listed[key] = time.monotonic(), found
        return found

    def size(self, folder: Path) -> int:
        """Return the bytes of a folder's objects.

        :param folder: of the cache.
        """
        with self._asking("be listed"):
            return int(self._system.du(str(self.name(folder))))

    def refresh(self) -> None:
        """Take nothing that was listed for true any more: other machines have written since."""
        self._listed.clear()

    def put(self, path: Path) -> None:
        """Put a file of the cache into the store, over what is there; nothing is done where the store may only be read.

        :param path: the file.
        :raises CacheError: if the store does not take it; the file stays.
        """
        if self._read_only:
            return
        key = str(self.name(path))
        try:
            with self._asking("be written"):
                if self._local:  # whose `put` is not atomic
                    with path.open("rb") as source, atomic_write(Path(key)) as target:
                        shutil.copyfileobj(source, target, 2**20)
                else:
                    self._system.put_file(str(path), key)
        except CacheError as error:
            if not _denied(error.__cause__) or (self._local and not Path(self._root).is_dir()):
                raise
            self._read_only = True
            logger.warning("%s=%s may only be read (%s); what is made here stays in the cache folder", VARIABLE, self.url, key)
            return
        if (listed := self._listed.get(key.rpartition("/")[0])) is not None:
            listed[1].add(path.name)

    def fetch(self, paths: Sequence[Path], whole: Callable[[Path], bool]) -> None:
        """Fetch objects into the cache; those that are not there, or damaged, are passed over.

        :param paths: the files to make.
        :param whole: says whether a file is what was once put.
        :raises CacheError: if the store cannot be reached or the cache not be written.
        """
        if len(paths) == 1:
            self._fetch(paths[0], whole)
        elif paths:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda path: self._fetch(path, whole), paths))

    def _fetch(self, path: Path, whole: Callable[[Path], bool]) -> None:
        with _beside(path) as temporary, self._asking("be read"):
            try:
                self._system.get_file(str(self.name(path)), str(temporary))
            except FileNotFoundError as error:
                _refuse_without_bucket(error)
                return
            if whole(temporary):
                temporary.chmod(path.parent.stat().st_mode & 0o666)  # mkstemp's is for its owner alone
                rename(temporary, path)
            else:
                logger.warning("%s: damaged, counts as missing and is made again", self.name(path))

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn whatever a client raises into one line that names the URL and the remedy."""
        try:
            yield
        except Exception as raised:  # every client has errors of its own
            error = raised.__cause__ if isinstance(raised, UnwrittenError) else raised
            raise CacheError(
                f"{VARIABLE}={self.url}: cannot {what} ({type(error).__name__}: {error}); check that it exists, has room, and "
                "that you may read and write there, and the network; what is in the cache folder is kept"
            ) from error


def _denied(error: BaseException | None) -> bool:
    """Say whether an error is that something may only be read."""
    return isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno in DENIED)


def _refuse_without_bucket(error: FileNotFoundError) -> None:
    """Raise an error that is about the whole store and not about one object of it."""
    if type(error.__cause__).__name__ == "NoSuchBucket":
        raise error


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside another, and remove what is left of it; `.tmp` are those of who holds a lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise unwritten(path, error, f"cannot be fetched from {VARIABLE}") from error
    try:
        yield Path(temporary)
    finally:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
