"""`mimo-eval plan`: what an evaluation will cost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo_eval.cli.options import benchmark_option, data_option, format_option, languages_option, load_models, model_options

if TYPE_CHECKING:
    from mimo_eval.planning import Estimate


@click.command()
@click.argument("model")
@benchmark_option
@click.option("--gpus", type=click.IntRange(min=1), default=1, show_default=True, help="Devices that encode at once.")
@click.option("--price-per-hour", type=click.FloatRange(min=0), help="Dollars for an hour of one device.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Documents per second and device, if measured elsewhere."
)
@click.option("--tokens-per-text", type=click.FloatRange(min=1), help="Tokens of a document, where its texts are not here.")
@languages_option
@data_option
@format_option("table", "json")
@model_options
def command(
    model: str,
    benchmark: str,
    gpus: int,
    price_per_hour: float | None,
    rate: float | None,
    tokens_per_text: float | None,
    languages: str | None,
    data: Path | None,
    layout: str,
    **options: Any,
) -> None:
    """Say what evaluating MODEL will cost: texts, tokens, bytes of vectors, hours and dollars, and what is done already.

    Speed is that of this machine, measured for a few seconds. With --rate nothing is encoded, and the model's weights are not
    loaded where its files say how wide its vectors are. No texts are downloaded.
    """
    from mimo_eval import planning
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.cli.console import print_json

    chosen = load_benchmark(benchmark, languages=languages)
    plans = (planning.plan(loaded, chosen, data, rate, tokens_per_text) for loaded in load_models((model,), **options))
    if layout == "json":
        print_json([document(estimates, gpus, price_per_hour) for estimates in plans])
        return
    for estimates in plans:
        _table(estimates)
        _sum(estimates, gpus, price_per_hour, given=rate is not None)


def document(rows: list[Estimate], gpus: int, price: float | None) -> dict[str, Any]:
    """Return a plan as JSON can hold it.

    :param rows: an estimate per encoder, collection and role.
    :param gpus: devices that encode at once.
    :param price: dollars for an hour of one device; None if not known.
    :return: the estimates with what follows from each, and sums; where texts are not counted `complete` is false, and the sums
        are the least there can be.
    """
    hours = sum(row.seconds for row in rows) / 3600
    return {
        "estimates": [
            {**asdict(row), "lacking": row.lacking, "tokens": row.tokens, "bytes": row.size, "seconds": row.seconds}
            for row in rows
        ],
        "complete": all(row.texts is not None for row in rows),
        "devices": gpus,
        "hours": hours / gpus,
        "device_hours": hours,
        "bytes": sum(row.size for row in rows),
        "dollars": None if price is None else hours * price,
    }


def _table(rows: list[Estimate]) -> None:
    """Print a table per model and collection: its queries, its documents."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import stdout
    from mimo_eval.collections.downloads import readable

    for model, collection in dict.fromkeys((row.model, row.collection) for row in rows):
        table = Table("", box=box.SIMPLE_HEAD, title=escape(f"{model} on {collection}"), title_justify="left")
        for title in ("texts", "there", "to encode", "a text", "tokens", "vectors", "texts/s", "hours"):
            table.add_column(title, justify="right", no_wrap=True)
        for row in rows:
            if (row.model, row.collection) != (model, collection):
                continue
            counted = row.texts is not None
            table.add_row(
                "queries" if row.role == "query" else "documents",
                f"{row.texts:,}" if counted else "unknown",
                "–" if row.stored is None else f"{row.stored:,}",
                f"{row.lacking:,}" if counted else "unknown",
                "–" if row.tokens_per_text is None else f"{row.tokens_per_text:.0f} tok.",
                "–" if row.tokens is None or not counted else _short(row.tokens),
                readable(round(row.size)) if counted else "unknown",
                f"{row.rate:,.0f}" if row.rate >= 10 else f"{row.rate:.1f}",
                f"{row.seconds / 3600:,.2f}" if counted else "unknown",
            )
        stdout().print(table)


def _short(number: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return f"{number:.0f}"


def _sum(rows: list[Estimate], gpus: int, price: float | None, given: bool) -> None:
    from mimo_eval.collections.downloads import readable

    hours = sum(row.seconds for row in rows) / 3600 / gpus
    least = "at least " if any(row.texts is None for row in rows) else ""
    devices = "one device" if gpus == 1 else f"{gpus} devices"
    size = readable(round(sum(row.size for row in rows)))
    click.echo(f"{least}{hours:,.2f} hours on {devices}; vectors {size}")
    if price is not None:
        click.echo(f"{least}${hours * gpus * price:,.2f} at ${price:g} an hour and device")
    else:
        click.echo(f"{least}{hours * gpus:,.2f} device hours to pay for; --price-per-hour says dollars")
    unknown = sorted({row.collection for row in rows if row.stored is None})
    if unknown:
        click.echo(f"what of {', '.join(unknown)} is encoded already is seen when its texts are here; counted as nothing")
    how = "as given" if given else "measured on this machine, a moment ago"
    click.echo(f"speed: {how}; loading, searching and scoring are not counted")
    others = {(row.sampled, row.collection) for row in rows if row.sampled != row.collection.partition("(")[0]}
    for sampled, name in sorted(others):
        click.echo(
            f"tokens and speed are those of the texts of {sampled}, which may be shorter or longer than those of {name}; "
            "--tokens-per-text says better",
        )
    for source in sorted({row.counted for row in rows if row.counted not in ("", "counted")}):
        click.echo(f"numbers of texts: {source}")
