"""Anybody's run: numbers worked out by hand, what is left out, and files that are wrong."""

from __future__ import annotations

import gzip
import math

import ir_measures
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import run
from mimo_eval.integrations.run_scores import NO_LANGUAGES, Languages, read_qrels, score_frames
from mimo_eval.integrations.trec import find_languages, read_table, score_files
from mimo_eval.measures import parse
from mimo_eval.models.hashing import HashingEncoder

RUN = "en:q Q0 en:a 1 9 t\nen:q Q0 de:b 2 8 t\nen:q Q0 de:a 3 7 t\nde:q Q0 en:a 1 9 t\nde:q Q0 de:a 2 8 t\n"
QRELS = "en:q 0 en:a 1\nen:q 0 de:a 1\nde:q 0 en:a 1\nde:q 0 de:a 1\n"
TABLE = "en:a\ten\nde:a\tde\nde:b\tde_DE\nen:b eng_Latn\n"
QUERIES = "en:q en\nde:q de\n"


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        paths = {}
        for name, content in {"run": RUN, "qrels": QRELS, **contents}.items():
            paths[name] = tmp_path / f"{name}.txt"
            paths[name].write_bytes(content if isinstance(content, bytes) else content.encode())
        return paths

    return write


def score(paths, measures="nDCG@10 LPR RankDistance", **changes):
    return score_files(paths["run"], paths["qrels"], measures, **changes)


def test_numbers_are_those_computed_by_hand(files):
    found = score(files())
    ideal = 1 + 1 / math.log2(3)
    english, german = (1 + 1 / math.log2(4)) / ideal, 1.0
    assert found.languages["en"] == pytest.approx({"nDCG@10": english, "LPR": 1, "RankDistance": 2})
    assert found.languages["de"] == pytest.approx({"nDCG@10": german, "LPR": 0, "RankDistance": 1})
    assert found.means == pytest.approx({"nDCG@10": (english + german) / 2, "LPR": 0.5, "RankDistance": 1.5})
    assert found.queries["query_id"].tolist() == ["de:q", "en:q"] and found.queries["lang"].tolist() == ["de", "en"]
    assert found.frame()["of"].tolist() == ["all queries", "mean of languages", "de", "en"]


def test_the_mean_over_languages_counts_them_alike(files):
    more = "".join(f"en:p{i} Q0 de:b 1 1 t\n" for i in range(3)), "".join(f"en:p{i} 0 en:a 1\n" for i in range(3))
    found = score(files(run=RUN + more[0], qrels=QRELS + more[1]), "Success@1")
    assert found.means["Success@1"] == pytest.approx(2 / 5)
    assert found.macro["Success@1"] == pytest.approx((1 / 4 + 1) / 2)


@pytest.mark.parametrize("languages", ["ids", "table", None])
def test_languages_come_from_ids_or_a_table(files, languages):
    paths = files(table=TABLE, queries=QUERIES)
    options = {"languages": str(paths["table"]), "query_languages": paths["queries"]} if languages == "table" else {}
    found = score(paths, languages=languages, **{**options}) if languages != "table" else score(paths, **options)
    assert found.means["LPR"] == 0.5
    said = " ".join(found.notes)
    assert ("whole corpus" in said) == (languages == "table")
    assert ("read {lang}:{id}" in said) == (languages != "table")


def test_a_table_may_hold_documents_and_queries(files):
    paths = files(table=TABLE + QUERIES)
    assert score(paths, languages=str(paths["table"])).means["LPR"] == 0.5


def test_a_collection_gives_languages_groups_and_the_whole_corpus(trees, tmp_path):
    """The run that `mimo-eval run` saved scores the same, to what a run can tell."""
    benchmark = Benchmark(
        name="t", tasks=(Task(collection=str(trees)),), measures=("nDCG@10", "LPR", "RankDistance", "AWRF@20")
    )
    outcome = run(HashingEncoder(dim=16), benchmark, output=tmp_path / "out", save_runs=True)
    runs = outcome.folder / "runs"
    paths = {"run": runs / "trees.parallel.trec.gz", "qrels": runs / "trees.parallel.qrels.gz"}
    found = score(paths, " ".join(benchmark.measures), languages=str(trees))
    assert found.macro == pytest.approx(outcome.result.settings[0].scores, abs=1e-9)
    assert not found.left_out


def test_without_languages_the_rest_is_scored(files):
    found = score(files(), languages="none")
    assert set(found.means) == {"nDCG@10"} and found.languages == {} == found.macro
    assert found.left_out == {"LPR": NO_LANGUAGES, "RankDistance": NO_LANGUAGES}
    odd = files(run=RUN.replace("en:", "doc_en_"), qrels=QRELS.replace("en:", "doc_en_"))
    assert score(odd).left_out.keys() == {"LPR", "RankDistance"}  # ids that do not say so are never guessed at
    with pytest.raises(DataError, match="does not read"):
        score(odd, languages="ids")


def test_a_cut_run_says_what_cannot_be_known(files):
    found = score(files(run="en:q Q0 en:a 1 9 t\n", qrels=QRELS), "nDCG@10 RankDistance R@5 MRC@5 AWRF@20")
    assert "lie below rank 1, where the run is cut; use LPR or Comp@10 instead" in found.left_out["RankDistance"]
    assert "MRC@5" in found.left_out
    said = "\n".join(found.notes)
    assert "1 judged queries are not in the run; they score 0" in said
    assert "R@5" in said and "1 documents per query at most" in said


def test_queries_that_cannot_be_scored_are_counted(files):
    found = score(files(run=RUN + "en:x Q0 en:a 1 1 t\n", qrels=QRELS + "en:z 0 en:a 0\n"), "nDCG@10")
    assert "1 judged queries have no relevant document; they are dropped" in found.notes
    assert "1 queries of the run are not judged; they are left out" in found.notes
    assert len(found.queries) == 2


def test_ties_are_put_in_trec_eval_s_order(files):
    """Every score is equal: descending ids, so de:b comes after en:a but before de:a."""
    found = score(files(run="".join(f"en:q Q0 {d} 1 1 t\n" for d in ("de:a", "de:b", "en:a"))), "RR RR@10", languages="none")
    assert found.queries.set_index("query_id").loc["en:q"].tolist()[1:] == [1.0, 1.0]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_effectiveness_equals_pytrec_eval(data):
    scores = st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=8)
    ranked = [(f"q{q}", f"d{d}", s) for q in range(3) for d, s in enumerate(data.draw(scores))]
    judged = [(f"q{q}", f"d{d}", data.draw(st.integers(0, 2))) for q in range(3) for d in range(6)] + [("q0", "d9", 1)]
    frames = (
        pd.DataFrame(ranked, columns=["query_id", "doc_id", "score"]),
        pd.DataFrame(judged, columns=["query_id", "doc_id", "relevance"]),
    )
    measures = parse("nDCG@3 R@5 AP")
    found = score_frames(*frames, measures)
    kept = frames[1][frames[1]["query_id"].isin(found.queries["query_id"])]
    theirs = ir_measures.pytrec_eval.calc_aggregate(measures, kept, frames[0])
    assert found.means == pytest.approx({str(m): v for m, v in theirs.items()}, abs=1e-6)


# ---------------------------------------------------------------- wrong files


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        ({"run": RUN + "en:q Q0 en:b 4\n"}, r"run\.txt:6: not a TREC run line"),
        ({"run": "my query Q0 d 1 1 t\n"}, r"run\.txt:1: not a TREC run line"),
        ({"run": RUN + "en:q Q0 en:a 4 1 t\n"}, r"run\.txt:6: document 'en:a' stands twice"),
        ({"run": RUN + "en:q Q0 en:z 4 nan t\n"}, r"run\.txt:6: score 'nan'"),
        ({"run": RUN + "en:q Q0 en:z 4 inf t\n"}, r"run\.txt:6: score 'inf'"),
        ({"run": RUN + "en:q Q0 en:\0z 4 1 t\n"}, r"run\.txt:6: not a TREC run line"),
        ({"run": RUN.encode() + b"en:q Q0 \xff 4 1 t\n"}, r"run\.txt:6: not a TREC run line"),
        ({"qrels": QRELS + "en:q 0 en:b\n"}, r"qrels\.txt:5: 3 columns, expected 4"),
        ({"qrels": "en:q\t0\ten:a\t1\nmy query\t0\ten:a\t1\n"}, r"qrels\.txt:2: id 'my query' has white space"),
        ({"qrels": QRELS + "en:q 0 en:a 1\n"}, r"qrels\.txt:5: document 'en:a' is judged twice"),
        ({"qrels": QRELS + "en:q 0 en:b high\n"}, r"qrels\.txt:5: 'high'"),
        ({"qrels": QRELS + "en:q 0 en:\0b 1\n"}, r"NUL byte"),
        ({"qrels": ""}, "no judgement in it"),
        ({"qrels": "en:q 0 en:a 0\n"}, "no query has a relevant document"),
    ],
)
def test_a_wrong_line_is_named(files, contents, why):
    with pytest.raises(DataError, match=why):
        score(files(**contents))


def test_a_judged_document_that_is_not_in_the_corpus_is_named(files):
    paths = files(qrels=QRELS + "en:q 0 en:absent 1\n", table=TABLE, queries=QUERIES)
    with pytest.raises(DataError, match=r"qrels\.txt:5: document 'en:absent' is not in the corpus that .*table\.txt"):
        score(paths, languages=str(paths["table"]), query_languages=paths["queries"])


def test_an_id_without_a_language_names_the_table(files):
    paths = files(table=TABLE, queries="en:q en\n")
    with pytest.raises(DataError, match=r"no language is given for query 'de:q'.*queries\.txt"):
        score(paths, languages=str(paths["table"]), query_languages=paths["queries"])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x", "two columns"),
        ("a b\tde", "two columns"),
        ("en:a\tde", "stands twice"),
        ("x\tklingonish", "not a"),
        ("x\t\0", "two col"),
    ],
)
def test_a_wrong_line_of_the_table_is_named(files, line, why):
    paths = files(table=f"en:a\ten\n{line}\n")
    with pytest.raises(DataError, match=rf"table\.txt:2: .*{why}"):
        read_table(paths["table"])


def test_a_truncated_gz_is_named(files, tmp_path):
    paths = files()
    packed = gzip.compress("".join(f"en:q Q0 en:{hash(str(i))} 1 {i} t\n" for i in range(5000)).encode())
    paths["run"] = tmp_path / "run.gz"
    paths["run"].write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="truncated or damaged"):
        score(paths)
    paths = files()
    paths["qrels"] = tmp_path / "qrels.gz"
    paths["qrels"].write_bytes(packed[:-5])
    with pytest.raises(DataError, match="truncated or damaged"):
        score(paths)


def test_a_line_of_ten_megabytes_is_refused(files):
    with pytest.raises(DataError, match="longer than 8 MiB"):
        score(files(run=RUN + "x" * 10_000_000))


def test_mistakes_in_the_call(files, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        score({**files(), "run": tmp_path / "absent"})
    with pytest.raises(ConfigError, match="unknown measure"):
        score(files(), "nDGC@10")
    with pytest.raises(DataError, match="no such file, folder or collection"):
        score(files(), languages="absent.tsv")
    for languages in (None, "ids", "none"):
        with pytest.raises(ConfigError, match="--query-languages goes with --languages FILE"):
            score(files(), languages=languages, query_languages=files(queries=QUERIES)["queries"])


def test_qrels_of_beir_are_read(files):
    paths = files(qrels="query-id\tcorpus-id\tscore\nen:q\ten:a\t1\n")
    assert read_qrels(paths["qrels"]).values.tolist() == [["en:q", "en:a", 1]]
    known = Languages({"en:a": "en"}, {"en:q": "en"}, "x", whole=False)
    empty = pd.DataFrame({"query_id": [], "doc_id": [], "score": []})
    assert score_frames(empty, read_qrels(paths["qrels"]), parse("RR"), known).means == {"RR": 0.0}
    assert find_languages("none", None, empty, empty) is None
