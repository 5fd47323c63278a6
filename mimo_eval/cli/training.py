"""How training looks on a terminal and in a log file, and the tables of a plan."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mimo_eval.cli.console import stdout
from mimo_eval.cli.progress import Every, clock
from mimo_eval.collections.downloads import readable
from mimo_eval.training.trainer import Report, Watcher

if TYPE_CHECKING:
    from mimo_eval.training.plan import Plan


class Lines(Watcher):
    """One line on stderr that changes; in a file, a line every half minute, at each validation and at the end of a stage."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.every = Every()

    def __enter__(self) -> Lines:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.live.stop()

    def report(self, report: Report) -> None:
        """Show a report."""
        text = line(report)
        lasting = "validation" in report.parts or report.step == report.steps
        if self.console.is_terminal and not lasting:
            self.live.update(Text(text), refresh=True)
        elif self.every.due() or lasting:
            self.console.print(Text(text), soft_wrap=True)

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self.console.print(Text(text), soft_wrap=True)


def line(report: Report) -> str:
    """Return a report in one line.

    :param report: the report.
    :return: stage, steps, losses, rate and time left.
    """
    parts = ", ".join(f"{name} {value:.4f}" for name, value in report.parts.items())
    return f"{report.stage} {report.step:,}/{report.steps:,}  {parts}  {report.rate:,.0f} rows/s  {clock(report.left)} left"


def plan_tables(name: str, plan: Plan) -> None:
    """Print a plan.

    :param name: the recipe's.
    :param plan: the plan.
    """
    console = stdout()
    if plan.estimated:
        console.print(
            f"{escape(name)}: data are not all here, so rows are what the recipe expects, before and after filters alike"
        )
    sources = Table("source", box=box.SIMPLE_HEAD)
    sources.add_column("lines", justify="right")
    sources.add_column("groups", justify="right")
    sources.add_column("licence")
    for source, lines, groups, licence in plan.sources:
        sources.add_row(escape(source), f"{lines:,}", f"{groups:,}", escape(licence))
    console.print(sources)
    if plan.languages:
        counts = " · ".join(f"{lang} {count:,}" for lang, count in plan.languages.items())
        console.print(f"  lines per language: {counts}\n")
    stages = Table("stage", box=box.SIMPLE_HEAD)
    for column in ("rows", "batch", "steps", "rows seen"):
        stages.add_column(column, justify="right")
    for stage in plan.stages:
        stages.add_row(stage.name, f"{stage.rows:,}", f"{stage.batch:,}", f"{stage.steps:,}", f"{stage.steps * stage.batch:,}")
    console.print(stages)
    console.print(f"  teacher texts to encode, those in the store included: {plan.teacher_texts:,}")
    sizes = ", ".join(f"{part} {readable(round(size * 2**30))}" for part, size in plan.memory.items() if size)
    console.print(f"  memory guess per process, activations besides: {sizes}")
    if plan.missing:
        console.print("\n  not here yet:")
        for what, how in plan.missing:
            console.print(f"    {escape(what)}" + (f": {escape(how)}" if how else ""), soft_wrap=True)
