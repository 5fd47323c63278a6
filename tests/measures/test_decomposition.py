"""The four cells of rank 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures
from mimo_eval.measures.decomposition import CC, CX, WC, WX

CELLS = (CC, CX, WC, WX)


def test_toy_pool(toy):
    assert [cell.values(toy())[0] for cell in CELLS] == [1, 0, 0, 0]


@pytest.mark.parametrize(("first", "expected"), [("a", CC), ("b", CX), ("c", WC), ("d", WX), ("e", WX)])
def test_each_cell(make, first, expected):
    documents = {"a": "en", "b": "de", "c": "en", "d": "de", "e": "de"}
    ranking = make({"q": [first]}, {"q": {"a": 1, "b": 1, "c": 0, "d": 0}}, documents, {"q": "en"})
    assert [cell for cell in CELLS if cell.values(ranking)[0]] == [expected]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_cells_sum_to_one_and_hits_are_success(make, table, seed):
    """... wherever there is a result; all four exclude the others."""
    ranking = make(**table(seed))
    values = np.array([cell.values(ranking) for cell in CELLS])
    assert (np.isnan(values).all(axis=0) | (values.sum(axis=0) == 1)).all()
    (success,) = measures.compute(measures.parse("Success@1"), ranking).values()
    np.testing.assert_array_equal(np.nan_to_num(values[0] + values[1]), success)
    retrieved = set(table(seed)["run"])
    assert {q for q, v in zip(ranking.query_ids, values[0], strict=True) if not np.isnan(v)} == retrieved


def test_no_result_is_excluded(make):
    ranking = make({}, {"q": {"a": 1}}, {"a": "en"}, {"q": "en"})
    assert all(np.isnan(cell.values(ranking)).all() for cell in CELLS)
