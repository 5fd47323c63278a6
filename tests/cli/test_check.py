"""`mimo-eval check`: exit codes, files, what GitHub sees."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from mimo_eval import evaluation
from mimo_eval.benchmark import load_benchmark
from mimo_eval.cli import main
from mimo_eval.cli.check import terminal
from mimo_eval.gate import check
from mimo_eval.models.loading import load_model


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Evaluate two models on two languages of `mini`, once."""
    root = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(root / "cache"))
        chosen = evaluation.changed(load_benchmark("mini"), languages="en,de", mixes=["parallel", "monolingual"])
        small = evaluation.changed(chosen, languages="en,es")

        def run(name, benchmark, folder):
            return evaluation.run(load_model(name), benchmark, output=root / folder).folder

        return {
            "good": run("hashing", chosen, "a"),
            "bad": run("hashing(dim=32)", chosen, "a"),
            "other": run("hashing", small, "b"),
        }


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def run(monkeypatch, *args):
    monkeypatch.setattr("sys.argv", ["mimo-eval", "check", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        main.main()
    return stop.value.code


def update(monkeypatch, result, baseline):
    monkeypatch.setattr("sys.argv", ["mimo-eval", "check", str(result), "--baseline", str(baseline), "--update"])
    main.main()


def test_exit_codes(monkeypatch, capsys, tmp_path, results):
    base = tmp_path / "base"
    assert run(monkeypatch, results["good"], "--baseline", base) == 4
    assert "error: " in capsys.readouterr().err
    update(monkeypatch, results["good"], base)
    assert "baseline written to" in capsys.readouterr().out
    assert run(monkeypatch, results["good"], "--baseline", base) == 0
    assert "hashing on mini: passed" in capsys.readouterr().out
    assert run(monkeypatch, results["bad"], "--baseline", base) == 1
    assert "failed" in capsys.readouterr().out
    assert run(monkeypatch, results["other"], "--baseline", base) == 3
    assert "cannot be compared" in capsys.readouterr().err
    assert run(monkeypatch, results["good"]) == 2


def test_files_and_github(monkeypatch, capsys, tmp_path, results):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    files = ["--junit", tmp_path / "junit.xml", "--json", tmp_path / "verdict.json"]
    assert run(monkeypatch, results["bad"], "--baseline", results["good"], *files) == 1
    assert capsys.readouterr().err.count("::error title=") >= 1
    assert summary.read_text("utf-8").startswith("before\n### ❌ failed: hashing")
    verdict = json.loads((tmp_path / "verdict.json").read_text("utf-8"))
    suite = ElementTree.parse(tmp_path / "junit.xml").find("testsuite")
    assert not verdict["passed"] and int(suite.get("tests")) == len(verdict["tested"])
    assert run(monkeypatch, results["other"], "--baseline", results["good"]) == 3
    assert "::error title=mimo-eval%3A not checked::" in capsys.readouterr().err


def test_reports_of_an_earlier_check_do_not_stand_for_one_that_could_not_be_made(monkeypatch, capsys, tmp_path, results):
    summary, files = tmp_path / "summary.md", ["--junit", tmp_path / "junit.xml", "--json", tmp_path / "verdict.json"]
    assert run(monkeypatch, results["good"], "--baseline", results["good"], *files) == 0
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert run(monkeypatch, results["other"], "--baseline", results["good"], *files) == 3
    verdict = json.loads((tmp_path / "verdict.json").read_text("utf-8"))
    assert verdict["passed"] is False and "cannot be compared" in verdict["error"]
    assert ElementTree.parse(tmp_path / "junit.xml").find("testsuite").get("errors") == "1"
    assert "cannot be compared" in summary.read_text("utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "summary.md"))
    assert run(monkeypatch, results["good"], "--baseline", results["good"]) == 2
    assert "$GITHUB_STEP_SUMMARY cannot be written" in capsys.readouterr().err


def test_a_model_cannot_speak_to_the_terminal(monkeypatch, capsys, results):
    verdict = check(results["good"], results["good"])
    terminal(replace(verdict, model="evil\n\x1b[31m[bold]\u202e", notes=["\x1b]0;title\x07"]))
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(out) and "evil \ufffd[31m[bold]\ufffd on mini: passed" in out


@pytest.mark.parametrize(("layout", "start"), [("json", '{\n "passed": true'), ("markdown", "### ✅ passed")])
def test_formats(monkeypatch, capsys, results, layout, start):
    assert run(monkeypatch, results["good"], "--baseline", results["good"], "--format", layout) == 0
    assert capsys.readouterr().out.startswith(start)


def test_a_baseline_is_not_changed_in_ci(monkeypatch, capsys, tmp_path, results):
    monkeypatch.setenv("CI", "true")
    assert run(monkeypatch, results["good"], "--baseline", tmp_path / "base", "--update") == 2
    assert "by hand" in capsys.readouterr().err and not (tmp_path / "base").exists()


def test_an_update_says_what_it_changes(monkeypatch, capsys, tmp_path, results):
    update(monkeypatch, results["good"], tmp_path / "base")
    update(monkeypatch, results["bad"], tmp_path / "base")
    assert "worse by" in capsys.readouterr().out
    assert run(monkeypatch, results["bad"], "--baseline", tmp_path / "base") == 0


def test_an_update_replaces_the_baseline_that_a_check_would_read(monkeypatch, capsys, tmp_path, results):
    update(monkeypatch, results["good"], tmp_path / "base" / "one")
    update(monkeypatch, results["bad"], tmp_path / "base")
    assert [p.parent.name for p in (tmp_path / "base").rglob("result.json")] == ["one"]
    update(monkeypatch, results["bad"], tmp_path / "base" / "two")
    assert run(monkeypatch, results["good"], "--baseline", tmp_path / "base", "--update") == 3
    assert "holds 2 results" in capsys.readouterr().err and not (tmp_path / "base" / "result.json").exists()


def test_a_policy_that_is_wrong(monkeypatch, capsys, tmp_path, results):
    (tmp_path / "gate.yaml").write_text("tolerance: much")
    code = run(monkeypatch, results["good"], "--baseline", results["good"], "--policy", tmp_path / "gate.yaml")
    assert code == 2 and "gate.yaml: tolerance" in capsys.readouterr().err


def test_a_result_that_is_missing_or_torn(monkeypatch, capsys, tmp_path, results):
    assert run(monkeypatch, tmp_path / "none.json", "--baseline", results["good"]) == 3
    (tmp_path / "torn.json").write_text('{"key": ')
    assert run(monkeypatch, tmp_path / "torn.json", "--baseline", results["good"]) == 3
    assert "torn.json: not a result" in capsys.readouterr().err
