"""`mimo-eval card`: printed, or written into a README."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.cli.main import cli
from mimo_eval.errors import DataError
from mimo_eval.evaluation import run


@pytest.fixture
def result(tmp_path, folders):
    texts = {"en": {"a": "one", "b": "two"}, "de": {"a": "eins", "b": "zwei"}}
    data = folders(tmp_path / "numbers", texts, texts, {"a": {"a": 1}})
    benchmark = Benchmark(name="numbers", tasks=(Task(collection=str(data)),), measures=("nDCG@20", "LPR"))
    return str(run("hashing(dim=8)", benchmark, output=tmp_path / "out").folder)


def invoke(*arguments):
    return CliRunner().invoke(cli, ["card", *arguments])


def test_printed_and_written(result, tmp_path):
    printed = invoke(result)
    assert printed.exit_code == 0 and printed.stdout.startswith("---\nmodel-index:")
    readme = tmp_path / "README.md"
    assert "updated" in invoke(result, "--readme", str(readme)).stderr
    assert readme.read_text() == printed.stdout
    assert "nothing has changed" in invoke(result, "--readme", str(readme)).stderr
    assert invoke(str(tmp_path / "out")).stdout == printed.stdout  # a folder further up that holds one result


def test_eval_results(result):
    assert (
        yaml.safe_load(invoke(result, "--format", "eval-results", "--dataset", "org/d").stdout)[0]["dataset"]["id"] == "org/d"
    )
    assert invoke(result, "--format", "eval-results").exit_code == 2
    assert invoke(result, "--format", "eval-results", "--dataset", "org/d", "--readme", "x").exit_code == 2


def test_what_is_no_result_is_an_error(tmp_path):
    nothing = invoke(str(tmp_path)).exception
    assert isinstance(nothing, DataError) and "no result.json here" in str(nothing)
    (tmp_path / "result.json").write_text("{}")
    assert isinstance(invoke(str(tmp_path)).exception, DataError)
