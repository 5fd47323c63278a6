"""`mimo-eval results`: what has been evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo_eval.cli.options import format_option

if TYPE_CHECKING:
    from mimo_eval.comparison.stored import Stored


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path), default=Path("results"), metavar="[FOLDER]")
@format_option("table", "json", "csv")
def command(folder: Path, layout: str) -> None:
    """List the results in FOLDER, `results` if none is given: model, main score, date, version, where it lies.

    By benchmark and model, newest first. `mimo-eval show` prints the scores of one.
    """
    from mimo_eval.cli.console import print_json
    from mimo_eval.comparison.stored import read_stored
    from mimo_eval.errors import DataError
    from mimo_eval.results import FILE

    found: list[Stored] = []
    files = sorted(folder.rglob(FILE)) if folder.is_dir() else [folder]
    for path in files:
        try:
            found += read_stored([path])
        except DataError as error:  # one that cannot be read does not hide the others
            click.echo(f"note: {error}", err=True)
    if not found:
        raise DataError(f"{folder}: no {FILE} here that can be read; `mimo-eval run` writes results")
    found.sort(key=lambda stored: stored.used, reverse=True)
    rows = [record(stored) for stored in sorted(found, key=lambda stored: stored.model)]
    if layout == "json":
        print_json(rows)
    elif layout == "csv":
        import pandas as pd

        click.echo(pd.DataFrame(rows).to_csv(index=False).rstrip("\n"))
    else:
        _table(rows, folder)


def record(stored: Stored) -> dict[str, Any]:
    """Return a result in one line: the main measure of its first setting stands for it.

    :param stored: the result.
    :return: column to value; the score is None where it has no value.
    """
    from mimo_eval.comparison.pairing import main_measure

    result = stored.result
    benchmark, model = stored.model
    setting = result.settings[0] if result.settings else None
    measure = main_measure(result, setting) if setting else ""
    return {
        "benchmark": benchmark,
        "model": model,
        "setting": setting.mix if setting else "",
        "measure": measure,
        "score": setting.scores.get(measure) if setting else None,
        "settings": len(result.settings),
        "created": result.created,
        "version": result.environment.get("versions", {}).get("mimo-eval"),
        "key": result.key,
        "path": str(stored.path.parent),
    }


def _table(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import stdout

    table = Table("benchmark", "model", "main score of the first setting", box=box.SIMPLE_HEAD)
    table.add_column("settings", justify="right")
    table.add_column("evaluated, UTC", no_wrap=True)
    table.add_column("version")
    table.add_column(f"in {escape(str(folder))}", overflow="fold")
    for row in rows:
        score = "–" if row["score"] is None else f"{row['score']:.3f}"
        where = Path(row["path"])
        table.add_row(
            escape(row["benchmark"]),
            escape(row["model"]),
            escape(f"{score} {row['measure']}, {row['setting']}"),
            str(row["settings"]),
            row["created"][:16].replace("T", " "),
            row["version"] or "–",
            escape(str(where.relative_to(folder) if where.is_relative_to(folder) else where)),
        )
    stdout().print(table)
