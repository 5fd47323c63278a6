"""Row 12: MIRACL English from its official files to a collection: rate and memory, on a synthetic corpus in that layout.

Files are `miracl-corpus-v1.0-en/docs-{i}.jsonl.gz`, 500,000 passages each as upstream, with titles and texts of Wikipedia's
length (350 characters on average), 799 topics and their qrels. They are converted in a process of its own.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.harness import Finding, Row, Settings, in_child

ROWS = (Row(12, "MIRACL English in its official layout to Arrow", "–"),)
PASSAGES, QUICK = 1_000_000, 100_000
PER_FILE = 500_000
QUERIES = 799


def measure(settings: Settings) -> Iterator[Finding]:
    """Write a corpus and convert it once: a rate over so many passages needs no repeat."""
    passages = QUICK if settings.quick else PASSAGES
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), passages)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.gz"))
        done = in_child(f"{__name__}:convert", folder=folder, cache=f"{folder}/cache")
    detail = {"passages": f"{passages:,}", "compressed": f"{size / 1e6:.0f} MB"}
    yield Finding(12, "rate", [done.value / done.seconds], None, "passages/s", detail)
    yield Finding(12, "peak of resident memory, imports included", [done.peak / 2**30], 1.5, "GiB")


def convert(folder: str, cache: str) -> int:
    """Convert a corpus.

    :param folder: the files.
    :param cache: an empty cache.
    :return: number of passages.
    """
    from mimo_eval.collections import load

    os.environ["MIMO_EVAL_CACHE"] = cache
    return len(load("miracl", data=Path(folder), languages=("en",)).documents)


def write(folder: Path, passages: int) -> None:
    """Write a corpus, topics and qrels in the official layout.

    :param folder: an empty folder.
    :param passages: how many.
    """
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 10))) for _ in range(20_000)]
    runs = [" ".join(draw.choices(words, k=50)) for _ in range(5_000)]
    corpus = folder / "miracl-corpus-v1.0-en"
    corpus.mkdir()
    for number in range(0, passages, PER_FILE):
        with gzip.open(corpus / f"docs-{number // PER_FILE}.jsonl.gz", "wt", encoding="utf-8", compresslevel=1) as out:
            for passage in range(number, min(number + PER_FILE, passages)):
                title = f"{words[passage // 6 % len(words)].title()} {passage // 6}"
                text = f"{draw.choice(runs)} {passage}."[: draw.randint(100, 600)]
                out.write(json.dumps({"docid": f"{passage // 6}#{passage % 6}", "title": title, "text": text}) + "\n")
    base = folder / "miracl-v1.0-en"
    for name, line in (("topics", "{0}\twhat is {0}?\n"), ("qrels", "{0}\tQ0\t{1}#0\t1\n")):
        path = base / name / f"{name}.miracl-v1.0-en-dev.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("".join(line.format(n, n * (passages // 6) // QUERIES) for n in range(QUERIES)), "utf-8")
