"""`mimo-eval leaderboard`: results to a ranked page, and results to a pull request."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Build leaderboards from results, and prepare submissions to them."""


@command.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Of the board; the folder around `results/` if not given.",
)
@click.option("--title", default="", help="Its name; that of the benchmark if not given.")
@click.option("--measures", metavar="MEASURES", help="With intervals and tests, instead of the main one and LPR.")
@click.option(
    "--level", type=click.FloatRange(0, 1, True, True), default=0.95, show_default=True, help="Of intervals and tests."
)
@click.option("--samples", type=click.IntRange(1, 100_000), default=2000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap.")
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
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("submission"), show_default=True)
@click.option(
    "--board", multiple=True, type=click.Path(exists=True, path_type=Path), help="Results there already, to be comparable with."
)
@click.option("--licence", default="", help="Of the model, such as Apache-2.0.")
@click.option("--link", default="", help="http(s) address of the model or its paper.")
@click.option("--parameters", type=click.IntRange(0), help="Weights of the network, if the result does not say.")
@click.option("--prompts", default="", help="What is put before queries and documents, if the result does not say; or 'none'.")
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
