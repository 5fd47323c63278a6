"""Diagnostics of translations as a mapping: CSLS gain and RSIM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, pearsonr

from mimo_eval.geometry import LabelledVectors, Unavailable, csls_gain, rsim

X, Y = np.array([[1, 0], [0.6, 0.8]]), np.array([[0.8, 0.6], [0, 1]])


@pytest.mark.parametrize(("k", "expected"), [(1, [[-0.16, -1.60], [0.00, -0.16]]), (2, [[0.32, -0.80], [0.16, 0.32]])])
def test_csls_calculated_by_hand(k, expected):
    np.testing.assert_allclose(csls_gain.csls(X @ Y.T, k), expected, atol=1e-12)


def test_csls_uses_all_neighbours_where_there_are_fewer_than_k():
    np.testing.assert_allclose(csls_gain.csls(X @ Y.T, 10), csls_gain.csls(X @ Y.T, 2))


def test_csls_finds_the_translation_that_a_hub_hides():
    """Column 2 is near everything; only marking it down lets the first two rows find their own."""
    cosines = np.array([[0.70, 0.10, 0.75], [0.10, 0.70, 0.75], [0.60, 0.60, 0.90]])
    assert csls_gain.found(cosines).tolist() == [0, 0, 1]
    assert csls_gain.found(csls_gain.csls(cosines, 2)).tolist() == [1, 1, 1]


def test_a_tie_is_a_miss():
    assert csls_gain.found(np.array([[0.5, 0.5], [0.1, 0.2]])).tolist() == [0, 1]


def test_the_gain_of_every_pair_agrees_with_argmax(cloud):
    vectors = cloud(items=120, dimensions=40, noise=1.6, offset=0.2)
    found = csls_gain.DIAGNOSTIC.measure(vectors)
    x = vectors.vectors.reshape(3, 120, 40)
    for a, b in ((0, 1), (2, 0)):
        similarity = x[a] @ x[b].T
        near = [np.sort(s, axis=1)[:, -10:].mean(axis=1) for s in (similarity, similarity.T)]
        rescored = 2 * similarity - near[0][:, None] - near[1]
        gain = [np.mean(s.argmax(axis=1) == np.arange(120)) for s in (rescored, similarity)]
        assert found.details["matrix"][a, b] == pytest.approx(gain[0] - gain[1])
    assert found.value == pytest.approx(found.details["csls"] - found.details["cosine"])
    assert found.value > 0
    assert found.standard_error > 0


def test_the_gain_samples_translations_with_the_seed(cloud):
    vectors = cloud(items=200, dimensions=30, noise=1.5)
    draws = [csls_gain.DIAGNOSTIC.measure(vectors, seed=seed, sample=50) for seed in (1, 1, 2)]
    assert draws[0].details["limit"] == 50
    assert draws[0].value == draws[1].value
    assert draws[0].details["cosine"] != draws[2].details["cosine"]


def test_rsim_calculated_by_hand(labelled):
    x, y = np.array([[1, 0], [0.6, 0.8], [0, 1]]), np.array([[1, 0], [0.8, 0.6], [0, 1]])
    assert rsim.rsim(x, y) == pytest.approx(0.884615, abs=1e-6)
    found = rsim.DIAGNOSTIC.measure(labelled(np.vstack([x, y]), "a a a b b b", [0, 1, 2, 0, 1, 2]))
    assert found.value == pytest.approx(0.884615, abs=1e-6)
    assert found.standard_error is None


def test_rsim_is_scipys_correlation_of_scipys_distances(cloud):
    vectors = cloud(offset=0.5)
    matrix = rsim.DIAGNOSTIC.measure(vectors).details["matrix"]
    x = vectors.vectors.reshape(3, 40, 16)
    assert matrix[1, 2] == pytest.approx(pearsonr(pdist(x[1], "cosine"), pdist(x[2], "cosine"))[0], abs=1e-5)
    np.testing.assert_array_equal(matrix, matrix.T)


def test_the_jackknife_of_rsim_leaves_each_item_out(cloud):
    x = cloud(items=12, languages=2).vectors.reshape(2, 12, 16)
    value, without_each = rsim._correlations(x[0], x[1])
    expected = [rsim.rsim(np.delete(x[0], i, axis=0), np.delete(x[1], i, axis=0)) for i in range(12)]
    np.testing.assert_allclose(without_each, expected, atol=1e-9)
    spread = np.sqrt(11 / 12 * ((expected - np.mean(expected)) ** 2).sum())
    found = rsim.DIAGNOSTIC.measure(cloud(items=12, languages=2))
    assert (found.value, found.standard_error) == (pytest.approx(value, abs=1e-6), pytest.approx(spread, rel=1e-4))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_rsim_does_not_see_a_rotation_of_one_language(cloud, seed):
    x = cloud(seed=seed, languages=2).vectors.reshape(2, 40, 16)
    value = rsim.rsim(x[0], x[1])
    assert rsim.rsim(x[0], x[1] @ ortho_group.rvs(16, random_state=seed)) == pytest.approx(value, abs=1e-5)
    assert rsim.rsim(x[1], x[0]) == pytest.approx(value)
    assert rsim.rsim(x[0], x[0]) == pytest.approx(1)
    assert -1 <= value <= 1


def test_rsim_of_a_language_without_structure_is_not_a_number(labelled):
    assert np.isnan(rsim.rsim(np.eye(4), np.eye(4)))
    vectors = labelled(np.vstack([np.eye(4), np.eye(4)]), "a a a a b b b b", [0, 1, 2, 3, 0, 1, 2, 3])
    assert isinstance(rsim.DIAGNOSTIC.measure(vectors), Unavailable)


@pytest.mark.parametrize("diagnostic", [csls_gain.DIAGNOSTIC, rsim.DIAGNOSTIC], ids=lambda entry: entry.name)
def test_one_shared_item_gives_a_reason(labelled, diagnostic):
    found = diagnostic.measure(labelled(np.eye(3), "en de de", [0, 0, 1]))
    assert isinstance(found, Unavailable)


@pytest.mark.parametrize("diagnostic", [csls_gain.DIAGNOSTIC, rsim.DIAGNOSTIC], ids=lambda entry: entry.name)
def test_relabelling_languages_permutes_the_matrix(cloud, diagnostic):
    vectors = cloud(items=80, noise=1.2)
    order = np.array([2, 0, 1])
    relabelled = LabelledVectors(vectors.vectors, order[vectors.languages], vectors.groups, ("de", "fr", "en"))
    before, after = diagnostic.measure(vectors), diagnostic.measure(relabelled)
    np.testing.assert_allclose(after.details["matrix"][np.ix_(order, order)], before.details["matrix"], atol=1e-6)
