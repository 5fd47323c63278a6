"""Diagnostics of the whole cloud: anisotropy, IsoScore, hubness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, skew
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from mimo_eval.geometry import LabelledVectors, Unavailable, anisotropy, hubness, isoscore

CROSS = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def test_the_four_poles_have_anisotropy_minus_one_third(labelled):
    assert anisotropy.anisotropy(CROSS) == pytest.approx(-1 / 3)
    found = anisotropy.DIAGNOSTIC.measure(labelled(CROSS, "en en de de", [0, 1, 2, 3]))
    assert found.value == pytest.approx(-1 / 3)
    assert found.details["per_language"] == {"en": pytest.approx(-1), "de": pytest.approx(-1)}


def test_anisotropy_is_the_mean_of_scipys_cosines(cloud):
    vectors = cloud(offset=0.7)
    assert anisotropy.DIAGNOSTIC.measure(vectors).value == pytest.approx(1 - pdist(vectors.vectors, "cosine").mean(), abs=1e-6)


def test_anisotropy_of_equal_vectors_is_one(labelled):
    assert anisotropy.DIAGNOSTIC.measure(labelled(np.ones((3, 4)), "en en de", [0, 1, 2])).value == pytest.approx(1)


def test_the_standard_error_of_anisotropy_tells_how_items_scatter(cloud):
    found = [anisotropy.DIAGNOSTIC.measure(cloud(seed=seed, mean=0.5, dimensions=3)) for seed in range(200)]
    errors, spread = np.array([one.standard_error for one in found]), np.std([one.value for one in found])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(spread, rel=0.25)


@pytest.mark.parametrize(
    ("diagonal", "expected"),
    [((1, 1), 1), ((1, 0), 0), ((3, 1), 0.6), ((1, 1, 1, 0), 0.666667), ((4, 2, 1, 1), 0.636364)],
)
def test_isoscore_calculated_by_hand(diagonal, expected):
    assert isoscore.isoscore(np.diag(np.array(diagonal, dtype=float))) == pytest.approx(expected, abs=1e-6)


def published_isoscore(points: np.ndarray) -> float:
    """Follow the steps of the paper with a real decomposition."""
    d = points.shape[1]
    variances = np.var(PCA(d).fit_transform(points), axis=0, ddof=1)
    hat = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(hat - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    return float(((d - defect**2 * (d - np.sqrt(d))) ** 2 - d) / (d * (d - 1)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), d=st.integers(2, 12))
def test_isoscore_without_a_decomposition_is_the_published_one(seed, d):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(60, d)) * rng.uniform(0.1, 3, size=d) + rng.normal(size=d)
    score = isoscore.isoscore(np.cov(points.T))
    assert score == pytest.approx(published_isoscore(points))
    rotated = points @ ortho_group.rvs(d, random_state=seed)
    assert isoscore.isoscore(np.cov(rotated.T)) == pytest.approx(score)
    assert 0 <= score <= 1


def test_isoscore_of_stored_vectors_is_the_published_one(cloud):
    vectors = cloud(items=100, offset=1)
    found = isoscore.DIAGNOSTIC.measure(vectors)
    assert found.value == pytest.approx(published_isoscore(vectors.vectors.astype(float)), rel=1e-4)
    assert 0 < found.standard_error < 0.1


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (np.ones((4, 1)), "two dimensions"),
        (np.eye(4, 9), "as many vectors"),
        (np.ones((4, 3)), "all vectors are equal"),
    ],
    ids=["one dimension", "few vectors", "equal"],
)
def test_isoscore_says_why_it_cannot_be_computed(labelled, vectors, reason):
    found = isoscore.DIAGNOSTIC.measure(labelled(vectors, "en en de de", [0, 1, 2, 3]))
    assert isinstance(found, Unavailable)
    assert reason in found.reason


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=2, max_size=60))
def test_skewness_of_occurrences_is_scipys(counts):
    mine, oracle = hubness.occurrence_skewness(np.array(counts)), skew(counts) if len(set(counts)) > 1 else np.nan
    assert mine == pytest.approx(oracle, abs=1e-6, nan_ok=True)


def test_hubness_counts_neighbours_as_scikit_learn_does(cloud):
    vectors = cloud(items=80)
    alone = LabelledVectors(vectors.vectors, vectors.languages, np.arange(len(vectors)), vectors.language_names)
    neighbours = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(vectors.vectors).kneighbors(return_distance=False)
    counts = np.bincount(neighbours.reshape(-1), minlength=len(vectors))
    found = hubness.DIAGNOSTIC.measure(alone)
    assert found.value == pytest.approx(skew(counts), abs=1e-9)
    assert (found.details["largest_hub"], found.details["never"]) == (counts.max(), (counts == 0).mean())


def test_hubness_grows_with_the_dimension(cloud):
    values = [hubness.DIAGNOSTIC.measure(cloud(items=600, languages=2, dimensions=d, mean=0.3)).value for d in (2, 100)]
    assert values[1] > values[0] + 0.5


def test_the_standard_error_of_hubness_leaves_each_items_counts_out(cloud):
    vectors = cloud(items=30)
    found = hubness.nearest(vectors, np.arange(90), 10).rows
    counts = np.bincount(found.reshape(-1), minlength=90)
    estimates = np.array([skew(counts[vectors.groups != item]) for item in range(30)])
    expected = np.sqrt(29 / 30 * ((estimates - estimates.mean()) ** 2).sum())
    assert hubness.DIAGNOSTIC.measure(vectors).standard_error == pytest.approx(expected, rel=1e-6)


def test_hubness_of_a_sample_without_two_items_gives_a_reason(labelled):
    vectors = labelled(np.eye(3), "en en de", [0, 1, 0])
    assert isinstance(hubness.DIAGNOSTIC.measure(vectors, sample=1), Unavailable)
