"""The boards of this repository are what their results say, and their results are what submissions must be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mimo_eval.leaderboard import FILES, build_board, read_board, render
from mimo_eval.leaderboard.entries import find, read_card
from mimo_eval.leaderboard.submit import submit
from mimo_eval.results import read_queries, read_result

BOARDS = Path(__file__).parents[2] / "leaderboards"
MADE = sorted(path.parent for path in BOARDS.glob("*/results"))


def close(first: object, second: object, where: str = "") -> list[str]:
    """Name what differs between two JSON documents; numbers may differ in the last place that a platform decides."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return [fault for key in first for fault in close(first[key], second[key], f"{where}.{key}")]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [fault for i, pair in enumerate(zip(first, second, strict=True)) for fault in close(*pair, f"{where}[{i}]")]
    if isinstance(first, float) and isinstance(second, (int, float)):
        return [] if first == pytest.approx(second, abs=2e-5) else [f"{where}: {first} and {second}"]
    return [] if first == second else [f"{where}: {first} and {second}"]


@pytest.mark.parametrize("board", MADE, ids=lambda path: path.name)
def test_a_board_is_what_its_results_say(board):
    built = build_board([board / "results"]).model_dump(mode="json")
    assert len(built["groups"]) == 1  # all of it is comparable
    committed = json.loads((board / "board.json").read_text("utf-8"))
    assert close(committed, json.loads(json.dumps(built)))[:5] == [], f"run: mimo-eval leaderboard build {board}"


@pytest.mark.parametrize("board", MADE, ids=lambda path: path.name)
def test_every_file_is_what_board_json_says(board):
    for name, content in render(read_board(board)).items():
        assert (board / name).read_text("utf-8") == content, f"run: mimo-eval leaderboard build {board}"
    assert set(FILES) | {"results", "models.yaml"} == {path.name for path in board.iterdir()}


@pytest.mark.parametrize("board", MADE, ids=lambda path: path.name)
def test_every_committed_result_could_be_submitted(board, tmp_path):
    for file in find([board / "results"]):
        assert submit(file, tmp_path, read_card(file.parent)).folder.is_dir()
        assert list(read_queries(file).columns)[7:] == ["nDCG@20", "LPR"]
        assert read_result(file).benchmark["name"] == board.name


@pytest.mark.skipif(not BOARDS.is_dir(), reason="only in the repository")
def test_models_can_be_listed_and_chosen():
    done = subprocess.run(
        [sys.executable, BOARDS / "evaluate.py", "mini", "--only", "lir"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "passed over, give --set data=FOLDER" in done.stderr
