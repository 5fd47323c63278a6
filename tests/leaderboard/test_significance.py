import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimo_eval.comparison.macro import Sample, estimate
from mimo_eval.leaderboard.significance import Scores, distinct_pairs, intervals, pack, pairwise_p, unpack
from mimo_eval.statistics import paired_t


@pytest.fixture
def scores() -> Scores:
    """Forty questions in three languages, asked of one corpus; four models that differ by a little, the last by nothing."""
    rng = np.random.default_rng(1)
    group, cell = np.repeat(np.arange(40), 3), np.tile(np.arange(3), 40)
    base = rng.random(40)[group] + 0.1 * rng.random(120)
    models = [base + shift + 0.05 * rng.random(120) for shift in (0.0, 0.02, 0.2)]
    return Scores(np.stack([*models, models[0]], axis=1), cell, group)


def one_by_one(scores: Scores, i: int, j: int) -> float:
    difference = scores.values[:, i] - scores.values[:, j]
    known = ~np.isnan(difference)
    sample = Sample(difference[known], scores.cell[known], scores.group[known])
    return paired_t(sample.difference, sample.group, sample.weight).p_value


def test_all_pairs_at_once_are_the_paired_t_test(scores):
    p = pairwise_p(scores)
    for i in range(4):
        for j in range(4):
            assert p[i, j] == pytest.approx(1.0 if i == j else one_by_one(scores, i, j), abs=1e-12)
    assert p[0, 3] == 1.0 and p[0, 2] < 1e-6


def test_it_agrees_with_the_permutation_test_where_both_can_answer(scores):
    samples = [Sample(scores.values[:, 0] - scores.values[:, k], scores.cell, scores.group) for k in (1, 2)]
    permuted = [found.p for found in estimate(samples, draws=10_000)]
    assert pairwise_p(scores)[0, 1:3] == pytest.approx(permuted, abs=0.02)


def test_gaps_are_left_out_pair_by_pair(scores):
    values = scores.values.copy()
    values[:30, 1] = np.nan
    values[:, 3] = np.nan
    p = pairwise_p(scores._replace(values=values))
    assert p[0, 2] == pairwise_p(scores)[0, 2]
    assert p[0, 1] == one_by_one(scores._replace(values=values), 0, 1)
    assert np.isnan(p[3, 0])
    assert not distinct_pairs(scores._replace(values=values), 0.95)[3].any()


def test_what_only_rounding_tells_apart_is_equal(scores):
    values = scores.values.copy()
    values[:, 3] = values[:, 0] + 1e-13 * (1 + np.arange(120) % 2)
    gaps = np.where(np.arange(120)[:, None] < 3, np.nan, values)
    assert pairwise_p(scores._replace(values=values))[0, 3] == 1 == pairwise_p(scores._replace(values=gaps))[0, 3]


def test_one_question_tells_nothing_apart(scores):
    alone = Scores(scores.values[:3], scores.cell[:3], scores.group[:3])
    assert not distinct_pairs(alone, 0.95).any()
    assert intervals(alone, level=0.95, samples=50, seed=0) == [None] * 4


def test_holm_is_over_all_pairs(scores):
    p = pairwise_p(scores)
    assert p[0, 1] * 3 > 0.05 / 6 or p[0, 1] < 0.05  # a pair that Holm may decide
    found = distinct_pairs(scores, 0.95)
    assert found[0, 2] and found[1, 2] and not found[0, 3] and (found == found.T).all()


def test_intervals_are_those_of_the_comparison_and_hold_the_mean(scores):
    found = intervals(scores, level=0.9, samples=500, seed=3)
    for k, interval in enumerate(found):
        assert interval.low < scores.values[:, k].mean() < interval.high
    expected = estimate([Sample(scores.values[:, 0], scores.cell, scores.group)], level=0.9, draws=500, seed=3)[0].interval
    assert found[0] == pytest.approx(expected)


@given(st.integers(1, 30), st.data())
def test_packed_pairs_come_back(count, data):
    upper = np.triu(data.draw(arrays(bool, (count, count))), 1)
    assert (unpack(pack(upper | upper.T), count) == (upper | upper.T)).all()
