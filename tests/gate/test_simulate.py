"""The tables of the simulation: intervals, and the smallest drop that a rule finds."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "gate" / "simulate.py"


@pytest.fixture(scope="module")
def simulate():
    if not FILE.is_file():
        pytest.skip("only in the repository")
    spec = importlib.util.spec_from_file_location("gate_simulate", FILE)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(scenario, drop, gate, runs=100):
    return {
        "scenario": scenario,
        "runs": runs,
        "drop": drop,
        "gate": gate,
        "margin": 1.0,
        "threshold": 0.0,
    }


def test_intervals_are_those_of_clopper_and_pearson(simulate):
    assert simulate.exact_interval(0, 500) == pytest.approx((0, 1 - 0.025 ** (1 / 500)))
    assert simulate.exact_interval(500, 500) == pytest.approx((0.025 ** (1 / 500), 1))
    assert simulate.exact_interval(5, 10) == pytest.approx((0.187086, 0.812914), abs=1e-6)


def test_the_smallest_drop_lies_between_two_sizes(simulate):
    rows = [row("", 0.03, 0.9), row("", 0.0, 0.0), row("", 0.02, 0.7)]
    assert simulate.smallest(rows, "gate") == pytest.approx(0.025)
    assert simulate.smallest(rows, "margin") == 0
    assert math.isnan(simulate.smallest(rows, "threshold"))


def test_tables(simulate):
    rows = [row("no change", 0.0, 0.01, 500), row("noise 0.4", 0.02, 1.0)]
    lines = simulate.tables({"rows": rows}).splitlines()
    assert lines[2] == "| no change | 500 | +0.0000 | 1.0% | 100.0% | 0.0% |"
    assert lines[-3] == "| the gate | 1.0% (0.3%–2.3%) | 0.0160 |"
    assert lines[-1].endswith("| not found |")
    # the page shows what was measured
    content = json.loads((FILE.parent / "results.json").read_text("utf-8"))
    assert simulate.tables(content) in (FILE.parents[2] / "docs" / "gate.md").read_text("utf-8")
