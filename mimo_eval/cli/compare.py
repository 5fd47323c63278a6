"""`mimo-eval compare`: say whether one result is better than another."""

from __future__ import annotations

from pathlib import Path

import click

from mimo_eval.cli.differences import FORMATS, WIDTH, terminal
from mimo_eval.cli.options import data_option, format_option


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULT RESULT...")
@click.option(
    "--measures", metavar="MEASURES", help="Measures to compare, such as 'nDCG@10 R@100'; the main one and LPR if not given."
)
@click.option(
    "--by",
    type=click.Choice(["setting", "language", "corpus"]),
    default="language",
    show_default=True,
    help="Finest level to compare: whole settings, query languages, or single corpora.",
)
@click.option(
    "--level", type=click.FloatRange(0, 1, True, True), default=0.95, show_default=True, help="Level of the intervals."
)
@click.option(
    "--permutations",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Permutations of each test, and samples of the bootstrap; up to 1,000,000.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of permutations and bootstrap.")
@click.option("--all-pairs", is_flag=True, help="Compare all with all, not only with the first.")
@click.option(
    "--moved", type=click.IntRange(0), default=10, show_default=True, help="Queries to show that gained or lost most."
)
@format_option("table", "json", "csv", "markdown")
@data_option
def command(
    results: tuple[Path, ...],
    measures: str | None,
    by: str,
    level: float,
    permutations: int,
    seed: int,
    all_pairs: bool,
    moved: int,
    layout: str,
    data: Path | None,
) -> None:
    """Compare results of the same data; the first is the baseline.

    A RESULT is a folder that `mimo-eval run` wrote, or its result.json. Differences are tested by exchanging the models for
    whole questions, translations together, and p-values are adjusted for all comparisons shown (Holm).
    """
    from rich.console import Console

    from mimo_eval.comparison import compare

    if layout in ("csv", "markdown"):
        moved = 0
    report = compare(
        results,
        measures=measures,
        level=level,
        permutations=permutations,
        seed=seed,
        all_pairs=all_pairs,
        by=by,
        moved=moved,
        data=data,
    )
    if layout == "table":
        terminal(report, Console(width=WIDTH))
        return
    click.echo(FORMATS[layout](report))
    if layout != "json":
        for note in [*report.notes, *report.cautions]:
            click.echo(f"note: {note}", err=True)
