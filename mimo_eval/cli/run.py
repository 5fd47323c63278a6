"""`mimo-eval run`: evaluate models and print their scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo_eval.cli.options import data_option, languages_option, model_options, output_option

if TYPE_CHECKING:
    from mimo_eval.results import Result


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("-b", "--benchmark", default="mini", show_default=True, help="Name, YAML file, or a collection's folder.")
@click.option(
    "--mix", "mixes", multiple=True, metavar="MIX", help="Instead of the benchmark's, such as 'partition(en=0.7,de=0.3)'."
)
@click.option("--measures", metavar="MEASURES", help="Instead of the benchmark's, such as 'nDCG@10 R@100'.")
@click.option("--depth", type=click.IntRange(1, 100_000), help="Documents kept per query.")
@languages_option
@data_option
@output_option
@click.option("--format", "layout", type=click.Choice(["table", "json", "csv", "markdown", "latex"]), default="table")
@click.option("--save-runs", is_flag=True, help="Also write TREC runs and qrels of every corpus.")
@click.option("--again", is_flag=True, help="Evaluate even if the result is there.")
@model_options
def command(
    models: tuple[str, ...],
    benchmark: str,
    mixes: tuple[str, ...],
    measures: str | None,
    depth: int | None,
    languages: str | None,
    data: Path | None,
    output: Path,
    layout: str,
    save_runs: bool,
    again: bool,
    **options: Any,
) -> None:
    """Evaluate MODELS and print their scores.

    A model is a name (see `mimo-eval models`), with arguments if need be: 'bm25(k1=1.2)'; a folder or hub id of a
    sentence-transformers model; or module:attribute. Nothing is computed that is stored already.
    """
    from mimo_eval import evaluation
    from mimo_eval import languages as codes
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.cli import tables
    from mimo_eval.cli.console import stdout
    from mimo_eval.cli.progress import Bars
    from mimo_eval.measures import parse
    from mimo_eval.models.loading import ModelOptions, load_model, model_name

    chosen = evaluation.changed(
        load_benchmark(benchmark),
        languages=codes.parse_languages(languages),
        mixes=mixes,
        measures=[str(m) for m in parse(measures)] if measures else None,
        depth=depth,
    )
    loaded = [load_model(model, ModelOptions(**options)) for model in models]
    results: list[Result] = []
    try:
        for model in loaded:
            name = model_name(model)
            outcome = evaluation.run(
                model, chosen, data=data, output=output, progress=Bars(name), save_runs=save_runs, again=again
            )
            results.append(outcome.result)
            verb = "nothing has changed, read from" if outcome.reused else "written to"
            click.echo(f"{name}: {verb} {outcome.folder}", err=True)
    finally:  # what is done is shown, also when a later model fails
        if results and layout == "table":
            tables.terminal(results, stdout())
        elif results:
            click.echo(tables.FORMATS[layout](results))
