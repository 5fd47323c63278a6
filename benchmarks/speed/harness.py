"""What every row of the table is made of: timing in turn, peaks of memory in processes of their own, and the record of both.

A module of `benchmarks.speed.rows` has two names: `ROWS`, which says what is compared, and `measure(settings)`, which yields
findings of these rows. It runs in a process and a cache of its own.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
"""Of the checkout, from where processes are started."""
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # two spinning thread pools on two cores are slower than one thread
    "OPENBLAS_THREAD_TIMEOUT": "4",  # both as the command line sets them
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
"""Of every row, so that both of its sides have the same."""


class Row(NamedTuple):
    """A line of the table."""

    number: int
    work: str
    peer: str


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    quick: bool
    repeats: int
    data: Path
    """Folder with a folder of files per collection."""


@dataclass
class Finding:
    """One figure of a row, with its spread.

    :param row: number of the row.
    :param name: what it is, such as `ours / mteb.evaluate`.
    :param values: one per repeat.
    :param goal: the most it should be; None for a figure without one.
    :param unit: `×` for ratios.
    :param detail: what a reader wants to know of how it came about: sizes, seconds.
    """

    row: int
    name: str
    values: list[float]
    goal: float | None = None
    unit: str = "×"
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median keeps the goal; None without a goal."""
        return None if self.goal is None else self.middle <= self.goal


def in_turn(repeats: int, **jobs: Callable[[], Any]) -> dict[str, list[float]]:
    """Time several jobs in turn, so that what slows the machine down slows all of them.

    :param repeats: times that each is run; the order is turned by one every time.
    :param jobs: name to what is run.
    :return: name to seconds, one per repeat.
    """
    names = list(jobs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(timed(jobs[name]))
    return seconds


def timed(job: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    start = perf_counter()
    job()
    return perf_counter() - start


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours over theirs, repeat by repeat."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def rounded(seconds: Sequence[float]) -> list[float]:
    """Return seconds as a detail shows them."""
    return [round(value, 2) for value in seconds]


def agree(what: str, difference: float, most: float) -> None:
    """Refuse to compare the times of sides that do not come to the same.

    :param what: what should be equal.
    :param difference: the largest there is.
    :param most: the largest that rounding explains.
    :raises RuntimeError: if it is larger, or not a number.
    """
    if not difference <= most:
        raise RuntimeError(f"{what} differ by {difference:g}, more than {most:g}: the times cannot be compared")


class Child(NamedTuple):
    """What a process of its own came to."""

    value: Any
    seconds: float
    """Of the call, without start and imports."""
    peak: int
    """Largest resident size in bytes."""
    before: int
    """Resident size before the call, imports included."""


def in_child(target: str, **arguments: Any) -> Child:
    """Call a function in a process of its own, so that its peak of memory is its own.

    :param target: `module:function`; called once with the arguments, returns what fits into JSON.
    :param arguments: what fits into JSON.
    :return: what it returned, and what it cost.
    :raises RuntimeError: with the end of its stderr, if it fails.
    """
    return _child(target, arguments, os.environ)


def _child(target: str, arguments: dict[str, Any], environment: Mapping[str, str]) -> Child:
    command = [sys.executable, "-m", "benchmarks.speed.child", target, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{target}: {done.stderr[-2000:]}")
    return Child(**json.loads(done.stdout.splitlines()[-1]))


def machine() -> dict[str, Any]:
    """Return what ratios may depend on."""
    import psutil
    import torch

    from mimo_eval import environment

    described = environment.describe()
    return {
        "cpu": cpu_name(),
        "cpus": described["cpus"],
        "memory_GiB": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "platform": platform.platform(terse=True),
        "python": described["python"],
        "versions": described["versions"] | versions("mteb", "beir", "ranx", "ray", "pytrec-eval-terrier"),
        "environment": ENVIRONMENT | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")},
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of those that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cpu_name() -> str:
    """Return the processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def measured(name: str, settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure the rows of a module in a process and a cache of its own.

    :param name: of the module.
    :param settings: how much.
    :yield: its findings, as the record keeps them.
    :raises RuntimeError: with the end of its stderr, if it fails.
    """
    with tempfile.TemporaryDirectory(prefix="mimo-eval-speed-") as folder:
        arguments = asdict(settings) | {"data": str(settings.data)}
        environment = os.environ | ENVIRONMENT | {"MIMO_EVAL_CACHE": folder}
        target = "benchmarks.speed.harness:findings_of"
        yield from _child(target, {"name": name, "settings": arguments}, environment).value


def findings_of(name: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure the rows of a module in this process."""
    from importlib import import_module

    module = import_module(f"benchmarks.speed.rows.{name}")
    return [asdict(finding) for finding in module.measure(Settings(**settings | {"data": Path(settings["data"])}))]
