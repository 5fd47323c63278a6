from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mimo_eval.errors import DataError
from mimo_eval.statistics import (
    WinTieLoss,
    bootstrap_interval,
    effect_size,
    holm,
    paired_t,
    permutation_test,
    win_tie_loss,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def clustered(rng: np.random.Generator, clusters: int, size: int, shared: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw differences with mean 0 whose clusters move together."""
    noise = rng.normal(size=(clusters, size)) + shared * rng.normal(size=(clusters, 1))
    return noise.reshape(-1), np.repeat(np.arange(clusters), size)


def test_permutations_agree_with_scipy(rng):
    differences = rng.normal(0.3, 1, size=40)
    oracle = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    )
    assert permutation_test(differences, rng=rng, permutations=20_000) == pytest.approx(oracle.pvalue, abs=0.01)


def test_permutations_agree_with_all_sign_flips(rng):
    """Of the 2^4 sign patterns of 1, 2, 3, 4 the sum reaches 8 in size in 4: all, and -1, and the negatives."""
    assert permutation_test(np.array([-1.0, 2, 3, 4]), rng=rng, permutations=50_000) == pytest.approx(4 / 16, abs=0.01)


def test_the_smallest_p_is_one_over_all_permutations(rng):
    assert permutation_test(np.ones(60), rng=rng, permutations=99) == 0.01
    assert permutation_test(np.zeros(60), rng=rng, permutations=99) == 1


def test_clusters_are_flipped_as_a_whole(rng):
    """Three clusters have 8 sign patterns, two of which reach the observed sum, however many queries they hold."""
    differences, clusters = np.ones(300), np.repeat([7, 8, 9], 100)
    assert permutation_test(differences, clusters, rng=rng, permutations=20_000) == pytest.approx(0.25, abs=0.01)
    assert permutation_test(differences, rng=rng, permutations=20_000) < 0.001


def test_the_generator_decides_the_result():
    differences = np.random.default_rng(5).normal(0.1, 1, size=200)
    draws = [permutation_test(differences, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8))
def test_rounding_does_not_lower_p(tenths):
    """Sums of tenths that are equal on paper differ in the last bit; whole numbers say which patterns reach."""
    sums = np.array([1, -1])[np.indices((2,) * len(tenths)).reshape(len(tenths), -1).T] @ np.array(tenths)
    exact = np.mean(np.abs(sums) >= abs(sum(tenths)))
    p = permutation_test(np.array(tenths) / 10, rng=np.random.default_rng(1), permutations=20_000)
    assert p == pytest.approx(exact, abs=0.015)


def test_thirteen_thousand_queries_and_ten_thousand_permutations_take_seconds(rng):
    differences, clusters = clustered(rng, 1190, 11)
    start = time.process_time()  # not what other processes take
    permutation_test(differences, clusters, rng=rng)
    bootstrap_interval(differences, clusters, rng=rng)
    assert time.process_time() - start < 10


def within_binomial_bounds(rejections: int, trials: int = 2000, level: float = 0.05) -> bool:
    low, high = stats.binom.ppf([0.001, 0.999], trials, level)
    return bool(low <= rejections <= high)


@pytest.mark.parametrize("shared", [0.0, 1.0], ids=["independent", "clustered"])
def test_five_percent_of_comparisons_under_the_null_come_out_below_five_percent(rng, shared):
    drawn = [clustered(rng, 30, 5, shared) for _ in range(2000)]
    permuted = sum(permutation_test(x, c, rng=rng, permutations=199) <= 0.05 for x, c in drawn)
    by_t = sum(paired_t(x, c).p_value < 0.05 for x, c in drawn)
    assert within_binomial_bounds(permuted)
    assert within_binomial_bounds(by_t)


def test_ignoring_clusters_would_call_far_too_many_differences_significant(rng):
    drawn = [clustered(rng, 30, 5)[0] for _ in range(400)]
    assert sum(permutation_test(x, rng=rng, permutations=199) <= 0.05 for x in drawn) > 400 * 0.15
    assert sum(paired_t(x).p_value < 0.05 for x in drawn) > 400 * 0.15


@pytest.mark.parametrize("sizes", [5, None], ids=["equal", "unequal"])
def test_the_bootstrap_interval_covers_the_truth_also_with_clusters(rng, sizes):
    covered = 0
    for _ in range(1000):
        size = np.full(60, sizes) if sizes else rng.integers(1, 9, size=60)
        clusters = np.repeat(np.arange(60), size)
        x = 2 + rng.normal(size=60)[clusters] + rng.normal(size=len(clusters))
        low, high = bootstrap_interval(x, clusters, rng=rng, samples=400)
        covered += low <= 2 <= high
    assert 0.91 <= covered / 1000 <= 0.97


def test_the_bootstrap_agrees_with_scipy(rng):
    values = rng.exponential(size=80)
    oracle = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1))
    mine = bootstrap_interval(values, rng=rng, samples=20_000)
    assert mine == pytest.approx(tuple(oracle.confidence_interval), abs=0.01)
    narrower = bootstrap_interval(values, rng=rng, level=0.8)
    assert mine.low < narrower.low < values.mean() < narrower.high < mine.high


def test_batches_only_save_memory(rng, monkeypatch):
    differences, clusters = clustered(rng, 50, 3)
    whole = permutation_test(differences, clusters, rng=rng), bootstrap_interval(differences, clusters, rng=rng)
    monkeypatch.setattr("mimo_eval.statistics.BATCH_CELLS", 1000)
    parts = permutation_test(differences, clusters, rng=rng), bootstrap_interval(differences, clusters, rng=rng)
    assert parts[0] == pytest.approx(whole[0], abs=0.03)
    assert parts[1] == pytest.approx(whole[1], abs=0.02)


def test_t_without_clusters_is_scipys_paired_t(rng):
    first, second = rng.normal(0.2, 1, size=(2, 50))
    oracle = stats.ttest_rel(first, second)
    mine = paired_t(first - second)
    assert (mine.statistic, mine.p_value) == pytest.approx((oracle.statistic, oracle.pvalue))
    assert mine.degrees_of_freedom == 49


def test_t_with_equal_clusters_is_the_t_of_their_means(rng):
    differences, clusters = clustered(rng, 20, 4)
    oracle = stats.ttest_1samp(differences.reshape(20, 4).mean(axis=1), 0)
    mine = paired_t(differences, clusters)
    assert (mine.statistic, mine.p_value) == pytest.approx((oracle.statistic, oracle.pvalue))


def test_t_with_unequal_clusters_keeps_the_mean_over_queries():
    """Sums 4 and -1 of 4 and 1 queries: mean 0.6, residual sums 1.6 and -1.6, variance 2/1 · 5.12 / 25."""
    mine = paired_t(np.array([1.0, 1, 1, 1, -1]), np.array([0, 0, 0, 0, 1]))
    assert mine.statistic == pytest.approx(0.6 / np.sqrt(2 * 5.12 / 25))
    assert mine.degrees_of_freedom == 1


def test_t_with_weights():
    """Weights 1/2, 1/4, 1/4 of 1, 0, 2: mean 1, residual sums 0 and -1/4 and 1/4, variance 3/2 · 1/8, whatever their scale."""
    for scale in (1, 8):
        mine = paired_t(np.array([1.0, 0, 2]), weights=scale * np.array([0.5, 0.25, 0.25]))
        assert mine.statistic == pytest.approx(1 / np.sqrt(3 / 16))
    once = paired_t(np.array([0.1, 0.5]), np.array([0, 1]), np.array([2, 1]))
    assert once == pytest.approx(paired_t(np.array([0.1, 0.1, 0.5]), np.array([0, 0, 1])))


def test_permutations_with_weights(rng):
    """Weighted sums -1, 2, 3, 4: as above 4 of 16 patterns."""
    p = permutation_test(np.array([-2.0, 1, 1, 8]), weights=np.array([0.5, 2, 3, 0.5]), rng=rng, permutations=50_000)
    assert p == pytest.approx(4 / 16, abs=0.01)


@pytest.mark.parametrize(("value", "statistic", "p"), [(0.0, 0, 1), (0.1, np.inf, 0), (-0.1, -np.inf, 0)])
def test_t_of_a_constant_difference(value, statistic, p):
    assert paired_t(np.full(7, value))[:2] == (statistic, p)


def test_holm_calculated_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1, 1])
    assert holm(np.array([0.02])) == pytest.approx([0.02])
    assert holm(np.array([])).size == 0


def test_holm_leaves_untested_comparisons_out():
    np.testing.assert_allclose(holm(np.array([0.02, np.nan, 0.01])), [0.02, np.nan, 0.02])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.randoms())
def test_holm_lies_between_no_correction_and_bonferroni_and_knows_no_order(p, random):
    p = np.array(p)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    order = random.sample(range(len(p)), len(p))
    np.testing.assert_allclose(holm(p[order]), adjusted[order])


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(DataError, match="0, 1"):
        holm(np.array([0.5, 1.2]))


def test_effects_calculated_by_hand():
    assert effect_size(np.array([0.2, 0.0, -0.1, 0.3])) == pytest.approx(0.1 / np.sqrt(0.1 / 3))
    weighted = effect_size(np.array([1.0, 0.0]), np.array([3, 1]))  # mean 3/4, variance 2 · (3/4 · 1/16 + 1/4 · 9/16)
    assert weighted == pytest.approx(0.75 / np.sqrt(3 / 8))


def test_effects_of_constant_differences():
    assert effect_size(np.zeros(4)) == 0
    assert effect_size(np.full(4, -0.1)) == -np.inf
    assert np.isnan(effect_size(np.array([0.4])))


def test_ties_are_differences_within_the_tolerance():
    differences = np.array([0.5, 1e-12, -1e-12, 0.0, -0.2])
    assert win_tie_loss(differences) == WinTieLoss(1, 3, 1)
    assert win_tie_loss(differences, tolerance=0) == WinTieLoss(2, 1, 2)
    assert win_tie_loss(differences, tolerance=0.3) == WinTieLoss(1, 4, 0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30))
def test_exchanging_the_models_turns_the_signs(scores):
    differences = np.array(scores)
    one, other = (
        (
            permutation_test(d, rng=np.random.default_rng(0), permutations=200),
            bootstrap_interval(d, rng=np.random.default_rng(0), samples=200),
            paired_t(d),
            effect_size(d),
            win_tie_loss(d),
        )
        for d in (differences, -differences)
    )
    assert other[0] == one[0]
    assert other[1] == pytest.approx((-one[1].high, -one[1].low))
    assert (other[2].statistic, other[2].p_value) == (-one[2].statistic, one[2].p_value)
    assert other[3] == -one[3]
    assert other[4] == one[4][::-1]


def test_one_query_and_one_cluster_say_nothing_but_do_not_crash(rng):
    for differences, clusters in ((np.array([0.5]), None), (np.array([0.5, 0.4]), np.array([3, 3]))):
        assert np.isnan(bootstrap_interval(differences, clusters, rng=rng)).all()
        assert np.isnan(paired_t(differences, clusters).p_value)
        assert permutation_test(differences, clusters, rng=rng) == 1


@pytest.mark.parametrize(
    ("differences", "clusters", "message"),
    [
        ([], None, "at least one query"),
        ([[1.0]], None, "one value per query"),
        ([0.1, np.nan], None, "query 1 has no finite value"),
        ([0.1, 0.2], [1], "one cluster for each of the 2 queries"),
    ],
)
def test_bad_input_is_named(rng, differences, clusters, message):
    clusters = None if clusters is None else np.array(clusters)
    for function in (permutation_test, bootstrap_interval):
        with pytest.raises(DataError, match=message):
            function(np.array(differences), clusters, rng=rng)
    with pytest.raises(DataError, match=message):
        paired_t(np.array(differences), clusters)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, np.nan]], ids=["one", "zero", "nan"])
def test_bad_weights_are_named(rng, weights):
    calls = (
        lambda x, w: paired_t(x, None, w),
        lambda x, w: permutation_test(x, None, w, rng=rng),
        lambda x, w: effect_size(x, w),
    )
    for call in calls:
        with pytest.raises(DataError, match="one positive weight for each of the 2 queries"):
            call(np.array([0.1, 0.2]), np.array(weights))
