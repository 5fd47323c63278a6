"""The main job against the encoder alone and against mteb: XQuAD-R, eleven languages, 132 corpora, all-MiniLM-L6-v2.

    python -m benchmarks.speed.main_job XQUAD_R_FOLDER [--queries 1190]

All sides are fed the same model object and texts, in one process, one after the other:
`bare` is `SentenceTransformer.encode` of every text once, at the best of four batch sizes; `first` the whole job with an empty
store; `again` the same with a full store; `mteb` is `mteb.evaluate` of some of the same corpora as custom tasks, extrapolated
to all of them by the number of texts it encodes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

SAMPLE = (("de", "de"), ("en", "en"), ("zh", "zh"), ("en", "ar"), ("ru", "es"))
"""(query language, document language) of the corpora that mteb is timed on."""
MIXES = ("parallel", "monolingual", "cross-lingual", "bilingual")


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--skip-mteb", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MIMO_EVAL_CACHE"] = cache
        print(json.dumps(measure(options.data, options.skip_mteb), ensure_ascii=False))


def measure(data: Path, skip_mteb: bool) -> dict[str, Any]:
    """Return seconds and ratios."""
    from mimo_eval.benchmark import load_benchmark
    from mimo_eval.collections import load
    from mimo_eval.evaluation import changed, run
    from mimo_eval.models.dense import minilm

    benchmark = changed(load_benchmark("xquad-r"), mixes=MIXES)
    collection = load("xquad-r", data=data, languages=benchmark.tasks[0].languages)
    texts = [t for side in (collection.queries, collection.documents) for t in side.read(range(len(side)))]
    encoder = minilm()
    batch_size = best_batch_size(encoder.model, texts)
    encoder.batch_size = batch_size
    bare = timed(lambda: encoder.model.encode(texts, batch_size=batch_size, show_progress_bar=False))
    outcome: list[Any] = []
    first = timed(lambda: outcome.append(run(encoder, benchmark, data=data)))
    again = timed(lambda: outcome.append(run(encoder, benchmark, data=data)))
    row = {
        "texts": len(texts),
        "corpora": sum(len(s.pools) for s in outcome[0].result.settings),
        "batch_size": batch_size,
        "bare_s": round(bare, 1),
        "first_s": round(first, 1),
        "again_s": round(again, 1),
        "phases": outcome[0].result.timings,
        "first/bare": round(first / bare, 3),
        "again/first": round(again / first, 3),
    }
    if not skip_mteb:
        seconds, encoded = time_mteb(encoder.model, collection, batch_size)
        total = encoded_by_mteb(collection)
        whole = seconds / encoded * total
        row |= {"mteb_sample_s": round(seconds, 1), "mteb_sample_texts": encoded, "mteb_all_texts": total}
        row |= {"mteb_extrapolated_s": round(whole), "first/mteb": round(first / whole, 3)}
    return row


def timed(job: Any) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def best_batch_size(model: Any, texts: list[str]) -> int:
    """Return the batch size at which a sample is encoded fastest."""
    sample = texts[:: max(len(texts) // 600, 1)]
    model.encode(sample[:64], show_progress_bar=False)
    return min((16, 32, 64, 128), key=lambda n: timed(lambda: model.encode(sample, batch_size=n, show_progress_bar=False)))


def encoded_by_mteb(collection: Any) -> int:
    """Return how many texts mteb encodes for all the corpora: corpus and queries again for each subset."""
    languages = len(collection.documents.languages)
    queries, documents = len(collection.queries) // languages, len(collection.documents) // languages
    one = queries + documents
    return one * languages + one * languages * (languages - 1) + 2 * one * (languages - 1) + one * languages


def time_mteb(model: Any, collection: Any, batch_size: int) -> tuple[float, int]:
    """Return the seconds that mteb needs for the sample of corpora, and the texts it encodes for them."""
    import mteb
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    names = [f"{query}-{document}" for query, document in SAMPLE]

    def split(query: str, document: str) -> dict[str, Any]:
        sides = []
        for side, lang in ((collection.queries, query), (collection.documents, document)):
            rows = side.rows(lang)
            sides.append(({"id": side.ids(rows), "text": side.read(rows)}, side.column("group").take(rows).to_pylist()))
        (queries, asked), (corpus, stored) = sides
        answer = dict(zip(collection.qrels["query_group"], collection.qrels["doc_group"], strict=True))
        document_of = dict(zip(stored, corpus["id"], strict=True))
        relevant = {q: {document_of[answer[group]]: 1} for q, group in zip(queries["id"], asked, strict=True)}
        corpus["title"] = [""] * len(corpus["id"])
        return {
            "corpus": Dataset.from_dict(corpus),
            "queries": Dataset.from_dict(queries),
            "relevant_docs": relevant,
            "top_ranked": None,
        }

    class Sample(AbsTaskRetrieval):
        metadata = mteb.TaskMetadata(
            name="SpeedSample",
            description="sample of corpora",
            type="Retrieval",
            category="t2t",
            main_score="ndcg_at_10",
            eval_splits=["test"],
            eval_langs={name: ["eng-Latn"] for name in names},
            dataset={"path": "local/speed", "revision": "1"},
        )

        def load_data(self, num_proc: int | None = None, **_: Any) -> None:
            self.dataset = {n: {"test": split(q, d)} for n, (q, d) in zip(names, SAMPLE, strict=True)}
            self.data_loaded = True

    task = Sample()
    task.load_data()
    encoded = sum(len(part["test"]["corpus"]) + len(part["test"]["queries"]) for part in task.dataset.values())
    kwargs = {"encode_kwargs": {"batch_size": batch_size}, "show_progress_bar": False, "co2_tracker": False}
    return timed(lambda: mteb.evaluate(model, task, cache=None, **kwargs)), encoded


if __name__ == "__main__":
    main()
