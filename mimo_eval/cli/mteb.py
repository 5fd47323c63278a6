"""`mimo-eval mteb`: our tasks in MTEB's evaluation, and results in its layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimo_eval.cli.options import data_option, format_option, load_models, model_options


@click.group()
def command() -> None:
    """Evaluate with MTEB, list the mixed tasks, export results to MTEB's layout."""


@command.command(short_help="Evaluate models by mteb.evaluate.")
@click.argument("models", nargs=-1, required=True)
@click.option(
    "-t", "--task", "tasks", multiple=True, metavar="TASK", help="Task to run: one of `mimo-eval mteb tasks`, or any of MTEB's."
)
@click.option("-b", "--benchmark", "benchmarks", multiple=True, help="Benchmark to run: 'MIMO(mixed, v1)', or any of MTEB's.")
@data_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("mteb"),
    show_default=True,
    help="Folder where results are kept, laid out as MTEB's cache.",
)
@click.option("--again", is_flag=True, help="Evaluate even if the result is there.")
@format_option("table", "json", "csv")
@model_options
def run(
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    benchmarks: tuple[str, ...],
    data: Path | None,
    output: Path,
    again: bool,
    layout: str,
    **options: Any,
) -> None:
    """Evaluate MODELS, named as for `mimo-eval run`, by `mteb.evaluate`.

    A corpus that subsets share is encoded once. Where no files are named, --data or $MIMO_EVAL_DATA, they are fetched if the
    collection can be.
    """
    from mimo_eval.cli.progress import Bars
    from mimo_eval.integrations.mteb.results import frame
    from mimo_eval.integrations.mteb.running import evaluate
    from mimo_eval.models.loading import model_name

    loaded = load_models(models, **options)
    rows = []
    for model in loaded:
        rows += evaluate(model, tasks, benchmarks, data=data, output=output, again=again, progress=Bars(model_name(model)))
    table = frame(rows)
    if layout == "table":
        _print(table)
    elif layout == "csv":
        click.echo(table.to_csv(index=False).rstrip("\n"))
    else:
        click.echo(table.to_json(orient="records", indent=1, force_ascii=False))
    click.echo(f"written to {output / 'results'}", err=True)


SHOWN = ("LPR", "SameR@20", "CrossR@20", "RankDistance")
"""Language measures beside the main score in the table; files and other formats have all."""


def _print(table: Any) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import stdout

    measures = [name for name in SHOWN if name in table]
    for (model, task), rows in table.groupby(["model", "task"], sort=False):
        shown = Table(title=escape(f"{model} · {task}"), box=box.SIMPLE_HEAD, title_justify="left")
        shown.add_column("subset")
        for name in ("main score", *measures):
            shown.add_column(name, justify="right")
        columns = ["main_score", *measures]
        for subset, *values in rows[["subset", *columns]].itertuples(index=False):
            shown.add_row(escape(subset), *(_cell(value) for value in values))
        shown.add_row("mean", *(_cell(rows[column].mean()) for column in columns), style="bold")
        stdout().print(shown)


def _cell(value: float) -> str:
    return f"{value:.4f}" if value == value else "–"


@command.command()
@click.option("--languages", "wide", is_flag=True, help="Also list the languages.")
def tasks(wide: bool) -> None:
    """List the tasks that MTEB gets from this package."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import stdout
    from mimo_eval.integrations.mteb.definitions import BENCHMARK, DEFINITIONS, SUITE

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)  # to be copied
    for title in ("collection", "mix", "languages", "main score", "licence"):
        table.add_column(title)
    for one in DEFINITIONS:
        languages = " ".join(one.languages) if wide else str(len(one.languages))
        cells = (one.name, one.origin.collection, one.mix, languages, one.origin.main, one.origin.license)
        table.add_row(*map(escape, cells))
    console = stdout()
    console.print(table)
    console.print(f"Benchmark {BENCHMARK}: {', '.join(SUITE)}", markup=False)


@command.command(short_help="Write results as MTEB's TaskResult files.")
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="RESULT...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder where the files are written.",
)
def export(results: tuple[Path, ...], output: Path) -> None:
    """Write RESULTs of `mimo-eval run` as MTEB's TaskResult files, in the layout of its results repository."""
    from mimo_eval.comparison.stored import locate
    from mimo_eval.integrations.mteb.results import export_result

    for result in results:
        for path in export_result(locate(result), output):
            click.echo(str(path))
