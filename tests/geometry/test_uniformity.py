from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group

from mimo_eval.geometry import LabelledVectors, Unavailable
from mimo_eval.geometry import uniformity as module
from mimo_eval.geometry.uniformity import DIAGNOSTIC, uniformity

CROSS = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], -4),
        ([[1.0, 0.0], [-1.0, 0.0]], -8),
        ([[1.0, 0.0], [1.0, 0.0]], 0),
        (CROSS, -4.396349),
    ],
    ids=["orthogonal", "antipodal", "identical", "cross"],
)
def test_vectors_calculated_by_hand(points, expected, labelled):
    assert uniformity(np.array(points)) == pytest.approx(expected, abs=1e-6)
    pooled = DIAGNOSTIC.measure(labelled(points, " ".join(["en"] * len(points)), list(range(len(points)))))
    assert pooled.value == pytest.approx(expected, abs=1e-5)


def test_it_is_the_log_mean_kernel_over_scipys_distances():
    x = np.random.default_rng(0).normal(size=(60, 5))
    assert uniformity(x, t=0.7) == pytest.approx(np.log(np.mean(np.exp(-0.7 * pdist(x, "sqeuclidean")))))


def test_large_random_sets_come_near_minus_four_plus_eight_over_d():
    x = np.random.default_rng(0).normal(size=(3000, 256))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert uniformity(x) == pytest.approx(-4 + 8 / 256, abs=0.01)


def naive(vectors: LabelledVectors, wanted) -> float:
    x, total = vectors.take(slice(None)).astype(float), []
    for i in range(len(x)):
        for j in range(i):
            if vectors.groups[i] != vectors.groups[j] and wanted(vectors.languages[i], vectors.languages[j]):
                total.append(np.exp(-2 * ((x[i] - x[j]) ** 2).sum()))
    return float(np.log(np.mean(total)))


def test_pooled_within_and_between_leave_translations_out(cloud):
    vectors = cloud(items=15, offset=0.6)
    found = DIAGNOSTIC.measure(vectors)
    within, between = naive(vectors, lambda a, b: a == b), naive(vectors, lambda a, b: a != b)
    assert found.value == pytest.approx(naive(vectors, lambda a, b: True), abs=1e-5)
    assert found.details["within"] == pytest.approx(within, abs=1e-5)
    assert found.details["between_minus_within"] == pytest.approx(between - within, abs=1e-5)
    assert found.details["per_language"]["de"]["value"] == pytest.approx(naive(vectors, lambda a, b: a == b == 1), abs=1e-5)


def test_identical_translations_do_not_count_against_uniformity(labelled):
    vectors = labelled([[1, 0], [1, 0], [-1, 0], [-1, 0]], "en de en de", [0, 0, 1, 1])
    assert DIAGNOSTIC.measure(vectors).value == pytest.approx(-8, abs=1e-5)


def test_languages_that_keep_apart_have_a_negative_difference(cloud):
    mixed, apart = DIAGNOSTIC.measure(cloud()).details, DIAGNOSTIC.measure(cloud(offset=2)).details
    assert abs(mixed["between_minus_within"]) < 0.1
    assert apart["between_minus_within"] < -1


def test_the_jackknife_leaves_each_item_out(cloud):
    vectors = cloud(items=12)
    estimates = []
    for item in range(12):
        keep = vectors.groups != item
        estimates.append(naive(vectors.select(np.flatnonzero(keep)), lambda a, b: True))
    expected = np.sqrt(11 / 12 * ((estimates - np.mean(estimates)) ** 2).sum())
    assert DIAGNOSTIC.measure(vectors).standard_error == pytest.approx(expected, rel=1e-3)


def test_the_standard_error_tells_how_samples_scatter(cloud):
    vectors = cloud(items=6000, languages=2, dimensions=6, mean=1)
    found = [DIAGNOSTIC.measure(vectors, seed=seed, sample=400) for seed in range(120)]
    assert np.mean([one.standard_error for one in found]) == pytest.approx(np.std([one.value for one in found]), rel=0.25)


def test_chunk_size_changes_nothing(cloud, monkeypatch):
    before = DIAGNOSTIC.measure(cloud())
    monkeypatch.setattr(module, "CHUNK", 7)
    assert DIAGNOSTIC.measure(cloud()).value == pytest.approx(before.value, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_rotation_changes_nothing(seed):
    x = np.random.default_rng(seed).normal(size=(30, 8))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert uniformity(x @ ortho_group.rvs(8, random_state=seed)) == pytest.approx(uniformity(x))
    assert -8 <= uniformity(x) <= 0


def test_one_language_has_nothing_between(cloud):
    record = DIAGNOSTIC.measure(cloud(languages=1)).as_dict()
    assert record["between_minus_within"] is None
    assert record["value"] == pytest.approx(record["within"])


def test_one_item_gives_a_reason(labelled):
    found = DIAGNOSTIC.measure(labelled([[1, 0], [0, 1]], "en de", [0, 0]))
    assert isinstance(found, Unavailable)
    assert "at least two items" in found.reason
