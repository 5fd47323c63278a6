"""`mimo-eval models`: list what can be evaluated by name."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """List the models with a name of their own, and whether they can be used here."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import stdout
    from mimo_eval.models.loading import catalogue

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("name", "kind", "what", "licence", "installed"):
        table.add_column(column, no_wrap=column in ("name", "installed"))
    for card in catalogue():
        table.add_row(*map(escape, (*card[:4], card.install or "yes")))
    console = stdout()
    console.print(table)
    console.print("Also: any sentence-transformers model by hub id or folder, mteb:NAME, and module:attribute.")
