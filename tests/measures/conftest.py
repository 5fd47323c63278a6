"""Rankings from inline dicts, random mixed-language pools, and the toy pool of the test vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mimo_eval.measures.ranking import Ranking

TOY_ORDER = ["en:1", "en:2", "de:1", "fr:3", "en:3", "fr:1", "de:2", "fr:2", "de:3", "en:4", "de:4", "fr:4"]


def build(
    run: dict[str, Any],
    qrels: dict[str, dict[str, int]],
    documents: dict[str, str] | None = None,
    queries: dict[str, str] | None = None,
    depth: int | None = None,
) -> Ranking:
    """A run is {query: [documents, best first]} or {query: {document: score}}."""
    scored = {q: d if isinstance(d, dict) else {x: float(-i) for i, x in enumerate(d)} for q, d in run.items()}
    return Ranking.from_frames(frame(qrels, "relevance"), frame(scored, "score"), documents, queries, depth)


def frame(table: dict[str, dict[str, Any]], value: str) -> pd.DataFrame:
    rows = [(q, d, x) for q, row in table.items() for d, x in row.items()]
    types = {"query_id": str, "doc_id": str, value: float if value == "score" else int}
    return pd.DataFrame(rows, columns=["query_id", "doc_id", value]).astype(types)


def toy_pool(order: list[str] | None = None, **kwargs: Any) -> Ranking:
    relevant = {"en:q1": {"en:1": 1, "de:1": 1, "fr:1": 1}}
    languages = {d: d[:2] for d in TOY_ORDER}
    return build({"en:q1": order or TOY_ORDER}, relevant, languages, {"en:q1": "en"}, **kwargs)


def random_table(seed: int, *, ties: bool = True, lowest: int = -1) -> dict[str, Any]:
    """A run, graded judgements and languages: queries may be missing from the run or have nothing relevant."""
    rng = np.random.default_rng(seed)
    pool, n = int(rng.integers(1, 25)), int(rng.integers(1, 6))
    languages = ["de", "en", "sw", "zh"][: int(rng.integers(1, 5))]
    names = [f"d{i}" for i in range(pool)]
    run: dict[str, dict[str, float]] = {}
    qrels: dict[str, dict[str, int]] = {}
    for q in range(n):
        judged = rng.permutation(names)[: int(rng.integers(1, pool + 1))]
        qrels[f"q{q}"] = {str(d): int(rng.integers(lowest, 4)) for d in judged}
        if rng.random() < 0.85:
            shown = rng.permutation(names)[: int(rng.integers(1, pool + 1))]
            scores = rng.integers(0, 4, len(shown)) if ties else rng.permutation(len(shown))
            run[f"q{q}"] = {str(d): float(s) for d, s in zip(shown, scores, strict=True)}
    return {
        "run": run,
        "qrels": qrels,
        "documents": {d: str(rng.choice(languages)) for d in names},
        "queries": {q: str(rng.choice(languages)) for q in qrels},
    }


# session-wide, since hypothesis refuses fixtures that are made anew for each test
@pytest.fixture(scope="session")
def make() -> Callable[..., Ranking]:
    return build


@pytest.fixture(scope="session")
def toy() -> Callable[..., Ranking]:
    return toy_pool


@pytest.fixture(scope="session")
def table() -> Callable[..., dict[str, Any]]:
    return random_table
