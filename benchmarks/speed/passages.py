"""A mixed corpus of any number of passages in files, an encoder that costs next to nothing, and what both sides make of them.

A passage is one of XQuAD-R's paragraphs after its number, so that texts are as long and in as many scripts as real ones; the
encoder looks at numbers and hashes (see `synthetic`). It is for memory, which a real encoder would take days to show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.speed.synthetic import TableEncoder
from benchmarks.speed.xquad import Cut
from mimo_eval.protocols import Role


def write(cut: Cut, folder: Path, documents: int, queries: int) -> None:
    """Write a corpus in BEIR's layout; each query has two relevant documents.

    :param cut: where texts and languages come from.
    :param folder: a folder to be made.
    :param documents: how many.
    :param queries: how many.
    """
    passages, questions = cut.documents(), cut.queries()
    relevant = np.random.default_rng(2).integers(documents, size=(queries, 2)).tolist()
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for number in range(documents):
            text = passages[number % len(passages)]
            line = {"_id": f"d{number}", "text": f"{number} {number} {text.text}", "lang": text.lang}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as out:
        for number, (first, second) in enumerate(relevant):
            text = questions[number % len(questions)]
            line = {"_id": f"q{number}", "text": f"{first} {second} {text.text}", "lang": text.lang}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    pairs = [f"q{query}\td{document}\t1\n" for query, pair in enumerate(relevant) for document in dict.fromkeys(pair)]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(pairs), "utf-8")


def read(folder: Path) -> tuple[dict[str, str], dict[str, str], dict[str, set[str]]]:
    """Return queries, corpus and relevant documents, as InformationRetrievalEvaluator takes them."""
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, _ = line.split("\t")
        relevant.setdefault(query, set()).add(document)
    return dict(_texts(folder / "queries.jsonl")), dict(_texts(folder / "corpus.jsonl")), relevant


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)
            yield text["_id"], text["text"]


class Tables:
    """The encoder with the methods of a SentenceTransformer that an evaluator calls; batches go into one array, as there."""

    similarity_fn_name = "cosine"
    model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_: None)

    def __init__(self) -> None:
        self.encoder = TableEncoder()

    def encode_query(self, texts: Sequence[str], **options: Any) -> Any:
        return self._encode(texts, "query", options["batch_size"])

    def encode_document(self, texts: Sequence[str], **options: Any) -> Any:
        return self._encode(texts, "document", options["batch_size"])

    def _encode(self, texts: Sequence[str], role: Role, batch_size: int) -> Any:
        import torch

        vectors = torch.empty(len(texts), self.encoder.width)
        for start in range(0, len(texts), batch_size):
            batch = self.encoder.encode(texts[start : start + batch_size], role=role, lang="")
            vectors[start : start + len(batch)] = torch.from_numpy(batch)
        return vectors

    def similarity(self, queries: Any, documents: Any) -> Any:
        from sentence_transformers.util import cos_sim

        return cos_sim(queries, documents)
