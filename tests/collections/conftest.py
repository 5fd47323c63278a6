"""Small files on disk, in every layout and packing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from mimo_eval.collections import Problems, validate

CORPUS = [
    {"_id": "d1", "title": "Tea", "text": "Tea is a drink.", "lang": "en", "group": "tea"},
    {"_id": "d2", "title": "Tee", "text": "Tee ist ein Getränk.", "lang": "de", "group": "tea"},
    {"_id": "d3", "title": "", "text": "A bridge crosses a river.", "lang": "en", "group": "bridge"},
]
QUERIES = [
    {"_id": "q1", "text": "Which drink?", "lang": "en", "group": "q-tea"},
    {"_id": "q2", "text": "Welches Getränk?", "lang": "de", "group": "q-tea"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\n"


def put(path: Path, content: str | bytes | list[dict[str, Any]]) -> Path:
    """Write a file, packed as its name says."""
    if isinstance(content, list):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
    data = content.encode() if isinstance(content, str) else content
    if path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zst":
        data = zstandard.ZstdCompressor().compress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def beir(
    folder: Path, corpus: Any = None, queries: Any = None, qrels: Any = None, packed: str = "", name: str = "qrels/test.tsv"
) -> Path:
    """Write a BEIR folder; what is not given is three documents and two queries about tea."""
    put(folder / f"corpus.jsonl{packed}", CORPUS if corpus is None else corpus)
    put(folder / f"queries.jsonl{packed}", QUERIES if queries is None else queries)
    put(folder / f"{name}{packed}", QRELS if qrels is None else qrels)
    return folder


@pytest.fixture(name="put", scope="session")
def put_fixture() -> Callable[..., Path]:
    return put


@pytest.fixture(name="beir", scope="session")
def beir_fixture() -> Callable[..., Path]:
    return beir


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Problems]:
    """Write a BEIR folder with one thing wrong and validate it."""

    def run(**files: Any) -> Problems:
        return validate(str(beir(tmp_path / "bad", **files)))

    return run
