"""Search by several processes against the same oracle as search by one; see test_onepass.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimo_eval.collections import Collection
from mimo_eval.mixing import Mix, pools
from mimo_eval.search import block_search, keys, onepass
from mimo_eval.search.arithmetic import Torch
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.onepass import CompleteScorer, OnePass, ranking_of

MIXES = ["parallel", "union", "cross-lingual", "bilingual", "partition(seed=3)", "away(seed=1)", "union(max_documents=12)"]
KINDS = ["random", "constant", "duplicates", "near ties", "quantised", "norms"]


def draw_vectors(kind: str, seed: int, count: int, d: int) -> np.ndarray:
    """Vectors with and without ties, of any length."""
    rng = np.random.default_rng(seed)
    made = {
        "random": rng.normal(size=(count, d)),
        "constant": np.ones((count, d)) / 3,
        "duplicates": rng.normal(size=(count, d))[rng.integers(0, count // 4, count)],
        "near ties": 1 + rng.integers(-2, 3, (count, d)) * 2.0**-23,
        "quantised": rng.integers(-2, 3, (count, d)) / 4,
        "norms": rng.normal(size=(count, d)) * 10.0 ** rng.integers(-4, 5, (count, 1)),
    }
    return made[kind]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**16),
    depth=st.sampled_from([1, 3, 12, 100]),
    parts=st.sampled_from([1, 2, 3, 20]),
    spare=st.sampled_from([(1, 1), (32, 8)]),
    whole=st.sampled_from([0, 2**24]),
    mixes=st.lists(st.sampled_from(MIXES), min_size=1, max_size=3, unique=True),
)
def test_lists_and_ranks_are_those_of_brute_force_however_many_parts(
    three: Collection,
    oracle: Callable[..., Any],
    kind: str,
    seed: int,
    depth: int,
    parts: int,
    spare: tuple[int, int],
    whole: int,
    mixes: list[str],
) -> None:
    queries, documents = draw_vectors(kind, seed + 1, 12, 5), draw_vectors(kind, seed, 38, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onepass, "WHOLE", whole)
        patch.setattr("mimo_eval.search.dense.SPARE", spare[0])
        patch.setattr("mimo_eval.search.dense.BEYOND", spare[1])
        oracle(three, mixes, queries, documents, depth, parts=parts, tile=7)


def test_documents_and_ranks_are_those_of_one_process(three: Collection, scorer: Callable[..., DenseScorer]) -> None:
    queries, documents = draw_vectors("duplicates", 1, 12, 8), draw_vectors("duplicates", 2, 38, 8)
    every = [pool for mix in MIXES for pool in pools(three, Mix.parse(mix))]
    found = []
    for parts in (0, 3):
        one_pass = OnePass(three, every, scorer(three, queries, documents, parts=parts, engine="numpy"), 7)
        one_pass.search()
        found.append(list(one_pass.rankings()))
    for one, several in zip(*found, strict=True):
        assert keys.scores(one.lists) == pytest.approx(keys.scores(several.lists), rel=1e-6)  # the last bit is an engine's
        assert np.array_equal(one.lists & np.uint64(0xFFFFFFFF), several.lists & np.uint64(0xFFFFFFFF))
        assert np.array_equal(one.judged_rank, several.judged_rank)


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_what_ranked_is_named_by_those_who_ranked(
    three: Collection, scorer: Callable[..., DenseScorer], monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(onepass, "WHOLE", 0)
    monkeypatch.setattr("mimo_eval.search.dense.SPARE", 1)
    monkeypatch.setattr(block_search, "arithmetics", lambda work: [Torch("cpu")])
    made = scorer(three, draw_vectors("random", 1, 12, 8), draw_vectors("random", 2, 38, 8), parts=parts, engine="numpy")
    assert made.engines == set()
    OnePass(three, pools(three, Mix.parse("parallel")), made, 1).search()
    assert made.engines == {"torch"}
    OnePass(three, pools(three, Mix.parse("parallel")), made, 40).search()
    assert made.engines == {"torch", "numpy"}


@pytest.mark.parametrize("table", [0, 2**27])
def test_measures_that_look_beyond_the_run_see_the_same_scores(
    three: Collection, scorer: Callable[..., DenseScorer], monkeypatch: pytest.MonkeyPatch, table: int
) -> None:
    monkeypatch.setattr(onepass, "TABLE", table)
    queries, documents = draw_vectors("random", 1, 12, 8), draw_vectors("random", 2, 38, 8)
    made = scorer(three, queries, documents, parts=3)
    assert isinstance(made, CompleteScorer)
    one_pass = OnePass(three, pools(three, Mix.parse("union")), made, 5)
    one_pass.search()
    ranking = ranking_of(three, next(one_pass.rankings()))
    assert ranking.scores is not None
    shown = ranking.scores(np.arange(len(ranking.query_ids)), ranking.documents)
    assert shown == pytest.approx(np.take_along_axis(np.round(queries @ documents.T, 6), ranking.documents, axis=1), abs=2e-6)
