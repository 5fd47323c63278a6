"""Progress on stderr: bars with rate and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from mimo_eval import systems


class Rate(ProgressColumn):
    """Units done per second."""

    def render(self, task: Task) -> Text:
        """Return such as `512 texts/s`."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
            if speed >= factor:
                return Text(f"{speed / factor:.1f} {letter} {task.fields['unit']}/s", style="dim")
        return Text(f"{speed:,.0f} {task.fields['unit']}/s", style="dim")


class Bars(systems.Progress):
    """Draws one bar per phase on stderr.

    :param model: the model's name, put before each phase.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.console = Console(stderr=True)
        self._bars: Progress | None = None

    @contextmanager
    def phase(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Draw a bar while the `with` block runs, below that of the phase it is part of; its value advances the bar."""
        text, percent = TextColumn("{task.description}"), TextColumn("{task.percentage:3.0f} %")
        columns = (text, BarColumn(), percent, Rate(), TimeRemainingColumn())
        hidden = not self.console.is_terminal
        outer, bars = self._bars, self._bars or Progress(*columns, console=self.console, transient=True, disable=hidden)
        with nullcontext() if outer else bars:
            task = bars.add_task(f"{self.model}: {name}", total=max(total, 1), unit=unit)
            self._bars = bars
            try:
                yield lambda n: bars.advance(task, n)
            finally:
                bars.remove_task(task)
                self._bars = outer
