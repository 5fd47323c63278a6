"""`mimo-eval study`: training methods compared on the same data, folds and seeds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from mimo_eval.cli.options import data_option


@click.command()
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder where results are kept; studies/NAME if not given.",
)
@data_option
@click.option("--smoke", is_flag=True, help="Run the small version of the study, to see that everything works.")
@click.option("--report", is_flag=True, help="Train nothing; write the tables of what is there.")
def command(name: str, output: Path | None, data: Path | None, smoke: bool, report: bool) -> None:
    """Run a study, NAME of one that comes with the package or a YAML file, and write its tables, figure and page.

    Every method on every fold is a row of its own file: a study that was broken off goes on where it was, one that was changed
    makes again what the change concerns. Several processes may work on one study: each takes rows that no other is at.
    """
    from mimo_eval.errors import DataError
    from mimo_eval.study.definition import load_study
    from mimo_eval.study.report import write_report
    from mimo_eval.study.running import missing, run_study
    from mimo_eval.study.scores import Scores
    from mimo_eval.study.workshop import Workshop

    study = load_study(name, smoke)
    folder = output or Path("studies") / study.name
    tell = partial(click.echo, err=True)
    shop = Workshop(study, data) if report else run_study(study, folder, data, tell)
    scores = Scores(study, folder, shop.collection.name)
    lacking = missing(study, folder)
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        tell(f"not there yet: {', '.join(lacking[:3])}{more}; the same command goes on with what no other process is at")
    if not scores.rows:
        raise DataError(f"{folder}: no run of '{study.name}' has all its folds yet")
    for path in write_report(scores, folder):
        click.echo(f"written: {path}")
