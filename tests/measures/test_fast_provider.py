"""The provider gives the numbers of ir-measures' own path, whatever runs and judgements are held in."""

from __future__ import annotations

import gzip
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, Compat, Judged, NumRet, Qrel, R, ScoredDoc, nDCG

from mimo_eval import measures
from mimo_eval.errors import ConfigError, DataError, MimoEvalError
from mimo_eval.measures import fast, join
from mimo_eval.measures.inputs import run_of
from mimo_eval.measures.join import surrogates

OWN = (
    "nDCG nDCG@1 nDCG@3 nDCG@10 nDCG(gains={1:5,3:2})@4 nDCG(judged_only=True)@3 AP AP@3 AP(rel=2) AP(judged_only=True) "
    "RR RR(rel=2) RR(judged_only=True) P@1 P@3 P@30 P(rel=3)@5 P(judged_only=True)@2 R@1 R@5 R@30 R(rel=2)@5 "
    "R(judged_only=True)@2 Success@1 Success@3 Success(rel=2)@3 Success(judged_only=True)@1 Rprec Rprec(rel=2) "
    "Rprec(judged_only=True) Bpref Bpref(rel=2) infAP infAP(rel=2) IPrec@0.0 IPrec@0.1 IPrec@0.25 IPrec@0.5 IPrec@1.0 "
    "IPrec(rel=2)@0.45 IPrec(judged_only=True)@0.333 SetP SetP(relative=True) SetP(judged_only=True) SetP(rel=2) SetR "
    "SetR(rel=2) SetF SetF(beta=2.0) SetF(rel=2,beta=0.5) SetF(judged_only=True) SetAP SetAP(rel=2) NumRet NumRet(rel=1) "
    "NumRet(rel=2) NumRel NumQ"
)
NAMES = [*(f"d{i}" for i in range(14)), "d", "D1", "é", "z", "中", "😀", "\uffff", "e\u0301", "0", "10"]
Table = dict[str, dict[str, Any]]


def tables(seed: int, lowest: int = -2) -> tuple[Table, Table]:
    """Judgements and a run: ties, some of them only as float32, queries in one of the two only, queries without results."""
    rng = np.random.default_rng(seed)
    scores = np.array([0, -0.0, 1, 1 + 1e-9, 1 + 3e-8, -1, 2.5, 1e300, 1e301, -1e39, np.inf, 7])
    qrels: Table = {}
    run: Table = {}
    for i in rng.permutation(rng.integers(1, 9)):
        query = f"q{i}"
        if rng.random() < 0.9:
            judged = rng.permutation(NAMES)[: rng.integers(1, len(NAMES))]
            gains = rng.integers(lowest, 4, len(judged))
            gains[0] = max(gains[0], 0)
            qrels[query] = dict(zip(judged.tolist(), gains.tolist(), strict=True))
        if rng.random() < 0.8:
            shown = rng.permutation(NAMES)[: rng.integers(0, len(NAMES))]
            values = rng.choice(scores, len(shown)) if rng.random() < 0.7 else rng.normal(size=len(shown))
            run[query] = dict(zip(shown.tolist(), values.tolist(), strict=True))
    return qrels or {"q": {"d": 1}}, run


def tuples(kind: Any, table: Table) -> list[Any]:
    return [kind(query, document, value) for query, row in table.items() for document, value in row.items()]


def frame(kind: Any, table: Table) -> pd.DataFrame:
    return pd.DataFrame(tuples(kind, table), columns=kind._fields)[list(kind._fields[:3])]


def by_query(found: Any) -> dict[tuple[str, Any], float]:
    return {(metric.query_id, metric.measure): metric.value for metric in found}


OTHER_GAINS = nDCG(gains={1: 5, 2: -1, 3: 2}) @ 4  # a gain below 0 cannot be written


def expected(measure: Any, qrels: Table, run: Table) -> dict[tuple[str, Any], float]:
    """One measure at a time: ir-measures mixes up gains and sizes when several are asked for at once."""
    found = by_query(ir_measures.pytrec_eval.iter_calc([measure], qrels, run))
    return {key: 0 if np.isnan(value) else value for key, value in found.items()}  # trec_eval's IPrec of nothing is 0 / 0


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_equals_pytrec_eval_through_ir_measures(seed):
    """Every query, every measure, whatever is tied, negative, missing or empty."""
    qrels, run = tables(seed)
    parsed = [*measures.parse(OWN), OTHER_GAINS]
    assert all(measures.standard.kernel(measure) for measure in parsed)
    found = by_query(fast.iter_calc(parsed, qrels, run))
    assert len(found) == len(parsed) * len(qrels)
    for measure in parsed:
        for key, value in expected(measure, qrels, run).items():
            assert found[key] == pytest.approx(value, abs=1e-12), key


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), lists=st.integers(1, 5))
def test_form_order_and_portions_do_not_matter(seed, rows, lists):
    """Frames, tuples, scattered lines and any size of the parts that are joined at once: the same bits."""
    qrels, run = tables(seed)
    run = {query: row for query, row in run.items() if row}  # a frame cannot hold a query without results
    parsed = measures.parse(OWN)
    wanted = by_query(fast.iter_calc(parsed, qrels, run))
    shuffled = frame(ScoredDoc, run).sample(frac=1, random_state=seed)
    judged = frame(Qrel, qrels).sample(frac=1, random_state=seed)
    categories = shuffled.astype({"query_id": "category", "doc_id": "category"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "ROWS", rows)
        patch.setattr(join, "LISTS", lists)
        forms = [run, shuffled, shuffled.astype({"query_id": object, "doc_id": object}), categories, tuples(ScoredDoc, run)]
        for form in (*forms, iter(tuples(ScoredDoc, run))):
            assert by_query(fast.iter_calc(parsed, judged, form)) == wanted
        assert by_query(fast.iter_calc(parsed, iter(tuples(Qrel, qrels)), run)) == wanted


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.integers(1, 12))
def test_one_order_of_ties_for_what_ir_measures_computes_elsewhere(seed, cutoff):
    """RR@k and Judged@k: trec_eval's order too, so RR@k is RR or 0 and never larger."""
    qrels, run = tables(seed)
    whole, cut, judged = fast.evaluator([RR, RR @ cutoff, Judged @ cutoff], qrels).values(run).values()
    np.testing.assert_array_equal(cut, np.where(whole >= 1 / cutoff, whole, 0))
    for query, value in zip(sorted(qrels), judged, strict=True):
        with np.errstate(over="ignore"):
            ranked = sorted(((float(np.float32(s)), d) for d, s in run.get(query, {}).items()), reverse=True)[:cutoff]
        assert value == pytest.approx(np.mean([d in qrels[query] for _, d in ranked]) if ranked else 0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_under_ties_the_default_pipeline_agrees_on_all_but_rr_and_judged_at_a_cutoff(seed):
    """Which is what the documentation says, of each measure by itself."""
    qrels, run = tables(seed)
    run = {query: row for query, row in run.items() if row}
    for measure in measures.parse(f"{OWN} Judged"):
        found = by_query(fast.iter_calc([measure], qrels, run))
        for key, value in by_query(ir_measures.iter_calc([measure], qrels, run)).items():
            assert found[key] == pytest.approx(0 if np.isnan(value) else value, abs=1e-12), key


@pytest.mark.parametrize(
    ("measure", "here", "there"),
    [(RR @ 1, 1, 0), (RR @ 3, 1, 1 / 3), (RR(rel=2) @ 1, 1, 0), (Judged @ 1, 1, 0), (Judged @ 3, 2 / 3, 1 / 3), (RR, 1, 1)],
)
def test_under_ties_these_differ_from_the_default_pipeline(measure, here, there):
    """Four documents of one score, of which the larger two are judged: the first two here, as in trec_eval, the last there."""
    qrels, run = {"q": {"c": 2, "d": 2}}, {"q": dict.fromkeys("abcd", 1.0)}
    assert fast.calc_aggregate([measure], qrels, run)[measure] == pytest.approx(here)
    assert ir_measures.calc_aggregate([measure], qrels, run)[measure] == pytest.approx(there)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_ties_the_default_pipeline_agrees(seed):
    qrels, run = tables(seed, lowest=0)
    rng = np.random.default_rng(seed)
    run = {q: dict(zip(row, rng.permutation(len(row)).astype(float).tolist(), strict=True)) for q, row in run.items() if row}
    parsed = measures.parse("nDCG@10 R@100 RR@10 RR@1 AP P@10 Judged@3 Judged NumRet NumRel NumQ")
    own, ours = ir_measures.calc_aggregate(parsed, qrels, run), fast.calc_aggregate(parsed, qrels, run)
    assert list(ours) == parsed
    assert ours == pytest.approx(own, abs=1e-12)


def test_hand_computed():
    qrels = {"q": {"a": 2, "b": 1, "c": 0, "x": 1}, "w": {"a": 1}}
    run = {"q": {"c": 3.0, "a": 2.0, "u": 1.0, "b": 0.5}}
    result = fast.calc([nDCG @ 4, AP, R @ 2, NumRet], qrels, run)
    ideal = 2 + 1 / np.log2(3) + 1 / np.log2(4)
    ndcg = (2 / np.log2(3) + 1 / np.log2(5)) / ideal
    assert result.aggregated == pytest.approx({nDCG @ 4: ndcg / 2, AP: (1 / 2 + 2 / 4) / 3 / 2, R @ 2: 1 / 3 / 2, NumRet: 4})
    assert by_query(result.per_query)["w", AP] == 0
    evaluator = fast.evaluator([AP], qrels)
    assert [evaluator.calc_aggregate(one)[AP] for one in (run, {"w": {"a": 1.0}})] == [pytest.approx(1 / 6), 0.5]
    assert evaluator.query_ids == ["q", "w"]


def test_files_are_read(tmp_path):
    (tmp_path / "qrels").write_text("q 0 a 1\nq 0 b 0\n")
    (tmp_path / "run.gz").write_bytes(gzip.compress(b"q Q0 b 1 2.0 x\nq Q0 a 2 1.0 x\n"))
    for given_run in (tmp_path / "run.gz", str(tmp_path / "run.gz")):
        assert fast.calc_aggregate([RR, Compat], tmp_path / "qrels", given_run)[RR] == 0.5


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_surrogates_strictly_decrease_in_trec_evals_order(seed):
    run = {query: row for query, row in tables(seed)[1].items() if row}
    expected = []
    for query, row in sorted(run.items()):
        with np.errstate(over="ignore"):
            ranked = sorted(((float(np.float32(s)) + 0, d.encode()) for d, s in row.items()), reverse=True)
        expected += [(query, d.decode(), float(len(ranked) - i)) for i, (_, d) in enumerate(ranked)]
    for form in (run, run_of(frame(ScoredDoc, run))):
        assert list(surrogates(form).itertuples(index=False, name=None)) == expected


def test_ties_fall_in_one_order_for_what_other_providers_compute(tmp_path):
    """Compat's own provider puts the smaller id first; here it sees the order that all others see."""
    qrels, tied = {"q": {"c": 2, "d": 1}}, {"q": dict.fromkeys("abcd", 1.0)}
    wanted = ir_measures.calc_aggregate([Compat], qrels, {"q": {"d": 4.0, "c": 3.0, "b": 2.0, "a": 1.0}})
    assert wanted != ir_measures.calc_aggregate([Compat], qrels, tied)
    (tmp_path / "run").write_text("".join(f"q Q0 {d} 1 1.0 x\n" for d in "abcd"))
    for form in (tied, frame(ScoredDoc, tied), iter(tuples(ScoredDoc, tied)), tmp_path / "run"):
        assert fast.calc_aggregate([Compat], qrels, form) == wanted


def test_what_has_no_kernel_is_left_to_ir_measures():
    qrels, run = tables(5, lowest=0)
    run = {query: dict(zip(row, range(1, len(row) + 1), strict=True)) for query, row in run.items() if row}
    rest = [Compat, Compat(p=0.8)]
    assert not any(measures.standard.kernel(measure) for measure in rest)
    for form in (run, frame(ScoredDoc, run), iter(tuples(ScoredDoc, run))):
        values = fast.calc_aggregate([*rest, nDCG @ 3], iter(tuples(Qrel, qrels)), form)
        assert values == pytest.approx(ir_measures.calc_aggregate([*rest, nDCG @ 3], qrels, run), abs=1e-12)


def test_language_measures_need_the_languages():
    lpr = ir_measures.parse_measure("LPR")
    qrels, run = {"q": {"a": 1, "b": 1}}, {"q": {"a": 2.0, "b": 1.0}}
    with measures.languages(documents={"a": "en", "b": "de"}, queries={"q": "de"}):
        assert fast.calc_aggregate([lpr, nDCG @ 1], qrels, run) == {lpr: 0.0, nDCG @ 1: 1.0}
    with pytest.raises(DataError, match="needs the language"):
        fast.calc_aggregate([lpr], qrels, run)


def test_whole_numbers_as_ids():
    run = pd.DataFrame({"query_id": [1, 1, 2], "doc_id": [9, 10, 9], "score": [1, 1, 1]})
    qrels = pd.DataFrame({"query_id": [1, 2], "doc_id": [9, 9], "relevance": [1.0, 2.0]})
    assert fast.calc_aggregate([RR], qrels, run)[RR] == 1


@pytest.mark.parametrize(
    "empty", [{}, [], pd.DataFrame(columns=["query_id", "doc_id", "score"]), {"q": {}}, {"other": {"a": 1.0}}]
)
def test_nothing_found(empty):
    assert fast.calc_aggregate([nDCG @ 5, NumRet], {"q": {"a": 1}}, empty) == {nDCG @ 5: 0, NumRet: 0}


def test_nothing_judged():
    for qrels in ({}, [], pd.DataFrame(columns=["query_id", "doc_id", "relevance"])):
        assert np.isnan(fast.calc_aggregate([nDCG @ 5], qrels, {"q": {"a": 1.0}})[nDCG @ 5])
    assert fast.calc_aggregate([nDCG @ 5], {"q": {}}, {"q": {"a": 1.0}}) == {nDCG @ 5: 0}


def columns(*rows: Any) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["query_id", "doc_id", "score"])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ([ScoredDoc("q", "a", 1.0), ScoredDoc("q", "a", 0.5)], "document 'a' stands twice for query 'q'"),
        (columns(("w", "b", 1.0), ("q", "a", 1.0), ("w", "b", 1.0)), "document 'b' stands twice for query 'w'"),
        ({"q": {"b": 1.0, "a": float("nan")}}, "the score nan of document 'a' for query 'q' is not a number"),
        ({"q": {"a": "high"}}, "the score 'high' of document 'a' for query 'q' is not a number"),
        (columns(("q", "a", "high")), "the score 'high' of document 'a' for query 'q'"),
        (columns(("q", "a", np.nan)), "the score nan of document 'a' for query 'q'"),
        (columns(("q", None, 1.0)), "document ids of the run: number 0 is missing"),
        (columns(("q", 1.5, 1.0)), "document ids of the run must be text, not double"),
        (columns(("q", "a", 1.0), ("q", 5, 1.0)), "document ids of the run must be text"),
        (pd.DataFrame({"query_id": ["q"], "score": [1.0]}), r"run: DataFrame missing columns: \['doc_id'\]"),
        ({1: {"a": 1.0}}, "run: id 1 must be text, not int"),
        ({"q": {7: 1.0}}, "run: id 7 must be text, not int"),
        ({"q": ["a"]}, "the results of query 'q' must be"),
        ([("q", "a", 1.0)], "run: iterable not a namedtuple iterator"),
        (3, "run: unexpected format"),
        ("no/such/file", "no such file"),
    ],
)
def test_a_bad_run_is_named(run, message):
    with pytest.raises(DataError, match=message):
        fast.calc_aggregate([nDCG @ 5], {"q": {"a": 1}}, run)


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ([Qrel("q", "a", 1), Qrel("w", "a", 1), Qrel("q", "a", 0)], "document 'a' stands twice for query 'q'"),
        ({"q": {"a": 0.5}}, "relevance must be an integer: number 0 is 0.5"),
        ({"q": {"a": "yes"}}, "relevance must be an integer"),
        ({"q": {"a": float("nan")}}, "relevance must be an integer"),
        ({"q": {"a": 2**40}}, "relevance must be an integer"),
        ({"q": {b"a": 1}}, "document ids of the qrels must be text, not binary"),
        (3, "qrels: unexpected format"),
    ],
)
def test_bad_judgements_are_named(qrels, message):
    with pytest.raises(DataError, match=message):
        fast.calc_aggregate([nDCG @ 5], qrels, {"q": {"a": 1.0}})


def test_unknown_measures_are_refused():
    class Strange(type(nDCG)):  # type: ignore[misc]
        NAME = __name__ = "Strange"

    with pytest.raises(ConfigError, match="Strange"):
        fast.calc_aggregate([Strange()], {"q": {"a": 1}}, {})
    with pytest.raises((AssertionError, MimoEvalError)):
        fast.calc_aggregate([R], {"q": {"a": 1}}, {})
