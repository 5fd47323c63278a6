"""Row 9: a Ray cluster of two processes on this machine against one process, encoding a cut of XQuAD-R.

Both fill the same store, which is emptied in between. The one process uses as many threads as torch takes by itself, a process
of the cluster one. Starting the cluster and its processes, with the model sent to them, is counted apart: a first text does it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.speed.harness import Finding, Row, Settings, agree, in_turn, ratios, rounded, timed
from benchmarks.speed.xquad import Cut

if TYPE_CHECKING:
    from mimo_eval.collections import Collection
    from mimo_eval.embeddings import VectorStore
    from mimo_eval.systems import Engine

ROWS = (Row(9, "encoding a cut of XQuAD-R, Ray with 2 local workers", "one process"),)
PARAGRAPHS, QUICK = 60, 15
WORKERS = 2
DEPTH = 100


def measure(settings: Settings) -> Iterator[Finding]:
    """Encode a cut by all-MiniLM-L6-v2."""
    import torch

    from mimo_eval.collections import load
    from mimo_eval.models.dense import minilm

    if (threads := torch.get_num_threads()) < WORKERS:
        raise RuntimeError(f"one process has {threads} thread, the cluster {WORKERS}: unset OMP_NUM_THREADS, or use more cores")
    with tempfile.TemporaryDirectory() as folder:
        cut = Cut.of(settings.data, Path(folder), QUICK if settings.quick else PARAGRAPHS)
        collection = load("xquad-r", data=cut.folder)
        yield from compared(minilm(), collection, settings.repeats)


def compared(model: Any, collection: Collection, repeats: int) -> Iterator[Finding]:
    """Encode by one process and by the cluster, in turn, after both have begun to work."""
    from mimo_eval.cluster import RayEngine

    _encoded(model, collection, None, few=True)
    with RayEngine(workers=WORKERS) as engine:
        start = timed(lambda: _encoded(model, collection, engine, few=True))
        one, cluster = (_encoded(model, collection, who) for who in (None, engine))
        agree("vectors of both sides", max(float(np.abs(a - b).max()) for a, b in zip(one, cluster, strict=True)), 1e-6)
        seconds = in_turn(
            repeats,
            one=lambda: _encoded(model, collection, None),
            cluster=lambda: _encoded(model, collection, engine),
        )
    shown = {name: f"{rounded(taken)} s" for name, taken in seconds.items()}
    texts = {"texts": f"{len(collection.queries) + len(collection.documents):,}"}
    yield Finding(9, "cluster / one process", ratios(seconds["cluster"], seconds["one"]), 1.15, detail=texts | shown)
    whole = ratios([start + taken for taken in seconds["cluster"]], seconds["one"])
    begun = {"start": f"{start:.1f} s, the same for any number of texts"}
    yield Finding(9, "the same with the cluster's start", whole, detail=begun)


def _encoded(model: Any, collection: Collection, engine: Engine | None, few: bool = False) -> list[np.ndarray]:
    """Encode into an empty store and return the vectors of queries and documents.

    :param few: only one text of each role.
    """
    from mimo_eval.files import cache_dir
    from mimo_eval.systems import Progress, Work, encode

    shutil.rmtree(cache_dir() / "vectors", ignore_errors=True)
    work = Work(Progress(), cache_dir(), DEPTH, engine=engine)
    sides = (("query", collection.queries), ("document", collection.documents))
    vectors = []
    for role, texts in sides:
        rows = np.arange(1 if few else len(texts))
        store: VectorStore = encode(model, role, texts, texts.by_language(rows), work)  # type: ignore[arg-type]
        vectors.append(store.gather(rows))
    return vectors
