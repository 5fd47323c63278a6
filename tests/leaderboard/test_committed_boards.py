"""The boards of this repository are what their results say, and their results are what submissions must be."""

import json
import shutil
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


def evaluate(folder, *arguments):
    """Call a copy of the script that evaluates boards, beside boards of the test's own."""
    shutil.copy(BOARDS / "evaluate.py", folder)
    command = [sys.executable, folder / "evaluate.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_models_are_evaluated_and_replace_what_was_there(tmp_path):
    board = tmp_path / "mini"
    older = next((BOARDS / "mini" / "results" / "hashing_dim_64").iterdir())
    shutil.copytree(older, board / "results" / "hashing_dim_64" / "0123456789ab")
    models = ("hashing(dim=64), licence: CC0-1.0", "'lir(hashing, sample={data}/x)'", "no-such-model")
    (board / "models.yaml").write_text("".join(f"- {{model: {line}}}\n" for line in models), "utf-8")
    done = evaluate(tmp_path, "mini", "--work", tmp_path / "work")
    assert done.returncode == 1, done.stderr  # of the model that there is not; the others are on the board all the same
    assert "mini: lir(hashing, sample={data}/x): passed over, give --data FOLDER" in done.stderr
    assert "mini: no-such-model: " in done.stderr
    (file,) = find([board / "results"])
    assert read_card(file.parent).licence == "CC0-1.0" and read_result(file).encoded["read"] == 0
    assert [entry.key for entry in read_board(board).groups[0].entries] == [read_result(file).key]
    assert {path.name for path in board.iterdir()} == {*FILES, "results", "models.yaml"}
    again = evaluate(tmp_path, "--only", "dim=64", "--work", tmp_path / "work", "--data", tmp_path)  # which mini has no use for
    assert again.returncode == 0 and find([board / "results"]) == [file], again.stderr


def test_a_board_that_is_not_there_is_named(tmp_path):
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "models.yaml").write_text("[]", "utf-8")
    done = evaluate(tmp_path, "maxi")
    assert done.returncode == 2 and "no board maxi; those are mini" in done.stderr
