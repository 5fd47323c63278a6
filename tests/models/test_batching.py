from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mimo_eval.models.batching import Tokens, cut, windows

LENGTHS = st.lists(st.integers(0, 300), max_size=60).map(lambda values: np.array(values, np.int64))


@given(LENGTHS, st.integers(1, 500))
def test_batches_hold_every_text_once_and_no_more_tokens_than_allowed(lengths: np.ndarray, budget: int) -> None:
    batches = list(cut(lengths, budget))
    assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_a_batch_is_cut_by_its_longest_text() -> None:
    assert [batch.tolist() for batch in cut(np.array([3, 10, 1, 3, 2, 0]), 9)] == [[1], [0, 3, 4], [2, 5]]


def test_a_batch_is_not_larger_than_the_texts_that_are_left() -> None:
    assert [batch.tolist() for batch in cut(np.array([0, 0]), 1)] == [[0], [1]]
    assert list(cut(np.empty(0, np.int64), 8)) == []


@given(st.lists(st.lists(st.integers(1, 9), max_size=7), min_size=1, max_size=9), st.booleans(), st.data())
def test_padding_is_what_a_loop_would_do(ids: list[list[int]], left: bool, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.integers(0, len(ids) - 1), min_size=1, max_size=9))
    tokens = Tokens.of([SimpleNamespace(ids=one) for one in ids])
    width = max(len(ids[text]) for text in texts)
    fill = [[99] * (width - len(ids[text])) for text in texts]
    expected = [[*gap, *ids[text]] if left else [*ids[text], *gap] for text, gap in zip(texts, fill, strict=True)]
    found = tokens.padded(np.array(texts), 99, left)
    assert found[0].tolist() == expected and found.dtype == np.int32
    assert (found[1] == (found[0] != 99)).all()


def test_texts_of_like_length_are_tokenised_together() -> None:
    texts = ["b" * 3, "", "字" * 2, "a", "\ud800" * 4]
    assert [part.tolist() for part in windows(texts, 2)] == [[4, 2], [0, 3], [1]]
    assert list(windows([], 2)) == []
