"""`mimo-eval mteb`: tasks, run and export."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import run as evaluate
from mimo_eval.integrations.mteb import read_task_results

pytest.importorskip("mteb")

TEXTS = {"en": {"a": "one", "b": "two", "c": "three"}, "de": {"a": "eins one", "b": "zwei", "c": "drei three"}}
QRELS = {"a": {"a": 1}, "b": {"b": 1}}


@pytest.fixture
def numbers(tmp_path, folders, monkeypatch):
    """A task on a collection of the test's own, under the name of one of ours; returns the collection's folder."""
    from mimo_eval.integrations.mteb import registry, tasks
    from mimo_eval.integrations.mteb.definitions import XQUAD, Definition

    data = folders(tmp_path / "numbers", TEXTS, TEXTS, QRELS)
    origin = replace(XQUAD, twin="", collection=str(data), languages=("de", "en"))
    made = {"NumbersMixedRetrieval": tasks.task_class(Definition("NumbersMixedRetrieval", origin, "parallel"))}
    monkeypatch.setattr(tasks, "task_classes", lambda: made)
    monkeypatch.setattr(registry, "SUITE", ("NumbersMixedRetrieval",))
    return data


def invoke(*arguments):
    return CliRunner().invoke(cli, ["mteb", *arguments])


def test_tasks_are_listed():
    done = invoke("tasks")
    assert done.exit_code == 0 and "XQuADMixedRetrieval" in done.stdout and "MIMO(mixed, v1)" in done.stdout
    assert "MIRACLHardNegativesUnionRetrieval " in done.stdout  # names are whole, to be copied
    assert "acm de en" in " ".join(invoke("tasks", "--languages").stdout.split())


def test_a_model_is_evaluated_by_mteb(numbers, tmp_path):
    done = invoke("run", "bm25", "-t", "NumbersMixedRetrieval", "-o", str(tmp_path / "m"))
    assert done.exit_code == 0, done.output
    assert "mimo-eval/bm25 · NumbersMixedRetrieval" in done.stdout and "LPR" in done.stdout
    rows = read_task_results(tmp_path / "m")
    assert [row.subset for row in rows] == ["de", "en"] and rows[0].dataset_revision != ""
    table = pd.read_csv(
        io.StringIO(invoke("run", "bm25", "-t", "NumbersMixedRetrieval", "-o", str(tmp_path / "m"), "--format", "csv").stdout)
    )
    assert table["main_score"].tolist() == [row.main_score for row in rows]
    as_json = invoke("run", "bm25", "-t", "NumbersMixedRetrieval", "-o", str(tmp_path / "m"), "--format", "json").stdout
    assert [row["subset"] for row in json.loads(as_json)] == ["de", "en"]


def test_changed_data_are_never_answered_with_the_old_result(numbers, tmp_path, folders):
    """MTEB itself takes a result that covers every subset for good."""
    arguments = ("run", "hashing(dim=64)", "-t", "NumbersMixedRetrieval", "-o", str(tmp_path / "m"))
    assert invoke(*arguments).exit_code == 0
    first = read_task_results(tmp_path / "m")
    folders(numbers, TEXTS, TEXTS, {"a": {"b": 1}, "b": {"c": 1}})
    assert invoke(*arguments).exit_code == 0
    second = read_task_results(tmp_path / "m")
    assert [row.main_score for row in first] != [row.main_score for row in second]
    assert first[0].dataset_revision != second[0].dataset_revision


def test_a_damaged_result_is_named_and_made_again_if_asked(numbers, tmp_path):
    arguments = ("run", "bm25", "-t", "NumbersMixedRetrieval", "-o", str(tmp_path / "m"))
    assert invoke(*arguments).exit_code == 0
    (path,) = (tmp_path / "m").rglob("NumbersMixedRetrieval.json")
    before = [row.main_score for row in read_task_results(path)]
    path.write_text("{")
    assert re.search("NumbersMixedRetrieval.json:1: not JSON", str(invoke(*arguments).exception))
    assert invoke(*arguments, "--again").exit_code == 0
    assert [row.main_score for row in read_task_results(path)] == before


def test_a_task_of_another_kind_is_refused_before_any_is_evaluated(numbers, tmp_path):
    done = invoke("run", "bm25", "-t", "NumbersMixedRetrieval", "-t", "STS12", "-o", str(tmp_path / "m"))
    assert re.search("^STS12: not a retrieval task", str(done.exception)) and not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("changes", "inside"),
    [({"revision": None}, "no_revision_available"), ({"experiment_kwargs": {"width": 8}}, "1/experiments/width_8")],
)
def test_a_model_of_mteb_s_has_its_results_where_mteb_puts_them(numbers, tmp_path, changes, inside):
    """One without a revision, one with settings of its own."""
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    from mimo_eval.integrations.mteb.running import evaluate as by_mteb
    from mimo_eval.models.mteb_models import adapt

    class Lengths:
        def __init__(self):
            usual = {"name": "org/lengths", "revision": "1", "similarity_fn_name": ScoringFunction.COSINE}
            self.mteb_model_meta = ModelMeta.create_empty(overwrites={**usual, **changes})

        def encode(self, inputs, **kwargs):
            return np.array([[1.0, len(text)] for batch in inputs for text in batch["text"]])

        def similarity(self, a, b):
            return a @ b.T

        similarity_pairwise = similarity

    rows = by_mteb(adapt(Lengths()), ["NumbersMixedRetrieval"], output=tmp_path / "m")
    assert {row.model for row in rows} == {"org/lengths"} and len(rows) == 2
    assert (tmp_path / "m" / "results" / "org__lengths" / inside / "NumbersMixedRetrieval.json").is_file()


def test_results_are_exported(tmp_path, folders):
    data = folders(tmp_path / "numbers", TEXTS, TEXTS, QRELS)
    benchmark = Benchmark(name="numbers", tasks=(Task(collection=str(data)),), measures=("nDCG@20", "LPR"))
    evaluate("hashing(dim=8)", benchmark, output=tmp_path / "out")
    done = invoke("export", str(tmp_path / "out"), "-o", str(tmp_path / "mteb"))  # a folder further up, as `compare` takes it
    assert done.exit_code == 0 and done.stdout.splitlines()[-1].endswith("model_meta.json")
    assert {row.task for row in read_task_results(tmp_path / "mteb")} == {"NumbersParallelRetrieval"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-t", "XQuADMixed"], "no task 'XQuADMixed'.*and mteb says"),
        (["-b", "MTEB(absent)"], "benchmark 'MTEB.absent.'"),
        ([], "no task is given"),
        (["-t", "STS12"], "STS12: not a retrieval task"),
        (["-t", "SciFact"], "SciFact: its data cannot be loaded"),
    ],
)
def test_mistakes_are_errors_of_the_tree(tmp_path, arguments, why):
    done = invoke("run", "hashing(dim=8)", *arguments, "-o", str(tmp_path / "m"))
    assert isinstance(done.exception, (ConfigError, DataError)), done.exception
    assert re.search(why, str(done.exception), re.S)
