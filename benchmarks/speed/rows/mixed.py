"""Rows 1 and 3: one corpus in all languages against MTEB, and against sentence-transformers' evaluator; time and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.speed import passages, peers
from benchmarks.speed.harness import Finding, Row, Settings, in_child, in_turn, ratios, rounded
from benchmarks.speed.memory import Memory
from benchmarks.speed.xquad import Cut

MTEB, EVALUATOR = "mteb.evaluate", "InformationRetrievalEvaluator"
ROWS = (
    Row(1, "XQuAD-R, one mixed corpus in 11 languages, all-MiniLM-L6-v2, nothing cached", f"`{MTEB}`"),
    Row(3, "the same corpus, time; and peaks of memory up to 1 M documents", f"sentence-transformers' `{EVALUATOR}`"),
)
PARAGRAPHS, QUICK_PARAGRAPHS = 240, 4
"""In each language, with all their questions; 240 are all."""
WHOLE, QUERIES = 2_640, 13_090
"""Documents and queries of all of XQuAD-R."""
MANY, QUICK_MANY = 1_000_000, 100_000
"""Documents of the other comparison of memory."""
MANY_QUERIES = 1_000


def measure(settings: Settings) -> Iterator[Finding]:
    """Time all sides in turn, then compare the memory of two of them in processes of their own."""
    with TemporaryDirectory(prefix="mimo-eval-speed-") as temporary:
        folder = Path(temporary)
        cut = Cut.of(settings.data, folder / "cut", QUICK_PARAGRAPHS if settings.quick else PARAGRAPHS)
        yield from times(settings, cut, folder)
        yield from memory(settings, folder)


def times(settings: Settings, cut: Cut, folder: Path) -> Iterator[Finding]:
    """Time the mixed corpus of a cut on every side, from its files to the scores."""
    from mimo_eval.models.dense import minilm

    encoder = minilm()
    model, texts = encoder.encoder, cut.texts()
    batch_size = peers.best_batch_size(model, texts)
    found: dict[str, dict[str, float]] = {}
    sides: dict[str, Callable[[Cut], Any]] = {
        "ours": lambda of: found.update(ours=scores(encoder, of, folder)),
        "mteb": lambda of: found.update(mteb=peers.mteb(model, peers.mteb_task(of), batch_size)),
        "evaluator": lambda of: found.update(evaluator=peers.evaluator(model, of, batch_size)),
        "bare": lambda of: model.encode(of.texts(), batch_size=batch_size, **peers.QUIET),
    }
    one = Cut.of(settings.data, folder / "one", 1)
    for side in sides.values():  # imports, and whatever else only a first call does
        side(one)
    seconds = in_turn(settings.repeats, **{name: lambda side=side: side(cut) for name, side in sides.items()})
    peers.agree({"parallel": found["ours"]["nDCG@10"]}, found["mteb"], MTEB)
    peers.agree(found["ours"], found["evaluator"], EVALUATOR)
    detail = cut.size | {"peers' batch size": batch_size}
    for row, name, first, second, goal in (
        (1, f"ours / {MTEB}", "ours", "mteb", 0.65),
        (1, "ours / `encode` of the same texts", "ours", "bare", None),
        (1, f"{MTEB} / `encode` of the same texts", "mteb", "bare", None),
        (3, f"time, ours / {EVALUATOR}", "ours", "evaluator", 0.55),
        (3, f"time, {EVALUATOR} / `encode` of the same texts", "evaluator", "bare", None),
    ):
        both = {side: f"{rounded(seconds[side])} s" for side in (first, second)}
        yield Finding(row, name, ratios(seconds[first], seconds[second]), goal, detail=(detail if goal else {}) | both)


def scores(encoder: Any, cut: Cut, folder: Path) -> dict[str, float]:
    """Return the evaluator's measures of the mixed corpus of a cut, as mimo-eval computes them with nothing cached."""
    with peers.empty_cache(folder):
        result = peers.ours(encoder, cut.folder, measures=tuple(peers.EVALUATOR.values())).result
    return {name: peers.scores_of(result, name)["parallel"] for name in peers.EVALUATOR.values()}


def memory(settings: Settings, folder: Path) -> Iterator[Finding]:
    """Compare peaks of memory: with the model on a small cut, and with an encoder of tables on corpora of two sizes."""
    repeats = 1 if settings.quick else settings.repeats  # peaks hardly differ
    small = Cut.of(settings.data, folder / "small", QUICK_PARAGRAPHS)
    yield peaks(repeats, "with_model", small.folder, 1.0, small.size | {"encoder": "all-MiniLM-L6-v2"})
    whole = Cut.of(settings.data, folder / "all")
    for documents, queries, goal in ((WHOLE, QUERIES, 1.0), (QUICK_MANY if settings.quick else MANY, MANY_QUERIES, 0.3)):
        files, detail = folder / str(documents), {"documents": documents, "queries": queries, "encoder": "tables of numbers"}
        passages.write(whole, files, documents, queries)
        often = 1 if documents == MANY else repeats
        yield peaks(often, "with_tables", files, None if documents == QUICK_MANY else goal, detail)


def peaks(repeats: int, function: str, folder: Path, goal: float | None, detail: dict[str, Any]) -> Finding:
    """Compare the peaks of two processes that do the same work.

    :param repeats: times that both are run.
    :param function: of this module, see there.
    :param folder: what it reads.
    :param goal: the most that the ratio should be.
    :param detail: of the finding.
    :return: the ratio of peaks of memory, imports and model included, mapped files not.
    :raises RuntimeError: if the two find other scores.
    """
    target = f"{__name__}:{function}"
    found: dict[str, list[Any]] = {"ours": [], "evaluator": []}
    for _ in range(repeats):
        for side, children in found.items():
            children.append(in_child(target, side=side, folder=str(folder)))
    peers.agree(found["ours"][0].value["scores"], found["evaluator"][0].value["scores"], EVALUATOR)
    for side, children in found.items():
        detail[f"{side} MiB"] = [child.value["peak"] >> 20 for child in children]
        detail[f"{side} MiB with mapped files"] = [child.peak >> 20 for child in children]
    detail["MiB of imports in both"] = found["ours"][0].value["before"] >> 20
    values = [a.value["peak"] / b.value["peak"] for a, b in zip(*found.values(), strict=True)]
    name = f"peak of memory at {detail.pop('documents'):,} documents, ours / {EVALUATOR}"
    return Finding(3, name, values, goal, detail=detail)


def with_model(side: str, folder: str) -> dict[str, Any]:
    """Evaluate all-MiniLM-L6-v2 on the mixed corpus of a cut; run in a process of its own.

    :param side: `ours` or `evaluator`.
    :param folder: the cut's.
    :return: the evaluator's measures; bytes of memory before and at the peak.
    """
    from mimo_eval.models.dense import minilm

    encoder, cut = minilm(), Cut(Path(folder))
    model = encoder.encoder
    return watched(
        lambda at: scores(encoder, cut, at) if side == "ours" else peers.evaluator(model, cut, batch_size=32),
    )


def with_tables(side: str, folder: str) -> dict[str, Any]:
    """Evaluate the encoder of tables on passages, likewise."""
    model, files = passages.Tables(), Path(folder)

    def job(at: Path) -> dict[str, float]:
        if side == "evaluator":
            return peers.evaluated(model, *passages.read(files), batch_size=32)
        measures = tuple(peers.EVALUATOR.values())
        with peers.empty_cache(at):
            result = peers.ours(model.encoder, files, ("union",), measures, collection="folder").result
        return {name: peers.scores_of(result, name)["union"] for name in measures}

    return watched(job)


def watched(job: Callable[[Path], dict[str, float]]) -> dict[str, Any]:
    """Run a job in a temporary folder, after both sides' imports, and return its scores and the memory of the process."""
    import sentence_transformers.sentence_transformer.evaluation  # noqa: F401

    import mimo_eval.evaluation  # noqa: F401

    with TemporaryDirectory(prefix="mimo-eval-speed-") as temporary, Memory() as memory:
        found = job(Path(temporary))
    return {"scores": found, "before": memory.before, "peak": memory.peak}
