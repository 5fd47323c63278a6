"""The one pass against oracles: all scores by numpy, sorted; and one FAISS index per corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimo_eval.collections import Collection
from mimo_eval.measures.ranking import EMPTY, UNJUDGED
from mimo_eval.mixing import Mix, pools
from mimo_eval.search import block_search, keys, onepass
from mimo_eval.search.arithmetic import Processor, Torch, _linear
from mimo_eval.search.onepass import OnePass, ranking_of

MIXES = [
    "parallel", "union", "monolingual", "cross-lingual", "bilingual", "bilingual(de+zh)", "partition(seed=3)",
    "partition(en=0.7,zh=0.3)", "away(seed=1)", "parallel(max_documents=12,seed=2)", "monolingual(max_documents=5)",
]  # fmt: skip
Oracle = Callable[..., Any]


def draw_vectors(kind: str, seed: int, count: int, d: int) -> np.ndarray:
    """Vectors with and without ties, made for trouble."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, d))
    if kind == "constant":
        return np.ones((count, d)) / 3
    if kind == "duplicates":
        return x[rng.integers(0, max(count // 4, 1), count)]
    if kind == "near ties":
        return 1 + rng.integers(-2, 3, (count, d)) * 2.0**-23
    if kind == "quantised":
        return rng.integers(-2, 3, (count, d)) / 4
    if kind == "norms":
        return x * 10.0 ** rng.integers(-4, 5, (count, 1))
    if kind == "negative":
        return np.abs(x)
    if kind == "zeros":
        return x * (rng.random((count, d)) < 0.3)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


KINDS = st.sampled_from(["random", "constant", "duplicates", "near ties", "quantised", "norms", "negative", "zeros"])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=KINDS,
    other=KINDS,
    seed=st.integers(0, 2**16),
    d=st.sampled_from([1, 2, 5, 64]),
    depth=st.sampled_from([1, 2, 5, 12, 100]),
    tile=st.sampled_from([1, 3, 5, 1000]),
    spare=st.sampled_from([(1, 1), (2, 1), (32, 8)]),
    whole=st.sampled_from([0, 2**24]),
    search=st.sampled_from(["faiss", "numpy"]),
    places=st.sampled_from([[Processor()], [Processor(_linear)] * 3, [Torch("cpu")], [Torch("cpu"), Torch("cpu")]]),
    own=st.sampled_from([1, 6, 128]),
    scores=st.sampled_from([(5, 8), (1024, 2**22)]),
    mixes=st.lists(st.sampled_from(MIXES), min_size=1, max_size=4, unique=True),
)
def test_every_mix_is_ranked_as_by_brute_force(
    three: Collection,
    oracle: Oracle,
    kind: str,
    other: str,
    seed: int,
    d: int,
    depth: int,
    tile: int,
    spare: tuple[int, int],
    whole: int,
    search: str,
    places: list[Any],
    own: int,
    scores: tuple[int, int],
    mixes: list[str],
) -> None:
    queries, documents = draw_vectors(other, seed + 1, 12, d), draw_vectors(kind, seed, 38, d)
    if "negative" in (kind, other):
        queries = -queries
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onepass, "WHOLE", whole)
        patch.setattr("mimo_eval.search.dense.SPARE", spare[0])
        patch.setattr("mimo_eval.search.dense.BEYOND", spare[1])
        patch.setattr(block_search, "arithmetics", lambda work: places)
        for place in places:
            patch.setattr(type(place), "queries_at_once", scores[0])
            patch.setattr(type(place), "scores_at_once", scores[1])
            patch.setattr(type(place), "worth_own_queries", own)
        oracle(three, mixes, queries, documents, depth, tile=tile, engine=search)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("search", ["faiss", "numpy"])
def test_every_kind_of_mix_with_every_kind_of_tie(three: Collection, oracle: Oracle, mix: str, search: str) -> None:
    for kind in ("random", "constant", "duplicates", "near ties", "quantised", "zeros"):
        oracle(three, [mix], draw_vectors(kind, 1, 12, 8), draw_vectors(kind, 2, 38, 8), 5, tile=4, engine=search)


@pytest.mark.parametrize("mix", ["parallel", "union", "monolingual", "cross-lingual", "bilingual", "partition(seed=3)", "away"])
def test_rankings_equal_those_of_one_faiss_index_per_corpus(three: Collection, scorer: Callable[..., Any], mix: str) -> None:
    queries, documents = (draw_vectors("random", seed, n, 32).astype(np.float32) for seed, n in ((1, 12), (2, 38)))
    one_pass = OnePass(three, pools(three, Mix.parse(mix)), scorer(three, queries, documents, tile=4), 6)
    one_pass.search()
    for found in one_pass.rankings():
        rows = np.concatenate(list(found.pool.documents.values()))
        index = faiss.IndexFlatIP(32)
        index.add(documents[rows])
        scores, at = index.search(queries[found.pool.queries], min(6, len(rows)))
        filled = found.lists[:, : at.shape[1]]
        assert three.documents.row_at[keys.places(filled)].tolist() == rows[at].tolist()
        assert keys.scores(filled) == pytest.approx(scores, abs=1e-6)


def test_a_constant_encoder_of_real_width_ties_everywhere(three: Collection, oracle: Oracle) -> None:
    for value in (1.0, 1 / 3, 384**-0.5):
        for tile in (5, 1000):
            vectors = np.full((38, 384), value)
            found = oracle(three, ["parallel"], vectors[:12], vectors, 10, tile=tile, engine="numpy")[0]
            ids = [three.documents.ids()[three.documents.row_at[place]] for place in keys.places(found.lists[0, :3])]
            assert ids == ["zh:g12", "zh:g11", "zh:g10"]


def test_the_last_document_of_a_small_corpus_has_its_exact_rank(three: Collection, oracle: Oracle) -> None:
    documents = np.zeros((38, 1))
    documents[:, 0] = 38 - np.arange(38)
    documents[three.documents.ids().index("en:g00")] = 0
    found = oracle(three, ["monolingual"], np.ones((12, 1)), documents, 3)[1]
    assert found.pool.name == "en"
    assert found.judged_rank[0] == 13


def test_one_query_and_one_document(collect: Callable[..., Collection], oracle: Oracle) -> None:
    tiny = collect({"en": {"d": "a document"}}, {"en": {"q": "a query"}}, {"q": {"d": 1}})
    for depth in (1, 100):
        found = oracle(tiny, ["parallel", "union", "monolingual", "partition"], [[-1.0]], np.array([[2.0]]), depth)
        assert [f.judged_rank.tolist() for f in found] == [[1.0]] * 4


def test_minus_zero_ties_with_zero(collect: Callable[..., Collection], oracle: Oracle) -> None:
    texts = {f"d{i}": f"text {i}" for i in range(3)}
    tiny = collect({"en": texts}, {"en": {"q": "a query"}}, {"q": {"d0": 1}})
    found = oracle(tiny, ["parallel"], np.array([[1.0]]), np.array([[0.0], [-0.0], [0.0]]), 3)[0]
    assert found.judged_rank.tolist() == [3.0]


def test_blocks_that_several_mixes_need_are_searched_once(three: Collection, scorer: Callable[..., Any]) -> None:
    mixes = ["parallel", "union", "monolingual", "cross-lingual", "bilingual"]
    every = [pool for mix in mixes for pool in pools(three, Mix.parse(mix))]
    assert len(every) == 1 + 1 + 3 + 6 + 2
    one_pass = OnePass(three, every, scorer(three, np.ones((12, 2)), np.ones((38, 2))), 5)
    assert one_pass.work == 12 * 38


def test_a_whole_language_is_searched_once_beside_a_part_of_another(three: Collection, scorer: Callable[..., Any]) -> None:
    (every,) = pools(three, Mix.parse("union"))
    part = replace(every, documents={**every.documents, "zh": every.documents["zh"][:3]})
    one_pass = OnePass(three, [every, part], scorer(three, np.ones((12, 2)), np.ones((38, 2))), 5)
    assert one_pass.work == len(every.queries) * (38 + 3)


@pytest.mark.parametrize("depth", [1, 4, 100])
def test_what_measures_see_agrees_with_the_ranks(three: Collection, scorer: Callable[..., Any], depth: int) -> None:
    queries, documents = draw_vectors("quantised", 3, 12, 6), draw_vectors("duplicates", 4, 38, 6)
    scores = scorer(three, queries, documents)
    one_pass = OnePass(three, pools(three, Mix.parse("parallel")), scores, depth)
    one_pass.search()
    ranking = ranking_of(three, next(one_pass.rankings()))
    assert ranking.full and ranking.depth == min(depth, 38)
    listed = np.full(ranking.gains.shape, UNJUDGED)
    for query, gain, rank in zip(ranking.judged_query, ranking.judged_gain, ranking.judged_rank, strict=True):
        if rank <= depth:
            listed[query, int(rank) - 1] = gain
    assert ranking.gains.tolist() == listed.tolist()
    assert not (ranking.gains == EMPTY).any()
    assert [three.queries.ids()[i] for i in range(12)] == ranking.query_ids.tolist()
    assert ranking.pool_size is not None and set(ranking.pool_size) == {38}
