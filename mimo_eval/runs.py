"""Runs in canonical order, and TREC files in and out."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa

from mimo_eval.collections.collection import Collection
from mimo_eval.collections.jsonl import read_judgements
from mimo_eval.collections.records import Problems
from mimo_eval.files import atomic_write
from mimo_eval.measures import trec
from mimo_eval.measures.join import order
from mimo_eval.mixing import Pool
from mimo_eval.search import keys

BATCH = 2048


def frames(collection: Collection, pool: Pool, lists: np.ndarray) -> Iterator[pd.DataFrame]:
    """Yield a corpus's run in canonical order, some queries at a time.

    :param collection: the texts.
    :param pool: the corpus.
    :param lists: (q, k) ranking keys.
    :yield: columns query_id, doc_id, score.
    """
    for start in range(0, len(lists), BATCH):
        part = lists[start : start + BATCH]
        row, column = np.nonzero(part != keys.EMPTY)
        documents = collection.documents.row_at[keys.places(part[row, column])]
        yield pd.DataFrame(
            {
                "query_id": np.array(collection.queries.ids(pool.queries[start : start + BATCH]), object)[row],
                "doc_id": collection.documents.ids(documents),
                "score": keys.scores(part[row, column]),
            }
        )


def write_run(path: Path, parts: Iterator[pd.DataFrame], tag: str) -> None:
    """Write a TREC run file; scores keep every bit of a float32.

    :param path: the file; compressed if it ends in `.gz`.
    :param parts: frames in canonical order, no query in two of them.
    :param tag: the run's name; white space becomes `_`.
    """
    tag = "_".join(tag.split()) or "run"
    with _writer(path) as out:
        for part in parts:
            rank = part.groupby("query_id", sort=False).cumcount() + 1
            out.writelines(
                f"{q} Q0 {d} {r} {s:.9g} {tag}\n"
                for q, d, r, s in zip(part["query_id"], part["doc_id"], rank, part["score"].astype(float), strict=True)
            )


def write_qrels(path: Path, collection: Collection, pool: Pool) -> None:
    """Write the judgements of a corpus as TREC qrels.

    :param path: the file; compressed if it ends in `.gz`.
    :param collection: the texts.
    :param pool: the corpus.
    """
    queries, documents = collection.queries.ids(pool.queries), collection.documents.ids(pool.judged_document)
    with _writer(path) as out:
        out.writelines(
            f"{queries[q]} 0 {d} {g}\n" for q, d, g in zip(pool.judged_query, documents, pool.judged_gain, strict=True)
        )


@contextmanager
def _writer(path: Path) -> Iterator[IO[str]]:
    """Write text atomically; `.gz` is compressed with a fixed time stamp, so that equal content is equal bytes."""
    with (
        atomic_write(path) as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) if path.suffix == ".gz" else nullcontext(raw) as binary,
    ):
        text = io.TextIOWrapper(binary, "utf-8", newline="\n")
        try:
            yield text
        finally:
            text.detach()


def read_run(path: Path) -> pd.DataFrame:
    """Read a TREC run; ranks in the file are ignored, as trec_eval does.

    :param path: the file, plain, `.gz` or `.zst`.
    :return: columns query_id, doc_id, score (float32), in canonical order.
    :raises DataError: for a line that is not a run's, or a document that stands twice; with file and line.
    """
    run = trec.read_run(path)
    place = order(run)
    query, document = (column.take(pa.array(place)).to_pandas() for column in (run.query, run.document))
    return pd.DataFrame({"query_id": query, "doc_id": document, "score": run.score[place]})


def read_qrels(path: Path) -> pd.DataFrame:
    """Read qrels in TREC's or BEIR's layout.

    :param path: the file, plain, `.gz` or `.zst`.
    :return: columns query_id, doc_id, relevance.
    :raises DataError: with the lines that cannot be read.
    """
    problems = Problems()
    rows = [(j.query, j.document, j.relevance) for j in read_judgements(path, problems)]
    problems.refuse(str(path))
    return pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"])
