"""Tests and intervals of macro means against those of plain means, and under the null."""

from __future__ import annotations

import numpy as np
import pytest

from mimo_eval.comparison.macro import Sample, estimate
from mimo_eval.statistics import bootstrap_interval, paired_t, permutation_test


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_equal_weights_agree_with_the_plain_tests(rng):
    d, group = rng.normal(0.15, 1, 240), np.arange(240) % 60
    found = estimate([Sample(d, group * 0, group)], draws=20_000)[0]
    assert found.p == pytest.approx(permutation_test(d, group, rng=rng, permutations=20_000), abs=0.01)
    assert found.interval == pytest.approx(bootstrap_interval(d, group, rng=rng, samples=20_000), abs=0.01)


def test_p_is_that_of_the_weighted_test(rng):
    cell, group = np.repeat([0, 1], [30, 10]), np.r_[np.arange(30), np.arange(10)]
    sample = Sample(rng.normal(0.2, 1, 40), cell, group)
    p = permutation_test(sample.difference, group, sample.weight, rng=np.random.default_rng(0))
    assert estimate([sample])[0].p == p


def test_merging_cells_changes_no_interval(rng):
    """Three cells ask the same questions; adding a query to one of them in two groups keeps it apart from the others."""
    group, cell = np.tile(np.arange(40), 3), np.repeat([0, 1, 2], 40)
    d = rng.normal(0.3, 1, 120)
    mean = d.reshape(3, 40).mean(axis=0)
    several, one = estimate([Sample(d, cell, group), Sample(mean, np.zeros(40, int), np.arange(40))], draws=2000)
    assert several.interval == pytest.approx(one.interval)
    assert several.p == one.p


def test_the_bootstrap_averages_cells_over_what_it_drew():
    """Constant within cells (0 and 1): whatever is drawn, the mean is 1/2 as long as both cells are there."""
    cell = np.array([0] * 30 + [1] * 90)
    interval = estimate([Sample(cell.astype(float), cell, np.arange(120))], draws=500)[0].interval
    assert interval == (0.5, 0.5)


def test_one_group_has_no_interval_and_no_evidence():
    found = estimate([Sample(np.ones(5), np.arange(5), np.zeros(5, int))], draws=200)[0]
    assert np.isnan(found.interval).all()
    assert found.p == 1


def test_a_number_does_not_depend_on_what_else_is_compared(rng):
    samples = [Sample(rng.normal(size=n), np.arange(n) % 2, np.arange(n)) for n in (30, 30, 17)]
    assert estimate(samples, draws=300)[1:] == estimate(samples[1:], draws=300)


def test_under_the_null_five_per_cent_are_below_five_per_cent(rng):
    """Unequal cells, translations that move together; 400 comparisons within three standard errors."""
    group = np.concatenate([np.arange(40), np.arange(12), np.arange(25)])
    cell = np.repeat([0, 1, 2], [40, 12, 25])
    drawn = rng.normal(size=(400, 40))[:, group] + rng.normal(size=(400, len(group)))
    p = np.array([found.p for found in estimate([Sample(d, cell, group) for d in drawn], draws=999)])
    by_t = np.array([paired_t(d, group, Sample(d, cell, group).weight).p_value for d in drawn])
    for values in (p, by_t):
        assert abs((values < 0.05).mean() - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 400)
