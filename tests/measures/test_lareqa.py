"""LAReQA's mean average precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures
from mimo_eval.measures.lareqa import LAREQA


def test_toy_pool(toy):
    """(1/1 + 2/3 + 3/6) / 3."""
    assert LAREQA.values(toy()) == pytest.approx([0.722222], abs=5e-7)


def test_exact_from_ranks_however_deep_the_run(toy):
    ranking = dataclasses.replace(toy(depth=1), judged_rank=toy().judged_rank, full=True)
    assert LAREQA.values(ranking) == pytest.approx([0.722222], abs=5e-7)
    assert measures.applicable(LAREQA, ranking) is None


def test_cut_run_is_refused(toy):
    assert np.isnan(LAREQA.values(toy(depth=5))).all()
    assert "use AP instead" in measures.applicable(LAREQA, toy(depth=5))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_equals_average_precision_where_all_is_retrieved(make, table, seed):
    raw = table(seed)
    raw["run"] = {q: {**dict.fromkeys(raw["documents"], -1.0), **raw["run"].get(q, {})} for q in raw["qrels"]}
    ranking = make(**raw)
    (expected,) = measures.compute(measures.parse("AP"), ranking).values()
    expected = np.where(ranking.relevant_count > 0, expected, np.nan)
    np.testing.assert_allclose(LAREQA.values(ranking), expected, atol=1e-12)
