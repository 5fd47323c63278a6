"""`mimo-eval leaderboard` and `mimo-eval report` as a user calls them."""

import json
import re
from pathlib import Path

import pytest
from calling import call


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Two results with their runs."""
    tmp_path = tmp_path_factory.mktemp("evaluated")
    done = call("run", "bm25", "hashing(dim=32)", "--save-runs", "--format", "json", "--languages", "de,zh", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_results_to_board_and_report(evaluated):
    done = call("leaderboard", "build", "results", "-o", "board", "--samples", "10", cwd=evaluated)
    assert done.returncode == 0, done.stderr
    assert "ranking 1: mini, 2 models, 6 settings" in done.stderr
    assert {p.name for p in (evaluated / "board").iterdir()} == {
        "README.md",
        "board.csv",
        "board.json",
        "board.tex",
        "index.html",
    }
    done = call("leaderboard", "build", ".", "--samples", "10", cwd=evaluated)
    assert done.returncode == 0 and (evaluated / "index.html").is_file()  # the folder around results/
    result = next(evaluated.glob("results/mini/bm25/*"))
    done = call("report", result, "-o", "page.html", "--worst", "2", cwd=evaluated)
    assert done.returncode == 0, done.stderr
    assert (evaluated / "page.html").read_text("utf-8").count('<article class="failure">') == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["leaderboard", "build", "results/mini"], 2, "give a folder for the board with -o"),
        (["leaderboard", "build", "nowhere", "-o", "x"], 2, "does not exist"),
        (["leaderboard", "build", "empty", "-o", "x"], 3, "holds no result"),
        (["leaderboard", "build", "results", "-o", "x", "--measures", "nDGC@10"], 2, "did you mean nDCG"),
        (["leaderboard", "submit", "results/mini"], 3, "holds 2 results, choose one"),
        (["leaderboard", "submit", "BM25"], 3, "evaluate without --mix, --languages and --depth"),
        (["leaderboard", "submit", "BM25", "--licence", "x" * 501], 2, "--licence"),
        (["leaderboard", "validate", "BM25"], 3, "cannot be added to a board"),
        (["leaderboard", "validate", "empty"], 3, "no result.json here"),
        (["leaderboard", "validate", "BM25", "--board", "nowhere"], 2, "does not exist"),
        (["report", "results"], 3, "holds 2 results, choose one"),
        (["report", "BM25", "--mix", "monolingual"], 2, "those are: parallel"),
    ],
)
def test_mistakes_have_a_message_and_a_code(evaluated, arguments, code, message):
    (evaluated / "empty").mkdir(exist_ok=True)
    result = str(next(evaluated.glob("results/mini/bm25/*")))
    done = call(*[result if a == "BM25" else a for a in arguments], cwd=evaluated)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert not (evaluated / "x").exists() and not (evaluated / "submission").exists()


def test_what_a_maintainer_is_told_of_a_committed_result(tmp_path):
    board = Path(__file__).parents[2] / "leaderboards" / "mini"
    done = call("leaderboard", "validate", board / "results" / "hashing", "--board", board, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok  hashing  ") and re.fullmatch(r"    parallel nDCG@20 0\.\d{3}, \d+ of 15", lines[1])
    assert "1 result can be added to a board" in done.stderr
    shown = call("leaderboard", "validate", board / "results" / "hashing", "--format", "markdown", cwd=tmp_path).stdout
    assert shown.startswith("### ✅ 1 result can be added") and "- licence: `Apache-2.0`" in shown
    done = call("leaderboard", "validate", board / "results" / "hashing", "--format", "json", cwd=tmp_path)
    (found,) = json.loads(done.stdout)
    assert found["valid"] and found["scores"][0]["place"] == ""
