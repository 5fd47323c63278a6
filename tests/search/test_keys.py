from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimo_eval.search import keys

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
PLACE = st.integers(0, 2**32 - 1)


@given(FINITE, PLACE)
def test_a_key_gives_back_its_score_and_its_place(score: float, place: int) -> None:
    key = keys.encode(np.float32([score]), np.uint32([place]))
    assert keys.scores(key)[0] == np.float32(score)
    assert keys.places(key)[0] == place
    assert key[0] != keys.EMPTY


@given(st.lists(st.tuples(FINITE, PLACE), min_size=2, max_size=20))
def test_sorting_keys_sorts_by_score_and_then_by_place(pairs: list[tuple[float, int]]) -> None:
    made = keys.encode(np.float32([s for s, _ in pairs]), np.uint32([p for _, p in pairs]))
    ordered = np.sort(made)[::-1]
    found = list(zip(keys.scores(ordered).tolist(), keys.places(ordered).tolist(), strict=True))
    assert found == sorted(((float(np.float32(s)) + 0.0, p) for s, p in pairs), reverse=True)


def test_minus_zero_and_zero_tie() -> None:
    assert keys.encode(np.float32(-0.0), np.uint32(5)) == keys.encode(np.float32(0.0), np.uint32(5))
    assert not np.signbit(keys.scores(keys.encode(np.float32([-0.0]), np.uint32([5])))[0])


def test_negative_scores_stand_below_positive_ones_and_above_nothing() -> None:
    made = keys.encode(np.float32([-2, -1, 0, 1, np.finfo(np.float32).min]), np.zeros(5, np.uint32))
    assert keys.scores(np.sort(made)[::-1]).tolist() == [1, 0, -1, -2, np.finfo(np.float32).min]
    assert (made > keys.EMPTY).all()
    assert keys.scores(np.array([keys.EMPTY]))[0] == -np.inf


@given(arrays(np.uint64, st.tuples(st.integers(1, 4), st.integers(1, 9))), st.integers(1, 12))
def test_the_largest_are_the_first_of_the_sorted(lists: np.ndarray, count: int) -> None:
    assert keys.largest(lists, count).tolist() == [sorted(row, reverse=True)[:count] for row in lists.tolist()]


@given(
    arrays(np.uint64, st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=st.integers(0, 8)),
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
)
def test_counting_by_bisection_is_counting(lists: np.ndarray, bounds: list[int]) -> None:
    lists = np.sort(lists, axis=1)[:, ::-1]
    at = np.arange(len(bounds)) % len(lists)
    counted = keys.count_above(lists, at, np.array(bounds, np.uint64))
    assert counted.tolist() == [int((lists[a] > b).sum()) for a, b in zip(at, bounds, strict=True)]
