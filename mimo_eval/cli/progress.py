"""Progress on stderr: bars on a terminal; elsewhere lines, of which a short job writes none."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from time import monotonic

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from mimo_eval import systems

SECONDS = 30.0
"""Between lines where stderr is no terminal; a job that takes no longer writes none."""
WINDOW = 10
"""Lines over which the rate is taken, and so the time left: what lay in the store is there at once, and then work begins."""


class Every:
    """Says when it is time for another line."""

    def __init__(self) -> None:
        self.last = monotonic()

    def due(self) -> bool:
        """Say whether as long as SECONDS has passed since this last said yes, or began."""
        if monotonic() - self.last < SECONDS:
            return False
        self.last = monotonic()
        return True


def clock(seconds: float) -> str:
    """Return a time such as `2:05` or `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def amount(number: float) -> str:
    """Return a number such as `512,000`, `1.5 M` or `2.0 T`; one below ten that is not whole with a digit more."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= factor:
            return f"{number / factor:.1f} {letter}"
    return f"{number:.1f}" if 0 < number < 10 and number % 1 else f"{number:,.0f}"


class Rate(ProgressColumn):
    """Units done per second."""

    def render(self, task: Task) -> Text:
        """Return such as `512 texts/s`."""
        speed = task.finished_speed or task.speed
        return Text(f"{amount(speed)} {task.fields['unit']}/s" if speed else "", style="dim")


class Counted:
    """A phase as lines tell of it."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit, self.done = name, total, unit, 0
        self.start = monotonic()
        self.seen = deque([(self.start, 0)], maxlen=WINDOW)

    def advance(self, n: int) -> None:
        """Count units that are done."""
        self.done += n

    def line(self) -> str:
        """Return how far it is: done, total, rate of late, time left."""
        (then, before), now = self.seen[0], monotonic()
        self.seen.append((now, self.done))
        text = f"{self.name}: {amount(self.done)} of {amount(self.total)} {self.unit}"
        if self.done <= before or now <= then:
            return f"{text}, {clock(now - self.start)} so far"
        rate = (self.done - before) / (now - then)
        share = f"{100 * min(1.0, self.done / max(self.total, 1)):.0f} %"
        return f"{text} ({share}), {amount(rate)} {self.unit}/s, {clock(max(self.total - self.done, 0) / rate)} left"

    def ended(self) -> str:
        """Return what it took."""
        return f"{self.name}: {amount(self.done)} {self.unit} in {clock(monotonic() - self.start)}"


class Bars(systems.Progress):
    """Tells on stderr how far a job is: a bar per phase on a terminal, elsewhere a line every SECONDS.

    :param model: the model's name, put before what is going on.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.console = Console(stderr=True)
        self._bars: Progress | None = None
        self._open: list[Counted] = []
        self._start = monotonic()

    @contextmanager
    def phase(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Tell of a phase while the `with` block runs, after that which it is part of; its value counts units done."""
        told = self._bar if self.console.is_terminal else self._lines
        with told(name if self._open else f"{self.model}: {name}", total, unit) as advance:
            yield advance

    @contextmanager
    def _bar(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        text, percent = TextColumn("{task.description}"), TextColumn("{task.percentage:3.0f} %")
        columns = (text, BarColumn(), percent, Rate(), TimeRemainingColumn())
        outer, bars = self._bars, self._bars or Progress(*columns, console=self.console, transient=True)
        with nullcontext() if outer else bars:
            task = bars.add_task(name, total=max(total, 1), unit=unit)
            self._bars = bars
            try:
                yield lambda n: bars.advance(task, n)
            finally:
                bars.remove_task(task)
                self._bars = outer

    @contextmanager
    def _lines(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Write when a phase begins, in a job that has lasted for a while, and when one that lasts ends."""
        phase, outermost = Counted(name, total, unit), not self._open
        begun = outermost and phase.start - self._start >= SECONDS
        if begun:
            _write(f"{name} begins: {amount(total)} {unit}")
        self._open.append(phase)
        try:
            with self._ticking() if outermost else nullcontext():
                yield phase.advance
        finally:
            self._open.remove(phase)
        if begun or monotonic() - phase.start >= SECONDS:
            _write(phase.ended())

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """Write how far everything is that is going on, every SECONDS, also while nothing is counted."""
        ended = threading.Event()

        def tick() -> None:
            while not ended.wait(SECONDS):
                _write("; ".join(phase.line() for phase in list(self._open)))

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _write(line: str) -> None:
    """Write a line on stderr; that nobody reads it is no reason to end."""
    with suppress(OSError, ValueError):
        click.echo(line, err=True)
