"""What a maintainer is told of a submission: results as `submit` writes them, then each with one thing wrong."""

import json
import shutil
from pathlib import Path

import pytest

from mimo_eval.benchmark import load_benchmark
from mimo_eval.errors import DataError
from mimo_eval.evaluation import run
from mimo_eval.leaderboard.entries import ModelCard
from mimo_eval.leaderboard.submit import submit
from mimo_eval.leaderboard.validation import document, markdown, validate
from mimo_eval.results import read_queries, read_result, write_result

CARD = ModelCard(licence="Apache-2.0", link="https://example.org/model")


@pytest.fixture(scope="session")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board with results of two models, as `submit` puts them there."""
    board = tmp_path_factory.mktemp("submitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        for model in ("hashing(dim=32)", "hashing(dim=256)"):
            outcome = run(model, load_benchmark("mini"), output=tmp_path_factory.mktemp("whole"))
            assert outcome.folder is not None
            submit(outcome.folder, board, CARD)
    (board / "PULL_REQUEST.md").unlink()
    return board


@pytest.fixture
def board(submitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(submitted, tmp_path / "board"))


def of(board: Path, dim: int) -> Path:
    return next(board.glob(f"results/hashing_dim_{dim}/*"))


def edit(folder: Path, change) -> None:
    """Change the JSON file and nothing else, as by hand."""
    content = json.loads((folder / "result.json").read_text("utf-8"))
    change(content)
    (folder / "result.json").write_text(json.dumps(content), "utf-8")


def test_what_submit_wrote_can_be_added_and_gets_its_places(board):
    found = validate([of(board, 32)], [board])
    assert [(one.name, one.faults, one.doubts) for one in found] == [("hashing(dim=32)", [], [])]
    assert [one.name for one in found[0].beside] == ["hashing(dim=256)"]
    shown = markdown(found)
    assert shown.startswith("### ✅ 1 result can be added to a board\n\n#### ✅ `hashing(dim=32)`\n")
    score = read_result(of(board, 32)).settings[0].scores["nDCG@20"]
    assert f"| `parallel` | `nDCG@20` | {score:.3f} | 2 of 2 |" in shown
    assert "| 1 of 2 |" in markdown(validate([of(board, 256)], [board / "results"]))
    assert document(found)[0]["scores"][0] == {"setting": "parallel", "measure": "nDCG@20", "score": score, "place": "2 of 2"}


def test_a_folder_with_all_results_is_checked_result_by_result_and_not_against_itself(board):
    (board / "README.md").write_text("the board's own files are no part of the results", "utf-8")
    found = validate([board], [board])
    assert [one.faults for one in found] == [[], []] and [one.beside for one in found] == [[], []]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda f: edit(f, lambda r: r["settings"][0]["scores"].update({"nDCG@20": 0.99})), "changed by hand"),
        (lambda f: edit(f, lambda r: r.update(checksum="", key="0" * 32)), "key: it does not belong"),
        (lambda f: edit(f, lambda r: r.update(checksum="", model={})), "model: it has no name"),
        (lambda f: edit(f, lambda r: r.update(checksum="", environment={"versions": []})), "not a result of this version"),
        (
            lambda f: edit(f, lambda r: (r.update(checksum=""), r["benchmark"].update(measures=5))),
            "not a result of this version",
        ),
        (lambda f: (f / "result.json").write_text("{}"), "not a result"),
        (lambda f: (f / "queries.parquet").write_bytes(b"PAR1"), "changed by hand"),
        (lambda f: (f / "card.json").write_text('{"licence": 3}'), "licence"),
        (lambda f: f.rename(f.parent / "0123456789ab"), "folder: it lies in"),
        (lambda f: f.parent.rename(f.parents[1] / "hashing"), "folder: it lies in"),
    ],
)
def test_what_is_wrong_is_named(board, change, fault):
    change(of(board, 32))
    (wrong,) = [one for one in validate([board], [board]) if one.faults]
    assert fault in " ".join(wrong.faults)
    assert "❌ 1 of 2 cannot be added" in markdown([wrong, *[one for one in validate([board]) if not one.faults]])


def test_scores_by_query_are_held_against_the_result(board):
    folder = of(board, 32)
    frame = read_queries(folder)
    frame["nDCG@20"] = frame["nDCG@20"] * 0.9
    write_result(folder, read_result(folder), frame)  # with the checksums of the new file
    (one,) = validate([folder])
    assert "does not belong to" in one.faults[0]


def test_files_that_are_no_part_of_a_result_are_refused(board):
    (of(board, 32) / "run.sh").write_text("echo", "utf-8")
    (board / "results" / "unfinished").mkdir()
    (board / "results" / "unfinished" / "queries.parquet").write_bytes(b"")
    (board / "results" / "link").symlink_to("/etc/hostname")
    faults = {one.path.name: one.faults[0] for one in validate([board]) if one.faults}
    assert sorted(faults) == ["link", "queries.parquet", "run.sh"]
    assert faults["link"].startswith("is a link") and "is no part of a result" in faults["run.sh"]


def test_it_must_be_comparable_with_the_board(board, tmp_path):
    other = Path(shutil.copytree(of(board, 256), tmp_path / "other"))
    edit(other, lambda r: r["collections"][0].update(revision="0" * 64))
    (one,) = validate([of(board, 32)], [other])
    assert one.faults and one.faults[0].startswith("unlike the board, data: mini")


def test_another_benchmark_is_said(board, tmp_path):
    other = Path(shutil.copytree(of(board, 256), tmp_path / "other"))
    edit(other, lambda r: r["benchmark"].update(name="another"))
    (one,) = validate([of(board, 32)], [other])
    assert one.doubts == ["the board has no results of this benchmark: it would be a ranking of its own"]
    assert "place" not in markdown([one])


def test_what_it_resembles_is_said(board, tmp_path):
    def again(dim, change):
        folder = Path(shutil.copytree(of(board, dim), tmp_path / f"again{dim}" / "results" / of(board, dim).parent.name / "k"))
        edit(folder, lambda r: (change(r), r.update(checksum="")))
        return folder

    older = again(32, lambda r: r.update(created="2020-01-01T00:00:00+00:00"))
    assert "replaces the result of 2020-01-01" in validate([of(board, 32)], [older])[0].doubts[0]
    newer = again(256, lambda r: r.update(created="2999-01-01T00:00:00+00:00"))
    assert "is older than the result of 2999-01-01" in validate([of(board, 256)], [newer])[0].doubts[0]
    edit(newer, lambda r: r["model"].update(name="my/model"))
    assert "every score is that of my/model" in validate([of(board, 256)], [newer])[0].doubts[0]
    edit(newer, lambda r: (r["model"].update(name="hashing(dim=256)"), r["fingerprints"]["query"].update(prompt="q: ")))
    assert "a result of this name with other weights, prompts or settings" in validate([of(board, 256)], [newer])[0].doubts[0]


def test_measures_that_no_board_tests_are_said(board):
    folder = of(board, 32)
    frame = read_queries(folder).assign(mine=1.0)
    write_result(folder, read_result(folder), frame)
    (one,) = validate([folder])
    assert not one.faults and "holds more than boards test (mine)" in one.doubts[0]


def test_a_damaged_result_of_the_board_itself_is_an_error(board):
    (of(board, 256) / "result.json").write_text("{}", "utf-8")
    with pytest.raises(DataError, match=r"hashing_dim_256.*not a result"):
        validate([of(board, 32)], [board])


def test_nothing_of_a_stranger_is_markup(board):
    edit(of(board, 32), lambda r: (r["model"].update(name="<img src=x>|`](javascript:x) @you"), r.update(checksum="")))
    (one,) = validate([of(board, 32)])
    shown = markdown([one])
    assert one.faults and "``<img src=x>\\|`](javascript:x) @you``" in shown  # a code span, longer than any inside


def test_a_key_that_is_no_hash_is_refused_before_it_names_a_folder(board):
    edit(of(board, 32), lambda content: content.update(key="../hashing_dim_256/abc", checksum=""))
    (one,) = [one for one in validate([of(board, 32)]) if one.faults]
    assert one.faults == ["key: it is no hash"]


def test_collections_that_are_not_those_of_the_tasks_are_a_fault_and_no_traceback(board):
    edit(of(board, 32), lambda content: content.update(collections=content["collections"] * 2, checksum=""))
    (one,) = [one for one in validate([of(board, 32)]) if one.faults]
    assert "not a result of this version" in one.faults[0]


def test_a_folder_that_is_a_link_is_refused(board):
    link = board / "results" / "linked"
    link.symlink_to(of(board, 32).parent)
    assert any("is a link" in fault for one in validate([link]) for fault in one.faults)
