"""`mimo-eval measures`: list what can be measured, or show one measure whole."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import format_option

if TYPE_CHECKING:
    from rich.console import Console

    from mimo_eval.reference import Entry, Parameter

COLUMNS = ("name", "what it answers", "range", "better", "needs", "source")


@click.command()
@click.argument("name", required=False)
@format_option("table", "json", "markdown")
def command(name: str | None, layout: str) -> None:
    """List the measures: what they answer, range, direction, needs and source. With NAME, show one whole."""
    from mimo_eval.cli.console import stdout
    from mimo_eval.reference import found, listed

    entries = found(name) if name is not None else listed()
    if layout == "json":
        click.echo(json.dumps([e.as_dict(name is not None) for e in entries], ensure_ascii=False, indent=1, allow_nan=False))
    elif layout == "markdown":
        click.echo(markdown(entries))
    elif name is None:
        tables(entries, stdout())
    else:
        whole(entries, stdout())


def markdown(entries: Sequence[Entry]) -> str:
    """Return the list as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + ":--|" * len(COLUMNS)]
    for entry in entries:
        cells = [f"`{entry.name}`", *_cells(entry)[1:]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def tables(entries: Sequence[Entry], console: Console) -> None:
    """Print one table for each kind of measure."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.reference import KINDS

    for kind, of_what in KINDS.items():
        table = Table(title=f"{kind}: {of_what}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in COLUMNS:
            # the question is what one reads first: where there is room, the other columns break their lines before it does
            least = 25 if column == COLUMNS[1] and console.width >= 118 else None
            fixed = column in ("name", "range", "better")
            table.add_column(column, no_wrap=fixed, min_width=least, max_width=15 if column == "needs" else None)
        before = ""
        for entry in (entry for entry in entries if entry.kind == kind):
            name, answers, span, better, _, source = map(escape, _cells(entry))
            # another way of writing the same measure asks the same question
            table.add_row(name, answers if answers != before else "", span, better, ", ".join(entry.needs), source)
            before = answers
        console.print(table)
        needs = dict(item for entry in entries if entry.kind == kind for item in entry.needs.items())
        for short, meaning in needs.items():
            console.print(f"  {short}: {meaning}", markup=False)
        console.print()
    console.print("Parameters and definition of one: mimo-eval measures NAME", markup=False)


def whole(entries: Sequence[Entry], console: Console) -> None:
    """Print one measure, given in each of the ways of writing it."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    entry = entries[0]
    console.print(Text(entry.answers, style="bold"))
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for each in entries:
        _, _, span, better, needs, _ = _cells(each)
        grid.add_row("written", Text(each.name, style="bold"))
        for title, text in (("range", span), ("better", better), ("needs", needs)):
            if text:
                grid.add_row(title, Text(text))
    if entry.instead:
        grid.add_row("otherwise", Text(f"where the data lack that: {entry.instead}"))
    grid.add_row("source", Text(entry.source))
    for parameter in entry.parameters:
        grid.add_row("parameter", Text(_described(parameter)))
    console.print(grid)
    for paragraph in entry.about.split("\n\n") if entry.about else ():
        console.print(Padding(Text(" ".join(paragraph.split())), (1, 0, 0, 0)))


def _described(parameter: Parameter) -> str:
    state = "required" if parameter.required else "" if parameter.default is None else f"by default {parameter.default!r}"
    return f"{parameter.name}: {parameter.meaning}" + (f" ({state})" if state else "")


def _cells(entry: Entry) -> tuple[str, ...]:
    return entry.name, entry.answers, _span(entry.range), entry.better, "; ".join(entry.needs.values()), entry.source


def _span(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return ""
    low, high = ("" if math.isinf(end) else f"{end:g}".replace("-", "−") for end in ends)
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"to {high}" if high else "any"
