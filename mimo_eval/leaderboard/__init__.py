"""Leaderboards: results to ranked tables in every format and one self-contained page; a page per result; submissions."""

from mimo_eval.leaderboard.build import build_board
from mimo_eval.leaderboard.schema import Board, read_board
from mimo_eval.leaderboard.writing import FILES, render, write_board

__all__ = ["FILES", "Board", "build_board", "read_board", "render", "write_board"]
