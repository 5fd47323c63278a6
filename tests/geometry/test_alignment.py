from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from mimo_eval.geometry import LabelledVectors
from mimo_eval.geometry.alignment import DIAGNOSTIC, alignment, translation_cosines


def test_orthogonal_vectors_have_alignment_two():
    assert alignment(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) == pytest.approx(2)


def test_alpha_is_the_exponent_of_the_distance():
    x, y = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])
    assert [alignment(x, y, alpha) for alpha in (1, 2, 3)] == pytest.approx([5, 25, 125])


def test_each_language_pair_counts_once_however_many_translations_it_has(labelled):
    # en-de: two items at distances² 2 and 0; en-fr: one item, opposite: 4.
    vectors = labelled([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [-2, 0]], "en de en fr de fr", [0, 0, 1, 2, 1, 1])
    found = DIAGNOSTIC.measure(vectors)
    assert found.value == pytest.approx((1 + 4 + 4) / 3)
    np.testing.assert_allclose(found.details["matrix"], [[np.nan, 1, 4], [1, np.nan, 4], [4, 4, np.nan]], atol=1e-6)
    assert (found.n, found.details["pairs"], found.details["languages"]) == (2, 3, ["en", "de", "fr"])


def test_the_matrix_is_wang_and_isolas_alignment_of_each_pair(cloud):
    vectors = cloud(languages=4, offset=0.4)
    matrix = DIAGNOSTIC.measure(vectors).details["matrix"]
    for a in range(4):
        for b in range(a):
            pairs = vectors.pairs(a, b)
            assert matrix[a, b] == pytest.approx(alignment(vectors.take(pairs.first), vectors.take(pairs.second)), rel=1e-5)


def test_the_standard_error_of_one_pair_is_that_of_a_mean(cloud):
    vectors = cloud(languages=2)
    distances = 2 - 2 * np.einsum("ij,ij->i", vectors.vectors[:40], vectors.vectors[40:])
    assert DIAGNOSTIC.measure(vectors).standard_error == pytest.approx(distances.std(ddof=1) / 40**0.5, rel=1e-4)


def test_the_standard_error_does_not_take_the_pairs_of_an_item_for_independent(cloud):
    """The spread of the value over fresh items is what the standard error says."""
    found = [DIAGNOSTIC.measure(cloud(languages=4, items=60, seed=seed)) for seed in range(200)]
    spread = np.std([one.value for one in found], ddof=1)
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_chunk_size_changes_nothing(cloud, chunk):
    vectors = cloud()
    np.testing.assert_allclose(translation_cosines(vectors, chunk=chunk)[0], translation_cosines(vectors)[0], atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_rotation_and_scale_change_nothing(cloud, seed, scale):
    vectors = cloud(seed=seed)
    rotation = scale * ortho_group.rvs(16, random_state=seed)
    rotated = LabelledVectors(vectors.vectors @ rotation, vectors.languages, vectors.groups, vectors.language_names)
    assert DIAGNOSTIC.measure(rotated).value == pytest.approx(DIAGNOSTIC.measure(vectors).value, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(4)))
def test_relabelling_languages_permutes_the_matrix(cloud, order):
    vectors = cloud(languages=4, offset=0.3)
    order = np.array(order)
    names = tuple(np.array(vectors.language_names)[np.argsort(order)])
    relabelled = LabelledVectors(vectors.vectors, order[vectors.languages], vectors.groups, names)
    before, after = DIAGNOSTIC.measure(vectors), DIAGNOSTIC.measure(relabelled)
    assert after.value == pytest.approx(before.value, abs=1e-6)
    np.testing.assert_allclose(after.details["matrix"][np.ix_(order, order)], before.details["matrix"], atol=1e-6)


def test_one_dimension_works(labelled):
    vectors = labelled([[1], [-1], [2], [3]], "en de en de", [0, 0, 1, 1])
    assert DIAGNOSTIC.measure(vectors).value == pytest.approx(2)


def test_a_single_translation_has_no_standard_error(labelled):
    found = DIAGNOSTIC.measure(labelled([[1, 0], [0, 1]], "en de", [0, 0]))
    assert (found.value, found.standard_error) == (pytest.approx(2), None)
