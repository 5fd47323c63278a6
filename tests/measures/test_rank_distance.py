"""Rank distance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures
from mimo_eval.measures.rank_distance import RANK_DISTANCE


def test_toy_pool(toy):
    """Ranks 1, 3 and 6."""
    assert RANK_DISTANCE.values(toy()) == [5]


def test_cut_run_is_refused(toy):
    ranking = toy(depth=5)
    assert np.isnan(RANK_DISTANCE.values(ranking)).all()
    assert "1 of them lie below rank 5" in measures.applicable(RANK_DISTANCE, ranking)
    assert "use LPR or Comp@10 instead" in measures.applicable(RANK_DISTANCE, ranking)


def test_exact_ranks_serve_a_cut_run(toy):
    """As they come from the one pass: the run is cut, the ranks are not."""
    ranking = dataclasses.replace(toy(depth=2), judged_rank=toy().judged_rank, full=True)
    assert measures.applicable(RANK_DISTANCE, ranking) is None
    assert RANK_DISTANCE.values(ranking) == [5]


def test_single_answer_is_excluded(make):
    ranking = make({"q": ["a", "b"]}, {"q": {"a": 1}}, {"a": "en", "b": "de"}, {"q": "en"})
    assert np.isnan(RANK_DISTANCE.values(ranking)).all()


@settings(max_examples=50, deadline=None)
@given(places=st.sets(st.integers(1, 12), min_size=2))
def test_is_the_spread_of_the_ranks(make, places):
    documents = {f"d{i:02}": ("de", "en", "fr")[i % 3] for i in range(1, 13)}
    qrels = {f"d{i:02}": 1 for i in places}
    ranking = make({"q": sorted(documents)}, {"q": qrels}, documents, {"q": "en"})
    assert RANK_DISTANCE.values(ranking) == pytest.approx([max(places) - min(places)])
