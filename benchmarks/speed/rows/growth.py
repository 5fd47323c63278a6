"""Row 8: how time and memory of the whole job grow with the number of documents.

Each size is done in a process of its own and with an empty cache: a collection is built from a source of texts, encoded,
searched with exact ranks, and scored. The encoder costs next to nothing, so that what is measured is everything else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.harness import Child, Finding, Row, Settings, in_child

ROWS = (Row(8, "growth: build, encode, search and score more and more documents, 1,000 queries", "linear in the documents"),)
SIZES, QUICK = (10_000, 100_000, 1_000_000, 5_000_000), (10_000, 30_000, 100_000, 300_000)
QUERIES, WIDTH, DEPTH = 1_000, 384, 100
MEASURES = "nDCG@10 R@100 RR@10 AP"


def measure(settings: Settings) -> Iterator[Finding]:
    """Do the job once at every size: the sizes are each other's repeats."""
    sizes = QUICK if settings.quick else SIZES
    yield from findings(sizes, [in_child(f"{__name__}:job", documents=size) for size in sizes])


def findings(sizes: Sequence[int], children: Sequence[Child]) -> Iterator[Finding]:
    """Return what the sizes' processes came to as findings.

    :param sizes: numbers of documents, ascending.
    :param children: the process of each size.
    """
    times = [sum(child.value["seconds"].values()) for child in children]
    seconds = {f"{size:,}": f"{taken:.1f} s" for size, taken in zip(sizes, times, strict=True)}
    phases = {name: f"{value:.1f} s" for name, value in children[-1].value["seconds"].items()}
    half = len(sizes) // 2
    yield Finding(8, "exponent of time", [exponent(sizes, times)], 1.05, "", seconds)
    upper = exponent(sizes[half:], times[half:])
    yield Finding(8, f"exponent of time from {sizes[half]:,} on", [upper], 1.05, "", {"largest": phases})
    peaks = [child.value["anonymous"] for child in children]
    shown = {f"{size:,}": f"{peak / 2**20:.0f} MiB" for size, peak in zip(sizes, peaks, strict=True)}
    yield Finding(8, "peak of memory, largest / smallest", [peaks[-1] / peaks[0]], 1.1, "×", shown)
    each = (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0])
    mapped = {"with mapped files": f"{children[0].peak / 2**20:.0f} and {children[-1].peak / 2**20:.0f} MiB resident"}
    yield Finding(8, "memory per document", [each], None, "bytes", mapped)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return b of the line log(cost) = a + b log(size) that fits best by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def job(documents: int) -> dict[str, Any]:
    """Build, encode, search and score with an empty cache.

    :param documents: their number.
    :return: peak of anonymous memory in bytes, seconds of the phases, and a score, to see that the job was done.
    """
    import torch  # noqa: F401  # as any real model does; else the largest searches alone would

    from benchmarks.speed.memory import Memory
    from benchmarks.speed.synthetic import Synthetic, TableEncoder
    from mimo_eval import measures
    from mimo_eval.collections.build import build
    from mimo_eval.mixing import Mix, pools
    from mimo_eval.scoring import score_pool
    from mimo_eval.systems import Progress, Work, rankings

    with tempfile.TemporaryDirectory() as folder, Memory() as memory:
        os.environ["MIMO_EVAL_CACHE"] = folder
        work = Work(Progress(), Path(folder), DEPTH)
        with work.timed("build"):
            collection = build(Synthetic(documents, QUERIES), f"{documents} {QUERIES}")
        with work.timed("mix"):
            made = pools(collection, Mix("parallel"))
        found = next(rankings(TableEncoder(WIDTH), collection, made, work))
        with work.timed("score"):
            scored = score_pool(collection, found, measures.parse(MEASURES), DEPTH)
    return {"anonymous": memory.peak, "seconds": work.timings, "scores": scored.pool.scores}
