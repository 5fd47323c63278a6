"""Runs: one order, every bit of a float32, and errors with file and line."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.errors import CacheError, DataError
from mimo_eval.measures.inputs import table
from mimo_eval.measures.join import order
from mimo_eval.mixing import Mix, pools
from mimo_eval.runs import frames, read_qrels, read_run, write_qrels, write_run
from mimo_eval.search import keys

RUN = pd.DataFrame(
    {
        "query_id": ["b", "a", "a", "a", "a"],
        "doc_id": ["1", "10", "9", "x", "é"],
        "score": [0.5, 1.0, 1.0, 2.0, 1.0],
    }
)


def canonical(run):
    columns = table(run["query_id"], run["doc_id"], run["score"])
    return run.assign(score=columns.score).iloc[order(columns)].reset_index(drop=True)


def rows(run):
    return list(run.itertuples(index=False, name=None))


def test_a_run_is_ordered_by_query_then_score_then_document_both_descending():
    assert [row[:2] for row in rows(canonical(RUN))] == [("a", "x"), ("a", "é"), ("a", "9"), ("a", "10"), ("b", "1")]


def test_scores_that_are_equal_as_float32_are_ties():
    run = pd.DataFrame({"query_id": ["q", "q"], "doc_id": ["a", "b"], "score": [1.0 + 1e-9, 1.0]})
    assert canonical(run)["doc_id"].tolist() == ["b", "a"]
    zeros = pd.DataFrame({"query_id": ["q", "q"], "doc_id": ["a", "b"], "score": [0.0, -0.0]})
    assert canonical(zeros)["doc_id"].tolist() == ["b", "a"]


@settings(max_examples=100, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_neighbouring_float32_stay_apart_in_a_file(value):
    value = np.float32(value)
    with np.errstate(over="ignore"):
        both = [value, np.nextafter(value, np.float32(-np.inf))]
    assert [np.float32(f"{float(v):.9g}") for v in both] == both


def test_a_run_is_read_as_it_was_written(tmp_path):
    score = np.float32(0.123456789)
    run = canonical(pd.DataFrame({"query_id": "q", "doc_id": ["a", "b"], "score": [score, np.nextafter(score, np.float32(1))]}))
    for name in ("run.trec", "run.trec.gz"):
        write_run(tmp_path / name, iter([run, RUN.iloc[:1]]), "my model")
        back = read_run(tmp_path / name)
        assert back["score"].dtype == np.float32
        assert rows(back) == rows(canonical(pd.concat([run, RUN.iloc[:1]])))
    lines = (tmp_path / "run.trec").read_text().splitlines()
    assert lines == ["q Q0 b 1 0.123456798 my_model", "q Q0 a 2 0.123456791 my_model", "b Q0 1 1 0.5 my_model"]


def test_equal_runs_are_equal_bytes(tmp_path):
    for name in ("a.gz", "b.gz"):
        write_run(tmp_path / name, iter([canonical(RUN)]), "")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).endswith(b" run\n")


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_run_that_cannot_be_finished_leaves_nothing(tmp_path, name, error):
    def parts():
        yield canonical(RUN)
        raise error

    with pytest.raises(CacheError if isinstance(error, OSError) else KeyboardInterrupt):
        write_run(tmp_path / name, parts(), "tag")
    assert list(tmp_path.iterdir()) == []


def test_ranks_and_tags_in_a_file_are_ignored(tmp_path):
    (tmp_path / "r").write_text("\ufeffq Q0 a 1 0.1 x\r\nq\tQ0\tb\t2\t0.2\ty\n\n")
    assert read_run(tmp_path / "r")["doc_id"].tolist() == ["b", "a"]


def test_an_empty_run_is_a_run(tmp_path):
    (tmp_path / "r").write_text("")
    run = read_run(tmp_path / "r")
    assert list(run.columns) == ["query_id", "doc_id", "score"]
    assert len(run) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 a 1 0.1", "not a TREC run line"),
        ("q Q0 a b 1 0.1 x", "not a TREC run line"),
        ("q Q0 b 1 high x", "score 'high' is not a float32"),
        ("q Q0 b 1 nan x", "score 'nan' is not"),
        ("q Q0 b 1 inf x", "score 'inf' is not"),
        ("q Q0 b 1 1e39 x", "score '1e39' is not"),
        ("q Q0 a 9 0.3 x", "document 'a' stands twice for query 'q'"),
        ("q Q0 \0 9 0.3 x", "not a TREC run line"),
    ],
)
def test_a_bad_line_of_a_run_is_named(tmp_path, line, message):
    path = tmp_path / "r.gz"
    path.write_bytes(gzip.compress(f"q Q0 a 1 0.5 x\n{line}\n".encode()))
    with pytest.raises(DataError) as refused:
        read_run(path)
    assert str(refused.value).startswith(f"{path}:2: {message}")


def test_bytes_that_are_not_utf8_and_cut_files_are_refused(tmp_path):
    (tmp_path / "r").write_bytes(b"q Q0 \xff 1 0.5 x\n")
    with pytest.raises(DataError, match="r:1: not a TREC run line"):
        read_run(tmp_path / "r")
    (tmp_path / "r.gz").write_bytes(gzip.compress(b"q Q0 a 1 0.5 x\n")[:-9])
    with pytest.raises(DataError, match=r"r\.gz: truncated or damaged .gz file"):
        read_run(tmp_path / "r.gz")
    with pytest.raises(DataError, match="no such file"):
        read_run(tmp_path / "absent")


def test_qrels_are_read_in_trecs_and_beirs_layout(tmp_path):
    (tmp_path / "t").write_text("q 0 d 2\n")
    (tmp_path / "b").write_text("query-id\tcorpus-id\tscore\nq\td\t2\n")
    assert rows(read_qrels(tmp_path / "t")) == rows(read_qrels(tmp_path / "b")) == [("q", "d", 2)]
    (tmp_path / "t").write_text("q 0 d 2\nq 0 d two\n")
    with pytest.raises(DataError, match="t:2: 'two'"):
        read_qrels(tmp_path / "t")


def test_a_pools_lists_become_frames_and_its_judgements_a_file(tmp_path, collect):
    texts = {"de": {"g0": "a", "g1": "b"}, "en": {"g0": "c", "g1": "d"}}
    collection = collect(texts, {"de": {"h": "?"}}, {"h": {"g1": 1, "g0": 0}})
    (pool,) = pools(collection, Mix())
    lists = np.sort(keys.encode(np.array([[0.5, 0.5, 2, -1]], np.float32), np.arange(4, dtype=np.uint32)))[:, ::-1]
    lists = np.concatenate([lists, [[keys.EMPTY]]], axis=1)
    (frame,) = frames(collection, pool, lists)
    assert rows(frame) == [("de:h", "en:g0", 2.0), ("de:h", "de:g1", 0.5), ("de:h", "de:g0", 0.5), ("de:h", "en:g1", -1.0)]
    assert rows(canonical(frame)) == rows(frame)
    write_qrels(tmp_path / "q.gz", collection, pool)
    text = gzip.decompress((tmp_path / "q.gz").read_bytes()).decode()
    assert sorted(text.splitlines()) == ["de:h 0 de:g0 0", "de:h 0 de:g1 1", "de:h 0 en:g0 0", "de:h 0 en:g1 1"]
    assert len(read_qrels(tmp_path / "q.gz")) == 4


def test_ir_measures_reads_our_runs(tmp_path):
    import ir_measures

    write_run(tmp_path / "r", iter([canonical(RUN)]), "x")
    read = list(ir_measures.read_trec_run(io.StringIO((tmp_path / "r").read_text())))
    assert [(r.query_id, r.doc_id, r.score) for r in read] == rows(canonical(RUN))
