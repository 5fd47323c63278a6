"""Work in threads, a few items ahead of whoever uses its outcomes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], lanes: int, *, spare: int = 0) -> Iterator[R]:
    """Do work on items in threads while the next item is read; what has not begun is dropped where one fails.

    :param work: done on each item; it should leave Python's lock to others most of the time.
    :param items: read in this thread; at most `lanes + spare + 1` are held.
    :param lanes: threads; without any, each item is worked on when its outcome is asked for.
    :param spare: items that wait for a thread, or outcomes that wait to be used.
    :yield: the outcomes, in the order of the items.
    """
    if not lanes:
        yield from map(work, items)
        return
    running: deque[Future[R]] = deque()
    with ThreadPoolExecutor(lanes, "ahead") as threads:
        try:
            for item in items:
                if len(running) == lanes + spare:
                    yield running.popleft().result()
                running.append(threads.submit(work, item))
            while running:
                yield running.popleft().result()
        finally:
            for one in running:
                one.cancel()
