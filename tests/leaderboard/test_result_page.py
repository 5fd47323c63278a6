import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mimo_eval.benchmark import of_folder
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import run
from mimo_eval.leaderboard.failures import find_failures
from mimo_eval.leaderboard.report import heat_table, result_page
from mimo_eval.results import read_queries, read_result

HOSTILE = "<script>alert(1)</script>\u202e"


def of(results: Path, model: str) -> Path:
    return next(results.glob(f"*/{model}*/*/result.json"))


@pytest.fixture
def tiny(folders, tmp_path) -> Path:
    """Two languages, three questions; one text is hostile. Hashing finds what shares characters."""
    documents = {
        "en": {"a": "red apples grow", "b": f"blue boats sail {HOSTILE}", "c": "green cars drive"},
        "de": {"a": "rote Äpfel wachsen", "b": "blaue Boote segeln", "c": "grüne Autos fahren"},
    }
    queries = {"en": {"q1": "red apples", "q2": "green cars"}, "de": {"q1": "rote Äpfel", "q2": "blaue Boote"}}
    folder = folders(tmp_path / "tiny", documents, queries, {"q1": {"a": 1}, "q2": {"c": 1}})
    outcome = run("hashing(dim=256)", of_folder(folder), output=tmp_path / "out", save_runs=True)
    assert outcome.folder is not None
    return outcome.folder / "result.json"


def test_the_worst_queries_are_those_of_the_run(tiny):
    found = find_failures(tiny, read_result(tiny), worst=2)
    assert found.notes == []
    assert [f.lang for f in found.worst] == ["de", "en"]  # in turn for each language
    worst = found.worst[0]
    assert (worst.query_id, worst.text, worst.relevant) == ("de:q2", "blaue Boote", 2)
    first = worst.retrieved[0]
    assert (first.doc_id, first.lang, first.rank, first.relevant) == ("de:b", "de", 1, False)
    scores = read_queries(tiny).set_index(["mix", "query_id"])["nDCG@20"]
    assert worst.score == scores["union", "de:q2"]


def test_wrong_first_results_are_counted_by_language(tiny):
    found = find_failures(tiny, read_result(tiny))
    assert found.languages == ["de", "en"]
    assert found.wrong.tolist() == [0.5, 0.0]
    assert found.confusions[0].tolist() == [1.0, 0.0]  # the wrong one is German


def test_texts_are_escaped_and_overrides_shown(tiny):
    content = result_page(tiny)
    assert "<script" not in content and "\u202e" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt;⟨U+202E⟩" in content
    assert "script-src 'none'" in content


def test_arabic_and_chinese_texts_say_their_language_and_find_their_direction(results):
    content = result_page(of(results, "hashing_dim_64"))
    assert '<h3 dir="auto" lang="ar">' in content and '<div dir="auto" lang="zh">' in content
    assert "Wrong first results, parallel" in content and "nDCG@20 by language of the query" in content


def test_without_runs_the_page_says_what_to_do(results):
    path = of(results, "bm25")
    found = find_failures(path, read_result(path))
    assert found.worst == [] and len(found.confusions) == 0 and "--save-runs" in found.notes[0]
    content = result_page(path)
    assert "--save-runs" in content and "Languages of the first ten results" in content


def test_without_the_collection_ids_are_shown(tiny, tmp_path):
    shutil.rmtree(tmp_path / "tiny")
    found = find_failures(tiny, read_result(tiny))
    assert found.worst[0].text == "" and found.languages == [] and "No texts" in found.notes[0]
    assert "de:q2" in result_page(tiny)


def test_another_collection_of_the_same_name_gives_no_texts(tiny, tmp_path):
    path = tmp_path / "tiny" / "corpus.jsonl"
    path.write_text(path.read_text("utf-8").replace("red apples", "red pears"), "utf-8")
    assert "the files here have the revision" in find_failures(tiny, read_result(tiny)).notes[0]


def test_only_one_corpus_of_several_languages_can_be_shown(results):
    path = of(results, "hashing_dim_64")
    with pytest.raises(ConfigError, match=r"mix 'monolingual' is not one corpus .* those are: parallel"):
        result_page(path, mix="monolingual")
    assert result_page(path, mix="mlir") == result_page(path, mix="parallel")


def test_damaged_runs_are_data_errors(tiny):
    run = next((tiny.parent / "runs").glob("*.union.trec.gz"))
    run.write_bytes(gzip.compress(b"not a run\n"))
    with pytest.raises(DataError, match="not a TREC run line"):
        result_page(tiny)


def test_a_folder_that_holds_one_result_is_enough(tiny):
    assert result_page(tiny.parent.parent) == result_page(tiny)


def test_hostile_names_everywhere(tiny):
    content = json.loads(tiny.read_text("utf-8"))
    content["model"].update(name=HOSTILE, kind=HOSTILE, revision=HOSTILE)
    content["collections"][0]["name"] = content["benchmark"]["title"] = HOSTILE
    tiny.write_text(json.dumps(content), "utf-8")
    page = result_page(tiny)
    assert "<script" not in page and "\u202e" not in page


def test_a_heat_map_of_nothing_and_of_one_value():
    assert "–" in heat_table("x", ["de"], ["de"], np.array([[np.nan]]))
    assert ">.50<" in heat_table("x", ["de"], ["de"], np.array([[0.5]]))
