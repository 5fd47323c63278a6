"""`mimo-eval leaderboard`: results to a ranked page, results to a pull request, and pull requests checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimo_eval.cli.options import format_option


@click.group()
def command() -> None:
    """Build leaderboards from results, and prepare and check submissions to them."""


@command.command(short_help="Build a board from results of ours or MTEB's.")
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the board; the folder around `results/` if not given.",
)
@click.option("--title", default="", help="Title of the board; the benchmark's name if not given.")
@click.option("--measures", metavar="MEASURES", help="Measures with intervals and tests, instead of the main one and LPR.")
@click.option(
    "--level", type=click.FloatRange(0, 1, True, True), default=0.95, show_default=True, help="Level of intervals and tests."
)
@click.option("--samples", type=click.IntRange(1, 100_000), default=2000, show_default=True, help="Samples of the bootstrap.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap.")
def build(
    results: tuple[Path, ...], output: Path | None, title: str, measures: str | None, level: float, samples: int, seed: int
) -> None:
    """Build a board from RESULTS: files or folders of `mimo-eval run`, or MTEB's.

    Writes README.md, board.csv, board.tex, board.json and index.html, which opens from disk. Results of other data, mixes or
    depth become rankings of their own.
    """
    from mimo_eval.errors import ConfigError
    from mimo_eval.integrations.mteb.results import read_task_results
    from mimo_eval.leaderboard import build_board, write_board
    from mimo_eval.leaderboard.outside import is_ours, outside_group

    folder = output
    if folder is None:
        if len(results) != 1 or not (results[0] / "results").is_dir():
            raise ConfigError("give a folder for the board with -o; it may be left out for one folder that holds `results/`")
        folder, results = results[0], (results[0] / "results",)
    ours = [path for path in results if is_ours(path)]
    rows = [row for path in results if path not in ours for row in read_task_results(path)]
    outside = [outside_group(rows, "MTEB")] if rows else []
    board = build_board(ours, title=title, measures=measures, level=level, samples=samples, seed=seed, outside=outside)
    sizes = write_board(folder, board)
    for number, group in enumerate(board.groups, 1):
        click.echo(
            f"ranking {number}: {group.benchmark}, {len(group.entries)} models, {len(group.settings)} settings", err=True
        )
        for line in [*(f"not comparable: {d}" for d in group.differs), *group.notes]:
            click.echo(f"  {line}", err=True)
    for name, size in sizes.items():
        click.echo(f"{folder / name}  {size / 1000:,.0f} kB")


@command.command()
@click.argument("result", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("submission"),
    show_default=True,
    help="Folder where the submission is written.",
)
@click.option(
    "--board",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Results of the board, with which this one must be comparable.",
)
@click.option("--licence", default="", help="Licence of the model, such as Apache-2.0.")
@click.option("--link", default="", help="Address of the model or its paper, http or https.")
@click.option("--parameters", type=click.IntRange(0), help="Number of weights of the network, if the result does not say.")
@click.option("--prompts", default="", help="Prompts before queries and documents, if the result does not say; or 'none'.")
def submit(
    result: Path, output: Path, board: tuple[Path, ...], licence: str, link: str, parameters: int | None, prompts: str
) -> None:
    """Validate RESULT and prepare the folder of a pull request.

    Checked are the schema, the key, the benchmark, that every setting is complete, that means and per-query scores agree, and
    that prompts are declared. Per-query scores are cut to the measures that boards test.
    """
    from pydantic import ValidationError

    from mimo_eval.errors import ConfigError
    from mimo_eval.leaderboard.entries import ModelCard
    from mimo_eval.leaderboard.submit import submit as prepare

    try:
        card = ModelCard(licence=licence, link=link, parameters=parameters, prompts=prompts)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]}: {first['msg']}") from error
    done = prepare(result, output, card, board=board)
    for warning in done.warnings:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"{done.folder}\n{done.description}")


@command.command(short_help="Check submitted results; for a board's maintainer.")
@click.argument("results", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--board",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="The board they would stand on, or its results, to be comparable with; may hold the results themselves.",
)
@format_option("text", "json", "markdown")
def validate(results: tuple[Path, ...], board: tuple[Path, ...], layout: str) -> None:
    """Check submitted results before they are added to a board; for its maintainer.

    PATH is a result, its folder, or a folder around several. Each is checked as `submit` does, and that it is as it was
    written, lies in its model's own folder, and brings no other files. Nothing is written or changed.

    Exit codes: 0 all can be added, 3 one cannot.
    """
    import json

    from mimo_eval.errors import DataError
    from mimo_eval.leaderboard.validation import document, markdown, summary
    from mimo_eval.leaderboard.validation import validate as check

    found = check(results, board)
    if layout == "json":
        click.echo(json.dumps(document(found), ensure_ascii=False, indent=1, allow_nan=False))
    elif layout == "markdown":
        click.echo(markdown(found), nl=False)
    else:
        _tell(document(found))
    if any(one.faults for one in found):
        raise DataError(summary(found))
    click.echo(summary(found), err=True)


def _tell(found: list[dict[str, Any]]) -> None:
    """Print what was found of each result, in lines that send nothing else to the terminal."""
    from mimo_eval.leaderboard import text

    for one in found:
        click.echo(f"{'ok' if one['valid'] else 'no'}  {one['name']}  {text.name(one['path'], 500)}")
        for row in one["scores"]:
            score = "–" if row["score"] is None else f"{row['score']:.3f}"
            click.echo(f"    {row['setting']} {row['measure']} {score}" + (f", {row['place']}" if row["place"] else ""))
        for word, lines in (("fault", one["faults"]), ("look at", one["doubts"])):
            for line in lines:
                click.echo(f"    {word}: {text.name(line, 1000)}")
