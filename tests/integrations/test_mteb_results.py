"""Results both ways."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.errors import DataError
from mimo_eval.evaluation import run
from mimo_eval.integrations.mteb import export_result, frame, read_task_results
from mimo_eval.integrations.mteb.definitions import revision
from mimo_eval.integrations.mteb.names import mteb_measure, own_measure, repository_name, subset_name, task_name
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.results import PoolScores

mteb = pytest.importorskip("mteb")

MEASURES = ("nDCG@20", "nDCG@10", "R@100", "RR@10", "LPR", "RankDistance")
MIXES = ("parallel", "cross-lingual", "bilingual(en+de)", "partition(seed=1)")


@pytest.fixture
def outcome(trees, tmp_path):
    benchmark = Benchmark(name="trees", tasks=(Task(collection=str(trees), mixes=MIXES),), measures=MEASURES)
    return run(HashingEncoder(dim=16), benchmark, output=tmp_path / "out")


def test_mteb_loads_what_we_export(outcome, tmp_path):
    files = export_result(outcome.folder, tmp_path / "cache")
    assert [f.name for f in files] == [
        "TreesParallelRetrieval.json",
        "TreesCrossLingualRetrieval.json",
        "TreesBilingualEnDeRetrieval.json",
        "TreesPartitionSeed1Retrieval.json",
        "model_meta.json",
    ]
    assert files[0].parent.parent.name == "mimo-eval__hashing_dim_16"
    cache = mteb.ResultCache(tmp_path / "cache")
    (loaded,) = cache.load_results(validate_and_filter=False).model_results
    assert (loaded.model_name, loaded.model_revision) == ("mimo-eval/hashing_dim_16", files[0].parent.name)
    (parallel,) = (t for t in loaded.task_results if t.task_name == "TreesParallelRetrieval")
    mine = outcome.result.settings[0]
    assert parallel.dataset_revision == revision(outcome.result.collections[0]["revision"], "parallel")
    rows = {row["hf_subset"]: row for row in parallel.scores["test"]}
    assert rows["de"]["languages"] == ["deu-Latn", "eng-Latn", "zho-Hans"]
    assert rows["de"]["main_score"] == rows["de"]["ndcg_at_20"] == mine.pools[0].scores["de"]["nDCG@20"]
    assert parallel.get_score() == pytest.approx(mine.scores["nDCG@20"])
    assert parallel.date.isoformat()[:10] == outcome.result.created[:10]


def test_a_model_of_mteb_s_is_exported_under_its_own_name_and_revision(trees, counting, tmp_path):
    from mimo_eval.models.mteb_models import adapt

    benchmark = Benchmark(name="trees", tasks=(Task(collection=str(trees)),), measures=("nDCG@20",))
    result = run(adapt(counting("org/counting", "abc")), benchmark).result
    assert result.model["name"] == "mteb:org/counting"
    *_, record = export_result(result, tmp_path)
    assert record == tmp_path / "results" / "org__counting" / "abc" / "model_meta.json"


def test_a_defined_task_keeps_its_name_and_passes_mteb_s_validation(registries, definition, outcome, tmp_path, monkeypatch):
    from mimo_eval.integrations.mteb import results
    from mimo_eval.integrations.mteb.tasks import task_class

    monkeypatch.setattr(results, "find", lambda collection, mix, languages: definition if mix == "parallel" else None)
    export_result(outcome.result, tmp_path / "cache")
    registries[0]._TASKS_REGISTRY[definition.name] = task_class(definition)
    (loaded,) = mteb.ResultCache(tmp_path / "cache").load_results(tasks=[definition.name]).model_results
    (result,) = loaded.task_results
    assert result.get_score() == pytest.approx(outcome.result.settings[0].scores["nDCG@20"])


def test_rows_come_back_as_they_went(outcome, tmp_path):
    export_result(outcome.result, tmp_path / "mteb")
    rows = read_task_results(tmp_path / "mteb")
    assert {row.model for row in rows} == {"mimo-eval/hashing_dim_16"}
    cross = {row.subset: row for row in rows if row.task == "TreesCrossLingualRetrieval"}
    assert set(cross) == {f"{q}-{d}" for q in ("de", "en", "zh") for d in ("de", "en", "zh") if q != d}
    assert cross["de-en"].languages == ("deu-Latn", "eng-Latn")
    setting = outcome.result.settings[1]
    assert cross["de-en"].measures == {k: v for k, v in setting.table["de"]["en"].items() if v is not None}
    assert {row.subset for row in rows if "Bilingual" in row.task} == {"en+de.de", "en+de.en"}
    table = frame(rows)
    assert list(table.columns[:9]) == [
        "model", "model_revision", "task", "dataset_revision", "split", "subset", "languages", "main_score", "mteb_version",
    ]  # fmt: skip
    assert set(MEASURES) <= set(table.columns) and len(table) == len(rows)


def task_result(**changes):
    scores = {"main_score": 0.5, "hf_subset": "default", "languages": ["eng-Latn"], "ndcg_at_10": 0.5, "LPR": 0.25}
    content = {"dataset_revision": "r", "task_name": "T", "mteb_version": "2.26.24", "evaluation_time": 1.0}
    return {**content, "scores": {"test": [scores]}, **changes}


def write(folder, content, name="T.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def test_mteb_s_files_are_read_without_mteb(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mteb", None)
    path = write(tmp_path / "results" / "org__model" / "abc", task_result())
    (row,) = read_task_results(tmp_path)
    assert (row.model, row.model_revision, row.task, row.subset, row.split) == ("org/model", "abc", "T", "default", "test")
    assert row.measures == {"nDCG@10": 0.5, "LPR": 0.25} and row.mteb_version == "2.26.24" and row.path == str(path)
    assert read_task_results(path) == [row]


def test_what_is_not_a_number_is_no_measure(tmp_path):
    scores = {"main_score": 0.5, "hf_subset": "d", "languages": ["eng-Latn"], "nauc_ndcg_at_1_max": float("nan")}
    scores |= {"flag": True, "previous_results_model_meta": {"a": 1}, "map_at_5": 1}
    (row,) = read_task_results(write(tmp_path, task_result(scores={"test": [scores]})))
    assert row.measures == {"AP@5": 1.0}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", r"T.json:1: not JSON"),
        ("[]", "not an object"),
        (task_result(scores={"test": [{"hf_subset": "d", "languages": []}]}), "'main_score' is missing"),
        (task_result(scores=[1]), "not a TaskResult"),
        ({"task_name": "T"}, "'scores' is missing"),
        (task_result(scores={"test": [{"hf_subset": "d", "languages": [], "main_score": "high"}]}), "could not convert"),
        ("\0", "not JSON"),
    ],
    ids=["torn", "list", "no main score", "scores", "empty", "text", "nul"],
)
def test_a_damaged_file_is_named(tmp_path, content, why):
    with pytest.raises(DataError, match=rf"T\.json.*{why.removeprefix('T.json')}"):
        read_task_results(write(tmp_path / "org__m" / "r", content))


def test_nothing_there_is_an_error_and_files_of_old_are_passed_over(tmp_path, caplog):
    with pytest.raises(DataError, match="no such file"):
        read_task_results(tmp_path / "absent")
    write(tmp_path / "org__m" / "r", {"mteb_dataset_name": "T", "test": {"ndcg_at_10": 1}}, "Old.json")
    with pytest.raises(DataError, match="holds no result"):
        read_task_results(tmp_path)
    assert "before MTEB 1.11" in caplog.text
    write(tmp_path / "org__m" / "r", task_result())
    write(tmp_path, {"org": []}, "paths.json")
    assert len(read_task_results(tmp_path)) == 1


def test_a_result_without_scores_cannot_be_exported(outcome, tmp_path):
    empty = outcome.result.model_copy(update={"settings": []})
    with pytest.raises(DataError, match="nothing can be exported"):
        export_result(empty, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    shutil.rmtree(outcome.folder)
    with pytest.raises(DataError, match="cannot be read"):
        export_result(outcome.folder, tmp_path / "x")


@given(st.sampled_from(["nDCG", "R", "AP", "RR", "P", "Success", "Judged", "SameR"]), st.integers(1, 10_000))
def test_names_of_measures_go_there_and_back(stem, k):
    assert own_measure(mteb_measure(f"{stem}@{k}")) == f"{stem}@{k}"


def test_names():
    assert mteb_measure("nDCG@20") == "ndcg_at_20" and mteb_measure("LPR") == "LPR"
    assert own_measure("nauc_map_at_5_max") == "nauc_map_at_5_max"
    assert repository_name("org/m-1.5") == "org/m-1.5" and repository_name("bm25(k1=1.2)") == "mimo-eval/bm25_k1_1.2"
    assert repository_name("../x") == repository_name("./x") == "mimo-eval/x"
    assert repository_name("mteb:org/m") == "org/m" and repository_name("mteb:mod:Cls") == "mimo-eval/mod_Cls"
    assert task_name("xquad-r", "partition(seed=2)") == "XquadRPartitionSeed2Retrieval"
    pool = PoolScores(name="en+de", documents={}, queries={}, dropped={}, judged=0, scores={})
    assert subset_name(pool, "de") == "en+de.de" and subset_name(pool.model_copy(update={"name": ""}), "de") == "de"
