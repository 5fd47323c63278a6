"""Our models behind MTEB's SearchProtocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.collections import load
from mimo_eval.evaluation import run
from mimo_eval.integrations.mteb.meta import NO_REVISION, live_meta, model_revision
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.runs import read_run

mteb = pytest.importorskip("mteb")

from mteb.models import SearchProtocol  # noqa: E402

from mimo_eval.integrations.mteb.search import UNKNOWN, SearchModel, language_of, shards, texts_of  # noqa: E402


def ask(search, task, subset="de", **changes):
    data = task.dataset[subset]["test"]
    place = {"task_metadata": task.metadata, "hf_split": "test", "hf_subset": subset, "encode_kwargs": {}, "num_proc": None}
    search.index(data["corpus"], **place)
    return search.search(data["queries"], **{"top_k": 1000, "top_ranked": None, **place, **changes})


@pytest.mark.parametrize("model", ["hashing(dim=16)", "bm25", "rrf(bm25, hashing(dim=16))", "bm25(analyzers=neutral)"])
def test_every_kind_of_model_ranks_as_in_our_own_evaluation(task, trees, tmp_path, model):
    task.load_data()
    benchmark = Benchmark(name="trees", tasks=(Task(collection=str(trees)),), measures=("nDCG@10",))
    outcome = run(model, benchmark, output=tmp_path / "out", save_runs=True)
    exported = read_run(outcome.folder / "runs" / "trees.parallel.trec.gz")
    mine = {q: dict(zip(rows["doc_id"], rows["score"], strict=True)) for q, rows in exported.groupby("query_id")}
    search = SearchModel(model)
    assert isinstance(search, SearchProtocol)
    for subset in ("de", "en"):
        for query, row in ask(search, task, subset).items():
            assert list(row) == list(mine.get(query, {})), query
            assert list(row.values()) == pytest.approx(list(mine.get(query, {}).values()), abs=1e-6)


def test_hashes_of_texts_are_those_of_the_collection(task, trees):
    """So vectors that `mimo-eval run` has stored are found in MTEB, and the other way round."""
    task.load_data()
    collection = load(str(trees))
    corpus = task.dataset["de"]["test"]["corpus"]
    assert shards(corpus) == collection.documents.shards
    search = SearchModel("hashing(dim=16)")
    ask(search, task)
    assert search.work.encoded["encoded"] > 0
    done = run("hashing(dim=16)", Benchmark(name="t", tasks=(Task(collection=str(trees)),), measures=("nDCG@10",)))
    assert done.result.encoded["encoded"] <= 12  # queries of the other two languages


def test_the_corpus_is_taken_once_while_it_is_the_same(task):
    task.load_data()
    search = SearchModel("hashing(dim=8)")
    ask(search, task, "de")
    taken = search._corpus
    ask(search, task, "en")
    assert search._corpus is taken
    task.dataset["zh"]["test"]["corpus"] = task.dataset["zh"]["test"]["corpus"].select(range(5))
    assert {len(row) for row in ask(search, task, "zh").values()} == {5}


def test_no_more_than_was_asked_for_and_only_from_given_candidates(task):
    task.load_data()
    search = SearchModel("hashing(dim=16)")
    assert {len(row) for row in ask(search, task, top_k=3).values()} == {3}
    candidates = {f"de:q{i}": ["en:d11", "zh:d0", "de:d4"] for i in range(6)}
    ranked = ask(search, task, top_k=2, top_ranked=candidates)
    whole = ask(search, task)
    for query, row in ranked.items():
        assert list(row) == [name for name in whole[query] if name in candidates[query]][:2]


def test_texts_without_a_language_take_that_of_the_subset(task):
    corpus = Dataset.from_dict({"id": ["a", "b"], "title": ["T", ""], "text": ["x", "y"]})
    texts = texts_of(corpus, language_of(task.metadata.model_copy(update={"eval_langs": {"s": ["deu-Latn"]}}), "s"))
    assert texts.languages == ("de",) and texts.read([0, 1]) == ["T x", "y"]
    assert language_of(task.metadata, "de") == UNKNOWN  # three languages
    assert texts_of(corpus.select([1]), UNKNOWN).ids() == ["b"]


def test_a_task_of_mteb_s_own_shape_is_evaluated(task, counting):
    """Without a column of languages, as MTEB's own tasks are."""
    from mimo_eval.models.mteb_models import adapt

    task.load_data()
    for data in task.dataset.values():
        data["test"]["corpus"] = data["test"]["corpus"].remove_columns("lang")
        data["test"]["queries"] = data["test"]["queries"].remove_columns("lang")
    for model in ("bm25", "hashing(dim=8)", adapt(counting())):
        (result,) = mteb.evaluate(SearchModel(model), task, cache=None, show_progress_bar=False, co2_tracker=False)
        assert all(0 < row["ndcg_at_10"] <= 1 for row in result.scores["test"])


def test_searching_before_indexing_is_an_error(task):
    task.load_data()
    with pytest.raises(ValueError, match="index a corpus"):
        SearchModel("bm25").search(task.dataset["de"]["test"]["queries"], **{
            "task_metadata": task.metadata, "hf_split": "test", "hf_subset": "de", "top_k": 1,
        })  # fmt: skip


def test_a_model_s_record_has_an_organisation_and_a_revision_that_its_settings_decide():
    one, other = live_meta(HashingEncoder(dim=8)), live_meta(HashingEncoder(dim=16))
    assert one.name == "mimo-eval/hashing_dim_8" and one.name != other.name and one.revision != other.revision
    assert one.model_dump()["similarity_fn_name"] == "cosine"
    assert model_revision({"revision": "hub:abc"}, {}) == "abc"

    class Bare:
        def encode(self, texts, *, role, lang):
            return np.ones((len(texts), 2))

    assert live_meta(Bare()).revision == NO_REVISION


def test_unequal_tasks_keep_their_own_prompts(task, definition, counting):
    from mimo_eval.integrations.mteb.tasks import task_class
    from mimo_eval.models.mteb_models import adapt

    other = task_class(replace(definition, name="OtherMixedRetrieval"))()
    encoder = counting()
    search = SearchModel(adapt(encoder))
    for one in (task, other):
        one.load_data()
        ask(search, one)
    assert {name for name, _ in encoder.calls} == {"TreesMixedRetrieval", "OtherMixedRetrieval"}
