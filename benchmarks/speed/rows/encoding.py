"""Row 4: encoding a file of texts of mixed length and language, against `SentenceTransformer.encode` over it."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.speed import peers
from benchmarks.speed.harness import Finding, Row, Settings, agree, in_turn, ratios, rounded
from benchmarks.speed.xquad import Cut

ROWS = (Row(4, "texts of mixed length and language, all-MiniLM-L6-v2, from a file to vectors", "`SentenceTransformer.encode`"),)
CHUNK = 50_000
"""Texts that the peer reads and encodes at a time."""
COUNT, QUICK_COUNT = 100_000, 500
"""Texts."""
GOAL = {"cpu": 0.9, "cuda": 0.7}
TOLERANCE = 1e-5
"""By which a cosine of the two sides' vectors may lie below 1."""


def measure(settings: Settings) -> Iterator[Finding]:
    """Encode by both sides in turn, after comparing their vectors."""
    from mimo_eval.models.dense import minilm

    encoder = minilm()
    model = encoder.encoder
    device = model.device.type
    with TemporaryDirectory(prefix="mimo-eval-speed-") as temporary:
        folder = Path(temporary)
        texts = drawn(settings.data, folder / "whole", QUICK_COUNT if settings.quick else COUNT)
        write(folder / "texts", texts)
        write(folder / "few", texts[:8])
        batch_size = peers.best_batch_size(model, [text for text, _ in texts])
        with peers.empty_cache(folder):  # first calls cost more, and the peer has had its own
            by_us(encoder, folder / "few")
        found = {}

        def ours() -> None:
            with peers.empty_cache(folder) as found["cache"]:
                by_us(encoder, folder / "texts")

        def theirs() -> None:
            found["vectors"] = np.concatenate(list(by_peer(model, folder / "texts", batch_size)))

        seconds = in_turn(settings.repeats, ours=ours, theirs=theirs)
        with peers.cache_at(found["cache"]):
            vectors = kept(encoder, folder / "texts")
        cosine = (vectors * found["vectors"]).sum(1) / np.linalg.norm(found["vectors"], axis=1)
        agree("vectors of both sides", float(1 - cosine.min()), TOLERANCE)
    lengths = np.array([len(text) for text, _ in texts])
    detail = {
        "texts": f"{len(texts):,} in {len({lang for _, lang in texts})} languages",
        "characters": f"{np.percentile(lengths, 5):.0f} to {np.percentile(lengths, 95):.0f}",
        "device": device,
        "peer's batch size": batch_size,
        **{name: f"{rounded(taken)} s" for name, taken in seconds.items()},
    }
    name = "ours, building a collection and storing its vectors / SentenceTransformer.encode"
    yield Finding(4, name, ratios(seconds["ours"], seconds["theirs"]), GOAL[device], detail=detail)


def drawn(data: Path, folder: Path, count: int) -> list[tuple[str, str]]:
    """Return texts with their languages, each text once: of XQuAD-R, and where it has too few also of the parallel texts.

    :param data: folder with a folder of files per collection.
    :param folder: to be made, for XQuAD-R's files.
    :param count: the most to return.
    """
    whole = Cut.of(data, folder)
    texts = {text.text: text.lang for text in (*whole.documents(), *whole.queries())}
    for path in sorted((data / "parallel").glob("*.jsonl.gz")) if len(texts) < count else ():
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts |= {line["text"]: line["lang"] for line in map(json.loads, islice(lines, count))}
    mixed = list(texts.items())
    random.Random(0).shuffle(mixed)
    return mixed[:count]


def write(folder: Path, texts: list[tuple[str, str]]) -> None:
    """Write texts as the documents of a collection, with the one query that a collection needs."""
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": f"d{n}", "text": text, "lang": lang}) for n, (text, lang) in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q0", "text": "?", "lang": "en"}) + "\n", "utf-8")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\n", "utf-8")


def by_us(encoder: Any, folder: Path) -> None:
    """Read the file into a collection and encode its documents into the store."""
    from mimo_eval.collections import load
    from mimo_eval.encoding import encode_collection

    encode_collection(encoder, load("folder", data=folder), roles=("document",))


def kept(encoder: Any, folder: Path) -> np.ndarray:
    """Return the vectors that were stored, in the order of the file."""
    from mimo_eval.collections import load
    from mimo_eval.systems import vector_store

    documents = load("folder", data=folder).documents
    rows = np.arange(len(documents))
    order = np.argsort([int(name.rpartition("d")[2]) for name in documents.ids(rows)])
    return np.asarray(vector_store(encoder, "document", documents, lambda _: folder).gather(rows[order]))


def by_peer(model: Any, folder: Path, batch_size: int) -> Iterator[np.ndarray]:
    """Read the file in chunks and encode each; nothing is written."""
    with (folder / "corpus.jsonl").open(encoding="utf-8") as lines:
        while chunk := [json.loads(line)["text"] for line in islice(lines, CHUNK)]:
            yield model.encode(chunk, batch_size=batch_size, **peers.QUIET)
