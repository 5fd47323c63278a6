"""A store that machines share beside their own cache folders: `$MIMO_EVAL_STORE`, a URL that fsspec understands.

The cache folder stays the working copy. Vectors and collections that are written there are put into the store as well, under
the same names, and what is lacking there is fetched. On S3, GCS and in local folders an object is put whole or not at all; of
other kinds this is not known. What is fetched is compared with its checksum, and counts as missing if it differs, so it is made
again and replaced. Keys, endpoints and retries are those of fsspec and its clients (`AWS_ACCESS_KEY_ID`, …):
nothing of them is read or kept here. A store that may only be read is read; that what is made here stays here is said once.
"""

from __future__ import annotations

import errno
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
PAUSE = 10.0
"""Seconds after which a store that has failed is tried again."""
PATIENCE = 300.0
"""Seconds for which it is tried at the end, when there is nothing else to do."""

logger = logging.getLogger(__name__)


def shared_store(path: Path | None = None) -> Store:
    """Return the store that machines share; one that has nothing and takes nothing if there is none.

    :param path: of what is to lie there; what lies outside the cache folder is never shared.
    :raises ConfigError: if `$MIMO_EVAL_STORE` is no URL of a known kind.
    :raises MissingExtraError: if the package for its kind is not installed.
    """
    url = os.environ.get(VARIABLE)
    if not url:
        return ALONE
    if not url.strip() or MISTYPED.match(url):
        raise ConfigError(f"{VARIABLE}={url}: neither a URL nor a path; {WRITTEN_SO}")
    store = _opened(url, cache_dir().absolute(), os.getpid())
    return store if path is None or store.name(path) else ALONE


@lru_cache(4)
def _opened(url: str, cache: Path, process: int) -> SharedStore:
    """Open a store once per process: connections do not outlive a fork."""
    return SharedStore(url, cache)


class Store:
    """What machines share besides their cache folders: nothing, unless it is a `SharedStore`."""

    url: str | None = None

    def names(self, folder: Path) -> set[str]:
        """Return the names of objects and folders in a folder of the cache."""
        return set()

    def lacks(self, path: Path) -> bool:
        """Say whether a file of the cache could be put here and was not yet."""
        return False

    def put(self, path: Path) -> None:
        """Put a file of the cache here, over what is there."""

    def settle(self, needed: bool = True) -> None:
        """Put what could not be put when it was made."""

    def read(self, path: Path, start: int, end: int) -> bytes:
        """Return a part of what is here of a file of the cache; nothing if it is not here, or has no such part."""
        return b""

    def fetch(self, paths: Sequence[Path], whole: Callable[[Path], bool]) -> None:
        """Fetch files into the cache, those that are here and whole."""

    def refresh(self) -> None:
        """Take nothing that was listed for true any more: other machines have written since."""


ALONE = Store()


class SharedStore(Store):
    """Objects under a URL, named like the files of the cache folder.

    :param url: such as `s3://bucket/prefix`, or a folder.
    :param cache: the cache folder.
    """

    def __init__(self, url: str, cache: Path) -> None:
        import fsspec
        from fsspec.implementations.memory import MemoryFileSystem

        self.url: str = url
        self.cache = cache
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
        self._taken = False
        self._waiting: dict[Path, None] = {}
        self._later = 0.0

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
            try:
                found = self._list(key)
            except CacheError as error:
                if not at:
                    raise
                logger.warning("%s; going on with what was listed before", error)
            self._listed[key] = time.monotonic(), found
        return found

    def _list(self, key: str) -> set[str]:
        with self._asking("be listed"):
            try:
                return {str(name).rstrip("/").rpartition("/")[2] for name in self._system.ls(key, detail=False)}
            except FileNotFoundError as error:
                _refuse_without_bucket(error)
                return set()

    def lacks(self, path: Path) -> bool:
        """Say whether a file of the cache is not here yet, by its name."""
        return path.name not in self.names(path.parent)

    def size(self, folder: Path) -> int:
        """Return the bytes of a folder's objects.

        :param folder: of the cache.
        """
        with self._asking("be listed"):
            return int(self._system.du(str(self.name(folder))))

    def refresh(self) -> None:
        """List anew when asked again."""
        self._listed.clear()

    def put(self, path: Path) -> None:
        """Put a file of the cache into the store, over what is there; nothing is done where the store may only be read.

        A store that takes nothing from the first is refused. One that has taken files and fails is no reason to end what may
        have gone on for hours: the file waits, and is put with a later one, or by `settle`.

        :param path: the file; it stays in the cache.
        :raises CacheError: if the store has not taken any file, and does not take this one.
        """
        if self._read_only:
            return
        self._waiting[path] = None
        if time.monotonic() < self._later or (error := self._put_waiting()) is None:
            return
        if not self._taken:
            self._waiting.clear()
            raise error
        if not self._later:
            logger.warning("%s; going on, and trying again with what is made next", error)
        self._later = time.monotonic() + PAUSE

    def settle(self, needed: bool = True) -> None:
        """Put what the store did not take when it was made; it is tried for a while.

        :param needed: whether it is an error if the store still does not take it; else that is only said.
        :raises CacheError: then, with the remedy; all of it is in the cache folder.
        """
        until = time.monotonic() + PATIENCE
        error = self._put_waiting()
        if error is not None and PATIENCE:
            logger.warning("%s=%s: waiting for it, for at most %.0f s", VARIABLE, self.url, PATIENCE)
        while error is not None and time.monotonic() < until:
            time.sleep(PAUSE)
            error = self._put_waiting()
        if error is None:
            return
        said = (
            f"{error}; {len(self._waiting):,} files that were made now are there alone: "
            "`mimo-eval encode` of the same model and collection, run on this machine, puts those into the store that it lacks"
        )
        if needed:
            raise CacheError(said) from error
        logger.warning("%s", said)

    def _put_waiting(self) -> CacheError | None:
        """Put what waits, the oldest first: what says that a collection is whole comes last. Return why that failed."""
        while self._waiting and not self._read_only:
            path = next(iter(self._waiting))
            try:
                if path.exists():
                    self._put(path)
            except CacheError as error:
                return error
            del self._waiting[path]
        return None

    def _put(self, path: Path) -> None:
        key = str(self.name(path))
        try:
            with self._asking("be written"):
                if self._local:  # whose `put` is not atomic
                    with path.open("rb") as source, atomic_write(Path(key)) as target:
                        shutil.copyfileobj(source, target, 2**20)
                else:
                    self._system.put_file(str(path), key)
        except CacheError as error:  # what was taken before shows that a key has expired since
            if self._taken or not _denied(error.__cause__) or (self._local and not Path(self._root).is_dir()):
                raise
            self._read_only = True
            logger.warning("%s=%s may only be read (%s); what is made here stays in the cache folder", VARIABLE, self.url, key)
            return
        self._taken = True
        if (listed := self._listed.get(key.rpartition("/")[0])) is not None:
            listed[1].add(path.name)

    def read(self, path: Path, start: int, end: int) -> bytes:
        """Return a part of an object.

        :param path: of the cache.
        :param start: its first byte.
        :param end: the byte after its last.
        :return: as much of it as there is.
        :raises CacheError: if the store cannot be reached.
        """
        with self._asking("be read"):
            try:
                return bytes(self._system.cat_file(str(self.name(path)), start=start, end=end))
            except FileNotFoundError as error:
                _refuse_without_bucket(error)
            except OSError as error:
                if error.errno != errno.EINVAL:  # S3: there is no such part
                    raise
            return b""

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
