"""Arrays that lie in files instead of memory: the system can take back what they occupy at any time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

BLOCK = 2**20
"""Bytes that are written at a time."""


def zeros(file: IO[bytes], dtype: Any, size: int) -> np.memmap:
    """Fill an empty file with zeros and map it to be written to.

    They are written, since a file with holes would meet a full disk where it ends the process.

    :param file: an empty file, open for reading and writing.
    :param dtype: type of the array.
    :param size: number of its elements, at least 1.
    :return: (size,) the array.
    :raises OSError: if there is no room.
    """
    length = np.dtype(dtype).itemsize * size
    for start in range(0, length, BLOCK):
        file.write(bytes(min(BLOCK, length - start)))
    file.flush()
    return np.memmap(file, dtype, "r+", shape=(size,))


def scratch(folder: Path, dtype: Any, size: int) -> np.ndarray:
    """Return an array of zeros in a file without a name, which is gone with the array.

    :param folder: where there is room.
    :param dtype: type of the array.
    :param size: number of its elements, at least 1.
    :return: (size,) the array.
    :raises OSError: if there is no room.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.asarray(zeros(file, dtype, size))
