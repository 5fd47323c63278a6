"""Row 7: evaluating again, with nothing changed and with one document in a hundred new, as a share of the first evaluation.

Each library keeps what it can. mimo-eval: vectors and result. BEIR: the vectors that `encode_and_retrieve` saves; it takes them
for those of any documents, so new ones need `overwrite`. MTEB: its results, which it takes for those of any documents too, and
vectors, by its CachedEmbeddingWrapper.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from benchmarks.speed import peers
from benchmarks.speed.harness import Finding, Row, Settings, ratios, rounded, timed
from benchmarks.speed.xquad import MIXED, Cut

ROWS = (Row(7, "evaluating again as a share of the first evaluation, one mixed corpus, all-MiniLM-L6-v2", "BEIR, MTEB"),)
PARAGRAPHS, QUICK_PARAGRAPHS = 20, 10
NEW = 100
"""One document of so many is new."""

Side = Callable[[Path, Cut, bool], dict[str, float]]
"""Evaluates a cut, given a folder to keep things in and whether documents are new; returns nDCG@10."""


def measure(settings: Settings) -> Iterator[Finding]:
    """Let each side evaluate with nothing kept, again, and with new documents, the sides in turn."""
    from mimo_eval.models.dense import minilm

    encoder = minilm()
    with TemporaryDirectory(prefix="mimo-eval-speed-") as temporary:
        folder = Path(temporary)
        paragraphs = QUICK_PARAGRAPHS if settings.quick else PARAGRAPHS
        whole = Cut.of(settings.data, folder / "whole", paragraphs)
        batch_size = peers.best_batch_size(encoder.encoder, whole.texts())
        sides: dict[str, Side] = {
            "ours": lambda kept, cut, new: by_us(encoder, kept, cut),
            "BEIR": lambda kept, cut, new: peers.beir(encoder.encoder, cut, batch_size, kept, overwrite=new),
            "MTEB": lambda kept, cut, new: by_mteb(encoder.encoder, kept, cut, new, batch_size),
        }
        one = Cut.of(settings.data, folder / "one", 1)
        for side in sides.values():  # imports, and whatever else only a first call does
            side(Path(mkdtemp(dir=folder)), one, False)
        seconds: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
        for repeat in range(settings.repeats):
            turn = repeat % len(sides)
            found = {}
            for name in [*sides, *sides][turn : turn + len(sides)]:
                found[name] = evaluated(sides[name], settings.data, paragraphs, folder, seconds[name])
            for name in ("BEIR", "MTEB"):
                peers.agree(found["ours"], found[name], name)
        yield from findings(seconds, whole.size | {"peers' batch size": batch_size})


def evaluated(side: Side, data: Path, paragraphs: int, folder: Path, seconds: dict[str, list[float]]) -> dict[str, float]:
    """Evaluate a cut without one document of NEW, again, and the whole cut; add the seconds and return the scores."""
    kept, found = Path(mkdtemp(dir=folder)), {}

    def step(name: str, new: bool) -> None:
        taken = timed(lambda: found.update({f"{name}: {key}": value for key, value in side(kept, cut, new).items()}))
        seconds.setdefault(name, []).append(taken)

    cut = Cut.of(data, kept / "files", paragraphs, without=NEW)
    step("first", new=False)
    step("nothing changed", new=False)
    if (results := kept / "results").is_dir():
        shutil.rmtree(results)
        step("result thrown away", new=False)
    cut = Cut.of(data, kept / "files", paragraphs)
    step("1 % new documents", new=True)
    return {name: value for name, value in found.items() if not name.startswith("result")}


def by_us(encoder: Any, kept: Path, cut: Cut) -> dict[str, float]:
    """Evaluate with a cache and a folder for results."""
    with peers.cache_at(kept / "cache"):
        return peers.scores_of(peers.ours(encoder, cut.folder, output=kept / "results").result, "nDCG@10")


def by_mteb(model: Any, kept: Path, cut: Cut, new: bool, batch_size: int) -> dict[str, float]:
    """Evaluate by MTEB with both of its caches; of new documents its results know nothing, so they are made anew."""
    from mteb.models.cache_wrappers import CachedEmbeddingWrapper
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    cached = CachedEmbeddingWrapper(SentenceTransformerEncoderWrapper(model), kept / "vectors")
    return peers.mteb(cached, peers.mteb_task(cut, MIXED), batch_size, kept / "mteb", overwrite=new)


def findings(seconds: dict[str, dict[str, list[float]]], detail: dict[str, Any]) -> Iterator[Finding]:
    """Return each side's later evaluations as shares of its first."""
    for what, goal in (("nothing changed", 0.02), ("1 % new documents", 0.05), ("result thrown away", None)):
        for name, taken in seconds.items():
            if what in taken:
                both = {"first": f"{rounded(taken['first'])} s", "then": f"{[round(value, 3) for value in taken[what]]} s"}
                about = detail if name == "ours" and goal == 0.02 else {}
                yield Finding(
                    7,
                    f"{what}: {name}",
                    ratios(taken[what], taken["first"]),
                    goal if name == "ours" else None,
                    detail=about | both,
                )
