"""Files: reading untrusted text line by line, writing atomically, and where the cache lies."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import platform
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from stat import S_IMODE
from typing import IO, Any, NamedTuple

from mimo_eval.digests import digest
from mimo_eval.errors import CacheError, DataError
from mimo_eval.locks import own

MAX_LINE = 8 * 2**20
"""Bytes in one line of a text file; a longer one is not a document but a broken file."""

MAX_JSON = 2**30
"""Bytes of a JSON file that is read as a whole, unpacked."""

BOM = b"\xef\xbb\xbf"

HOST = re.sub(r"[^\w-]", "_", platform.node())[:40]
"""Part of the names of temporary files, for a lock may hold on one machine only."""
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What a system says where something may only be read."""


class UnwrittenError(CacheError):
    """Something that could not be written; its cause is the system's own error."""


class Line(NamedTuple):
    """One line of a file, decoded, without its line end."""

    number: int
    text: str
    problem: str | None
    """What is odd about its bytes: `bom`, `crlf`, `nul`, or `utf8` (then `text` holds replacement characters)."""


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: `$MIMO_EVAL_CACHE`, or the user's cache folder."""
    if os.environ.get("MIMO_EVAL_CACHE"):
        return Path(os.environ["MIMO_EVAL_CACHE"])
    from platformdirs import user_cache_path

    return user_cache_path("mimo-eval")


def inside(folder: Path, name: str) -> Path:
    """Return a path below a folder, of a name that stands in data: an archive's member, what a hub lists, a collection.

    :param folder: the folder.
    :param name: with `/` between its parts.
    :return: the path.
    :raises DataError: if it is absolute or leads out of the folder.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0].startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
        raise DataError(f"{name!r} would lie outside the folder {folder}; refused")
    return folder.joinpath(*parts)


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain, `.gz` or `.zst` file for reading bytes.

    :param path: the file.
    :yield: a readable binary stream.
    :raises DataError: if the file is missing, unreadable, truncated or not in the format its name says.
    """
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield io.BufferedReader(stream)  # type: ignore[type-var]  # GzipFile is a RawIOBase in all but name
            elif path.suffix in (".zst", ".zstd"):
                yield io.BufferedReader(_Zstd(raw))
            else:
                yield raw
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: truncated or damaged {path.suffix} file ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    except Exception as error:
        if type(error).__name__ == "ZstdError":
            raise DataError(f"{path}: truncated or damaged {path.suffix} file ({error}); fetch it again") from error
        raise


class _Zstd(io.RawIOBase):
    """What `.zst` frames hold. zstandard's own reader takes a truncated file for a whole one."""

    def __init__(self, raw: IO[bytes]) -> None:
        import zstandard

        self._raw, self._decompressor = raw, zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._packed, self._plain = b"", memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            self._packed = self._packed or self._raw.read(2**12)  # a byte of which can become 32 KiB
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends inside a frame")
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            self._plain, self._packed = memoryview(self._frame.decompress(self._packed)), b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._plain))
        buffer[:count], self._plain = self._plain[:count], self._plain[count:]
        return count


def read_lines(path: Path) -> Iterator[Line]:
    """Read a text file line by line, in bounded memory.

    Byte-order marks and CR-LF ends are taken off and reported; undecodable bytes are reported, never guessed.

    :param path: a plain, `.gz` or `.zst` file.
    :yield: the lines that are not empty.
    :raises DataError: if the file cannot be read, or a line is longer than 8 MiB.
    """
    with open_binary(path) as stream:
        number = 0
        while raw := stream.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                raise DataError(f"{path}:{number}: line longer than {MAX_LINE // 2**20} MiB; is this one JSON object a line?")
            line = _decode(raw, number)
            if line.text.strip():
                yield line


def _decode(raw: bytes, number: int) -> Line:
    problem = None
    if number == 1 and raw.startswith(BOM):
        raw, problem = raw[len(BOM) :], "bom"
    raw = raw.rstrip(b"\n")
    if raw.endswith(b"\r"):
        raw, problem = raw[:-1], problem or "crlf"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Line(number, raw.decode("utf-8", "replace"), "utf8")
    return Line(number, text, "nul" if "\0" in text else problem)


def read_json(path: Path) -> Any:
    """Read one JSON file.

    :param path: the file; `.gz` and `.zst` too.
    :return: its content.
    :raises DataError: if it is not readable JSON; the message has file and line.
    """
    data = bytearray()
    with open_binary(path) as stream:
        while block := stream.read(2**20):
            data += block
            if len(data) > MAX_JSON:
                raise DataError(f"{path}: larger than {MAX_JSON // 2**20:,} MiB")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    except RecursionError as error:
        raise DataError(f"{path}: JSON nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python reads
        raise DataError(f"{path}: not JSON ({error})") from error


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Write a file so that readers see the whole of it or nothing, also after a crash.

    :param path: where the file will lie; its folder is made.
    :param mode: `wb` or `w` (UTF-8).
    :yield: the open temporary file.
    :raises UnwrittenError: if the folder is read-only or the disk is full; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _beside(path)
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                if os.name == "nt":  # where an open file has no new name, and no lock to be kept until it has
                    stream.close()
                rename(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise unwritten(path, error) from error


def unwritten(path: Path, error: OSError, what: str = "cannot be written") -> UnwrittenError:
    """Return the error that says why something cannot be written, and what to do about it.

    :param path: the file or folder.
    :param error: of the operating system.
    :param what: what cannot be done.
    """
    cache, remedy = cache_dir(), "free space or choose another folder"
    if path.absolute().is_relative_to(cache.absolute()):
        remedy = "free space, or set MIMO_EVAL_CACHE to a folder that can be written"
        if error.errno in DENIED and not os.environ.get("MIMO_EVAL_STORE"):
            remedy += f"; with MIMO_EVAL_STORE={cache.absolute()} beside it, what lies here is still read"
    return UnwrittenError(f"{path}: {what} ({error.strerror or error}); {remedy}")


@contextmanager
def writing(path: Path, what: str = "cannot be written") -> Iterator[None]:
    """Let an error name what was being made, and not a temporary file that is gone.

    :param path: the file or folder that is being made.
    :param what: what cannot be done, where that is so.
    :raises UnwrittenError: if the operating system refuses.
    """
    try:
        yield
    except UnwrittenError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise unwritten(path, error.__cause__, what) from error.__cause__
    except OSError as error:
        raise unwritten(path, error, what) from error


def _beside(path: Path) -> tuple[int, Path]:
    """Open a temporary file: a machine's always the same, so that what a killed process left is written over, unless in use."""
    same = path.with_name(f".{path.name}.{HOST}.new.tmp")
    if (handle := own(same)) is not None:
        return handle, same
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    Path(name).chmod(0o666 & ~_umask())
    return handle, Path(name)


def new_folder(parent: Path, prefix: str, suffix: str = "") -> Path:
    """Make a folder under a name that nothing else has, to be renamed when it is whole, open to whom its parent is.

    `tempfile.mkdtemp` makes it for its owner alone: a team could not read what lies in it.

    :param parent: the folder in which it is made.
    :param prefix: how its name begins.
    :param suffix: how its name ends.
    :return: the new folder.
    :raises OSError: if it cannot be made.
    """
    made = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=suffix))
    made.chmod(S_IMODE(made.stat().st_mode) | (parent.stat().st_mode & 0o777))
    return made


def rename(temporary: Path, path: Path) -> None:
    """Rename a file. NFS may report a failure though its server has done it: the request was sent twice, the answer lost.

    :param temporary: the file.
    :param path: its new name, in the same folder.
    :raises OSError: if it does not have that name now.
    """
    written = temporary.stat()
    try:
        temporary.replace(path)
    except OSError:
        try:
            done = os.path.samestat(path.stat(), written)
        except OSError:
            done = False
        if not done:
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, sorted and indented so that it can be read and compared.

    :param path: the file.
    :param content: anything JSON can hold; NaN is refused.
    """
    with atomic_write(path, "w") as stream:
        json.dump(content, stream, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
        stream.write("\n")


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object with a checksum of itself.

    :param path: the file.
    :param content: the object.
    """
    write_json(path, {**content, "checksum": _seal(content)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote, or an object without a checksum.

    :param path: the file.
    :return: the object, with its checksum.
    :raises DataError: if it is missing, or not what was written.
    """
    content = read_json(path)
    if not isinstance(content, dict) or ("checksum" in content and content["checksum"] != _seal(content)):
        raise DataError(f"{path}: not what was written")
    return content


def _seal(content: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(content))  # as it will be read: lists for tuples, texts for keys
    return digest(json.dumps({key: value for key, value in plain.items() if key != "checksum"}, sort_keys=True))
