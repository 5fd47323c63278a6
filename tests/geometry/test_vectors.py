from __future__ import annotations

import numpy as np
import pytest

from mimo_eval.errors import DataError
from mimo_eval.geometry import LabelledVectors


def test_rows_come_back_normalised_as_float32_whatever_the_storage(cloud, tmp_path):
    full = cloud()
    stored = np.memmap(tmp_path / "vectors", dtype=np.float16, mode="w+", shape=full.vectors.shape)
    stored[:] = 3 * full.vectors
    mapped = LabelledVectors(stored, full.languages, full.groups, full.language_names)
    rows = np.array([5, 2, 77])
    assert mapped.take(rows).dtype == np.float32
    np.testing.assert_allclose(mapped.take(rows), full.vectors[rows], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(mapped.take(slice(0, 9)), axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunks_cover_every_row_once(cloud, size):
    vectors = cloud()
    parts = list(vectors.chunks(size=size))
    assert np.concatenate([rows for rows, _ in parts]).tolist() == list(range(len(vectors)))
    np.testing.assert_array_equal(np.concatenate([x for _, x in parts]), vectors.take(slice(None)))
    chosen = np.array([9, 3, 50])
    assert np.concatenate([rows for rows, _ in vectors.chunks(chosen, size=size)]).tolist() == [9, 3, 50]


def test_translations_are_groups_in_two_languages_and_take_the_first_row_of_each(labelled):
    vectors = labelled(np.eye(7), "en de en fr de en en", [4, 4, 9, 9, 9, 4, 1])
    found = vectors.translations
    assert found.groups.tolist() == [4, 9]
    assert found.rows.tolist() == [[0, 1, -1], [2, 4, 3]]
    pairs = vectors.pairs(0, 2)
    assert (pairs.items.tolist(), pairs.first.tolist(), pairs.second.tolist()) == ([1], [2], [3])


def test_limited_pairs_prefer_the_same_items_for_every_language_pair(cloud):
    vectors = cloud(languages=4)
    draws = [vectors.pairs(a, b, limit=10, seed=3).items.tolist() for a, b in ((0, 1), (2, 3), (3, 0))]
    assert draws[0] == draws[1] == draws[2] == sorted(draws[0])
    assert len(draws[0]) == 10
    assert vectors.pairs(0, 1, limit=10, seed=4).items.tolist() != draws[0]


def test_the_sample_takes_as_many_rows_of_each_language_as_it_can():
    languages = np.repeat([0, 1, 2], [900, 90, 10])
    vectors = LabelledVectors(np.ones((1000, 2)), languages, np.arange(1000), ("en", "de", "fr"))
    rows = vectors.sample(60, seed=1)
    assert np.bincount(languages[rows]).tolist() == [25, 25, 10]
    assert rows.tolist() == vectors.sample(60, seed=1).tolist() != vectors.sample(60, seed=2).tolist()
    assert len(set(rows.tolist())) == 60
    assert vectors.sample(1000, seed=1).tolist() == list(range(1000))


def test_relabelling_languages_leaves_the_sample_as_it_is(cloud):
    vectors = cloud()
    relabelled = LabelledVectors(vectors.vectors, 2 - vectors.languages, vectors.groups, ("fr", "de", "en"))
    assert vectors.sample(17, 5).tolist() == relabelled.sample(17, 5).tolist()


def test_zero_rows_are_left_out_without_a_copy(labelled):
    vectors = labelled([[0, 0], [1, 0], [0, 0], [0, 2]], "en en de de", [0, 1, 0, 1])
    kept = vectors.without_zeros()
    assert kept.groups.tolist() == [1, 1]
    np.testing.assert_array_equal(kept.take(slice(0, 2)), [[1, 0], [0, 1]])
    assert kept.without_zeros() is kept


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_vector_is_named(labelled, bad):
    message = r"vector 1 \(en\) holds NaN or infinity"
    vectors = labelled([[1, 0], [bad, 0], [0, 1]], "en en de", [0, 1, 0])
    with pytest.raises(DataError, match=message):
        vectors.take(np.array([2, 1]))
    with pytest.raises(DataError, match=message):
        vectors.without_zeros()


def test_a_zero_vector_has_no_direction(labelled):
    with pytest.raises(DataError, match=r"vector 2 \(de\) is zero"):
        labelled([[1, 0], [0, 1], [0, 0]], "en en de", [0, 1, 0]).take(slice(1, 3))


def test_tiny_and_huge_vectors_keep_their_direction(labelled):
    vectors = labelled([[1e-30, 1e-30], [1e30, -1e30]], "en de", [0, 0])
    np.testing.assert_allclose(vectors.take(slice(None)), [[0.5**0.5, 0.5**0.5], [0.5**0.5, -(0.5**0.5)]], rtol=1e-6)


@pytest.mark.parametrize(
    ("vectors", "languages", "groups", "message"),
    [
        (np.zeros(3), np.zeros(3, int), np.arange(3), "shape"),
        (np.zeros((3, 0)), np.zeros(3, int), np.arange(3), "shape"),
        (np.ones((3, 2)), np.zeros(2, int), np.arange(3), "languages must be one"),
        (np.ones((3, 2)), np.zeros(3, int), np.arange(3.0), "groups must be one"),
        (np.ones((3, 2)), np.array([0, 1, 2]), np.arange(3), "language codes"),
        (np.ones((3, 2)), np.array([0, -1, 1]), np.arange(3), "language codes"),
    ],
)
def test_labels_must_fit_the_vectors(vectors, languages, groups, message):
    with pytest.raises(DataError, match=message):
        LabelledVectors(vectors, languages, groups, ("en", "de"))
