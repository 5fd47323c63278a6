"""`mimo-eval analyze`: the geometry behind the scores, printed and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimo_eval.cli.options import data_option, languages_option, load_models, model_options


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("-b", "--benchmark", default="mini", show_default=True, help="Name, YAML file, or a collection's folder.")
@languages_option
@data_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("figures"),
    show_default=True,
    help="Folder for figures.",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder for results, as `run -o`.",
)
@click.option(
    "--checkpoints", multiple=True, metavar="A,B,C", help="Models that are checkpoints of one training run, in order."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is sampled.")
@click.option("--sample", type=click.IntRange(min=100), default=4096, show_default=True, help="Rows that are sampled.")
@click.option("--format", "layout", type=click.Choice(["table", "json"]), default="table")
@model_options
def command(
    models: tuple[str, ...],
    benchmark: str,
    languages: str | None,
    data: Path | None,
    output: Path,
    results: Path,
    checkpoints: tuple[str, ...],
    seed: int,
    sample: int,
    layout: str,
    **options: Any,
) -> None:
    """Print the geometry of MODELS' vectors on a benchmark, write it into their results, and draw figures to --output."""
    import json

    from mimo_eval import languages as codes
    from mimo_eval.analysis import analyse, check_names, draw, open_folder
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.cli import tables
    from mimo_eval.cli.console import stdout
    from mimo_eval.cli.progress import Bars
    from mimo_eval.errors import require
    from mimo_eval.evaluation import changed
    from mimo_eval.models.loading import model_name

    require("matplotlib", "report")
    require("sklearn", "report")
    loaded = load_models(models, **options)
    runs = [[name.strip() for name in line.split(",")] for line in checkpoints]
    check_names([model_name(model) for model in loaded], runs)
    open_folder(output)
    chosen = changed(load_benchmark(benchmark), languages=codes.parse_languages(languages))
    analysed = [
        analyse(
            model,
            chosen,
            data=data,
            output=results,
            progress=Bars(model_name(model)),
            seed=seed,
            sample=sample,
        )
        for model in loaded
    ]
    found = [outcome.result for outcome, _ in analysed]
    if layout == "json":
        click.echo(json.dumps({result.model["name"]: result.geometry for result in found}, ensure_ascii=False, indent=1))
    else:
        console = stdout()
        for table in tables.geometry(found):
            console.print(table)
    files = draw(found, [vectors for _, vectors in analysed], output, checkpoints=runs, seed=seed)
    click.echo(f"{2 * len(files)} figures in {output}", err=True)
