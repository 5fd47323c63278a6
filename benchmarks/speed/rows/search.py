"""Row 5: exact search with exact ranks, vectors read from the store, against searches of vectors that lie in memory.

Documents are in ten languages, each a block that is searched by itself; FAISS and torch get them as one array. What comes out
must be the same: scores rank by rank to the precision of float32, and exact ranks as counted in float64.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.speed.harness import Finding, Row, Settings, agree, in_turn, ratios, rounded

if TYPE_CHECKING:
    from mimo_eval.search.onepass import PoolRanking

ROWS = (Row(5, "exact search 1 M × 384, 1 k queries, k = 100", "FAISS flat; torch matmul + topk"),)
SIZE, QUICK = 1_000_000, 100_000
QUERIES, WIDTH, DEPTH = 1_000, 384, 100
TORCH_TILE = 512, 50_000
"""Queries and documents whose scores torch computes at a time."""
SQUARE = 4096
"""Rows of the matrices by which the machine's peak is measured."""


def measure(settings: Settings) -> Iterator[Finding]:
    """Search the same vectors in three ways, in turn."""
    size = QUICK if settings.quick else SIZE
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(size, Path(folder))
        yield from compared(prepared, settings.repeats)


class Prepared(NamedTuple):
    """What is searched."""

    ours: Callable[[], PoolRanking]
    """Searches from the store, as a new process would."""
    queries: np.ndarray
    """(q, width) float32, as the store has them."""
    documents: np.ndarray
    """(n, width) float32, likewise."""
    languages: int


def prepare(size: int, folder: Path) -> Prepared:
    """Build a collection and encode it."""
    from benchmarks.speed.synthetic import Synthetic, TableEncoder
    from mimo_eval.collections.build import build
    from mimo_eval.mixing import Mix, pools
    from mimo_eval.protocols import Role
    from mimo_eval.search.dense import DenseScorer
    from mimo_eval.search.onepass import OnePass
    from mimo_eval.systems import Progress, Work, encode_pools, vector_store

    collection, encoder = build(Synthetic(size, QUERIES), f"{size} {QUERIES}"), TableEncoder(WIDTH)
    made = pools(collection, Mix("parallel"))
    work = Work(Progress(), folder, DEPTH)
    filled = encode_pools(encoder, collection, made, work)

    def ours() -> PoolRanking:
        sides: list[tuple[Role, object]] = [("query", collection.queries), ("document", collection.documents)]
        scorer = DenseScorer(*(vector_store(encoder, role, texts, work.folder_of) for role, texts in sides))
        one_pass = OnePass(collection, made, scorer, DEPTH)
        one_pass.search()
        return next(one_pass.rankings())

    queries = filled["query"].gather(made[0].queries)
    documents = filled["document"].gather(np.arange(size))
    return Prepared(ours, queries, documents, len(collection.documents.languages))


def compared(prepared: Prepared, repeats: int) -> Iterator[Finding]:
    """Check that all sides find the same, then time them in turn."""
    from benchmarks.speed.memory import Memory

    queries, documents = prepared.queries, prepared.documents
    with Memory() as memory:
        found = prepared.ours()
    _check(found, prepared)
    seconds = in_turn(
        repeats,
        ours=prepared.ours,
        faiss=lambda: by_faiss(queries, documents),
        torch=lambda: by_torch(queries, documents),
    )
    peak = sgemm_peak()
    work = 2 * len(queries) * documents.size
    shown = {name: f"{rounded(taken)} s" for name, taken in seconds.items()}
    size = {"documents": f"{len(documents):,}", "queries": f"{len(queries):,}"}
    yield Finding(5, "ours / faiss.knn", ratios(seconds["ours"], seconds["faiss"]), 1.2, detail=size | shown)
    tiles = {"torch": "{} queries × {:,} documents at a time".format(*TORCH_TILE)}
    yield Finding(5, "ours / torch matmul + topk", ratios(seconds["ours"], seconds["torch"]), detail=tiles)
    rate = {"sgemm": f"{peak / 1e9:.0f} GFLOP/s"}
    for name, taken in seconds.items():
        share = [100 * work / each / peak for each in taken]
        yield Finding(5, f"{name}: share of the machine's sgemm", share, unit="%", detail=rate)
    lists = 8 * len(queries) * prepared.languages * (DEPTH + 32)
    listed = float((found.judged_rank <= DEPTH).mean())
    above = {"lists": f"{lists / 2**20:.1f} MiB", "judged documents in the first 100": f"{listed:.0%}"}
    yield Finding(5, "ours: memory above the lists", [(memory.growth - lists) / 2**20], 1024, "MiB", above)


def by_faiss(queries: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (scores, documents) of each query's best."""
    import faiss

    scores, rows = faiss.knn(queries, documents, min(DEPTH, len(documents)), metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows


def by_torch(queries: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (scores, documents) of each query's best, from products of a tile and their best."""
    import torch

    step, width = TORCH_TILE
    asked, stored = torch.from_numpy(queries), torch.from_numpy(documents)
    scores, rows = [], []
    for first in range(0, len(asked), step):
        best, places = torch.empty(0), torch.empty(0, dtype=torch.int64)
        for start in range(0, len(stored), width):
            tile = stored[start : start + width]
            found, at = torch.topk(asked[first : first + step] @ tile.T, min(DEPTH, len(tile)), sorted=False)
            best = torch.cat([best, found], 1) if best.numel() else found
            places = torch.cat([places, at + start], 1) if places.numel() else at + start
            best, order = torch.topk(best, min(DEPTH, best.shape[1]))
            places = places.gather(1, order)
        scores.append(best)
        rows.append(places)
    return torch.cat(scores).numpy(), torch.cat(rows).numpy()


def _check(found: PoolRanking, prepared: Prepared) -> None:
    """Refuse results that differ by more than rounding."""
    from mimo_eval.search import keys

    ours = keys.scores(found.lists)
    for name, search in (("faiss", by_faiss), ("torch", by_torch)):
        theirs, _ = search(prepared.queries, prepared.documents)
        agree(f"scores of ours and {name}", float(np.abs(np.sort(ours) - np.sort(theirs)).max()), 1e-5)
    pool = found.pool
    some = np.linspace(0, len(pool.judged_query) - 1, 20).astype(int)
    for query, document, rank in zip(pool.judged_query[some], pool.judged_document[some], found.judged_rank[some], strict=True):
        scores = prepared.documents @ prepared.queries[query]
        close = np.flatnonzero(np.abs(scores - scores[document]) < 1e-5)
        exact = (prepared.documents[close].astype(np.float64) @ prepared.queries[query].astype(np.float64)).astype(np.float32)
        above = np.count_nonzero(scores - scores[document] >= 1e-5) + np.count_nonzero(exact > exact[close == document])
        agree("exact ranks", abs(rank - 1 - above), 0)


def sgemm_peak() -> float:
    """Return the most floating-point operations a second that a large product of float32 matrices reaches here."""
    import torch

    left = np.random.default_rng(0).standard_normal((SQUARE, SQUARE), np.float32)
    tensor = torch.from_numpy(left)
    best = np.inf
    for _ in range(4):
        for product in (lambda: left @ left, lambda: tensor @ tensor):
            start = perf_counter()
            product()
            best = min(best, perf_counter() - start)
    return float(2 * SQUARE**3 / best)
