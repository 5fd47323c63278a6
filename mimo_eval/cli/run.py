"""`mimo-eval run`: evaluate models and print their scores."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo_eval.cli.options import (
    benchmark_option,
    data_option,
    format_option,
    languages_option,
    load_models,
    model_options,
    output_option,
)
from mimo_eval.errors import ConfigError

if TYPE_CHECKING:
    from mimo_eval.results import Result

DEFAULT = "mimo-mini"


@click.command()
@click.argument("models", nargs=-1)
@benchmark_option
@click.option(
    "--mix", "mixes", multiple=True, metavar="MIX", help="Mix instead of the benchmark's, such as 'partition(en=0.7,de=0.3)'."
)
@click.option("--measures", metavar="MEASURES", help="Measures instead of the benchmark's, such as 'nDCG@10 R@100'.")
@click.option("--depth", type=click.IntRange(1, 100_000), help="Documents kept per query; the benchmark's number if not given.")
@languages_option
@data_option
@output_option
@format_option("table", "json", "csv", "markdown", "latex")
@click.option("--save-runs", is_flag=True, help="Also write TREC runs and qrels of every corpus.")
@click.option("--again", is_flag=True, help="Evaluate even if the result is there.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Who encodes and searches: this process, or a Ray cluster.",
)
@click.option(
    "--index",
    metavar="INDEX",
    help="Search vectors by a FAISS index instead of exactly: FACTORY or FACTORY:name=value,name=value, such as "
    "'HNSW32:efSearch=128', 'IVF1264,Flat:nprobe=32' or 'PQ96x4fs,RFlat:k_factor_rf=10'. Scores are then approximate, are "
    "marked so, and are compared with none by another search; the recall against exact search is measured and printed.",
)
@click.option("--address", help="Address of the Ray cluster; else $RAY_ADDRESS, or one that is started on this machine.")
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
    engine: str,
    index: str | None,
    address: str | None,
    **options: Any,
) -> None:
    """Evaluate MODELS and print their scores; `mimo-mini`, which needs no download, if none is given.

    A model is a name (see `mimo-eval models`), with arguments if need be: 'bm25(k1=1.2)'; a folder or hub id of a
    sentence-transformers model; or module:attribute. One that is given twice is evaluated once. Nothing is computed that is
    stored already.
    """
    if address and engine != "ray":
        raise ConfigError(f"--address {address}: is of a Ray cluster; add --engine ray")
    from mimo_eval import evaluation
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.cli import tables
    from mimo_eval.cli.cache import outdated_lines
    from mimo_eval.cli.console import stdout
    from mimo_eval.cli.progress import Bars
    from mimo_eval.cluster import RayEngine
    from mimo_eval.models.loading import model_name
    from mimo_eval.search.index_spec import IndexSpec

    chosen = load_benchmark(benchmark, languages=languages, mixes=mixes, measures=measures, depth=depth)
    if index is not None:
        IndexSpec.parse(index)  # refused before models are loaded
    loaded = load_models(models or (DEFAULT,), **options)
    for line in outdated_lines():
        click.echo(line, err=True)
    results: list[Result] = []
    try:
        with RayEngine(address) if engine == "ray" else nullcontext() as cluster:
            for model in loaded:
                name = model_name(model)
                outcome = evaluation.run(
                    model,
                    chosen,
                    data=data,
                    output=output,
                    progress=Bars(name),
                    save_runs=save_runs,
                    again=again,
                    engine=cluster,
                    index=index,
                )
                results.append(outcome.result)
                for line in [*prompt_lines(outcome.result.model), *index_lines(outcome.result)]:
                    click.echo(line, err=True)
                verb = "nothing has changed, read from" if outcome.reused else "written to"
                click.echo(f"{name}: {verb} {outcome.folder}", err=True)
    finally:  # what is done is shown, also when a later model fails
        if results and layout == "table":
            tables.terminal(results, stdout())
        elif results:
            click.echo(tables.FORMATS[layout](results))


def index_lines(result: Result) -> list[str]:
    """Return how well an approximate index searched, a line per encoder and collection.

    :param result: a result; nothing is said of one by exact search.
    """
    depth, lines = result.benchmark["depth"], []
    for found in result.approximate:
        lowest = min(found.recall, key=lambda lang: found.recall[lang].at_depth)
        said = f"recall against exact search: @10 {found.overall.at_10:.4f}, @{depth} {found.overall.at_depth:.4f}"
        among = f"{found.overall.queries:,} lists compared; lowest @{depth}: {lowest} {found.recall[lowest].at_depth:.4f}"
        missed = f"{found.missed:,} of {found.relevant:,} relevant documents missed that score above the end of their lists"
        lines.append(f"{found.model} on {found.collection}: approximate search by {result.index}: {said} ({among}); {missed}")
        lines += [
            f"{found.model} on {found.collection}: {lang} is searched exactly: {why}" for lang, why in found.exact.items()
        ]
    return lines


def prompt_lines(model: dict[str, Any]) -> list[str]:
    """Return what was put before the texts of a model, and why, of the models that it is made of too.

    :param model: as a result describes it.
    :return: a line per model that may have prompts.
    """
    lines = []
    if "prompt_sources" in model:
        shown = [
            f"{plural} '{text}' ({model['prompt_sources'][role]})" if (text := model["prompts"][role]) else f"{plural} none"
            for role, plural in (("query", "queries"), ("document", "documents"))
        ]
        why = {model["prompt_sources"][role] for role, text in model["prompts"].items() if not text} - {"none"}
        lines.append(f"{model.get('name') or model['source']}: prompts: {', '.join(shown)}{f' ({why.pop()})' if why else ''}")
    for part in (*model.get("bases", []), *([model["base"]] if isinstance(model.get("base"), dict) else [])):
        lines += prompt_lines(part)
    return [line.replace("\n", "\\n") for line in lines]
