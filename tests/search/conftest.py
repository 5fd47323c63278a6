"""Vectors held in memory, a fixed collection in three languages, and an oracle that scores everything by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimo_eval.collections import Collection, Texts, load
from mimo_eval.embeddings import Share
from mimo_eval.mixing import Mix, pools
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.flat import engine
from mimo_eval.search.onepass import OnePass, PoolRanking
from mimo_eval.search.spread import ANSWERS, SpreadScorer

LANGUAGES = ("de", "en", "zh")


class Held:
    """What a scorer asks of a vector store, answered from an array."""

    def __init__(self, texts: Texts, vectors: np.ndarray) -> None:
        self.texts, self.vectors = texts, np.ascontiguousarray(vectors, np.float32)
        self.width = self.vectors.shape[1]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors[rows]

    def tiles(self, lang: str, rows: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(rows), size):
            yield rows[start : start + size], self.vectors[rows[start : start + size]]

    def owners(self, rows: np.ndarray, of: int) -> np.ndarray:
        return rows // 3 % of

    def of_share(self, lang: str, rows: np.ndarray, share: Share) -> np.ndarray:
        return rows[self.owners(rows, share.of) == share.number]


class Here:
    """Parts of a search in this process; queries and documents are sent as Ray would, so nobody may write into them."""

    def __init__(self, count: int, make: Callable[[], DenseScorer]) -> None:
        self.count, self.scorers = count, [make() for _ in range(count)]

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...] | None]) -> Iterator[tuple[int, Any]]:
        for value in (value for asked in arguments for value in asked or () if isinstance(value, np.ndarray)):
            value.setflags(write=False)
        for number, asked in reversed(list(enumerate(arguments))):  # in whatever order they end
            if asked is not None:
                yield number, ANSWERS[method](self.scorers[number], Share(number, self.count), *asked)


def make_scorer(collection: Collection, queries: np.ndarray, documents: np.ndarray, **kwargs: Any) -> DenseScorer:
    """Make a scorer, with `parts=n` one of n parts."""
    kwargs["search"] = engine(kwargs.pop("engine", "faiss"))
    parts = kwargs.pop("parts", 0)
    held: Any = Held(collection.queries, queries), Held(collection.documents, documents)
    if parts:
        return SpreadScorer(*held, **kwargs, parts=Here(parts, lambda: DenseScorer(*held, **kwargs)))
    return DenseScorer(*held, **kwargs)


def exact_scores(queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """The definition of a score: float64 products of float32 vectors, rounded to float32; -0 is 0."""
    products = np.float32(queries).astype(np.float64)[:, None] * np.float32(documents).astype(np.float64)
    return products.sum(axis=2).astype(np.float32) + np.float32(0)


def ranked(scores: np.ndarray, ids: list[str], rows: np.ndarray) -> list[int]:
    """Rows by score descending, then id descending."""
    return sorted(rows.tolist(), key=lambda row: (float(scores[row]), ids[row].encode()), reverse=True)


def documents_of(collection: Collection, found: PoolRanking) -> list[list[int]]:
    """Rows of the documents of each ranked list."""
    return [
        [int(collection.documents.row_at[int(key) & 0xFFFFFFFF]) for key in row if key != 0] for row in found.lists.tolist()
    ]


def assert_as_oracle(
    collection: Collection, mixes: list[str], queries: np.ndarray, documents: np.ndarray, depth: int, **kwargs: Any
) -> list[PoolRanking]:
    """Search all mixes in one pass and compare every list and every rank with sorting all scores."""
    every = [pool for mix in mixes for pool in pools(collection, Mix.parse(mix))]
    one_pass = OnePass(collection, every, make_scorer(collection, queries, documents, **kwargs), depth)
    done: list[int] = []
    one_pass.search(done.append)
    assert sum(done) == one_pass.work
    scores, ids = exact_scores(queries, documents), collection.documents.ids()
    rankings = list(one_pass.rankings())
    assert [found.pool for found in rankings] == every
    for found in rankings:
        pool = found.pool
        rows = np.concatenate(list(pool.documents.values()))
        orders = [ranked(scores[q], ids, rows) for q in pool.queries.tolist()]
        assert documents_of(collection, found) == [order[:depth] for order in orders]
        ranks = [orders[q].index(d) + 1 for q, d in zip(pool.judged_query.tolist(), pool.judged_document.tolist(), strict=True)]
        assert found.judged_rank.tolist() == ranks
    return rankings


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory, folders: Callable[..., Path]) -> Collection:
    """13 groups in three languages (one group lacks a language), 4 queries in each; ids are not in row order."""
    folder = tmp_path_factory.mktemp("three")
    groups = [f"g{(i * 7) % 13:02d}" for i in range(13)]
    documents = {lang: {g: f"{lang} {g}" for g in groups if (lang, g) != ("zh", "g03")} for lang in LANGUAGES}
    queries = {lang: {f"q{i}": f"{lang} {i}?" for i in range(4)} for lang in LANGUAGES}
    qrels = {"q0": {"g00": 1}, "q1": {"g01": 2, "g05": 1}, "q2": {"g12": 1, "g02": 0}, "q3": {"g03": 1}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(folder / "cache"))
        return load(str(folders(folder / "three", documents, queries, qrels)))


@pytest.fixture(scope="session")
def oracle() -> Callable[..., list[PoolRanking]]:
    return assert_as_oracle


@pytest.fixture(scope="session")
def scorer() -> Callable[..., DenseScorer]:
    return make_scorer
