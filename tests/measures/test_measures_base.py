"""What holds for every language measure."""

from __future__ import annotations

import dataclasses

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.measures.base import DataNeed, Direction, MeanOfCounted

WRITTEN = [d.name for d in measures.describe() if d.needs]
ALL = measures.parse(" ".join(WRITTEN))


def test_mean_skips_and_counts_the_excluded():
    mean = MeanOfCounted()
    for value in (1.0, float("nan"), 0.0):
        mean.add(value)
    assert (mean.result(), mean.count, mean.excluded) == (0.5, 2, 1)
    assert np.isnan(MeanOfCounted().result())


@pytest.mark.parametrize("text", WRITTEN)
def test_written_form_is_read_back(text):
    """`repr` parses to the same measure, so that result files can be read."""
    (measure,) = measures.parse(text)
    assert measures.parse(repr(measure)) == [measure] == [ir_measures.parse_measure(text)]


def test_weights_stay_in_the_name():
    """ir-measures drops dict items whose key equals the value; two different measures would be equal."""
    one, two = measures.parse("PEER(weights={1: 1})@5 PEER(weights={2: 1.0})@5")
    assert repr(one) == "PEER(weights={1:1})@5"
    assert one != two
    assert measures.parse("LangNDCG(gain=1)@5") == measures.parse("LangNDCG(gain=1.0)@5")


@pytest.mark.parametrize("text", WRITTEN)
def test_declared(text):
    (entry,) = [d for d in measures.describe() if d.name == text]
    assert entry.answers.endswith(("?", ")"))
    assert entry.range[0] < entry.range[1]
    assert isinstance(entry.direction, Direction)
    assert entry.source
    assert all(isinstance(need, DataNeed) for need in entry.needs)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_values_keep_to_the_declared_range(make, table, seed):
    ranking = make(**table(seed))
    for measure, values in measures.compute(ALL, ranking).items():
        low, high = measure.range
        assert values.shape == (len(ranking),)
        assert values.dtype == np.float64
        assert (np.isnan(values) | ((values >= low - 1e-9) & (values <= high + 1e-9))).all(), measure


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.integers(0, 23))
def test_names_of_languages_do_not_matter(make, table, seed, shift):
    """Other names, another order of the numbers: not one value changes."""
    raw = table(seed)
    renamed = {name: f"{(i * 7 + shift) % 24:02}{name}" for i, name in enumerate(["de", "en", "sw", "zh"])}
    other = dict(raw)
    for ids in ("documents", "queries"):
        other[ids] = {i: renamed[language] for i, language in raw[ids].items()}
    first, second = measures.compute(ALL, make(**raw)), measures.compute(ALL, make(**other))
    for measure in ALL:
        np.testing.assert_allclose(first[measure], second[measure], atol=1e-12, err_msg=str(measure))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_symmetric_measures_ignore_the_query_language(make, table, seed):
    """PEER, AWRF, RankDistance, MaxR, Comp and LAReQA do not know who asks."""
    raw = table(seed)
    symmetric = [m for m in ALL if m.NAME in {"PEER", "AWRF", "RankDistance", "MaxR", "Comp", "LAReQA"}]
    other = {**raw, "queries": dict.fromkeys(raw["queries"], "de")}
    first, second = measures.compute(symmetric, make(**raw)), measures.compute(symmetric, make(**other))
    for measure in symmetric:
        np.testing.assert_allclose(first[measure], second[measure], atol=1e-12, err_msg=str(measure))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_queries_are_computed_apart(make, table, seed):
    """A query scores the same alone and among others."""
    raw = table(seed)
    together = measures.compute(ALL, make(**raw))
    for i, q in enumerate(sorted(raw["qrels"])):
        alone = {**raw, "qrels": {q: raw["qrels"][q]}, "run": {q: raw["run"][q]} if q in raw["run"] else {}}
        for measure, values in measures.compute(ALL, make(**alone)).items():
            np.testing.assert_allclose(values, together[measure][[i]], atol=1e-12, err_msg=str(measure))


def test_nothing_retrieved_at_all(make):
    ranking = make({}, {"q": {"a": 1, "b": 1, "c": 0}}, dict(zip("abc", "eef", strict=True)), {"q": "e"})
    for measure, values in measures.compute(ALL, ranking).items():
        assert np.isnan(values[0]) or values[0] in (0, 1), measure


def test_pool_of_one_document_and_one_query(make):
    ranking = make({"q": ["a"]}, {"q": {"a": 1}}, {"a": "en"}, {"q": "en"})
    for measure, values in measures.compute(ALL, ranking).items():
        assert np.isnan(values[0]) or values[0] in (0, 1), measure


def test_without_languages(make):
    ranking = make({"q": ["a"]}, {"q": {"a": 1}})
    (lpr, awrf) = measures.parse("LPR AWRF@5")
    assert measures.applicable(lpr, ranking) == "LPR needs languages of documents and queries, but none are given"
    with pytest.raises(DataError, match="language of every document"):
        measures.compute([awrf], ranking)


def test_left_out_with_a_reason(make):
    """Judged within one language, as MIRACL is: bias measures say nothing."""
    ranking = make({"q": ["a", "b"]}, {"q": {"a": 1, "b": 1}}, {"a": "en", "b": "en", "c": "de"}, {"q": "en"})
    reasons = {m.NAME: measures.applicable(m, ranking) for m in ALL}
    left_out = {name for name, reason in reasons.items() if reason}
    assert left_out == {"LPR", "LangNDCG", "PEER", "MRC", "RankDistance", "MaxR", "Comp", "LAReQA"}
    assert reasons["LPR"].endswith("but no query has relevant documents in more than one")
    assert measures.applicable(measures.parse("nDCG@10")[0], ranking) is None


def test_query_of_unknown_language_is_excluded(toy):
    ranking = toy()
    unknown = dataclasses.replace(ranking, query_language=np.array([-1], np.int16))
    for measure in measures.parse("LPR CC CX WC WX SameR@5 CrossR@5 TLR@5 OwnShare@5 LangNDCG(gain=0.5)@5"):
        assert np.isnan(measure.values(unknown)).all(), measure


@pytest.mark.parametrize(
    "text",
    ["LPR@5", "LPR(x=1)", "Comp", "Comp@0", "TLR@True", "TLR@2.5", "CC@1", "AWRF(target=1)@5", "MaxR(normalised=1)"],
)
def test_bad_parameters(text):
    with pytest.raises(ConfigError):
        measures.parse(text)
