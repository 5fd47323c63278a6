"""The console that tables are printed to."""

from __future__ import annotations

from rich.console import Console

WIDTH = 120


def stdout() -> Console:
    """Return a console on stdout: as wide as the terminal, or wide enough for a table in a file or a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDTH, highlight=False)
