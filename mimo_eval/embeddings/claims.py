"""Chunks that are being encoded: each is locked by itself, so that several processes share the work on one language.

Locks are those of the operating system: a killed process holds none. Their files are empty and stay; there are at most
FILES of them per folder, so two chunks may share one, and then wait for each other. Where there are no locks, processes may
encode a chunk that another has in hand; what they write is whole all the same.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

from mimo_eval import locks
from mimo_eval.embeddings import shards
from mimo_eval.files import writing

logger = logging.getLogger(__name__)
DAY = 86_400
FILES = 4096


class Share(NamedTuple):
    """The chunks that one process fills: every `of`-th of a collection's, counted through its languages, from `number` on."""

    number: int = 0
    of: int = 1


def claimed(folder: Path, chunks: Iterable[int]) -> Iterator[int]:
    """Yield every chunk once, locked while the caller is at it; those that other processes have in hand come last.

    :param folder: of the chunks; exists.
    :param chunks: their numbers.
    :raises CacheError: if a lock cannot be had.
    """
    from filelock import FileLock, Timeout

    if not _lockable(folder):
        yield from chunks
        return
    leftovers = _leftovers(folder)
    waiting, passed = deque(chunks), 0
    while waiting:
        number = waiting.popleft()
        with explained(folder):
            lock = FileLock(folder / locks.LOCKS / f"{number % FILES:04d}")
            try:
                lock.acquire(blocking=passed > len(waiting))
            except Timeout:
                waiting.append(number)
                passed += 1
                continue
            for path in leftovers.get(f"{number:06d}", ()):  # nobody writes this chunk now
                path.unlink(missing_ok=True)
        try:
            passed = 0
            yield number
        finally:
            lock.release()


def _lockable(folder: Path) -> bool:
    """Say whether chunks can be locked, after making the folder of the locks."""
    with explained(folder):
        (folder / locks.LOCKS).mkdir(parents=True, exist_ok=True)
        if locks.work(folder / locks.LOCKS):
            return True
    logger.warning(
        "%s: this file system has no locks, so processes at once may encode the same texts; "
        "give each its part: mimo-eval encode … --shard 0/2 and --shard 1/2",
        folder,
    )
    return False


def _leftovers(folder: Path) -> dict[str, list[Path]]:
    """Return what was half-written when its writer was killed, or is being written, by chunk."""
    found: dict[str, list[Path]] = {}
    for path in folder.glob(".*.tmp"):
        found.setdefault(path.name[1:].partition(".")[0], []).append(path)
    for path in folder.glob(".*.part"):  # is fetched without a lock
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > DAY:
                found.setdefault(path.name[1:].partition(".")[0], []).append(path)
    return found


def explained(folder: Path) -> AbstractContextManager[None]:
    """Turn an error of the operating system into one that names the folder and the remedy."""
    return writing(folder, "vectors cannot be stored")


def chunk_count(rows: int) -> int:
    """Return the number of chunks of so many rows."""
    return -(-rows // shards.CHUNK_ROWS)
