"""Folders in the cache that are made once: written beside, moved into place whole, made again when damaged.

Beside what is kept lies a file with size and checksum of each file. Sizes are compared whenever the folder is opened, so that
one that was copied in part is made again; checksums by `mimo-eval cache verify`, as that reads everything.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from mimo_eval import locks
from mimo_eval.digests import checksums, file_checksum
from mimo_eval.errors import CacheError, DataError
from mimo_eval.files import inside, new_folder, read_json, write_json, writing
from mimo_eval.shared import Store, shared_store

T = TypeVar("T")
logger = logging.getLogger(__name__)
META = "collection.json"
"""The file that says what is in the folder."""
CHECKSUMS = "checksums.json"
"""The file with size and checksum of the others."""


def kept(folder: Path, read: Callable[[Path], T], write: Callable[[Path], None], again: bool = False) -> T:
    """Return what a folder of the cache holds, after making the folder if it is not there.

    :param folder: where it lies or will lie.
    :param read: reads such a folder; raises DataError if it is not complete.
    :param write: writes what belongs into the folder into another one.
    :param again: write even if the folder is there.
    :return: what `read` returns.
    :raises CacheError: if the cache folder cannot be written.
    """
    shared = shared_store(folder)
    if not again and (known := _known(folder, read)) is not None:
        if (folder / CHECKSUMS).exists() and shared.lacks(folder / CHECKSUMS):
            _put(shared, folder)
        return known
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locks.alone(folder):
            if again or _known(folder, read) is None:  # another process may have made it while this one waited
                _make(folder, read, write, shared, again)
    return read(folder)


def _make(folder: Path, read: Callable[[Path], T], write: Callable[[Path], None], shared: Store, again: bool) -> None:
    """Fetch a folder, or write it beside and move it into place, and let other machines have it."""
    if not again and fetched(shared, folder):
        return
    temporary = new_folder(folder.parent, ".build-")
    try:
        write(temporary)
        write_json(temporary / CHECKSUMS, checksums(temporary, CHECKSUMS))
        _move(temporary, folder, read)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _put(shared, folder)


def _put(shared: Store, folder: Path) -> None:
    """Put a folder into the store that machines share, its checksums last: without them nothing is fetched."""
    for name in (*_said(folder / CHECKSUMS), CHECKSUMS):
        shared.put(folder / name)


def fetched(shared: Store, folder: Path) -> bool:
    """Fetch a folder from the store that machines share, its description last.

    :param shared: the store.
    :param folder: of the cache.
    :return: whether all of it is there, whole.
    """
    if CHECKSUMS not in shared.names(folder):
        return False
    shared.fetch([folder / CHECKSUMS], lambda path: bool(_said(path)))
    said = _said(folder / CHECKSUMS)
    for name in sorted(said, key=lambda name: name == META):
        if not _is(path := inside(folder, name), said[name]):
            shared.fetch([path], lambda path, entry=said[name]: _is(path, entry))  # type: ignore[misc]
    return META in said and all(_is(folder / name, said[name]) for name in said)


def _is(path: Path, said: Any) -> bool:
    """Say whether a file has the size and the checksum that it is said to have."""
    return path.is_file() and said == [path.stat().st_size, file_checksum(path)]


def _said(path: Path) -> dict[str, Any]:
    """Return what the file with the checksums says; nothing if it is not readable."""
    try:
        said = read_json(path)
        return said if isinstance(said, dict) else {}
    except DataError:
        return {}


def _known(folder: Path, read: Callable[[Path], T]) -> T | None:
    """Return what was made before, or None if there is nothing or it is damaged."""
    try:
        if not (folder / META).exists():
            return None
        _refuse_torn(folder)
        found = read(folder)
        locks.touch(folder)
        return found
    except DataError as error:
        logger.warning("%s; it is built again", error)
        return None
    except PermissionError as error:
        raise CacheError(f"{folder}: cannot be read ({error.strerror}); let its owner run: chmod -R a+rX '{folder}'") from error


def _refuse_torn(folder: Path) -> None:
    """Refuse a folder in which a file is missing, or not as long as it was."""
    try:
        said = read_json(folder / CHECKSUMS) if (folder / CHECKSUMS).exists() else {}
        for name, (size, _) in said.items():
            path = folder / name
            with suppress(FileNotFoundError):  # another process may be moving the folder away
                if path.stat().st_size == size:
                    continue
            raise DataError(f"{path}: missing or torn")
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{folder / CHECKSUMS}: damaged ({error})") from error


def _move(temporary: Path, folder: Path, read: Callable[[Path], T]) -> None:
    """Put a finished folder in its place, unless another process was faster; then its content is the same."""
    if _known(folder, read) is not None:
        return
    if folder.exists():  # damaged
        trash = temporary.with_name(f"{temporary.name}-old")
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
    try:
        temporary.rename(folder)
    except OSError:
        if _known(folder, read) is None:
            raise
