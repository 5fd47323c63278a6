"""`mimo-eval benchmarks`: list them, or show one with what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import data_option, format_option

if TYPE_CHECKING:
    from rich.console import Console

    from mimo_eval.benchmark import Benchmark
    from mimo_eval.collections.overview import Overview


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the benchmarks, or show one."""
    if context.invoked_subcommand is None:
        context.invoke(list_, layout="table")


@command.command("list")
@format_option("table", "json")
def list_(layout: str) -> None:
    """List the benchmarks that come with the package."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.benchmark import load_benchmark, names
    from mimo_eval.cli.console import print_json, stdout

    if layout == "json":
        print_json([load_benchmark(known).model_dump(mode="json") for known in names()])
        return
    table = Table("name", "what", "collections", "mixes", box=box.SIMPLE_HEAD)
    for known in names():
        benchmark = load_benchmark(known)
        mixes = dict.fromkeys(mix for task in benchmark.tasks for mix in task.mixes)
        collections = ", ".join(task.collection for task in benchmark.tasks)
        table.add_row(*map(escape, (known, benchmark.title, collections, ", ".join(mixes))))
    stdout().print(table)


@command.command(short_help="Show a benchmark: protocol, downloads, texts to encode.")
@click.argument("name")
@data_option
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the whole definition, as a file that can be changed and run.")
@format_option("table", "json")
def show(name: str, data: Path | None, as_yaml: bool, layout: str) -> None:
    """Show benchmark NAME: its protocol, what would be downloaded, and how many texts a model would encode."""
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.cli.console import print_json, stdout

    if as_yaml and layout != "table":
        raise click.UsageError("--yaml and --format are two ways to print a benchmark; choose one")
    benchmark = load_benchmark(name)
    if as_yaml:
        import yaml

        click.echo(yaml.safe_dump(benchmark.model_dump(mode="json"), sort_keys=False, allow_unicode=True).rstrip())
        return
    from mimo_eval.benchmark import data_folder
    from mimo_eval.collections.overview import overview

    found = [
        overview(task.collection, data_folder(task, data, len(benchmark.tasks)), task.languages) for task in benchmark.tasks
    ]
    if layout == "json":
        from mimo_eval.cli.data import record

        print_json({**benchmark.model_dump(mode="json"), "needs": [record(item) for item in found]})
        return
    _describe(benchmark, stdout())
    _needs(benchmark, found, stdout())


def _describe(benchmark: Benchmark, console: Console) -> None:
    from rich.markup import escape

    console.print(f"[bold]{escape(benchmark.name)}[/bold]  {escape(benchmark.title)}")
    for label, text in (("source", benchmark.source), ("protocol", benchmark.protocol)):
        if text:
            console.print(f"{label}: {escape(text)}")
    console.print(f"measures: {escape(', '.join(benchmark.measures))}; depth {benchmark.depth}")


def _needs(benchmark: Benchmark, found: Sequence[Overview], console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.data import number, state
    from mimo_eval.collections.downloads import readable

    table = Table("collection", "mixes, main measure", "languages", box=box.SIMPLE_HEAD)
    for title in ("documents", "queries", "to download"):
        table.add_column(title, justify="right")
    table.add_column("state")
    for task, item in zip(benchmark.tasks, found, strict=True):
        missing = "–" if item.state in ("in the package", "--data") else readable(item.missing)
        counts = [number(sum(side.values()) or None) for side in (item.documents, item.queries)]
        mixes = f"{', '.join(task.mixes)}; {task.main}"
        languages = " ".join(task.languages or item.languages) or "all"
        languages = languages if len(languages) <= 60 else f"{len(languages.split())} languages"
        table.add_row(*map(escape, (task.collection, mixes, languages, *counts, missing, state(item))))
    console.print(table)
    pages = {page: (licence, gated) for item in found for page, licence, gated in item.repos}
    for page, (licence, gated) in pages.items():
        terms = "; gated: accept its terms, then set HF_TOKEN" if gated else ""
        console.print(f"{escape(page)}  licence {escape(licence)}{terms}")
    sources = dict.fromkeys(item.counted for item in found if item.counted and item.counted != "counted")
    if sources:
        console.print(f"[dim]numbers of what is not here: {escape('; '.join(sources))}[/dim]")
    distinct = {(task.collection, task.languages): item for task, item in zip(benchmark.tasks, found, strict=True)}.values()
    texts = sum(sum(item.documents.values()) + sum(item.queries.values()) for item in distinct)
    some = "at least " if any(item.texts is None for item in distinct) else ""
    sizes = [item.missing for item in distinct if item.state != "in the package"]
    unknown = " and what is unknown" if any(size is None for size in sizes) else ""
    console.print(f"to download: {readable(sum(size or 0 for size in sizes))}{unknown}; texts to encode: {some}{texts:,}")
