"""Multilingual ranking consistency."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mimo_eval import measures
from mimo_eval.measures import mrc
from mimo_eval.measures.mrc import MRC, consistency, spearman


def by_matrix(matrix, group, k):
    top = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
    return consistency(top, lambda rows, documents: matrix[rows[:, None], documents], np.asarray(group))


def test_vector():
    """U = the first four documents, ρ = 0.6."""
    matrix = np.array([[0.9, 0.8, 0.7, 0.2, 0.1], [0.8, 0.9, 0.1, 0.7, 0.2]])
    assert by_matrix(matrix, [0, 0], 3) == pytest.approx([60, 60])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), at_once=st.integers(1, 6))
def test_equals_scipy(seed, at_once):
    """Mean over the other versions of Spearman's ρ on the union of the tops, ties and constants included."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mrc, "ROWS_AT_ONCE", at_once)
        _equals_scipy(seed)


def _equals_scipy(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    matrix, group = rng.integers(0, 5, (n, 8)).astype(float), rng.integers(0, 3, n)
    top = [set(np.argsort(-row, kind="stable")[:k].tolist()) for row in matrix]
    for a, value in enumerate(by_matrix(matrix, group, k)):
        found = []
        for b in np.nonzero((group == group[a]) & (np.arange(n) != a))[0]:
            union = sorted(top[a] | top[b])
            if len(union) > 1 and len(set(matrix[a, union])) > 1 and len(set(matrix[b, union])) > 1:
                found.append(spearmanr(matrix[a, union], matrix[b, union]).statistic)
        assert value == pytest.approx(100 * np.mean(found) if found else np.nan, nan_ok=True, abs=1e-9)


def test_places_past_the_end_do_not_count():
    matrix = np.array([[0.9, 0.8, 0.7, 0.2], [0.8, 0.9, 0.1, 0.7]])
    top = np.array([[0, 1, -1], [1, 0, 3]])
    expected = 100 * spearmanr(matrix[0, [0, 1, 3]], matrix[1, [0, 1, 3]]).statistic
    assert consistency(top, lambda rows, documents: matrix[rows[:, None], documents], np.array([4, 4])) == pytest.approx(
        expected
    )
    assert np.isnan(consistency(np.full((2, 3), -1), lambda rows, documents: documents * 1.0, np.array([4, 4]))).all()


def test_spearman_ignores_what_is_not_kept():
    first, second = np.array([[1.0, 2, 3, 99]]), np.array([[1.0, 2, 3, -99]])
    assert spearman(first, second, np.array([[True, True, True, False]])) == pytest.approx([1])


def test_lone_query_is_excluded():
    assert np.isnan(by_matrix(np.eye(3), [0, 1, 2], 2)).all()


def test_cut_run_is_left_out(make, toy):
    assert "every query stands alone" in measures.applicable(MRC @ 5, toy())
    documents = {"a": "en", "b": "de"}
    ranking = make({"q": ["a"], "r": ["b"]}, {"q": {"a": 1}, "r": {"a": 1}}, documents, {"q": "en", "r": "de"})
    parallel = dataclasses.replace(ranking, query_group=np.array([0, 0]))
    assert "a run has none" in measures.applicable(MRC @ 5, parallel)
    assert np.isnan((MRC @ 5).values(parallel)).all()


def test_with_scores_it_is_a_measure_like_the_others(make):
    matrix = np.array([[0.9, 0.8, 0.7, 0.2, 0.1], [0.8, 0.9, 0.1, 0.7, 0.2]])
    documents = {f"d{i}": "en" for i in range(5)}
    ranking = make({"q": ["d0"], "r": ["d0"]}, {"q": {"d0": 1}, "r": {"d0": 1}}, documents, {"q": "en", "r": "de"})
    ranking = dataclasses.replace(
        ranking,
        query_group=np.array([7, 7]),
        documents=np.argsort(-matrix, axis=1),
        scores=lambda rows, documents: matrix[rows[:, None], documents],
    )
    assert measures.applicable(MRC @ 3, ranking) is None
    assert measures.compute([MRC @ 3], ranking)[MRC @ 3] == pytest.approx([60, 60])
