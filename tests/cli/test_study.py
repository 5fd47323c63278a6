"""`mimo-eval study`: from a file to tables, gone on with, errors without a traceback."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError, DataError

sys.path.insert(0, str(Path(__file__).parent.parent / "study"))
from small_study import write_study


def invoke(*args):
    return CliRunner().invoke(cli, ["study", *map(str, args)], catch_exceptions=True)


def test_the_smoke_version_ends_with_a_page_and_is_not_done_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_study(tmp_path)
    result = invoke(path, "--smoke")
    assert result.exit_code == 0, result.output
    page = tmp_path / "studies" / "small-smoke" / "report.md"
    assert f"written: {Path('studies/small-smoke/report.md')}" in result.stdout
    assert "`mimo(passes=2)`" in page.read_text("utf-8")
    again = invoke(path, "--smoke")
    assert "2 of 2 rows are there" in again.stderr
    before = page.read_bytes()
    assert invoke(path, "--smoke", "--report").exit_code == 0
    assert page.read_bytes() == before


def test_a_report_of_nothing_is_an_error(tmp_path):
    result = invoke(write_study(tmp_path), "--report", "-o", tmp_path / "out")
    assert isinstance(result.exception, DataError)
    assert "no run of 'small' has all its folds yet" in str(result.exception)
    assert "not there yet: stage-1/fold-1" in result.stderr


@pytest.mark.parametrize("name", ["nothing", "missing.yaml"])
def test_a_study_that_is_not_there_is_an_error(name):
    result = invoke(name)
    assert isinstance(result.exception, ConfigError)
    assert f"no study '{name}'" in str(result.exception)


def test_missing_data_are_named(tmp_path):
    path = write_study(tmp_path)
    (tmp_path / "data" / "parallel" / "toy.jsonl").unlink()
    (tmp_path / "data" / "parallel").rmdir()
    result = invoke(path, "-o", tmp_path / "out")
    assert isinstance(result.exception, DataError)
    assert "no parallel" in str(result.exception)
