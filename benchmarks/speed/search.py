"""Search with exact ranks against one plain `faiss.knn` of the same vectors.

    python -m benchmarks.speed.search [--documents 1000000] [--queries 1000] [--repeats 3] [--random]

Documents lie in ten languages. Each query has two relevant documents in two languages; vectors are a low-rank signal with
noise, as text embeddings are (`--random` makes them independent instead, so that nearly every relevant document lies far
below the lists and must be counted: the worst case). FAISS gets all vectors in memory; ours reads them from its store.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mimo_eval.collections.build import build
from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.embeddings import VectorStore
from mimo_eval.mixing import Mix, pools
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.onepass import OnePass

LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "id", "ja", "ru", "zh")
DIMENSION, RANK, DEPTH = 384, 32, 100


class Synthetic:
    """Numbers as texts: document i is the text `i`."""

    grouped_judgements = False

    def __init__(self, documents: int, queries: int) -> None:
        self.info = Info("synthetic", "synthetic", "CC0-1.0", "generated")
        self.count, self.asked = documents, queries
        self.relevant = np.random.default_rng(2).integers(documents, size=(queries, 2))

    def files(self) -> list[Path]:
        return []

    def documents(self, problems: Problems) -> Iterator[Text]:
        return (Text(f"d{i}", str(i), LANGUAGES[i % len(LANGUAGES)]) for i in range(self.count))

    def queries(self, problems: Problems) -> Iterator[Text]:
        return (Text(f"q{i}", str(i), LANGUAGES[i % len(LANGUAGES)]) for i in range(self.asked))

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        for query, documents in enumerate(self.relevant):
            yield from (Judgement(f"q{query}", f"d{document}", 1) for document in dict.fromkeys(documents.tolist()))


def vectors(source: Synthetic, independent: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors of queries and documents; a query lies near its relevant documents."""
    rng = np.random.default_rng(1)
    basis = rng.standard_normal((RANK, DIMENSION)).astype(np.float32)
    documents = np.empty((source.count, DIMENSION), np.float32)
    for start in range(0, source.count, 100_000):
        n = min(100_000, source.count - start)
        noise = rng.standard_normal((n, DIMENSION)).astype(np.float32)
        signal = rng.standard_normal((n, RANK)).astype(np.float32) @ basis / np.sqrt(RANK)
        documents[start : start + n] = noise if independent else signal + 0.5 * noise
    noise = rng.standard_normal((source.asked, DIMENSION)).astype(np.float32)
    queries = noise if independent else documents[source.relevant].mean(1) + 0.7 * noise
    for array in (documents, queries):
        array /= np.linalg.norm(array, axis=1, keepdims=True)
    return queries, documents


class Memory:
    """Samples anonymous memory; mapped files are the page cache's and can be dropped at any time."""

    def __enter__(self) -> Memory:
        self.start, self.peak, self._stop = self._now(), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.peak = max(self.peak, self._now())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return max(self.peak - self.start, 0)

    @staticmethod
    def _now() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def main() -> None:
    """Measure and print one line of JSON."""
    import faiss

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--random", action="store_true")
    options = parser.parse_args()
    source = Synthetic(options.documents, options.queries)
    with tempfile.TemporaryDirectory() as folder:
        collection = build(source, f"{options.documents} {options.queries}")
        queries, documents = vectors(source, options.random)
        stores = {}
        for role, texts, array in (("query", collection.queries, queries), ("document", collection.documents, documents)):
            store = VectorStore({"model": "synthetic"}, role, texts, root=Path(folder))
            for lang in texts.languages:
                store.fill(lang, texts.rows(lang), lambda batch, _, a=array: a[[int(t) for t in batch]])
            stores[role] = store
        made = pools(collection, Mix("parallel"))
        times: dict[str, list[float]] = {"faiss": [], "ours": []}
        growth, listed = 0, 0.0
        for _ in range(options.repeats):
            start = time.perf_counter()
            faiss.knn(queries, documents, DEPTH, metric=faiss.METRIC_INNER_PRODUCT)
            times["faiss"].append(time.perf_counter() - start)
            one_pass = OnePass(collection, made, DenseScorer(stores["query"], stores["document"]), DEPTH)
            with Memory() as memory:
                start = time.perf_counter()
                one_pass.search()
                found = next(one_pass.rankings())
                times["ours"].append(time.perf_counter() - start)
            growth, listed = max(growth, memory.growth), float((found.judged_rank <= DEPTH).mean())
    ratios = sorted(ours / theirs for ours, theirs in zip(times["ours"], times["faiss"], strict=True))
    lists = options.queries * len(LANGUAGES) * (DEPTH + 32) * 8
    print(json.dumps({
        "documents": options.documents, "queries": options.queries, "vectors": "random" if options.random else "latent",
        "faiss_s": [round(t, 2) for t in times["faiss"]], "ours_s": [round(t, 2) for t in times["ours"]],
        "ratio": {"min": round(ratios[0], 2), "median": round(ratios[len(ratios) // 2], 2), "max": round(ratios[-1], 2)},
        "judged_in_top_100": round(listed, 3), "peak_above_lists_MiB": round((growth - lists) / 2**20),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
