"""Language composition of the first ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.measures.composition import OWN_SHARE, composition


def test_toy_pool(toy):
    """First five: three English, one German, one French; a third of the pool is English."""
    table = composition(toy(), 5)
    assert table.languages == ("de", "en", "fr")
    assert table.queries.tolist() == [0, 1, 0]
    assert table.share[1] == pytest.approx([0.2, 0.6, 0.2])
    assert np.isnan(table.share[[0, 2]]).all()
    assert (OWN_SHARE @ 5).values(toy()) == pytest.approx([0.6])
    assert (OWN_SHARE @ 5).chance(toy()) == pytest.approx([1 / 3])


def test_short_runs_count_what_is_there(make):
    documents = {"a": "en", "b": "de", "c": "en"}
    ranking = make({"q": ["a", "b"], "r": ["c"]}, {"q": {"a": 1}, "r": {"a": 1}}, documents, {"q": "en", "r": "en"})
    assert (OWN_SHARE @ 10).values(ranking) == pytest.approx([0.5, 1])
    assert composition(ranking, 10).share[1] == pytest.approx([0.25, 0.75])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.integers(1, 30))
def test_rows_sum_to_one_and_the_diagonal_is_the_own_share(make, table, seed, cutoff):
    ranking = make(**table(seed))
    share = composition(ranking, cutoff).share
    own = (OWN_SHARE @ cutoff).values(ranking)
    assert not np.isnan(own).any() or len(table(seed)["run"]) < len(own)
    for i, row in enumerate(share):
        mine = own[(ranking.query_language == i) & ~np.isnan(own)]
        assert (np.isnan(row).all() and not len(mine)) or row.sum() == pytest.approx(1)
        assert not len(mine) or row[i] == pytest.approx(mine.mean())
