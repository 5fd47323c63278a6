"""`mimo-eval benchmarks`: list them, or show one."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the benchmarks that come with the package, or show NAME whole."""
    from mimo_eval.benchmark import load_benchmark, names
    from mimo_eval.cli.console import stdout

    if name is not None:
        import yaml

        click.echo(yaml.safe_dump(load_benchmark(name).model_dump(mode="json"), sort_keys=False, allow_unicode=True).rstrip())
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table("name", "what", "collections", "mixes", box=box.SIMPLE_HEAD)
    for known in names():
        benchmark = load_benchmark(known)
        mixes = dict.fromkeys(mix for task in benchmark.tasks for mix in task.mixes)
        collections = ", ".join(task.collection for task in benchmark.tasks)
        table.add_row(*map(escape, (known, benchmark.title, collections, ", ".join(mixes))))
    stdout().print(table)
