"""Same-language and cross-language recall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures
from mimo_eval.measures.counting import count_by_query, other_relevant, own_relevant
from mimo_eval.measures.language_recall import CROSS_R, SAME_R


def test_toy_pool(toy):
    """Same 1, cross 1/2, and 2/3 over all."""
    (overall,) = measures.compute(measures.parse("R@5"), toy()).values()
    assert (SAME_R @ 5).values(toy()) == [1]
    assert (CROSS_R @ 5).values(toy()) == pytest.approx([0.5])
    assert overall == pytest.approx([2 / 3], abs=5e-7)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.integers(1, 30))
def test_parts_make_up_the_recall(make, table, seed, cutoff):
    """Weighted by how many there are, the two give R@k."""
    ranking = make(**table(seed))
    own, other = count_by_query(ranking, own_relevant(ranking)), count_by_query(ranking, other_relevant(ranking))
    found = own * np.nan_to_num((SAME_R @ cutoff).values(ranking))
    found += other * np.nan_to_num((CROSS_R @ cutoff).values(ranking))
    (overall,) = measures.compute(measures.parse(f"R@{cutoff}"), ranking).values()
    np.testing.assert_allclose(found, overall * ranking.relevant_count, atol=1e-9)


def test_excluded(make):
    ranking = make({"q": ["a"]}, {"q": {"a": 1}}, {"a": "de"}, {"q": "en"})
    assert np.isnan((SAME_R @ 5).values(ranking)).all()
    assert (CROSS_R @ 5).values(ranking) == [1]
