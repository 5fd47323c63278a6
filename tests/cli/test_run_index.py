"""`mimo-eval run --index`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(cli, ["run", "hashing", "--mix", "parallel", "--languages", "en,de", *arguments])

    return invoke


def test_recall_is_printed_and_stored(call):
    done = call("--index", "HNSW16:efSearch=64", "--format", "json")
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    recall = found["approximate"][0]["overall"]
    said = f"recall against exact search: @10 {recall['at_10']:.4f}, @100 {recall['at_depth']:.4f} (200 lists compared"
    assert f"hashing on mini: approximate search by HNSW16:efSearch=64: {said}" in done.stderr
    table = call("--index", "HNSW16:efSearch=64").stdout
    assert "hashing (≈ HNSW16:efSearch=64)" in table and "approximate (HNSW16:efSearch=64), recall" in " ".join(table.split())


@pytest.mark.parametrize(
    ("index", "why"),
    [("fast", "FAISS has no index 'fast'"), ("HNSW16:nprobe=2", "could not set parameter nprobe"), ("HNSW16:", "cannot read")],
)
def test_an_index_that_does_not_exist_is_one_line(call, index, why):
    done = call("--index", index)
    assert isinstance(done.exception, ConfigError)
    assert why in str(done.exception) and "\n" not in str(done.exception)


def test_a_model_without_vectors_is_refused(call):
    done = CliRunner().invoke(cli, ["run", "bm25", "--index", "HNSW16"])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "bm25 has no vectors that an index could hold; leave --index out"


def test_the_help_says_how_an_index_is_written(call):
    assert "FACTORY:name=value" in " ".join(call("--help").stdout.split())
