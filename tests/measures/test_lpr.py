"""Language Preference Rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.measures.lpr import LPR


def test_toy_pool(toy):
    """The query's language first: 1, against a chance of 1/3."""
    assert LPR.values(toy()) == [1]
    assert LPR.chance(toy()) == pytest.approx([1 / 3])


def test_toy_pool_with_the_english_one_below(toy):
    order = ["en:2", "de:1", "en:1", "fr:3", "en:3", "fr:1", "de:2", "fr:2", "de:3", "en:4", "de:4", "fr:4"]
    assert LPR.values(toy(order)) == [0]


@pytest.mark.parametrize(
    ("run", "qrels"),
    [
        (["b", "c"], {"b": 1, "c": 1}),  # nothing relevant in the query's language
        (["a"], {"a": 1}),  # one language only
        (["x"], {"a": 1, "b": 1}),  # cut before the first relevant
        ([], {"a": 1, "b": 1}),
        (["a"], {"a": 0, "b": 0}),  # nothing relevant
    ],
    ids=["own absent", "one language", "cut", "no result", "nothing relevant"],
)
def test_excluded(make, run, qrels):
    ranking = make({"q": run}, {"q": qrels}, {"a": "en", "b": "de", "c": "fr", "x": "en"}, {"q": "en"})
    assert np.isnan(LPR.values(ranking)).all()
    assert np.isnan(LPR.chance(ranking)).all()


def test_unretrieved_own_version_is_not_preferred(make):
    ranking = make({"q": ["b"]}, {"q": {"a": 1, "b": 1}}, {"a": "en", "b": "de"}, {"q": "en"})
    assert LPR.values(ranking) == [0]


def test_best_of_several_in_the_own_language(make):
    documents = {"a": "en", "b": "de", "c": "en"}
    ranking = make({"q": ["a", "b", "c"]}, {"q": {"a": 1, "b": 1, "c": 1}}, documents, {"q": "en"})
    assert LPR.values(ranking) == [1]
    assert LPR.chance(ranking) == pytest.approx([2 / 3])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_equals_the_definition(make, table, seed):
    """argmin of the rank over the relevant documents, written out."""
    raw = table(seed)
    ranking = make(**raw)
    for q, value in zip(ranking.query_ids, LPR.values(ranking), strict=True):
        relevant = {d for d, gain in raw["qrels"][q].items() if gain > 0}
        languages = {raw["documents"][d] for d in relevant}
        order = sorted(raw["run"].get(q, {}).items(), key=lambda x: (x[1], x[0]), reverse=True)
        found = [d for d, _ in order if d in relevant]
        if len(languages) < 2 or raw["queries"][q] not in languages or not found:
            assert np.isnan(value)
        else:
            assert value == (raw["documents"][found[0]] == raw["queries"][q])
