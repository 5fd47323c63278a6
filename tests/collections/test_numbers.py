"""Numbers of texts: those of a plain computation, whatever the pieces and wherever they lie."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval import mapped
from mimo_eval.collections import Collection, Info, Texts, load, numbers
from mimo_eval.collections.numbers import Arrays, Numbers, StoredArrays, in_order, take
from mimo_eval.digests import text_hash
from mimo_eval.embeddings import store
from mimo_eval.errors import DataError
from mimo_eval.mixing import Mix, pools

LANGUAGES = ("de", "en", "zh")
NAMES = st.text("aZ\xe9\uffff\U0001f600", min_size=1, max_size=3)
TEXTS = st.lists(st.tuples(st.sampled_from(LANGUAGES), NAMES), min_size=1, max_size=30)


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "PIECE", 4)
        patch.setattr(numbers, "SAMPLE", 2)
        yield


def chunked(values: list[str], size: int = 3) -> pa.ChunkedArray:
    return pa.chunked_array([values[start : start + size] for start in range(0, len(values), size)], pa.string())


@settings(deadline=None)
@given(st.lists(NAMES, max_size=40))
def test_names_are_sorted_by_bytes_and_equal_ones_stay_together_in_their_order(names: list[str]) -> None:
    parts = [(rows.tolist(), found.to_pylist()) for rows, found in in_order(chunked(names), Arrays().scratch)]
    rows = [row for part, _ in parts for row in part]
    assert rows == sorted(range(len(names)), key=lambda row: names[row].encode())
    assert all(found == [names[row] for row in part] for part, found in parts)
    together = [set(found) for _, found in parts]
    assert sum(map(len, together)) == len(set().union(*together))


@pytest.mark.parametrize("languages", [1, 2, 3, 10])
def test_sorting_looks_at_few_names_at_a_time(monkeypatch: pytest.MonkeyPatch, languages: int) -> None:
    monkeypatch.setattr(numbers, "PIECE", 100)
    monkeypatch.setattr(numbers, "SAMPLE", 32)
    names = [f"{n % languages}:{n}" for n in range(10_000)]
    sizes = [len(rows) for rows, _ in in_order(chunked(names, 50), Arrays().scratch)]
    assert sum(sizes) == 10_000 and max(sizes) <= 200


def test_many_names_are_split_into_few_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part asks every record batch, so there must not be the more of them the more batches there are."""
    monkeypatch.setattr(numbers, "PARTS", 7)
    names = [str(n) for n in range(1000)]
    parts = [found.to_pylist() for _, found in in_order(chunked(names), Arrays().scratch)]
    assert len(parts) <= 7
    assert [name for part in parts for name in part] == sorted(names)


@settings(deadline=None)
@given(st.data())
def test_rows_of_a_column_are_those_of_a_list_in_any_order(data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, max_size=10))
    rows = data.draw(st.lists(st.integers(0, len(names) - 1), max_size=20)) if names else []
    assert take(chunked(names), rows).to_pylist() == [names[row] for row in rows]


def written(path: Path, table: pa.Table, languages: tuple[str, ...] = LANGUAGES) -> Path:
    """Write texts and their numbers as `build` does."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, 100)
    numbers.write(path, languages)
    return path


def columns(texts: list[tuple[str, str]], parallel: bool) -> dict[str, pa.ChunkedArray]:
    ids = [f"{lang}:{n * 7 % len(texts)}" for n, (lang, _) in enumerate(texts)]
    groups = [name for _, name in texts] if parallel else ids
    return {"id": chunked(ids), "text": chunked(ids), "lang": chunked([lang for lang, _ in texts]), "group": chunked(groups)}


@settings(deadline=None)
@given(TEXTS, st.booleans())
def test_numbers_are_those_of_a_plain_computation(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]], parallel: bool
) -> None:
    table = columns(texts, parallel)
    path = written(tmp_path_factory.mktemp("texts") / "texts.arrow", pa.table(table))
    made, read = (Numbers(table.__getitem__, LANGUAGES, place) for place in (Arrays(), StoredArrays(path)))
    for one, other in zip(made.all(), read.all(), strict=True):
        assert one.tolist() == other.tolist() and one.dtype == other.dtype
        assert not one.flags.writeable and not other.flags.writeable
    names, langs = table["group"].to_pylist(), [lang for lang, _ in texts]
    ids = table["id"].to_pylist()
    assert [LANGUAGES[number] for number in read.language] == langs
    assert [read.rows(n).tolist() for n in range(3)] == [
        [i for i, got in enumerate(langs) if got == lang] for lang in LANGUAGES
    ]
    if len(set(ids)) == len(ids):
        assert [ids[row] for row in read.row_at] == sorted(ids, key=str.encode)
        assert read.row_at[read.id_order].tolist() == list(range(len(ids)))
        assert read.id_order.tolist() == [sorted(ids, key=str.encode).index(name) for name in ids]
    assert read.text_hash.tobytes() == b"".join(text_hash(text)[:8] for text in table["text"].to_pylist())
    first = list(dict.fromkeys(names))  # where texts are translations, groups are numbered as they come
    expected = read.id_order.tolist() if names == ids else [first.index(name) for name in names]
    assert read.group.tolist() == expected


def test_more_texts_than_32_bits_can_number_are_refused(
    tmp_path: Path, beir: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    Numbers(lambda name: range(2**31 - 1), LANGUAGES, Arrays())  # type: ignore[arg-type,return-value]
    with pytest.raises(DataError, match="2,147,483,648 texts are more than the 2,147,483,647 that can be ranked together"):
        Numbers(lambda name: range(2**31), LANGUAGES, Arrays())  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(numbers, "MOST", 2)
    with pytest.raises(DataError, match="3 texts are more than the 2 that can be ranked together; take fewer languages"):
        load(str(beir(tmp_path / "data")))


def test_positions_are_places_within_a_language(tmp_path: Path, beir) -> None:  # type: ignore[no-untyped-def]
    corpus = [{"_id": f"d{n}", "text": "x", "lang": LANGUAGES[n * n % 3]} for n in range(20)]
    texts = load(str(beir(tmp_path / "data", corpus))).documents
    for lang, rows in texts.by_language().items():
        assert texts.positions(rows[::-1]).tolist() == list(range(len(rows)))[::-1], lang
    some = np.array([2, 3, 11, 19])
    assert {lang: rows.tolist() for lang, rows in texts.by_language(some).items()} == {"de": [3], "en": [2, 11, 19]}
    assert texts.positions(np.array([19, 0, 2])).tolist() == [12, 0, 1]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_collection_without_a_whole_array_is_named_and_built_again(tmp_path: Path, beir, caplog, spoil) -> None:  # type: ignore[no-untyped-def]
    data = beir(tmp_path / "data")
    folder = load(str(data)).folder
    spoil(folder / "documents.row_at.bin")
    with pytest.raises(DataError, match=r"documents.row_at.bin.*remove the folder, it is built again"):
        type(load(str(beir(tmp_path / "other")))).open(folder)
    assert load(str(data)).documents.row_at.tolist() == [1, 0, 2]
    assert "documents.row_at.bin: missing or torn; it is built again" in caplog.text


@pytest.mark.parametrize("parallel", [False, True])
def test_memory_does_not_grow_with_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: bool) -> None:
    monkeypatch.setattr(numbers, "PIECE", 500)
    monkeypatch.setattr(mapped, "BLOCK", 4096)
    monkeypatch.setattr(store, "LOOKED_AT", 1)
    count, arrow = 50_000, pa.default_memory_pool()
    for side, size in (("queries", 10), ("documents", count)):
        ids = [f"{LANGUAGES[n % 3]}:{n * 7919 % size}" for n in range(size)]
        groups = [str(n // 3) for n in range(size)] if parallel else ids
        langs = [LANGUAGES[n % 3] for n in range(size)]
        table = pa.table({"id": ids, "text": ids, "lang": langs, "group": groups})
        before = arrow.bytes_allocated()
        tracemalloc.start()
        written(tmp_path / f"{side}.arrow", table)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 * count and arrow.bytes_allocated() - before < count
    queries, documents = (
        Texts.open(tmp_path / f"{side}.arrow", dict.fromkeys(LANGUAGES, "")) for side in ("queries", "documents")
    )
    judged = pd.DataFrame(
        {
            "query_group": queries.column("group").slice(0, 1).to_pylist(),
            "doc_group": documents.column("group").slice(5, 1).to_pylist(),
            "relevance": np.ones(1, np.int32),
        }
    )
    collection = Collection(Info("many", "", "", ""), documents, queries, judged, "", {})
    tracemalloc.start()
    (pool,) = pools(collection, Mix())
    lacking = store.VectorStore({}, "document", documents, root=tmp_path).lacking(pool.documents)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lacking == pool.size == count
    assert peak < 5 * count
