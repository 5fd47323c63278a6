"""Target-language recall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.measures.language_recall import CROSS_R
from mimo_eval.measures.tlr import TLR


def test_toy_pool(toy):
    assert (TLR @ 5).values(toy()) == pytest.approx([0.5])


def test_without_targets_excluded(make):
    ranking = make({"q": ["a"]}, {"q": {"a": 1}}, {"a": "en"}, {"q": "en"})
    assert np.isnan((TLR @ 5).values(ranking)).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.integers(1, 10))
def test_equals_the_definition_and_cross_language_recall(make, table, seed, cutoff):
    raw = table(seed)
    ranking = make(**raw)
    values = (TLR @ cutoff).values(ranking)
    np.testing.assert_array_equal(values, (CROSS_R @ cutoff).values(ranking))
    for q, value in zip(ranking.query_ids, values, strict=True):
        target = {d for d, g in raw["qrels"][q].items() if g > 0 and raw["documents"][d] != raw["queries"][q]}
        order = sorted(raw["run"].get(q, {}).items(), key=lambda x: (x[1], x[0]), reverse=True)[:cutoff]
        expected = len(target & {d for d, _ in order}) / len(target) if target else np.nan
        assert value == pytest.approx(expected, nan_ok=True)
