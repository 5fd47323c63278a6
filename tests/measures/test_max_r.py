"""Max@R, raw and normalised."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures
from mimo_eval.measures.base import Direction
from mimo_eval.measures.max_r import MAX_R

NORMALISED = MAX_R(normalised=True)


def test_toy_pool(toy):
    assert MAX_R.values(toy()) == [6]
    assert NORMALISED.values(toy()) == pytest.approx([50.0])


@pytest.mark.parametrize(("places", "expected"), [((1, 2), 100), ((1, 8), 0), ((3, 4), 50)])
def test_scale_ends(make, places, expected):
    """All on top: 100; one at the very bottom: 0; rank 4 of 8 lies half way between 2 and 8 on the log scale."""
    documents = {f"d{i}": ("de", "en")[i % 2] for i in range(1, 9)}
    ranking = make({"q": sorted(documents)}, {"q": {f"d{i}": 1 for i in places}}, documents, {"q": "en"})
    assert NORMALISED.values(ranking) == pytest.approx([expected])


def test_pool_of_relevant_documents_only(make):
    """|D| = |R|: nothing can be wrong."""
    ranking = make({"q": ["a", "b"]}, {"q": {"a": 1, "b": 1}}, {"a": "en", "b": "de"}, {"q": "en"})
    assert NORMALISED.values(ranking) == [100]


def test_excluded_and_refused(make, toy):
    single = make({"q": ["a"]}, {"q": {"a": 1}}, {"a": "en", "b": "de"}, {"q": "en"})
    assert np.isnan(MAX_R.values(single)).all()
    assert np.isnan(NORMALISED.values(single)).all()
    assert "below rank 4" in measures.applicable(MAX_R, toy(depth=4))


def test_pool_size_is_needed_for_the_scale_only(toy):
    ranking = dataclasses.replace(toy(), pool_size=None)
    assert measures.applicable(MAX_R, ranking) is None
    assert "number of documents" in measures.applicable(NORMALISED, ranking)
    assert np.isnan(NORMALISED.values(ranking)).all()


def test_direction_turns():
    assert (MAX_R.direction, NORMALISED.direction) == (Direction.LOWER, Direction.HIGHER)
    assert NORMALISED.range == (0, 100)


@settings(max_examples=50, deadline=None)
@given(places=st.sets(st.integers(1, 12), min_size=2))
def test_scale_is_bounded(make, places):
    documents = {f"d{i:02}": ("de", "en", "fr")[i % 3] for i in range(1, 13)}
    ranking = make({"q": sorted(documents)}, {"q": {f"d{i:02}": 1 for i in places}}, documents, {"q": "en"})
    assert MAX_R.values(ranking) == [max(places)]
    assert -1e-9 <= NORMALISED.values(ranking)[0] <= 100 + 1e-9
