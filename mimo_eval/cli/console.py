"""Where commands print: tables to a console, everything for programs as JSON."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console

WIDTH = 120


class Output(Console):
    """A console that leaves it to `main` what a broken pipe means; rich's own ends with 1, the code of a regression."""

    def on_broken_pipe(self) -> None:
        """Let the error out."""
        raise  # called by rich where it has caught it


def stdout() -> Console:
    """Return a console on stdout: as wide as the terminal, or wide enough for a table in a file or a pipe."""
    console = Output(highlight=False)
    return console if console.is_terminal else Output(width=WIDTH, highlight=False)


def print_json(content: Any) -> None:
    """Print something as JSON, for other programs.

    :param content: anything JSON can hold; NaN is refused.
    """
    click.echo(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False))
