"""Folders in the cache that are made once: written beside, moved into place whole, made again when damaged.

Beside what is kept lies a file with size and checksum of each file. Sizes are compared whenever the folder is opened, so that
one that was copied in part is made again; checksums by `mimo-eval cache verify`, as that reads everything.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mimo_eval.errors import CacheError, DataError
from mimo_eval.files import checksums, read_json, write_json
from mimo_eval.locks import touch

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
    if not again and (known := _known(folder, read)) is not None:
        return known
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".build-"))
    except OSError as error:
        raise CacheError(f"{folder.parent}: cannot be written ({error.strerror}); set MIMO_EVAL_CACHE") from error
    try:
        write(temporary)
        write_json(temporary / CHECKSUMS, checksums(temporary, CHECKSUMS))
        _move(temporary, folder, read)
    except OSError as error:
        reason = error.strerror or error
        raise CacheError(f"{folder}: cannot be written ({reason}); free space or set MIMO_EVAL_CACHE") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return read(folder)


def _known(folder: Path, read: Callable[[Path], T]) -> T | None:
    """Return what was made before, or None if there is nothing or it is damaged."""
    if not (folder / META).exists():
        return None
    try:
        _refuse_torn(folder)
        found = read(folder)
        touch(folder)
        return found
    except DataError as error:
        logger.warning("%s; it is built again", error)
        return None


def _refuse_torn(folder: Path) -> None:
    """Refuse a folder in which a file is missing, or not as long as it was."""
    try:
        said = read_json(folder / CHECKSUMS) if (folder / CHECKSUMS).exists() else {}
        for name, (size, _) in said.items():
            if not (folder / name).is_file() or (folder / name).stat().st_size != size:
                raise DataError(f"{folder / name}: missing or torn")
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
