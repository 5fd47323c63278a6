"""Hashes kept on disk: the same numbers come back, and exactly the repeated ones are named."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_eval.collections import hashes
from mimo_eval.collections.hashes import Hashes

ENDS = (0, 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)


@pytest.fixture(scope="module", autouse=True)
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "PIECE", 4)
        patch.setattr(hashes, "SORTED", 6)
        yield


@given(st.lists(st.sampled_from(ENDS) | st.integers(0, 2**64 - 1), max_size=30))
def test_every_repeated_number_is_found_and_no_other(tmp_path_factory, numbers):
    kept = Hashes(tmp_path_factory.getbasetemp())
    for number in numbers:
        kept.append(number)
    assert kept.repeated() == {number for number, count in Counter(numbers).items() if count > 1}
    assert len(kept) == len(numbers)


def test_many_numbers_are_not_read_the_more_often(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "TIMES", 3)
    kept, read = Hashes(tmp_path), []
    for number in [*range(100), 7]:
        kept.append(number * 2**56)
    pieces = kept.pieces
    monkeypatch.setattr(kept, "pieces", lambda: read.append(1) or pieces())
    assert kept.repeated() == {7 * 2**56}
    assert len(read) == 3


def test_numbers_come_back_in_their_order_also_when_more_are_added_later(tmp_path):
    kept = Hashes(tmp_path)
    for end in (3, 4, 11):
        for number in range(len(kept), end):
            kept.append(number)
        starts, parts = zip(*kept.pieces(), strict=True)
        assert np.concatenate(parts).tolist() == list(range(end)) and list(starts) == list(range(0, end, 4))


def test_nothing_is_left_behind(tmp_path):
    kept = Hashes(tmp_path)
    for number in range(9):
        kept.append(number)
    del kept
    assert not list(tmp_path.iterdir())
