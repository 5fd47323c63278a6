"""Archives given as data: unpacked once into the cache, with every member looked at before it is written."""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mimo_eval.digests import digest
from mimo_eval.errors import DataError
from mimo_eval.files import cache_dir, inside, new_folder, unwritten

LIMIT = 50 * 2**30
"""Bytes that an archive may hold unpacked."""
MEMBERS = 200_000
"""Members that an archive may have."""
BLOCK = 2**20


def unpacked(path: Path, limit: int = LIMIT) -> Path:
    """Return the folder with the contents of an archive, unpacking it if it was not before.

    :param path: a zip or tar file.
    :param limit: bytes that it may hold unpacked.
    :return: the folder; if the archive holds one folder and nothing else, that one.
    :raises DataError: if it is damaged, has a member that is no plain file or lies outside, or holds more than `limit`.
    :raises CacheError: if the cache cannot be written.
    """
    stat = path.stat()
    name = digest(str(path.resolve()), str(stat.st_size), str(stat.st_mtime_ns))[:16]
    folder = cache_dir() / "unpacked" / f"{path.name.partition('.')[0]}-{name}"
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = new_folder(folder.parent, ".unpack-")
        except OSError as error:
            raise unwritten(folder.parent, error) from error
        try:
            _unpack(path, temporary, limit)
            if not folder.is_dir():  # another process may have been faster
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    inside = [child for child in folder.iterdir() if child.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _unpack(path: Path, folder: Path, limit: int) -> None:
    left, count = limit, 0
    with _readable(path):
        for name, stream in _members(path):
            count += 1
            target = _inside(path, folder, name)
            if count > MEMBERS:
                raise DataError(
                    f"{path}: more than {MEMBERS:,} members; unpack it yourself if you trust it, and give the folder"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            left = _copy(stream, target, left, f"{path}: {name}", limit)


def _copy(stream: IO[bytes], target: Path, left: int, where: str, limit: int) -> int:
    """Write a member; return how many bytes the others may still have."""
    with target.open("xb") as out:
        while block := stream.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise DataError(f"{where}: the archive holds more than {limit:,} bytes; unpack it yourself and give the folder")
            out.write(block)
    return left


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of every file; anything but files and folders is refused."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.external_attr >> 28 == 0o12:
                    raise DataError(f"{path}: {info.filename} is a link; refused")
                if not info.is_dir():
                    with archive.open(info) as content:
                        yield info.filename, content
        return
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            if member.isdir():
                continue
            stream = tar.extractfile(member) if member.isreg() else None
            if stream is None:
                raise DataError(f"{path}: {member.name} is a link or a device; refused")
            yield member.name, stream


def _inside(path: Path, folder: Path, name: str) -> Path:
    """Return where a member is written, which is always below the folder."""
    try:
        return inside(folder, name)
    except DataError as error:
        raise DataError(f"{path}: member {name!r} would lie outside the folder; refused, nothing was unpacked") from error


@contextmanager
def _readable(path: Path) -> Iterator[Any]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path}: truncated or damaged archive ({error}); fetch it again") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a way Python does not know
        raise DataError(f"{path}: cannot be unpacked ({error}); unpack it yourself and give the folder") from error
    except FileExistsError as error:
        raise DataError(f"{path}: two members of one name, {Path(os.fsdecode(error.filename)).name}; refused") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be unpacked ({error.strerror or error})") from error
