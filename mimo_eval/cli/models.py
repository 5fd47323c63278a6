"""`mimo-eval models`: list what can be evaluated by name."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """List the models with a name of their own, and whether they can be used here."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from mimo_eval.models.loading import catalogue

    table = Table("name", "kind", "what", "licence", "installed", box=box.SIMPLE_HEAD)
    for card in catalogue():
        table.add_row(card.name, card.kind, card.what, card.licence, "yes" if card.install is None else card.install)
    console = Console()
    console.print(table)
    console.print("Also: any sentence-transformers model by hub id or folder, and module:attribute.", highlight=False)
