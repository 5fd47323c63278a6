"""A board in every format, and into its folder."""

from __future__ import annotations

import json
from pathlib import Path

from mimo_eval.files import atomic_write
from mimo_eval.leaderboard.page import page
from mimo_eval.leaderboard.schema import Board
from mimo_eval.leaderboard.tables import csv_table, latex, markdown

FILES = {
    "board.json": lambda board: json.dumps(board.model_dump(mode="json"), ensure_ascii=False, allow_nan=False) + "\n",
    "board.csv": csv_table,
    "board.tex": latex,
    "README.md": markdown,
    "index.html": page,
}
"""Name of each file of a board to what makes its content."""


def render(board: Board) -> dict[str, str]:
    """Return the content of every file of a board.

    :param board: the board.
    :return: file name to content.
    """
    return {name: make(board) for name, make in FILES.items()}


def write_board(folder: Path, board: Board) -> dict[str, int]:
    """Write every file of a board; all are made before the first is written.

    :param folder: where they go.
    :param board: the board.
    :return: file name to size in bytes.
    """
    made = {name: content.encode("utf-8") for name, content in render(board).items()}
    for name, content in made.items():
        with atomic_write(folder / name) as stream:
            stream.write(content)
    return {name: len(content) for name, content in made.items()}
