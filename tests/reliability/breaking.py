"""Breaks the job in many places and finishes it; prints a line of JSON for each. Arguments: what, data, folder for work."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from job import attempt, count_events, count_flushes, in_child, limit_files, outcome

WHAT, DATA, WORK = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])


def say(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def fresh(name: str) -> tuple[Path, Path]:
    for part in ("cache", "results"):
        shutil.rmtree(WORK / name / part, ignore_errors=True)
    return WORK / name / "cache", WORK / name / "results"


def reference() -> tuple[str, int, float]:
    """Run unbroken; return the outcome, the number of events, and the seconds."""
    cache, results = fresh("whole")

    def counted() -> None:
        events, flushes = count_events((str(cache), str(results))), count_flushes()
        attempt(cache, results, DATA)
        (WORK / "flushes").write_text(str(flushes()))
        (WORK / "events").write_text(str(events()))

    assert in_child(counted) == 0
    expected, events = looked_at(cache, results), int((WORK / "events").read_text())
    again = fresh("timed")  # the first run of all is the slowest: a point in its time may lie after the end of a later one
    start = time.perf_counter()
    assert in_child(lambda: attempt(*again, DATA)) == 0
    return expected, events, time.perf_counter() - start


def looked_at(cache: Path, results: Path) -> str:
    """Return the outcome, found by a fork: this process has no threads, so that whatever is forked from it is whole."""
    file = WORK / "outcome"
    return file.read_text("utf-8") if in_child(lambda: put(file, outcome(cache, results))) == 0 else ""


def put(file: Path, content: str) -> None:
    file.write_text(content, "utf-8")


def killed(points: int) -> None:
    expected, events, seconds = reference()
    rng = random.Random(11)
    for number in range(points):
        cache, results = fresh("broken")
        if number % 2:
            at = rng.randint(1, events)

            def work(at: int = at) -> None:
                count_events((str(cache), str(results)), at)  # noqa: B023
                attempt(cache, results, DATA)  # noqa: B023

            status = in_child(work)
        else:
            at, delay = -1, rng.uniform(0, seconds)
            while (status := in_child(lambda: attempt(cache, results, DATA), kill_after=delay)) == 0:  # noqa: B023
                cache, results = fresh("broken")  # this run was faster than the one that was timed, and had ended
                delay *= 0.9
        again = in_child(lambda: attempt(cache, results, DATA))  # noqa: B023
        say(at=at, of=events, status=status, again=again, same=looked_at(cache, results) == expected)


def full() -> None:
    expected, _, _ = reference()
    flushes = int((WORK / "flushes").read_text())
    for size in (0, 2000, 8000):
        failing(expected, lambda: limit_files(size), size=size)  # noqa: B023
    for number in range(1, flushes + 1):
        failing(expected, lambda: count_flushes(number), flush=number)  # noqa: B023


def failing(expected: str, fail: Callable[[], object], **which: int) -> None:
    cache, results = fresh("full")

    def work() -> None:
        fail()
        attempt(cache, results, DATA)

    status = in_child(work)
    left = [str(path) for path in WORK.glob("full/**/*.tmp")]
    again = in_child(lambda: attempt(cache, results, DATA))
    say(**which, status=status, again=again, left=left, same=looked_at(cache, results) == expected)


def small() -> None:
    """Give the job a disk of its own that is too small, in more and more of its parts; then one that is large enough."""
    expected, _, _ = reference()
    disk = WORK / "small"
    disk.mkdir()
    with mounted(disk, "64m"):
        assert in_child(lambda: attempt(disk / "cache", disk / "results", DATA)) == 0
        needed = shutil.disk_usage(disk).used // 1024
    for part in range(1, 13):
        with mounted(disk, f"{needed * part // 13}k"):
            status = in_child(lambda: attempt(disk / "cache", disk / "results", DATA))
            left = [str(path) for path in disk.rglob("*.tmp")]
            run_command(["mount", "-o", "remount,size=64m", disk])
            again = in_child(lambda: attempt(disk / "cache", disk / "results", DATA))
            same = again == 0 and looked_at(disk / "cache", disk / "results") == expected
            say(part=part, status=status, again=again, left=left, same=same)


@contextmanager
def mounted(disk: Path, size: str) -> Iterator[None]:
    run_command(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk])
    try:
        yield
    finally:
        run_command(["umount", "--lazy", disk])


def run_command(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def spoiled() -> None:
    """Cut every file of the cache in half, one after the other, as a copy that was broken off leaves it."""
    expected, _, _ = reference()
    files = sorted(p.relative_to(WORK / "whole") for p in (WORK / "whole/cache").rglob("*") if p.is_file() and p.stat().st_size)
    for file in files:
        shutil.rmtree(WORK / "copy", ignore_errors=True)
        shutil.copytree(WORK / "whole" / "cache", WORK / "copy" / "cache")
        half = (WORK / "copy" / file).read_bytes()
        (WORK / "copy" / file).write_bytes(half[: len(half) // 2])
        again = in_child(lambda: attempt(WORK / "copy" / "cache", WORK / "copy" / "results", DATA))
        say(file=str(file), again=again, same=looked_at(WORK / "copy" / "cache", WORK / "copy" / "results") == expected)


{"kill": lambda: killed(50), "full": full, "small": small, "half": spoiled}[WHAT]()
