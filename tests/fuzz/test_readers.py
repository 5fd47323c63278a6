"""Whatever stands in a file, a reader gives its content or an error of this package: no traceback, no hang, no half result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from reader_table import READERS, RESULT, Reader, survives

from mimo_eval import results, runs
from mimo_eval.collections import Collection
from mimo_eval.collections.build import build
from mimo_eval.collections.folder import FolderSource
from mimo_eval.embeddings import read_chunk
from mimo_eval.embeddings.chunks import Chunk, write_chunk
from mimo_eval.errors import MimoEvalError
from mimo_eval.files import read_lines

quiet = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ENDS = [b"\n", b"\r\n", b"\t", b" ", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\xbd"]
MARKS = [bytes([byte]) for byte in b'"{[}]:,-']
WORDS = [b"NaN", b"Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b"&a *a", b"!!python/object:os.system", b"null", b"\\ud800"]
SPICE = st.sampled_from(ENDS + MARKS + WORDS)


def near(*lines: str) -> st.SearchStrategy[bytes]:
    """Bytes that look like a file of such lines, and bytes that do not."""
    line = st.sampled_from([text.encode() for text in lines])
    piece = st.one_of(line.map(lambda text: text + b"\n"), SPICE, st.binary(max_size=12), st.text(max_size=12).map(_utf8))
    mixed = st.lists(piece, max_size=12).map(b"".join)
    cut = st.tuples(mixed, st.integers(0, 400)).map(lambda pair: pair[0][: pair[1]])
    return st.one_of(mixed, cut, st.binary(max_size=200))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@settings(quiet, max_examples=60)
@given(st.data())
def test_anything_in_a_file_is_its_content_or_an_error(tmp_path: Path, reader: Reader, data: st.DataObject) -> None:
    survives(reader.read, tmp_path / reader.file, data.draw(near(*reader.lines)))


KNOWN = [
    ("jsonl", b'{"_id": "a", "text": "\\ud83d", "lang": "en"}\n'),
    ("gzip", b"\x1f\x8b\x08\x00"),
    ("zstandard", b"\x28\xb5\x2f\xfd\x04"),
    ("benchmark", b"name: b\ntasks: [{collection: mini, mixes: ['partition(en=1)(']}]\n"),
    ("benchmark", b"name: 2026-13-45\n"),
    ("yaml", b"name: 2026-13-45\n"),
    ("yaml", b"? {a: b}\n: c\n"),
    ("index", b"[" * 100_000),
]
"""What once was a traceback."""


@pytest.mark.parametrize(("name", "data"), KNOWN)
def test_what_once_went_wrong(tmp_path: Path, name: str, data: bytes) -> None:
    (reader,) = (reader for reader in READERS if reader.name == name)
    survives(reader.read, tmp_path / reader.file, data)


@quiet
@given(near("q1 Q0 d1 1 0.5 tag", "q1 Q0 d2 2 0.25 tag", "q 0 d 1"))
def test_no_document_stands_twice_in_a_run(tmp_path: Path, data: bytes) -> None:
    found = survives(runs.read_run, tmp_path / "run.trec", data)
    assert found is None or not found.duplicated(["query_id", "doc_id"]).any()


@quiet
@given(near("a\tone", "id\ttext", "1\t2\t3"))
def test_lines_hold_no_line_ends(tmp_path: Path, data: bytes) -> None:
    found = survives(lambda path: list(read_lines(path)), tmp_path / "lines.tsv", data)
    assert all("\n" not in line.text for line in found or [])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@quiet
@given(st.sampled_from(sorted(RESULT)), VALUES)
def test_a_result_with_one_field_of_any_value(tmp_path: Path, name: str, value: Any) -> None:
    data = json.dumps({**RESULT, name: value}).encode("utf-8", "surrogatepass")
    survives(results.read_result, tmp_path / "result.json", data)


@quiet
@given(st.binary(max_size=60).map(lambda tail: b"PAR1" + tail + b"PAR1"))
def test_query_scores_between_the_marks_of_parquet(tmp_path: Path, data: bytes) -> None:
    survives(results.read_queries, tmp_path / "queries.parquet", data)


HEADER = st.fixed_dictionaries(
    {},
    optional={
        "__metadata__": VALUES | st.just({"checksum": "0" * 32}),
        **{
            name: VALUES
            | st.fixed_dictionaries(
                {
                    "dtype": st.sampled_from(["F32", "U8", "F64", "", None]),
                    "shape": st.lists(st.integers(-2, 5), max_size=3),
                    "data_offsets": st.lists(st.integers(-5, 99), max_size=3),
                }
            )
            for name in ("rows", "texts", "vectors")
        },
    },
)


@quiet
@given(st.one_of(VALUES, HEADER), st.binary(max_size=64), st.integers(-9, 9))
@example({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, "4"]} for name in ("rows", "texts", "vectors")}, b"1234", 0)
def test_a_chunk_with_any_header(tmp_path: Path, header: Any, tail: bytes, off: int) -> None:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    data = max(len(text) + off, 0).to_bytes(8, "little") + text + tail
    assert survives(read_chunk, tmp_path / "000000.safetensors", data) is None


@quiet
@given(st.binary(max_size=100))
def test_a_chunk_of_any_bytes(tmp_path: Path, data: bytes) -> None:
    assert survives(read_chunk, tmp_path / "000000.safetensors", data) is None


@quiet
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_chunk_with_any_byte_changed_is_never_taken_for_whole(tmp_path: Path, at: int, change: int) -> None:
    import numpy as np

    path = tmp_path / "000000.safetensors"
    whole = Chunk(np.arange(3, dtype=np.uint32), np.arange(12, dtype=np.float32).reshape(3, 4), np.zeros((3, 16), np.uint8))
    write_chunk(path, whole)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= change
    path.write_bytes(data)
    found = read_chunk(path)
    assert found is None or (
        np.array_equal(found.vectors, whole.vectors)  # a byte of padding
        and np.array_equal(found.rows, whole.rows)
        and np.array_equal(found.texts, whole.texts)
    )


@quiet
@given(near('{"info": {}, "shards": {}, "rows": {}}', "{}", "[]"), st.binary(max_size=60))
def test_a_built_collection(tmp_path: Path, meta: bytes, arrow: bytes) -> None:
    for name, data in (
        ("collection.json", meta),
        ("documents.arrow", arrow),
        ("queries.arrow", arrow),
        ("qrels.parquet", arrow),
    ):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(MimoEvalError):
        Collection.open(tmp_path)


@settings(quiet, max_examples=40)
@given(
    near('{"_id": "en:a", "text": "one", "lang": "en"}'),
    near('{"_id": "en:q", "text": "which", "lang": "en"}'),
    near("query-id\tcorpus-id\tscore", "en:q\ten:a\t1"),
)
def test_a_whole_collection(tmp_path: Path, corpus: bytes, queries: bytes, qrels: bytes) -> None:
    for name, data in (("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels.tsv", qrels)):
        (tmp_path / name).write_bytes(data)
    survives(lambda path: build(FolderSource(path.parent), "fuzz"), tmp_path / "corpus.jsonl", corpus)
