"""What is done ahead in threads: in order, not far ahead, and nothing more after a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from mimo_eval.threads import ahead


def working() -> set[threading.Thread]:
    """Threads of this module's; whatever else runs in the process comes and goes."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("ahead")}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_is_made_ahead_comes_in_order(workers: int) -> None:
    assert list(ahead(lambda n: n * n, range(20), workers)) == [n * n for n in range(20)]
    assert list(ahead(str, [], workers)) == []


def test_what_is_made_ahead_is_bounded() -> None:
    made, before = [], working()
    found = ahead(lambda n: made.append(n) or n, iter(range(100)), 2, spare=2)  # type: ignore[func-returns-value]
    assert next(found) == 0
    assert len(made) <= 4
    found.close()  # type: ignore[attr-defined]
    assert working() <= before


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_ahead_is_raised_where_it_is_used(workers: int) -> None:
    found = ahead(lambda n: 1 // n, [1, 0, 1], workers)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)


@pytest.mark.parametrize("lanes", [0, 1, 3])
def test_items_are_read_ahead_but_not_far_and_kept_in_order(lanes: int) -> None:
    read, done = [], []

    def items() -> Iterator[int]:
        for i in range(10):
            read.append(i)
            yield i

    def work(i: int) -> int:
        time.sleep(0.001 * (i % 3))
        return i * i

    for square in ahead(work, items(), lanes):
        done.append(square)
        assert len(read) - len(done) <= lanes
    assert done == [i * i for i in range(10)]


def test_a_failure_in_a_thread_is_the_failure_of_the_search() -> None:
    before = working()
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda i: 1 // (i - 2), range(10), 2))
    assert working() <= before


def test_what_has_not_begun_is_dropped_where_one_fails() -> None:
    begun = []

    def work(i: int) -> int:
        begun.append(i)
        time.sleep(0.05)
        return 1 // i

    with pytest.raises(ZeroDivisionError):
        list(ahead(work, range(100), 1, spare=50))
    assert len(begun) < 40  # of the 51 that are held, one after the other: two seconds in which the failure is to be noticed
