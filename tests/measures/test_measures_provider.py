"""Language measures through ir-measures alone."""

from __future__ import annotations

import warnings

import ir_measures
import numpy as np
import pandas as pd
import pytest
from ir_measures import Qrel, ScoredDoc, nDCG

import mimo_eval.measures as m
from mimo_eval.errors import ConfigError, DataError, MimoEvalError

QRELS = {"q1": {"a": 1, "b": 1}, "q2": {"c": 1}, "q3": {"a": 1, "b": 1}}
RUN = {"q1": {"a": 2.0, "b": 1.0, "c": 0.5}, "q2": {"c": 1.0}}
DOCUMENTS = {"a": "en", "b": "de", "c": "de"}
QUERIES = {"q1": "en", "q2": "de", "q3": "en"}
LPR = ir_measures.parse_measure("LPR")


def test_with_languages_ir_measures_computes_them():
    with m.languages(documents=DOCUMENTS, queries=QUERIES):
        values = {(x.query_id, str(x.measure)): x.value for x in ir_measures.iter_calc([LPR, nDCG @ 5], QRELS, RUN)}
    assert values["q1", "LPR"] == 1
    assert np.isnan(values["q2", "LPR"])
    assert np.isnan(values["q3", "LPR"])
    assert values["q2", "nDCG@5"] == 1
    assert values["q3", "nDCG@5"] == 0


def test_means_are_over_the_queries_that_count():
    with m.languages(DOCUMENTS, QUERIES):
        assert ir_measures.calc_aggregate([LPR, nDCG @ 5], QRELS, RUN) == {LPR: 1.0, nDCG @ 5: pytest.approx(2 / 3)}
        assert LPR.calc_aggregate(QRELS, RUN) == 1.0
        assert np.isnan(LPR.calc_aggregate(QRELS, {}))


def test_languages_are_captured_when_the_call_is_made():
    """ir-measures yields lazily; leaving the block before reading must not lose them."""
    with m.languages(DOCUMENTS, QUERIES):
        lazy = ir_measures.iter_calc([LPR], QRELS, RUN)
    assert {x.query_id: x.value for x in lazy}["q1"] == 1


def test_blocks_nest_and_end():
    swapped = {"a": "de", "b": "en", "c": "de"}
    with m.languages(DOCUMENTS, QUERIES):
        with m.languages(swapped, QUERIES):
            assert LPR.calc_aggregate(QRELS, RUN) == 0
        assert LPR.calc_aggregate(QRELS, RUN) == 1
    with pytest.raises(DataError):
        LPR.calc_aggregate(QRELS, RUN)


def test_provider_computes_everything_with_one_order_of_ties():
    provider = m.provider(DOCUMENTS, QUERIES)
    tied = {"q1": {"a": 1.0, "b": 1.0, "c": 1.0}}
    measures = m.parse("RR RR@10 LPR Rprec")
    values = provider.calc_aggregate(measures, {"q1": {"a": 1, "b": 1}}, tied)
    assert [values[x] for x in measures] == [0.5, 0.5, 0.0, 0.5]
    assert provider.calc([LPR], QRELS, RUN).aggregated == {LPR: 1.0}
    evaluator = provider.evaluator([LPR], QRELS)
    assert [evaluator.calc_aggregate(run)[LPR] for run in (RUN, RUN)] == [1.0, 1.0]


@pytest.mark.parametrize("kind", ["dict", "frame", "tuples"])
def test_every_form_of_input(kind):
    qrels, run = QRELS, RUN
    if kind != "dict":
        qrels = [Qrel(q, d, r) for q, row in QRELS.items() for d, r in row.items()]
        run = [ScoredDoc(q, d, s) for q, row in RUN.items() for d, s in row.items()]
    if kind == "frame":
        qrels, run = pd.DataFrame(qrels), pd.DataFrame(run)
    assert m.provider(DOCUMENTS, QUERIES).calc_aggregate([LPR], qrels, run) == {LPR: 1.0}


def test_without_languages_the_message_says_how_to_give_them():
    with pytest.raises(DataError, match=r"mimo_eval\.measures\.languages\(documents="):
        list(ir_measures.iter_calc([LPR], QRELS, RUN))
    assert ir_measures.calc_aggregate([nDCG @ 5], QRELS, RUN)[nDCG @ 5] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("documents", "queries"), [({"a": "en"}, QUERIES), (DOCUMENTS, {"q1": "en"})])
def test_incomplete_maps(documents, queries):
    with pytest.raises(DataError, match="no language is given for"):
        m.provider(documents, queries).calc_aggregate([LPR], QRELS, RUN)


def test_maps_must_be_maps():
    with pytest.raises(ConfigError, match="'documents' must map"):
        m.provider(["a"], QUERIES)


def test_full_ranking_measures_refuse_a_cut_run():
    distance = ir_measures.parse_measure("RankDistance")
    with m.languages(DOCUMENTS, QUERIES):
        with pytest.raises(DataError, match="use LPR or Comp@10 instead"):
            distance.calc_aggregate(QRELS, RUN)
        assert distance.calc_aggregate({"q1": QRELS["q1"]}, RUN) == 1


def test_uninformative_measures_warn():
    with m.languages(DOCUMENTS, QUERIES):
        with pytest.warns(UserWarning, match="carries no information; use LPR or RankDistance"):
            assert np.isnan(ir_measures.calc_aggregate(m.parse("PEER@5"), QRELS, RUN).popitem()[1])
        with pytest.warns(UserWarning, match="carries no information"):
            list(ir_measures.iter_calc(m.parse("PEER(compat=True)@5"), QRELS, RUN))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            LPR.calc_aggregate(QRELS, RUN)


def test_scores_cannot_come_from_a_run():
    with m.languages(DOCUMENTS, QUERIES), pytest.raises(DataError, match="MRC@5 needs translations"):
        ir_measures.calc_aggregate(m.parse("MRC@5"), QRELS, RUN)


def test_repeated_documents_are_refused():
    run = [ScoredDoc("q1", "a", 1.0), ScoredDoc("q1", "a", 0.5)]
    with m.languages(DOCUMENTS, QUERIES), pytest.raises(MimoEvalError, match="stands twice"):
        list(ir_measures.iter_calc([LPR], QRELS, run))


def test_empty_run():
    with m.languages(DOCUMENTS, QUERIES):
        for run in ({}, [], pd.DataFrame(columns=["query_id", "doc_id", "score"])):
            assert [x.value for x in ir_measures.iter_calc(m.parse("TLR@5"), {"q1": QRELS["q1"]}, run)] == [0.0]


def test_empty_qrels():
    with m.languages(DOCUMENTS, QUERIES):
        assert list(ir_measures.iter_calc(m.parse("TLR@5"), {}, RUN)) == []
        assert np.isnan(ir_measures.calc_aggregate(m.parse("TLR@5"), {}, RUN).popitem()[1])
