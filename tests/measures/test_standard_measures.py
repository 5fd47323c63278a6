"""The kernels give the numbers of ir-measures' own providers."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures

COVERED = (
    "nDCG nDCG@1 nDCG@3 nDCG@10 nDCG@100 R@1 R@5 R@100 R(rel=2)@5 RR RR@1 RR@3 RR@50 RR(rel=2) RR(rel=3)@2 AP AP@3 "
    "AP@50 AP(rel=2) AP(rel=2)@4 P@1 P@5 P@100 P(rel=3)@5 Success@1 Success@5 Success(rel=2)@3 Judged "
    "Judged@3 Judged@50 nDCG(judged_only=True)@5 nDCG(gains={1:5,2:3})@5 AP(judged_only=True) Rprec Bpref infAP IPrec@0.25 "
    "SetP SetP(relative=True) SetR SetF SetF(beta=2.0) SetAP NumRet NumRet(rel=2) NumRel NumQ"
)


def by_ir_measures(parsed, ranking):
    """Return each measure's values, computed one measure at a time, of judgements and a run that are taken apart once."""
    qrels, run = ranking.frames()
    given_both = ir_measures.util.QrelsConverter(qrels).as_dict_of_dict(), ir_measures.util.RunConverter(run).as_dict_of_dict()
    for measure in parsed:
        values = {m.query_id: m.value for m in ir_measures.iter_calc([measure], *given_both)}
        yield measure, np.array([values[q] for q in ranking.query_ids])


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_kernels_equal_ir_measures(make, table, seed):
    """For each query, whatever is missing, tied, negative or graded."""
    ranking = make(**table(seed))
    for measure, expected in by_ir_measures(measures.parse(COVERED), ranking):
        assert measures.standard.kernel(measure) is not None
        computed = measures.compute([measure], ranking)[measure]
        np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-12, err_msg=str(measure))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_kernels_equal_trec_eval_on_the_raw_run(make, table, seed):
    """Ties of the run as given are in trec_eval's order, so pytrec_eval sees nothing else."""
    raw = table(seed, lowest=0)
    ranking = make(**raw)
    for measure in measures.parse("nDCG@5 nDCG AP RR P@3 R@10 Success@2"):
        given_values = {m.query_id: m.value for m in ir_measures.pytrec_eval.iter_calc([measure], raw["qrels"], raw["run"])}
        expected = [given_values[q] for q in ranking.query_ids]
        np.testing.assert_allclose(measures.compute([measure], ranking)[measure], expected, rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_has_no_kernel_is_left_to_ir_measures(make, table, seed):
    ranking = make(**table(seed))
    for measure, expected in by_ir_measures(measures.parse("Compat Compat(p=0.8)"), ranking):
        assert measures.standard.kernel(measure) is None
        np.testing.assert_allclose(measures.compute([measure], ranking)[measure], expected, rtol=0, atol=1e-12)


def test_hand_computed(toy):
    """The vectors of the toy pool."""
    ranking = toy()
    expected = {
        "nDCG@5": 0.703918,
        "nDCG@10": 0.871079,
        "AP": 0.722222,
        "RR": 1,
        "R@5": 2 / 3,
        "P@5": 0.4,
        "Judged@5": 0.4,
    }
    for text, value in expected.items():
        (measure,) = measures.parse(text)
        assert measures.compute([measure], ranking)[measure][0] == pytest.approx(value, abs=5e-7)


def test_exponential_gain(make):
    """nDCG(dcg='exp-log2'): (1/log2(2) + 7/log2(3)) / (7/log2(2) + 1/log2(3))."""
    (measure,) = measures.parse("nDCG(dcg='exp-log2')@5")
    ranking = make({"q": ["a", "b"]}, {"q": {"a": 1, "b": 3}})
    expected = (1 + 7 / np.log2(3)) / (7 + 1 / np.log2(3))
    assert measures.compute([measure], ranking)[measure][0] == pytest.approx(expected, abs=1e-12)


def test_ties_do_not_decide(make):
    """An all-tied run: RR@10 equals RR, and both follow trec_eval's order (id descending)."""
    ranking = make({"q": {"a": 1.0, "b": 1.0, "c": 1.0}}, {"q": {"a": 1}})
    values = measures.compute(measures.parse("RR RR@10 nDCG@10"), ranking)
    assert [v[0] for v in values.values()] == [pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(0.5)]


def test_negative_judgements_are_judged_and_not_relevant(make):
    """-1 and -2 in qrels must not read as "unjudged" or "past the end"."""
    ranking = make({"q": ["a", "b", "c"]}, {"q": {"a": -2, "b": -1, "c": 1}})
    values = measures.compute(measures.parse("Judged@3 RR nDCG@3"), ranking)
    assert [v[0] for v in values.values()] == [1.0, pytest.approx(1 / 3), pytest.approx(0.5)]


def test_nothing_retrieved_at_all(make):
    ranking = make({}, {"q": {"a": 1}, "z": {"a": 0}})
    for values in measures.compute(measures.parse(COVERED), ranking).values():
        assert values.tolist() == [0.0, 0.0]
