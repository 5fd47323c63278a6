"""Lang-nDCG."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import measures
from mimo_eval.errors import ConfigError
from mimo_eval.measures.lang_ndcg import LANG_NDCG


@pytest.mark.parametrize(
    ("gain", "cutoff", "expected"),
    [
        (0, 5, 1.0),
        (0.25, 5, 0.877034),
        (0.5, 5, 0.798485),
        (1, 5, 0.703918),
        (0.25, 10, 0.946458),
        (0.5, 10, 0.912255),
        (1, 10, 0.871079),
    ],
)
def test_toy_pool(toy, gain, cutoff, expected):
    assert LANG_NDCG(gain=gain, cutoff=cutoff).values(toy()) == pytest.approx([expected], abs=5e-7)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.integers(1, 30))
def test_gain_one_is_plain_ndcg(make, table, seed, cutoff):
    """Graded, and for every query that has something relevant."""
    ranking = make(**table(seed))
    (plain,) = measures.compute(measures.parse(f"nDCG@{cutoff}"), ranking).values()
    expected = np.where(ranking.relevant_count > 0, plain, np.nan)
    np.testing.assert_allclose(LANG_NDCG(gain=1, cutoff=cutoff).values(ranking), expected, rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(0, 1))
def test_lies_between_nothing_and_the_ideal(make, table, seed, gain):
    values = LANG_NDCG(gain=gain, cutoff=5).values(make(**table(seed)))
    assert (np.isnan(values) | ((values >= 0) & (values <= 1 + 1e-12))).all()


def test_strict_form_excludes_queries_without_their_language(make):
    ranking = make({"q": ["b"]}, {"q": {"b": 1}}, {"b": "de"}, {"q": "en"})
    assert np.isnan(LANG_NDCG(gain=0, cutoff=5).values(ranking)).all()
    assert LANG_NDCG(gain=0.5, cutoff=5).values(ranking) == [1]


def test_grades_multiply(make):
    """Best possible: b (3 x 0.5) then a (1 x 1)."""
    ranking = make({"q": ["a", "b"]}, {"q": {"a": 1, "b": 3}}, {"a": "en", "b": "de"}, {"q": "en"})
    expected = (1 + 1.5 / np.log2(3)) / (1.5 + 1 / np.log2(3))
    assert LANG_NDCG(gain=0.5, cutoff=5).values(ranking) == pytest.approx([expected])


@pytest.mark.parametrize("text", ["LangNDCG@10", "LangNDCG(gain=2)@10", "LangNDCG(gain='x')@10", "LangNDCG(gain=True)@10"])
def test_gain_must_be_said_and_make_sense(text):
    with pytest.raises(ConfigError, match="gain"):
        measures.parse(text)
