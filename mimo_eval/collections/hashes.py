"""Hashes of any number of texts, kept on disk, and those among them that occur more than once."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

PIECE = 2**16
"""Hashes that are written or read at a time."""
SORTED = 2**19
"""Hashes that are sorted at a time, at least."""
TIMES = 32
"""Times that all hashes are read to find the repeated ones, at most."""


class Hashes:
    """Numbers of 64 bits in the order in which they were added.

    They lie in a file without a name, so memory is bounded, and nothing is left behind.

    :param folder: where there is room; 8 bytes a number are needed.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed with the object
        self._last = array("Q")
        self._written = 0

    def __len__(self) -> int:
        return self._written + len(self._last)

    def append(self, number: int) -> None:
        """Add a number.

        :param number: from 0 to 2^64 - 1.
        """
        self._last.append(number)
        if len(self._last) == PIECE:
            self._file.write(self._last)
            self._written += PIECE
            self._last = array("Q")

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (place of the first, uint64 array) of all numbers, some at a time."""
        for start in range(0, self._written, PIECE):
            self._file.seek(8 * start)
            yield start, np.frombuffer(self._file.read(8 * PIECE), np.uint64)
        self._file.seek(8 * self._written)
        if self._last:
            yield self._written, np.array(self._last, np.uint64)

    def repeated(self) -> set[int]:
        """Return the numbers that occur more than once.

        All of them are read several times, at most TIMES: each time those in one range of values are sorted.
        """
        parts, found = min(-(-len(self) // SORTED), TIMES), set[int]()
        for part in range(parts):
            first, end = (np.uint64(min(2**64 * n // parts, 2**64 - 1)) for n in (part, part + 1))
            last = part == parts - 1
            ordered = np.concatenate([piece[(piece >= first) & ((piece < end) | last)] for _, piece in self.pieces()])
            ordered.sort()
            found.update(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
        return found
