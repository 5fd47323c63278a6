import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimo_eval.leaderboard.ranking import borda, letters, ranks

NAN = np.nan


def test_equal_scores_share_the_better_rank():
    values = np.array([0.5, 0.7, 0.5, NAN, 0.1])
    assert ranks(values, 1).tolist()[:3] == [2, 1, 2] and ranks(values, 1)[4] == 4 and np.isnan(ranks(values, 1)[3])
    assert ranks(values, -1)[[4, 0, 2, 1]].tolist() == [1, 2, 2, 4]


def test_borda_by_hand():
    """Voter 1: a beats b and c, b beats c. Voter 2: a and b tie, both beat c. Of 2 others: a (2 + 1.5)/4."""
    votes = np.array([[0.9, 0.5], [0.8, 0.5], [0.1, 0.2]])
    assert borda(votes, 1).tolist() == [3.5 / 4, 2.5 / 4, 0.0]
    assert borda(votes, -1).tolist() == [0.5 / 4, 1.5 / 4, 1.0]


def test_a_missing_score_loses_and_no_score_at_all_has_no_count():
    votes = np.array([[0.9, NAN], [0.8, 0.1], [NAN, NAN]])
    found = borda(votes, 1)
    assert found[:2].tolist() == [0.5, 0.75] and np.isnan(found[2])
    assert np.isnan(borda(np.array([[0.1]]), 1)).all()


@given(arrays(float, st.tuples(st.integers(2, 6), st.integers(1, 4)), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_the_counts_of_all_models_sum_to_half_of_all_pairs(votes):
    assert borda(votes, 1).sum() == pytest.approx(len(votes) / 2)


@settings(max_examples=200)
@given(st.integers(1, 7), st.data())
def test_models_share_a_letter_exactly_if_nothing_tells_them_apart(count, data):
    upper = np.triu(data.draw(arrays(bool, (count, count))), 1)
    distinct = upper | upper.T
    order = np.array(data.draw(st.permutations(range(count))))
    found = letters(distinct, order)
    for i in range(count):
        assert found[i]
        for j in range(i):
            assert bool(set(found[i]) & set(found[j])) == (not distinct[i, j])
    assert found[order[0]].startswith("a")


def test_letters_give_up_where_the_alphabet_is_too_short():
    # every model is told apart from its twin only: 2^20 groups
    twins = np.kron(np.eye(20, dtype=bool), np.array([[False, True], [True, False]]))
    assert letters(twins, np.arange(40)) == [""] * 40
