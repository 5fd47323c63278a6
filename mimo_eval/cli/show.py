"""`mimo-eval show`: stored results, as `run` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import format_option

if TYPE_CHECKING:
    from mimo_eval.comparison.stored import Stored


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="RESULT...")
@format_option("table", "json", "csv", "markdown", "latex")
def command(results: tuple[Path, ...], layout: str) -> None:
    """Print stored RESULTs as `mimo-eval run` prints them; nothing is loaded or computed.

    A RESULT is a folder that `run` wrote, its result.json, or a folder around several: of each model the newest is shown.
    Results of other data or mixes stand in tables of their own. `mimo-eval results` lists all that there are.
    """
    from mimo_eval.cli import tables
    from mimo_eval.cli.console import stdout
    from mimo_eval.comparison.stored import newest

    found = list({stored.path.resolve(): stored for path in results for stored in newest(path)}.values())
    if layout != "table":
        click.echo(tables.FORMATS[layout]([stored.result for stored in found]))
        return
    console = stdout()
    groups = comparable(found)
    for group in groups:
        if len(groups) > 1:
            console.rule(group[0].model[0], align="left", style="dim")
        tables.terminal([stored.result for stored in group], console)


def comparable(found: Sequence[Stored]) -> list[list[Stored]]:
    """Put results together that may stand in one table: their data and protocols are equal.

    :param found: results.
    :return: groups, each in the order of the results.
    """
    from mimo_eval.comparison.stored import protocol

    groups: dict[tuple[tuple[str, str], ...], list[Stored]] = {}
    for stored in found:
        groups.setdefault(tuple(protocol(stored.path, stored.result).items()), []).append(stored)
    return list(groups.values())
