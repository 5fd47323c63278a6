"""Real results of a small benchmark, and boards of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up import made_up

from mimo_eval.benchmark import Benchmark, load_benchmark
from mimo_eval.evaluation import changed, run
from mimo_eval.leaderboard.schema import Board


@pytest.fixture(scope="session")
def small() -> Benchmark:
    """Three languages of the embedded collection, under mixes of every shape."""
    return changed(
        load_benchmark("mini"), languages="ar,de,zh", mixes=("parallel", "monolingual", "cross-lingual"), measures="nDCG@20 LPR"
    )


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, small: Benchmark) -> Iterator[Path]:
    """Results of three models, the first with its runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("results")
        run("hashing(dim=64)", small, output=folder, save_runs=True)
        run("hashing(dim=256)", small, output=folder)
        run("bm25", small, output=folder)
        yield folder


@pytest.fixture(scope="session")
def boards() -> Callable[[int, int], Board]:
    """Make boards of random numbers whose first models have hostile names."""
    return made_up
