"""Options that several commands share, as decorators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def data_option(function: F) -> F:
    """Add `--data`."""
    return click.option(
        "--data",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder with the collection's files, or one that holds a folder per collection; else $MIMO_EVAL_DATA.",
    )(function)


def languages_option(function: F) -> F:
    """Add `--languages`."""
    return click.option("--languages", metavar="CODES", help="Only these languages, such as en,de,zh.")(function)


def output_option(function: F) -> F:
    """Add `--output`."""
    kind = click.Path(file_okay=False, path_type=Path)
    help_ = "Folder for results."
    return click.option("-o", "--output", type=kind, default=Path("results"), show_default=True, help=help_)(function)


MODEL_OPTIONS = (
    click.option("--device", help="Such as cpu, cuda, cuda:1; chosen by torch if not given."),
    click.option("--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), help="Of the weights while encoding."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Texts per batch."),
    click.option("--max-length", type=click.IntRange(min=1), help="Most tokens of a text."),
    click.option("--truncate-dim", type=click.IntRange(min=1), help="Keep this many leading dimensions."),
    click.option("--revision", help="Branch, tag or commit of a model on the hub."),
    click.option("--query-prompt", help="Text put before queries, instead of the model's own."),
    click.option("--document-prompt", help="Text put before documents, instead of the model's own."),
    click.option("--trust-remote-code", is_flag=True, default=None, help="Run Python code that comes with a model."),
)


def model_options(function: F) -> F:
    """Add what `ModelOptions` holds."""
    for option in reversed(MODEL_OPTIONS):
        function = option(function)
    return function
