"""The file of a chunk of vectors, in safetensors format: whole and with a right checksum, or not there."""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mimo_eval.errors import CacheError
from mimo_eval.files import atomic_write

HEAD = 1024
"""Bytes from the beginning of a file in which its header ends."""
HASH = 16
"""Bytes of a text's hash."""
FARTHEST = 2**40
"""Bytes into a file at which hashes may begin."""
MOST = 2**20
"""Texts of a chunk; a header that speaks of more is not believed."""


@dataclass
class Chunk:
    """One chunk as it lies on disk, memory-mapped."""

    rows: np.ndarray
    """Offsets within the chunk that are filled, ascending."""
    vectors: np.ndarray
    """(len(rows), columns) as they lie on disk; see `storage`."""
    texts: np.ndarray
    """(len(rows), 16) uint8: hash of each text."""

    def copy(self) -> Chunk:
        """Return the same in memory, so that its file can be replaced also where the system refuses to while it is mapped."""
        return Chunk(np.array(self.rows), np.array(self.vectors), np.array(self.texts))


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


def read_chunk(path: Path, verify: bool = True, again: bool = True) -> Chunk | None:
    """Map a chunk into memory and verify its checksum.

    :param path: its file.
    :param verify: False for one whose checksum was right before.
    :param again: whether to open it a second time if NFS says that it was replaced meanwhile.
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
        if error.errno == errno.ESTALE and again:
            return read_chunk(path, verify, again=False)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise CacheError(f"{path}: cannot be read ({error.strerror})") from error
        return None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, struct.error):
        return None
    return Chunk(**tensors)


def read_texts(read: Callable[[int, int], bytes]) -> np.ndarray | None:
    """Read the hashes of a chunk's texts and nothing else; no checksum is compared.

    :param read: gives the bytes of a file from one place to another, as far as it has them.
    :return: (n, 16) uint8, or None if the file is no chunk.
    :raises CacheError: if `read` does.
    """
    try:
        head = read(0, HEAD)
        (length,) = struct.unpack_from("<Q", head)
        entry = json.loads(head[8 : 8 + length])["texts"]
        (count, width), offset = map(int, entry["shape"]), int(entry["data_offsets"][0])
        if entry["dtype"] != "U8" or width != HASH or not 0 < count <= MOST or not 0 <= offset <= FARTHEST:
            return None
        start = 8 + length + offset
        texts: np.ndarray = np.frombuffer(read(start, start + HASH * count), np.uint8).reshape(count, HASH)
        return texts
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError, struct.error):
        return None


def _tensor(data: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    start, end = entry["data_offsets"]
    tensor: np.ndarray = data[start:end].view(TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensor
