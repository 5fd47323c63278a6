"""Completeness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.measures.comp import COMP


@pytest.mark.parametrize(("cutoff", "expected"), [(5, 0), (6, 1)])
def test_toy_pool(toy, cutoff, expected):
    assert (COMP @ cutoff).values(toy()) == [expected]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_never_falls_with_k(make, table, seed):
    ranking = make(**table(seed))
    values = np.array([(COMP @ k).values(ranking) for k in range(1, 26)])
    counted = ~np.isnan(values[0])
    assert (counted == (ranking.relevant_count > 1)).all()
    assert (np.diff(values[:, counted], axis=0) >= 0).all()


def test_unretrieved_is_incomplete(make):
    ranking = make({"q": ["a"]}, {"q": {"a": 1, "b": 1}}, {"a": "en", "b": "de"}, {"q": "en"})
    assert (COMP @ 10).values(ranking) == [0]
