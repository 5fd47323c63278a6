"""Our tasks in MTEB: metadata, data, scores equal to our own, registration."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from mimo_eval.benchmark import Benchmark, Task, load_benchmark, names
from mimo_eval.collections import SOURCES, load
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import run
from mimo_eval.integrations.mteb import get_task, register
from mimo_eval.integrations.mteb.definitions import BENCHMARK, DEFINITIONS, SUITE, XQUAD, Definition, find, revision
from mimo_eval.integrations.mteb.registry import OLDEST, check_version
from mimo_eval.languages import normalise
from mimo_eval.mixing import Mix
from mimo_eval.models.bm25 import BM25
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.specs import parse_spec

mteb = pytest.importorskip("mteb")

from mimo_eval.integrations.mteb.search import SearchModel  # noqa: E402
from mimo_eval.integrations.mteb.tasks import UNLOADED, metadata, task_class  # noqa: E402

QUIET = {"show_progress_bar": False, "co2_tracker": False}


class Constant:
    """Every text has the same vector."""

    name = "constant"

    def encode(self, texts, *, role, lang):
        return np.ones((len(texts), 3), np.float32)


# ---------------------------------------------------------------- what a task says of itself


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda d: d.name)
def test_metadata_are_complete_and_valid_without_data(one):
    found = metadata(one)
    assert found.is_filled()
    found._validate_metadata()
    assert set(found.eval_langs) == set(one.asked)
    assert found.eval_langs["en"][0] == "eng-Latn" and len(found.eval_langs["en"]) == len({"en", *one.languages})
    assert found.intext_citation(include_cite=False)
    assert found.adapted_from is None or mteb.get_task(found.adapted_from[0])
    assert found.dataset["revision"] == UNLOADED


def test_names_are_unique_and_each_mix_is_understood():
    assert len({d.name for d in DEFINITIONS}) == len(DEFINITIONS)
    assert all(Mix.parse(d.mix).setting for d in DEFINITIONS)
    assert set(SUITE) <= {d.name for d in DEFINITIONS}
    assert all(find(d.origin.collection, d.mix, d.languages) == d for d in DEFINITIONS)
    assert find("xquad-r", "mlir", ("en",)) is None


def test_languages_are_those_of_the_benchmarks():
    """A benchmark and the tasks made of it must not drift apart."""
    known = names()
    checked = 0
    for one in DEFINITIONS:
        if one.origin.benchmark not in known:
            continue
        tasks = [
            t
            for t in load_benchmark(one.origin.benchmark).tasks
            if t.collection in (one.origin.collection, one.origin.twin, *one.origin.same)
        ]
        assert tasks, one.name
        for task in tasks:
            assert task.languages is None or set(one.languages) == {normalise(c) for c in task.languages}, one.name
            checked += 1
    assert checked


def test_collections_and_their_options_exist():
    for one in DEFINITIONS:
        spec = parse_spec(one.origin.collection)
        assert spec.name in SOURCES
        assert set(spec.kwargs) <= set(inspect.signature(SOURCES.get(spec.name)).parameters)


def test_the_suite_is_that_of_the_benchmark():
    """What MIMO's suite evaluates in mixed corpora, under the same mixes."""
    defined = {n: d for d in DEFINITIONS for n in d.sources if d.name in SUITE}
    mixed = [t for t in load_benchmark("mimo").tasks if t.mixes != ("monolingual",)]
    assert [defined[t.collection].name for t in mixed] == list(SUITE)
    assert all(t.mixes == (defined[t.collection].mix,) for t in mixed)


def test_codes_are_those_that_mteb_uses():
    belebele = next(d for d in DEFINITIONS if d.name == "BelebeleMixedRetrieval")
    assert set(metadata(belebele).eval_langs["acm"]) >= {"acm-Arab", "zho-Hans", "hin-Deva", "nld-Latn"}


def test_data_are_the_collection_and_the_revision_is_their_hash(task, trees):
    task.load_data()
    collection = load(str(trees))
    assert list(task.dataset) == ["de", "en", "zh"]
    german, english = task.dataset["de"]["test"], task.dataset["en"]["test"]
    assert german["corpus"] is english["corpus"]
    assert german["corpus"]["id"][:] == collection.documents.ids() and len(german["corpus"]) == 36
    assert german["queries"]["id"][:] == [f"de:q{i}" for i in range(6)]
    assert german["relevant_docs"]["de:q1"] == {
        f"{lang}:d{n}": gain for lang in ("de", "en", "zh") for n, gain in ((1, 2), (2, 1), (3, 0))
    }
    assert task.metadata.revision == revision(collection.revision, "parallel") != revision(collection.revision, "partition")
    assert type(task).metadata.revision == UNLOADED


def test_partition_and_away_hold_one_version_of_each_document(definition):
    for mix in ("partition(seed=3)", "away(seed=3)"):
        one = task_class(replace(definition, mix=mix))()
        one.load_data()
        corpora = {id(d["test"]["corpus"]): d["test"]["corpus"] for d in one.dataset.values()}
        (corpus,) = corpora.values()
        assert sorted(name.split(":")[1] for name in corpus["id"]) == sorted(f"d{i}" for i in range(12))
        for lang, data in one.dataset.items():
            for row in data["test"]["relevant_docs"].values():
                assert "partition" in mix or not any(d.startswith(lang) for d, gain in row.items() if gain > 0)


def test_a_task_without_its_data_says_where_they_are_looked_for():
    with pytest.raises(DataError, match="xquad-r"):
        get_task("XQuADPartitionRetrieval").load_data()
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set and google/xquad is not here"):
        get_task("XQuADMixedRetrieval").load_data()


def test_data_may_be_the_collection_s_folder_or_hold_it(tmp_path):
    inside = tmp_path / "xquad-r"
    inside.mkdir()
    assert get_task("XQuADMixedRetrieval", tmp_path)._place() == ("xquad-r", inside)
    assert get_task("XQuADMixedRetrieval", inside)._place() == ("xquad-r", inside)


def test_a_corpus_without_files_is_that_of_its_twin_on_the_hub_unless_drawn_by_ids(tmp_path, monkeypatch):
    """XQuAD-R's JSON files are not on the hub; the same paragraphs are, under other ids."""
    assert get_task("XQuADMixedRetrieval")._place() == ("xquad", None)
    assert get_task("XQuADPartitionRetrieval")._place() == ("xquad-r", None)
    for lang in XQUAD.languages:
        rows = [{"id": f"q{n}", "context": f"{lang} {n}", "question": f"{n}?"} for n in range(2)]
        path = tmp_path / "xquad" / f"xquad.{lang}" / "validation-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        Dataset.from_list(rows).to_parquet(path)
    task = get_task("XQuADMixedRetrieval", tmp_path)
    assert task._place() == ("xquad", tmp_path / "xquad")
    task.load_data()
    assert sorted(task.dataset) == sorted(XQUAD.languages) and len(task.dataset["de"]["test"]["corpus"]) == 16
    (tmp_path / "xquad-r").mkdir()
    monkeypatch.setenv("MIMO_EVAL_DATA", str(tmp_path))
    assert get_task("XQuADMixedRetrieval")._place() == ("xquad-r", None)
    assert find("xquad", "parallel", XQUAD.languages).name == "XQuADMixedRetrieval"
    assert find("xquad", "partition", XQUAD.languages) is None  # another draw than XQuADPartitionRetrieval's


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("mix", ["parallel", "partition(seed=1)"])
@pytest.mark.parametrize("model", [HashingEncoder(dim=16), BM25(), Constant()], ids=lambda m: m.name)
def test_scores_equal_those_of_our_own_evaluation_ties_included(task, definition, trees, model, mix):
    """MTEB rounds its means to five decimals; beside them stand ours, of the same rankings, at full precision."""
    one = task_class(replace(definition, mix=mix))()
    asked = ("nDCG@10", "nDCG@20", "R@100", "AP@100", "RR@10", "LPR", "OwnShare@10", "SameR@20", "RankDistance", "AWRF@20")
    benchmark = Benchmark(name="trees", tasks=(Task(collection=str(trees), mixes=(mix,)),), measures=asked)
    (setting,) = run(model, benchmark).result.settings
    (result,) = mteb.evaluate(SearchModel(model), one, cache=None, **QUIET)
    rows = {row["hf_subset"]: row for row in result.scores["test"]}
    mine = setting.pools[0].scores
    assert rows.keys() == mine.keys()
    for lang, row in rows.items():
        assert row["main_score"] == row["ndcg_at_20"]
        for name, value in mine[lang].items():
            if value is not None and (model.name != "bm25" or name != "RankDistance"):
                assert row[name] == pytest.approx(value, abs=1e-6), (lang, name)
        for name, theirs in (("nDCG@10", "ndcg_at_10"), ("R@100", "recall_at_100"), ("AP@100", "map_at_100")):
            assert row[theirs] == pytest.approx(mine[lang][name], abs=5.1e-6)
        assert row["mrr_at_10"] == pytest.approx(mine[lang]["RR@10"], abs=1e-6)


def test_mteb_s_own_search_gives_the_same_scores(task, trees, counting):
    """The whole way of MTEB's, encoder and search, against our encoding and search of the same vectors."""
    from mimo_eval.models.mteb_models import adapt

    benchmark = Benchmark(name="trees", tasks=(Task(collection=str(trees)),), measures=("nDCG@10", "nDCG@20"))
    mine = run(adapt(counting()), benchmark).result.settings[0].pools[0].scores
    (result,) = mteb.evaluate(counting(), task, cache=None, **QUIET)
    for row in result.scores["test"]:
        assert row["nDCG@10"] == pytest.approx(mine[row["hf_subset"]]["nDCG@10"], abs=1e-6)


def test_a_shared_corpus_is_encoded_once_and_not_per_subset(task, definition, counting):
    """36 documents, 6 queries in each of 3 languages; half of the documents have the same text as another one."""
    from mimo_eval.models.mteb_models import adapt

    plain = counting()
    mteb.evaluate(plain, task, cache=None, **QUIET)
    assert plain.texts == 3 * (36 + 6)
    once = counting()
    search = SearchModel(adapt(once))
    (result,) = mteb.evaluate(search, task_class(definition)(), cache=None, **QUIET)
    assert once.texts <= 36 + 3 * 6
    assert search.work.encoded["encoded"] == once.texts
    assert len(result.scores["test"]) == 3
    nameless = counting(revision=None)  # whose vectors are kept for one evaluation only
    mteb.evaluate(SearchModel(adapt(nameless)), task_class(definition)(), cache=None, **QUIET)
    assert nameless.texts == once.texts
    again = counting()
    mteb.evaluate(SearchModel(adapt(again)), task_class(definition)(), cache=None, **QUIET)
    assert again.texts == 0  # kept on disk, by model, prompt and text
    other = counting("org/other")
    mteb.evaluate(SearchModel(adapt(other)), task_class(definition)(), cache=None, **QUIET)
    assert other.texts == once.texts  # never another model's vectors


def test_a_measure_that_cannot_be_computed_is_left_out(definition):
    """No translations and judgements within the language: no language preference can be told."""
    one = task_class(replace(definition, mix="partition(en=1)"))()
    (result,) = mteb.evaluate(SearchModel("hashing(dim=8)"), one, cache=None, **QUIET)
    assert "LPR" not in result.scores["test"][0] and "nDCG@10" in result.scores["test"][0]
    assert all(np.isfinite(v) for row in result.scores["test"] for k, v in row.items() if "@" in k)


# ---------------------------------------------------------------- names in MTEB


def test_mteb_finds_the_tasks_after_registration_and_twice_is_once(registries):
    tasks, _ = registries
    before = len(tasks.TASK_LIST)
    found = register()
    assert register() == found == [d.name for d in DEFINITIONS]
    assert len(tasks.TASK_LIST) == before + len(DEFINITIONS)
    assert mteb.get_task("XQuADMixedRetrieval").metadata.name == "XQuADMixedRetrieval"
    listed = {t.metadata.name for t in mteb.get_tasks(languages=["swa"], task_types=["Retrieval"])}
    assert {"MIRACLUnionRetrieval", "TyDiQAUnionRetrieval"} <= listed and "XQuADMixedRetrieval" not in listed
    assert [t.metadata.name for t in mteb.get_benchmark(BENCHMARK).tasks] == list(SUITE)


def test_registering_again_can_name_the_data(registries, tmp_path):
    register()
    register(tmp_path)
    assert mteb.get_task("XQuADMixedRetrieval")._place() == ("xquad-r", tmp_path)


def test_moved_internals_are_an_error_that_says_the_way_around(registries, monkeypatch):
    tasks, benchmarks = registries
    with monkeypatch.context() as patch:
        patch.delattr(tasks, "TASK_LIST")
        with pytest.raises(ConfigError, match=r"mimo-eval mteb run.*get_task\(NAME\)"):
            register()
    with monkeypatch.context() as patch:
        patch.delattr(benchmarks, "_build_registry")
        with pytest.raises(ConfigError, match="_build_registry"):
            register()


def test_a_name_that_mteb_has_already_is_refused(registries):
    tasks, _ = registries
    tasks._TASKS_REGISTRY["MLQAMixedRetrieval"] = tasks._TASKS_REGISTRY["MLQARetrieval"]
    with pytest.raises(ConfigError, match="mteb has tasks named MLQAMixedRetrieval already"):
        register()
    assert "XQuADMixedRetrieval" not in tasks._TASKS_REGISTRY


def test_an_old_mteb_is_refused():
    check_version("2.22.0")
    check_version("3.0")
    with pytest.raises(ConfigError, match=r"mteb 2\.21\.9 is too old; mimo-eval needs 2\.22 or newer"):
        check_version("2.21.9")
    oldest = ".".join(map(str, OLDEST))
    project = Path(__file__).parents[2]
    assert f'mteb = ["mteb>={oldest}"]' in (project / "pyproject.toml").read_text("utf-8")
    assert f"mteb {oldest} or newer" in (project / "docs" / "mteb.md").read_text("utf-8")


def test_an_unknown_task_names_those_there_are():
    with pytest.raises(ConfigError, match="no task 'XQuADMixed'; there are XQuADMixedRetrieval"):
        get_task("XQuADMixed")


def test_the_module_is_mteb_s_command_line_with_our_tasks(tmp_path):
    environment = {**os.environ, "MTEB_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "mimo_eval.integrations.mteb", "available-tasks", "-t", "XQuADMixedRetrieval"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr
    assert "XQuADMixedRetrieval" in done.stdout + done.stderr


def test_descriptions_say_what_is_relevant():
    said = {d.mix: d.description for d in DEFINITIONS}
    assert "every version of an answer is relevant" in said["parallel"]
    assert "are not judged" in said["union"]
    assert "may be in any" in next(d.description for d in DEFINITIONS if d.name == "MLQAMixedRetrieval")
    assert "8 languages" in Definition("x", XQUAD, "parallel").description
