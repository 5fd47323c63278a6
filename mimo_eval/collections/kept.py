"""Folders in the cache that are made once: written beside, moved into place whole, made again when damaged."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mimo_eval.errors import CacheError, DataError

T = TypeVar("T")
logger = logging.getLogger(__name__)
META = "collection.json"
"""The file that says what is in the folder."""


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
        return read(folder)
    except DataError as error:
        logger.warning("%s; it is built again", error)
        return None


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
