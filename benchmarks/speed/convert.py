"""MIRACL English to Arrow: memory and rate of the conversion, on a synthetic corpus in the official layout.

    python -m benchmarks.speed.convert [--passages 3000000]

Writes `miracl-corpus-v1.0-en/docs-{i}.jsonl.gz`, 500,000 passages a file as upstream, with titles and texts of Wikipedia's
length (350 characters on average), 799 topics and their qrels; then converts them in a process of its own and prints one line
of JSON: passages a second and the peak of resident memory, of which that of the imports alone is printed too.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PER_FILE = 500_000
QUERIES = 799


def main() -> None:
    """Write the corpus, convert it elsewhere, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=3_000_000)
    parser.add_argument("--convert", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.convert:
        print(json.dumps(convert(options.convert)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.passages)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.gz"))
        command = [sys.executable, "-m", "benchmarks.speed.convert", "--convert", folder]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(json.dumps({"passages": options.passages, "compressed MB": size // 10**6, **row}))


def convert(folder: Path) -> dict[str, float]:
    """Convert a corpus with an empty cache.

    :param folder: the files.
    :return: seconds, passages a second, and peaks of memory in MiB.
    """
    import os

    import datasets  # noqa: F401
    import pandas  # noqa: F401

    from mimo_eval.collections import load

    os.environ["MIMO_EVAL_CACHE"] = str(folder / "cache")
    before = peak()
    start = time.perf_counter()
    collection = load("miracl", data=folder, languages=("en",))
    seconds = time.perf_counter() - start
    rate = len(collection.documents) / seconds
    return {
        "seconds": round(seconds, 1),
        "passages a second": round(rate),
        "peak MiB": round(peak()),
        "of which imports MiB": round(before),
    }


def peak() -> float:
    """Return the peak of this process's resident memory in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


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


if __name__ == "__main__":
    main()
