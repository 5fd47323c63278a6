"""`mimo-eval train`: train a model by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import data_option

if TYPE_CHECKING:
    from mimo_eval.training.recipe import Recipe
    from mimo_eval.training.train import Trained


@click.command()
@click.argument("recipe")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder where the model is written; else the recipe's.")
@data_option
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Setting instead of the recipe's, such as stages.joint.lr=0.01.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was broken off.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done: rows, steps, teacher texts, memory, downloads.")
def command(recipe: str, output: Path | None, data: Path | None, changes: tuple[str, ...], resume: bool, dry_run: bool) -> None:
    """Train a model by RECIPE, a YAML file or the name of a recipe that comes with the package.

    What comes out is a folder that sentence-transformers and `mimo-eval run FOLDER` load, with a model card. On several
    GPUs: accelerate launch -m mimo_eval.cli.main train RECIPE.
    """
    from mimo_eval.training.recipe import load_recipe

    chosen = load_recipe(recipe, changes)
    if dry_run:
        _show(chosen, data)
        return
    from mimo_eval.cli.progress import Bars
    from mimo_eval.cli.training import Lines
    from mimo_eval.training.train import train

    with Lines() as watcher:
        done = train(chosen, output, data=data, resume=resume, watcher=watcher, progress=Bars(chosen.name))
    _tell(done)


def _tell(done: Trained) -> None:
    for stage in done.stages:
        losses = ", ".join(f"{name} {value:.4f}" for name, value in stage.last.items())
        best = ""
        if stage.best:
            best = "; " + ", ".join(f"{name} {value:.4f}" for name, value in stage.best.items() if name != "step")
            best += f" at step {stage.best['step']:,.0f}"
        click.echo(f"{stage.name}: {stage.steps:,} steps, {stage.rate:,.0f} rows/s, {losses}{best}")
    click.echo(f"model written to {done.folder}; try: mimo-eval run {done.folder}")


def _show(recipe: Recipe, data: Path | None) -> None:
    import os

    from mimo_eval.cli.training import plan_tables
    from mimo_eval.training.plan import plan

    plan_tables(recipe.name, plan(recipe, data, processes=int(os.environ.get("WORLD_SIZE", "1"))))
