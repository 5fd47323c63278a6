"""`mimo-eval card`: results as a section and metadata of a model card."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="RESULT...")
@click.option(
    "--readme", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Card to update: the model's README.md."
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["card", "eval-results"]),
    default="card",
    show_default=True,
    help="What is printed: a model card's section and metadata, or a file of .eval_results/.",
)
@click.option("--dataset", metavar="ORG/NAME", help="Data set on the hub that declares the benchmark, for eval-results.")
def command(results: tuple[Path, ...], readme: Path | None, layout: str, dataset: str | None) -> None:
    """Print RESULTs of one model as a model card of the Hugging Face hub has them, or write them into its README.md.

    In an existing card only model-index and the section between mimo-eval's markers change.
    """
    from mimo_eval.comparison.stored import locate
    from mimo_eval.integrations.model_card import eval_results, section, update_card, updated
    from mimo_eval.results import read_result

    read = [read_result(locate(path)) for path in results]
    if layout == "eval-results":
        if dataset is None:
            raise click.UsageError("--format eval-results needs --dataset ORG/NAME")
        if readme is not None:
            raise click.UsageError("--readme goes with --format card; redirect to a file in .eval_results/ instead")
        click.echo(eval_results(read, dataset).rstrip("\n"))
    elif readme is None:
        click.echo(updated("", read[0].model["name"], section(read)).rstrip("\n"))
    else:
        click.echo(f"{readme}: {'updated' if update_card(readme, read) else 'nothing has changed'}", err=True)
