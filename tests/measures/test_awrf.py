"""Attention-weighted rank fairness."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from mimo_eval.errors import ConfigError
from mimo_eval.measures import parse
from mimo_eval.measures.awrf import AWRF, divergence, exposure

RELABEL = np.random.default_rng(0).permutation(4)


def test_toy_pool(toy):
    """Exposure en 0.684352, de 0.169580, fr 0.146068."""
    assert exposure(toy(), 5)[0] == pytest.approx([0.169580, 0.684352, 0.146068], abs=5e-7)
    assert (AWRF @ 5).values(toy()) == pytest.approx([0.908737], abs=5e-7)


@pytest.mark.parametrize(("languages", "expected"), [(2, 0.688722), (3, 0.540852), (14, 0.189300)])
def test_one_language_takes_all(make, languages, expected):
    documents = {f"d{i}": f"l{i}" for i in range(languages)}
    ranking = make({"q": ["d0"]}, {"q": {"d0": 1}}, documents, {"q": "l0"})
    assert (AWRF @ 10).values(ranking) == pytest.approx([expected], abs=5e-7)


def test_judged_target(make):
    """Attention as the judgements share it: 1, also where the pool holds a third language."""
    documents = {"a": "en", "b": "de", "c": "fr"}
    ranking = make({"q": ["a"]}, {"q": {"a": 1}}, documents, {"q": "en"})
    assert AWRF(target="judged", cutoff=5).values(ranking) == [1]
    assert (AWRF @ 5).values(ranking)[0] < 0.6


def test_query_languages_are_no_pool_languages(make):
    ranking = make({"q": ["a"]}, {"q": {"a": 1}}, {"a": "en"}, {"q": "sw"})
    assert (AWRF @ 5).values(ranking) == [1]
    unknown_pool = dataclasses.replace(ranking, pool_languages=None)
    assert (AWRF @ 5).values(unknown_pool) == [1]


def test_excluded(make):
    ranking = make({"q": ["a"]}, {"q": {"a": 0}, "z": {"a": 1}}, {"a": "en"}, {"q": "en", "z": "en"})
    assert np.isnan((AWRF @ 5).values(ranking)).tolist() == [False, True]
    assert np.isnan(AWRF(target="judged", cutoff=5).values(ranking)).tolist() == [True, True]


def test_unknown_target():
    with pytest.raises(ConfigError, match="target"):
        parse("AWRF(target='fair')@5")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_divergence_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.dirichlet(np.ones(5) / 2, (2, 4))
    np.testing.assert_allclose(divergence(first, second), jensenshannon(first, second, base=2, axis=1) ** 2, atol=1e-12)
