"""`mimo-eval report`: one result as a page."""

from __future__ import annotations

from pathlib import Path

import click

from mimo_eval.cli.options import data_option


@click.command()
@click.argument("result", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; report.html beside the result if not given.",
)
@click.option("--mix", help="Setting whose failures are shown; by default the first with a corpus in several languages.")
@click.option(
    "--worst", type=click.IntRange(0, 1000), default=20, show_default=True, help="Number of queries to show, worst first."
)
@data_option
def command(result: Path, output: Path | None, mix: str | None, worst: int, data: Path | None) -> None:
    """Write a page about RESULT: where the model fails, and in which languages.

    RESULT is the JSON file that `mimo-eval run --save-runs` wrote, its folder, or a folder further up that holds one result
    only. Without saved runs the page has no worst queries. Texts are read from the collection, where it is at hand.
    """
    from mimo_eval.comparison.stored import locate
    from mimo_eval.files import atomic_write
    from mimo_eval.leaderboard.report import result_page

    file = locate(result)
    page = result_page(file, mix=mix, worst=worst, data=data)
    path = output or file.parent / "report.html"
    with atomic_write(path, "w") as stream:
        stream.write(page)
    click.echo(str(path))
