"""Diagnostics of language clusters: strong alignment, purity, probe, variance share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.neighbors import NearestNeighbors

import mimo_eval.errors
from mimo_eval.geometry import LabelledVectors, Unavailable, moments, probe, purity, strong_alignment, variance_share
from mimo_eval.geometry.neighbours import nearest

XA = np.array([[1, 0], [0.8, 0.6], [0, 1]])
XB = np.array([[0.96, 0.28], [0.6, 0.8], [-0.28, 0.96]])


def test_strong_alignment_calculated_by_hand(labelled):
    assert strong_alignment.strong_alignment(XA, XB) == 1.0
    found = strong_alignment.DIAGNOSTIC.measure(labelled(np.vstack([XA, XB]), "a a a b b b", [0, 1, 2, 0, 1, 2]))
    assert found.details["matrix"][0, 1] == 1.0


def test_strong_alignment_of_every_pair_agrees_with_the_formula(cloud):
    vectors = cloud(items=60, languages=3, dimensions=6, noise=0.6, offset=0.3)
    found = strong_alignment.DIAGNOSTIC.measure(vectors)
    x = vectors.vectors.reshape(3, 60, 6).astype(float)
    expected = [[strong_alignment.strong_alignment(x[a], x[b]) if a != b else np.nan for b in range(3)] for a in range(3)]
    np.testing.assert_allclose(found.details["matrix"], expected, atol=1e-9)
    assert found.value == pytest.approx(np.nanmean(expected))
    assert 0 < found.value < 1
    assert found.n == 60


def test_strong_alignment_samples_items_but_not_their_competitors(cloud):
    vectors = cloud(items=1500, languages=2, dimensions=8, noise=0.5)
    whole = strong_alignment.DIAGNOSTIC.measure(vectors)
    part = strong_alignment.DIAGNOSTIC.measure(vectors, sample=400, seed=2)
    assert part.n == 200
    assert abs(part.value - whole.value) < 4 * part.standard_error


def test_strong_alignment_falls_when_languages_keep_apart(cloud):
    values = [strong_alignment.DIAGNOSTIC.measure(cloud(offset=offset)).value for offset in (0, 1, 4)]
    assert values[0] > values[1] > values[2]


def test_strong_alignment_without_competitors_gives_a_reason(labelled):
    assert isinstance(strong_alignment.DIAGNOSTIC.measure(labelled(np.eye(2), "en de", [0, 0])), Unavailable)


def test_neighbours_agree_with_scikit_learn(cloud):
    vectors = cloud(items=50)
    alone = LabelledVectors(vectors.vectors, vectors.languages, np.arange(len(vectors)), vectors.language_names)
    found = nearest(alone, np.arange(len(vectors)), 5, chunk=16)
    oracle = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(vectors.vectors)
    np.testing.assert_array_equal(found.rows, oracle.kneighbors(return_distance=False, n_neighbors=5))


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_equal_scores_go_to_the_lower_row_whatever_the_chunk(labelled, chunk):
    points = np.eye(3)[[0, 1, 1, 1, 2, 1, 0]]
    vectors = labelled(points, "en " * 7, [0, 1, 2, 3, 4, 5, 6])
    assert nearest(vectors, np.array([1, 3]), 4, chunk=chunk).rows.tolist() == [[2, 3, 5, 0], [1, 2, 5, 0]]


def test_neighbours_exclude_translations_and_say_when_there_are_no_more(labelled):
    vectors = labelled(np.eye(4), "en de en de", [0, 0, 1, 1])
    found = nearest(vectors, np.array([0]), 3)
    assert sorted(found.rows[0].tolist()) == [-1, 2, 3]
    assert np.isneginf(found.scores[0, -1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), chunk=st.integers(1, 200), k=st.integers(1, 12))
def test_chunk_size_does_not_change_neighbours(cloud, seed, chunk, k):
    drawn = cloud(seed=seed, items=30)  # of their signs every cosine is exact, and many are equal
    vectors = LabelledVectors(np.sign(drawn.vectors) / 4, drawn.languages, drawn.groups, drawn.language_names)
    rows = vectors.sample(20, seed)
    np.testing.assert_array_equal(nearest(vectors, rows, k, chunk=chunk).rows, nearest(vectors, rows, k).rows)


def naive_purity(vectors: LabelledVectors, k: int) -> tuple[float, float]:
    x, shares, chances = vectors.vectors, [], []
    for i in range(len(x)):
        others = np.flatnonzero(vectors.groups != vectors.groups[i])
        best = others[np.argsort(-(x[others] @ x[i]))[:k]]
        shares.append(np.mean(vectors.languages[best] == vectors.languages[i]))
        chances.append(np.mean(vectors.languages[others] == vectors.languages[i]))
    return float(np.mean(shares)), float(np.mean(chances))


def test_purity_agrees_with_a_plain_loop(cloud):
    vectors = cloud(offset=0.4)
    unequal = vectors.select(np.r_[0:40, 40:60, 80:90])
    unequal = LabelledVectors(unequal.take(slice(None)), unequal.languages, unequal.groups, unequal.language_names)
    found = purity.DIAGNOSTIC.measure(unequal)
    assert (found.value, found.details["chance"]) == pytest.approx(naive_purity(unequal, 10))


def test_purity_is_near_chance_when_mixed_and_one_when_apart(cloud):
    mixed = purity.DIAGNOSTIC.measure(cloud(items=200, noise=5))
    assert mixed.value == pytest.approx(mixed.details["chance"], abs=4 * mixed.standard_error)
    apart = purity.DIAGNOSTIC.measure(cloud(offset=20))
    assert apart.value == pytest.approx(1)
    assert apart.details["per_language"]["fr"] == {"value": pytest.approx(1), "chance": pytest.approx(1 / 3)}


def test_purity_of_a_sample_comes_near_that_of_all_rows(cloud):
    vectors = cloud(items=800, languages=2, offset=0.3)
    whole, part = purity.DIAGNOSTIC.measure(vectors), purity.DIAGNOSTIC.measure(vectors, sample=200, seed=1)
    assert part.n == 200
    assert abs(part.value - whole.value) < 4 * part.standard_error
    assert part == purity.DIAGNOSTIC.measure(vectors, sample=200, seed=1)


def test_the_probe_finds_offsets_and_centring_removes_them(cloud):
    found = probe.DIAGNOSTIC.measure(cloud(items=200, offset=1.5))
    assert found.value > 0.9
    assert found.details["after_centring"] == pytest.approx(found.details["chance"], abs=0.15)


def test_the_probe_is_at_chance_without_language(cloud):
    found = probe.DIAGNOSTIC.measure(cloud(items=300, noise=1.0))
    assert found.value == pytest.approx(1 / 3, abs=4 * found.standard_error)


def test_the_probe_holds_items_out_not_rows(cloud):
    vectors = cloud(items=41)
    rows, held_out = probe._split(vectors, 0, 1000)
    inside, outside = vectors.groups[rows[~held_out]], vectors.groups[rows[held_out]]
    assert not set(inside) & set(outside)
    assert len(set(outside)) == 10


def test_the_probe_without_scikit_learn_names_the_install_line(cloud, monkeypatch):
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(mimo_eval.errors, "import_module", missing)
    found = probe.DIAGNOSTIC.measure(cloud())
    assert isinstance(found, Unavailable)
    assert "mimo-eval[report]" in found.reason


@pytest.mark.parametrize("items", [1, 2])
def test_the_probe_with_too_few_items_gives_a_reason_or_a_number(cloud, items):
    found = probe.DIAGNOSTIC.measure(cloud(items=items))
    assert isinstance(found, Unavailable) == (items == 1)


def test_variance_share_calculated_by_hand():
    points, languages = np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1])
    assert variance_share.variance_share(points, languages) == pytest.approx(0.8)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
    languages=st.lists(st.integers(0, 4), min_size=2, max_size=30),
)
def test_variance_share_is_a_share_and_knows_no_scale_shift_or_rotation(seed, scale, shift, languages):
    x = np.random.default_rng(seed).normal(size=(len(languages), 4))
    share = variance_share.variance_share(x, np.array(languages))
    moved = scale * (x @ ortho_group.rvs(4, random_state=seed) + shift)
    assert 0 <= share <= 1
    assert variance_share.variance_share(moved, np.array(languages)) == pytest.approx(share, abs=1e-9)
    assert variance_share.variance_share(x, 4 - np.array(languages)) == pytest.approx(share)


def test_variance_share_of_stored_vectors_is_the_formula(cloud):
    vectors = cloud(offset=0.5)
    found = variance_share.DIAGNOSTIC.measure(vectors)
    assert found.value == pytest.approx(variance_share.variance_share(vectors.vectors, vectors.languages), rel=1e-5)
    assert found.standard_error > 0


def test_variance_share_without_language_is_near_its_chance(cloud):
    values = [variance_share.DIAGNOSTIC.measure(cloud(noise=50, seed=seed)) for seed in range(20)]
    assert np.mean([found.value for found in values]) == pytest.approx(values[0].details["chance"], rel=0.1)


def test_variance_share_of_equal_vectors_gives_a_reason(labelled):
    found = variance_share.DIAGNOSTIC.measure(labelled(np.full((4, 3), 0.3), "en de en de", [0, 0, 1, 1]))
    assert "all vectors are equal" in found.reason


@pytest.mark.parametrize("chunk", [1, 9, 50])
def test_block_sums_do_not_depend_on_the_chunk(cloud, chunk):
    sums, whole = moments.block_sums(cloud(), 0, chunk=chunk), moments.block_sums(cloud(), 0)
    np.testing.assert_allclose(sums.sums, whole.sums, atol=1e-6)
    np.testing.assert_array_equal(sums.counts, whole.counts)
    assert whole.counts.sum() == 120
    assert (whole.counts == 4).all()
