"""`mimo-eval show` and `results`, and commands that are given the folder of a model that was evaluated twice."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
from calling import call

SMALL = ("--languages", "de,zh", "--mix", "parallel", "--measures", "nDCG@20 R@100 LPR", "--format", "json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """BM25 once; hashing twice, with another depth."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(folder / "cache"))
        done = [call("run", "bm25", "hashing", *SMALL, cwd=folder), call("run", "hashing", *SMALL, "--depth", "50", cwd=folder)]
    assert [each.returncode for each in done] == [0, 0], done
    for result, (created, depth) in zip(
        sorted((folder / "results").rglob("result.json"), key=lambda path: json.loads(path.read_text())["benchmark"]["depth"]),
        (("2025-04-01T12:34:56+00:00", 50), ("2025-03-01T12:34:56+00:00", 100), ("2025-03-02T12:34:56+00:00", 100)),
        strict=True,
    ):
        content = json.loads(result.read_text())
        assert content["benchmark"]["depth"] == depth
        result.write_text(json.dumps(content | {"created": created, "checksum": ""}))
    return folder


def test_a_stored_result_is_printed_as_run_printed_it(made, tmp_path):
    (one,) = made.glob("results/mini/bm25/*")
    shown = call("show", one, cwd=tmp_path)
    run = call("run", "bm25", *SMALL[:-2], "-o", made / "results", cwd=tmp_path)
    assert shown.returncode == 0 and shown.stdout == run.stdout and "nothing has changed" in run.stderr
    assert shown.stderr == ""
    assert "mini · mlir" in shown.stdout and "bm25: evaluated 2025-03-0" in " ".join(shown.stdout.split())


@pytest.mark.parametrize("layout", ["json", "csv", "markdown", "latex"])
def test_the_formats_are_those_of_run(made, tmp_path, layout):
    (one,) = made.glob("results/mini/bm25/*")
    run = call("run", "bm25", *SMALL[:-1], layout, "-o", made / "results", cwd=tmp_path)
    assert call("show", one, "--format", layout, cwd=tmp_path).stdout == run.stdout


def test_of_a_folder_the_newest_of_each_model_is_shown_and_what_may_not_be_compared_stands_apart(made, caplog):
    shown = call("show", "results", cwd=made)
    assert shown.stdout.count("mini · mlir") == 2  # depth 100, and 50
    assert "hashing: the newest of 2 results is taken" in caplog.text and "differs in depth: 100 instead of 50" in caplog.text
    every = call("show", *sorted(made.glob("results/mini/*/*")), "results/mini/bm25", "--format", "csv", cwd=made)
    models = [row["model"] for row in csv.DictReader(io.StringIO(every.stdout))]
    assert models == ["bm25", "hashing #1", "hashing #2"]


def test_markup_of_a_model_does_not_break_the_table(made, tmp_path):
    (one,) = made.glob("results/mini/bm25/*")
    shutil.copytree(one, tmp_path / "odd")
    content = json.loads((one / "result.json").read_text())
    content["model"]["name"] = "a|b_*c* <d>"
    (tmp_path / "odd" / "result.json").write_text(json.dumps(content | {"checksum": ""}))
    lines = call("show", "odd", "--format", "markdown", cwd=tmp_path).stdout.splitlines()
    assert lines[2].startswith(r"| a\|b\_\*c\* &lt;d&gt; | mini | mlir | parallel | 0.")
    assert "| nDCG@20 |" in lines[0] and len({line.replace(r"\|", "").count("|") for line in lines}) == 1


def test_what_is_no_result_is_exit_code_3(made, tmp_path):
    (tmp_path / "empty").mkdir()
    assert call("show", "empty", cwd=tmp_path).returncode == call("results", "empty", cwd=tmp_path).returncode == 3
    assert call("show", "nowhere", cwd=tmp_path).returncode == call("results", cwd=tmp_path).returncode == 2


def test_results_are_listed_by_model_newest_first(made):
    rows = json.loads(call("results", "--format", "json", cwd=made).stdout)
    assert [(row["benchmark"], row["model"], row["created"][:10]) for row in rows] == [
        ("mini", "bm25", rows[0]["created"][:10]),
        ("mini", "hashing", "2025-04-01"),
        ("mini", "hashing", rows[2]["created"][:10]),
    ]
    for row in rows:
        content = json.loads((made / row["path"] / "result.json").read_text())
        assert row["key"] == content["key"] and row["score"] == content["settings"][0]["scores"]["nDCG@20"]
        assert (row["setting"], row["measure"], row["settings"]) == ("parallel", "nDCG@20", 1)
    assert len(list(csv.DictReader(io.StringIO(call("results", "--format", "csv", cwd=made).stdout)))) == 3
    table = call("results", "results/mini", cwd=made).stdout
    assert f"{rows[1]['score']:.3f} nDCG@20, parallel" in table and f"hashing/{rows[1]['key'][:12]}" in table
    assert "2025-04-01 12:34" in table


def test_a_result_that_is_damaged_does_not_hide_the_others(made, tmp_path):
    shutil.copytree(made / "results", tmp_path / "results")
    next(tmp_path.glob("results/mini/bm25/*/result.json")).write_text("{")
    listed = call("results", cwd=tmp_path)
    assert listed.returncode == 0 and listed.stdout.count("hashing") == 4 and "result.json: not a result" in listed.stderr


def test_commands_take_the_newest_result_of_a_model_that_was_evaluated_twice(made, tmp_path, caplog):
    """As the gate's page and README write them: a retrained checkpoint makes a second key in the same folder."""
    shutil.copytree(made / "results", tmp_path / "results")
    folder, newest = (
        "results/mini/hashing",
        next(p for p in made.glob("results/mini/hashing/*") if "50" in (p / "result.json").read_text()),
    )
    for line in (
        ("check", folder, "--baseline", f"results/mini/hashing/{newest.name}"),
        ("card", folder),
        ("report", folder, "-o", "page.html"),
        ("compare", folder, f"results/mini/hashing/{newest.name}"),
        ("mteb", "export", folder, "-o", "mteb"),
    ):
        caplog.clear()
        done = call(*line, cwd=tmp_path)
        assert "the newest of 2 results is taken: " + newest.name in caplog.text, line
        assert done.returncode == 0 or line[0] == "mteb", done.stderr
    caplog.clear()
    several = call("check", f"results/mini/hashing/{newest.name}", "--baseline", folder, cwd=tmp_path)
    assert several.returncode == 3 and "holds 2 results, choose one" in several.stderr and "2025-03-0" in several.stderr


def test_a_glob_of_both_results_of_a_model_says_which_is_which(made):
    done = call("compare", *sorted(made.glob("results/mini/hashing/*")), "--format", "json", cwd=made)
    assert done.returncode == 3 and "cannot be compared; they differ in\n  depth: " in done.stderr
