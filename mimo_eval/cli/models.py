"""`mimo-eval models`: list what can be evaluated by name, or show one model whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import format_option

if TYPE_CHECKING:
    from rich.console import Console

    from mimo_eval.models.describing import Entry

COLUMNS = ("name", "kind", "what", "licence", "installed")
OTHERS = "Also: any sentence-transformers model by hub id or folder, mteb:NAME, and module:attribute."


@click.command()
@click.argument("name", required=False)
@format_option("table", "json", "markdown")
def command(name: str | None, layout: str) -> None:
    """List the models with a name of their own; show what NAME is and takes.

    NAME is one of the list, a hub id or folder, mteb:NAME, or module:attribute.
    """
    from mimo_eval.cli.console import stdout
    from mimo_eval.models.describing import found, listed

    entries = listed() if name is None else [found(name)]
    if layout == "json":
        click.echo(json.dumps([e.as_dict(name is not None) for e in entries], ensure_ascii=False, indent=1, default=str))
    elif layout == "markdown":
        click.echo(_markdown(entries) if name is None else arguments(entries[0]))
    elif name is None:
        _table(entries, stdout())
    else:
        _whole(entries[0], stdout())


def _cells(entry: Entry) -> tuple[str, ...]:
    return entry.name, entry.kind, entry.what, entry.licence, entry.install or "yes"


def _table(entries: Sequence[Entry], console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in COLUMNS:
        table.add_column(column, no_wrap=column in ("name", "installed"))
    for entry in entries:
        table.add_row(*map(escape, _cells(entry)))
    console.print(table)
    console.print(OTHERS, markup=False)
    console.print("Arguments of one: mimo-eval models NAME", markup=False)


def _whole(entry: Entry, console: Console) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console.print(Text(entry.name, style="bold"), Text(entry.what))
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for label, text in (("kind", entry.kind), ("licence", entry.licence), ("install", entry.install or "")):
        if text:
            facts.add_row(label, Text(text))
    console.print(facts)
    for paragraph in entry.about.split("\n\n") if entry.about else ():
        console.print(Padding(Text(" ".join(paragraph.split())), (1, 0, 0, 0)))
    if entry.arguments:
        grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        grid.add_column("argument", no_wrap=True)
        grid.add_column("meaning")
        for argument in entry.arguments:
            grid.add_row(Text(argument.written), Text(argument.meaning))
        console.print(Padding(grid, (1, 0, 0, 0)))


def _markdown(entries: Sequence[Entry]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + ":--|" * len(COLUMNS)]
    for entry in entries:
        cells = [f"`{entry.name}`", *_cells(entry)[1:]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def arguments(entry: Entry, shared: bool | None = None) -> str:
    """Return the arguments of a model as a Markdown table.

    :param entry: the model.
    :param shared: only those that other models of its kind take too, or only those that they do not; all if None.
    :return: a row for each argument.
    """
    chosen = [argument for argument in entry.arguments if shared in (None, argument.shared)]
    rows = [f"| `{argument.written}` | " + argument.meaning.replace("|", "\\|") + " |" for argument in chosen]
    return "\n".join(["| argument | meaning |", "|:--|:--|", *rows])
