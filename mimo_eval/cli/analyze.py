"""`mimo-eval analyze`: the geometry behind the scores, printed and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimo_eval.cli.options import benchmark_option, data_option, format_option, languages_option, load_models, model_options


@click.command()
@click.argument("models", nargs=-1, required=True)
@benchmark_option
@languages_option
@data_option
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("figures"),
    show_default=True,
    help="Folder where figures are written.",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder where results are kept, as `run -o`.",
)
@click.option(
    "--checkpoints", multiple=True, metavar="A,B,C", help="Models that are checkpoints of one training run, in order."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything that is sampled.")
@click.option(
    "--sample",
    type=click.IntRange(min=100),
    default=4096,
    show_default=True,
    help="Vectors that are sampled for costly diagnostics.",
)
@format_option("table", "json")
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

    from mimo_eval.analysis import analyse, check_names, draw, open_folder
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.cli import tables
    from mimo_eval.cli.console import stdout
    from mimo_eval.cli.progress import Bars
    from mimo_eval.errors import require
    from mimo_eval.models.loading import model_name

    require("matplotlib", "report")
    require("sklearn", "report")
    loaded = load_models(models, **options)
    runs = [[name.strip() for name in line.split(",")] for line in checkpoints]
    check_names([model_name(model) for model in loaded], runs)
    open_folder(output)
    chosen = load_benchmark(benchmark, languages=languages)
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
