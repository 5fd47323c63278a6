"""Building: one identity whatever the order and layout, rebuilt when files change, safe beside others, small in memory."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from mimo_eval.collections import Problems, load, source_for
from mimo_eval.collections.build import build
from mimo_eval.collections.collection import Collection
from mimo_eval.errors import CacheError, DataError

CORPUS = [{"_id": f"d{n}", "text": f"text {n} {lang}", "lang": lang, "group": f"g{n}"} for n in range(5) for lang in ("de",)]
CORPUS += [{**row, "_id": f"e{row['_id']}", "text": f"{row['text']}!", "lang": "en"} for row in CORPUS]
QUERIES = [{"_id": f"q{n}", "text": f"question {n}", "lang": "de", "group": f"h{n}"} for n in range(5)]
QRELS = [f"q{n}\td{n}\t1" for n in range(5)]
HEADER = "query-id\tcorpus-id\tscore\n"


def table(rows):
    return HEADER + "".join(f"{row}\n" for row in rows)


def revision(folder):
    return load(str(folder)).revision


@pytest.fixture
def whole(tmp_path, beir):
    return beir(tmp_path / "whole", CORPUS, QUERIES, table(QRELS))


@pytest.mark.parametrize("seed", range(3))
def test_the_content_hash_does_not_depend_on_order(tmp_path, beir, whole, seed):
    shuffle = random.Random(seed)
    corpus, queries, qrels = (shuffle.sample(rows, len(rows)) for rows in (CORPUS, QUERIES, QRELS))
    other = load(str(beir(tmp_path / "shuffled", corpus, queries, table(qrels))))
    assert other.revision == revision(whole)
    assert other.documents.ids() != load(str(whole)).documents.ids()


def test_the_content_hash_does_not_depend_on_layout(tmp_path, beir, whole):
    for lang in ("de", "en"):
        own = ([row for row in rows if row["lang"] == lang] for rows in (CORPUS, QUERIES))
        rows = [[{k: v for k, v in row.items() if k != "lang"} for row in part] for part in own]
        rows[1] = rows[1] or [{"_id": "x", "text": "x"}]
        beir(tmp_path / "folders" / lang, *rows, table(QRELS if lang == "de" else []))
    extra = [*QUERIES, {"_id": "x", "text": "x", "lang": "en"}]
    flat = beir(tmp_path / "flat", CORPUS, extra, table(QRELS))
    assert revision(tmp_path / "folders") == revision(flat) != revision(whole)


def test_the_content_hash_has_256_bits(whole):
    found = revision(whole)
    assert re.fullmatch("[0-9a-f]{64}", found)
    assert found[:32] != found[32:]


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("corpus", {"text": "text 0 de "}),
        ("corpus", {"title": "t"}),
        ("corpus", {"lang": "fr"}),
        ("corpus", {"group": "other"}),
        ("queries", {"text": "Question 0"}),
        ("queries", {"lang": "en"}),
        ("queries", {"group": "h9"}),
    ],
)
def test_the_content_hash_changes_with_any_field(tmp_path, beir, whole, what, change):
    rows = {"corpus": CORPUS, "queries": QUERIES}
    changed = {**rows, what: [{**rows[what][0], **change}, *rows[what][1:]]}
    assert revision(beir(tmp_path / "changed", changed["corpus"], changed["queries"], table(QRELS))) != revision(whole)


@pytest.mark.parametrize("qrels", [QRELS[:-1], [*QRELS[:-1], "q4\td4\t2"], [*QRELS[:-1], "q4\td3\t1"], [*QRELS, "q4\td3\t0"]])
def test_the_content_hash_changes_with_any_judgement(tmp_path, beir, whole, qrels):
    assert revision(beir(tmp_path / "changed", CORPUS, QUERIES, table(qrels))) != revision(whole)


def test_the_content_hash_does_not_confuse_where_fields_end(tmp_path, beir):
    def made(name, title, text):
        corpus = [{"_id": "d0", "title": title, "text": text, "lang": "de"}]
        return revision(beir(tmp_path / name, corpus, QUERIES[:1], table(QRELS[:1])))

    assert made("a", "ab", "c") != made("b", "a", "bc")


def test_unchanged_files_are_not_read_again(whole, monkeypatch):
    first = load(str(whole))
    monkeypatch.setattr("mimo_eval.collections.folder.read_texts", None)
    assert load(str(whole)).folder == first.folder


def test_a_changed_file_is_read_again(whole, put):
    first = load(str(whole))
    put(whole / "corpus.jsonl", [{**CORPUS[0], "text": "longer than before"}, *CORPUS[1:]])
    second = load(str(whole))
    assert second.documents.read([0]) == ["longer than before"]
    assert second.revision != first.revision
    put(whole / "corpus.jsonl", [{**CORPUS[0], "text": "longer than BEFORE"}, *CORPUS[1:]])  # the same size
    assert load(str(whole)).documents.read([0]) == ["longer than BEFORE"]


def test_another_choice_of_languages_is_another_collection(whole):
    assert len(load(str(whole)).documents) == 10
    assert len(load(str(whole), languages=("de",)).documents) == 5
    assert load(str(whole), languages=("en", "de")).folder == load(str(whole), languages=("de", "en", "de")).folder


@pytest.mark.parametrize("file", ["collection.json", "documents.arrow", "queries.arrow", "qrels.parquet"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "noise"])
def test_a_damaged_cached_collection_is_built_again(whole, file, damage, caplog):
    first = load(str(whole))
    path = first.folder / file
    data = path.read_bytes()
    del first
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "noise": b"\x07" * len(data)}[damage])
    with caplog.at_level(logging.WARNING):
        again = load(str(whole))
    assert again.documents.read([0]) == ["text 0 de"]
    assert len(again.queries) == 5
    assert len(again.qrels) == 5
    assert (file == "collection.json" and damage == "gone") or "it is built again" in caplog.text
    assert not list(again.folder.parent.glob(".build-*"))


def test_an_arrow_file_that_lost_whole_batches_is_noticed(whole):
    import pyarrow as pa

    folder = load(str(whole)).folder
    path = folder / "documents.arrow"
    with pa.OSFile(str(path)) as file:
        content = pa.ipc.open_stream(file).read_all()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content.slice(0, 3))
    with pytest.raises(DataError, match="not a complete collection"):
        Collection.open(folder)
    assert len(load(str(whole)).documents) == 10


def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(tmp_path, whole, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(CacheError, match=r"cannot be written .*set MIMO_EVAL_CACHE"):
        load(str(whole))


def test_a_disk_that_is_full_names_the_collection_and_no_file_that_is_gone(whole, cache, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheError) as caught:
        load(str(whole))
    remedy = "free space, or set MIMO_EVAL_CACHE to a folder that can be written"
    expected = rf"{cache}/collections/\w+-\w+: cannot be written \(No space left on device\); {remedy}"
    assert re.fullmatch(expected, str(caught.value))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_cache_still_serves_what_it_has(whole, cache, beir, tmp_path):
    load(str(whole))
    (cache / "collections").chmod(0o500)
    try:
        assert len(load(str(whole)).documents) == 10
        with pytest.raises(CacheError, match="set MIMO_EVAL_CACHE"):
            load(str(beir(tmp_path / "new")))
    finally:
        (cache / "collections").chmod(0o700)


def test_a_collection_is_open_to_whom_the_cache_is(whole, cache):
    folder = load(str(whole)).folder
    assert folder.stat().st_mode == (cache / "collections").stat().st_mode


def test_a_collection_that_its_owner_alone_may_read_is_one_line(whole, monkeypatch):
    folder = load(str(whole)).folder
    refused = Mock(side_effect=PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr("mimo_eval.collections.kept._refuse_torn", refused)
    with pytest.raises(CacheError, match=rf"^{folder}: cannot be read \(Permission denied\); .*: chmod -R a\+rX '{folder}'$"):
        load(str(whole))


def test_a_full_disk_leaves_nothing_behind(whole, cache, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["mimo_eval.collections.build"], "write_json", full)
    with pytest.raises(CacheError, match="No space left on device"):
        load(str(whole))
    assert [path.name for path in (cache / "collections").iterdir()] == [".locks"]


def test_bad_data_leave_nothing_in_the_cache(tmp_path, beir, cache):
    with pytest.raises(DataError):
        load(str(beir(tmp_path / "bad", [{"_id": "1"}])))
    assert [path.name for path in (cache / "collections").iterdir()] == [".locks"]


def test_problems_are_asked_for_anew_even_if_the_collection_is_known(tmp_path, beir):
    folder = beir(tmp_path / "odd", CORPUS, QUERIES, table(QRELS[:4]))
    load(str(folder))
    problems = Problems()
    build(*source_for(str(folder), None, None), problems)
    assert problems.warnings == {"query without a relevant document": 1}


def test_two_processes_build_one_collection_at_once(tmp_path, beir):
    corpus = [{"_id": str(n), "text": f"text {n}", "lang": "de"} for n in range(4000)]
    folder = beir(tmp_path / "both", corpus, QUERIES[:1], table(["q0\t7\t1"]))
    code = f"from mimo_eval.collections import load; c = load({str(folder)!r}); print(c.revision, len(c.documents), c.folder)"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    out = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(out) == 1
    assert " 4000 " in out.pop()
    assert not list((tmp_path / "cache" / "collections").glob(".build-*"))


BUILDER = """
import os, sys, time
from pathlib import Path
from mimo_eval.collections.kept import META, kept

def write(folder):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    for _ in range(10_000):
        if len(list(Path(sys.argv[3]).iterdir())) == 2:  # the other is there too
            break
        time.sleep(0.01)
    time.sleep(0.5)
    (folder / META).write_text("{}")

Path(sys.argv[3], str(os.getpid())).touch()
print(kept(Path(sys.argv[2]), lambda folder: (folder / META).read_text(), write))
"""


def test_processes_at_once_build_a_collection_once(tmp_path):
    log, folder, begun = tmp_path / "log", tmp_path / "cache" / "collections" / "c", tmp_path / "begun"
    begun.mkdir()
    command = [sys.executable, "-c", BUILDER, str(log), str(folder), str(begun)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    out = [process.communicate(timeout=240) for process in both]
    assert [shown for shown, _ in out] == ["{}\n", "{}\n"], out
    assert log.read_text() == "built\n"


def test_a_build_that_loses_the_race_takes_the_winners(whole, monkeypatch):
    from pathlib import Path

    real = Path.rename

    def late(self, target):
        if self.name.startswith(".build-"):  # the other process renames a moment before
            import shutil

            shutil.copytree(self, target)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", late)
    assert len(load(str(whole)).documents) == 10


def test_a_path_that_is_not_utf8_can_be_read(tmp_path, beir):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    beir(folder)
    assert len(load(str(folder)).documents) == 3


@pytest.mark.slow
def test_building_300_000_rows_takes_little_memory(tmp_path):
    code = """
import json, sys
from pathlib import Path
from benchmarks.speed.memory import Memory
from mimo_eval.collections import load
import datasets, pandas, pyarrow.parquet
root = Path(sys.argv[1])
def made(name, rows):
    folder = root / name
    folder.mkdir()
    with (folder / "corpus.jsonl").open("w") as out:
        for n in range(rows):
            out.write(json.dumps({"_id": f"d{n}", "text": f"{n} " * 80, "lang": "en" if n % 2 else "de"}) + "\\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "?", "lang": "en"}\\n')
    (folder / "qrels.tsv").write_text("q\\td7\\t1\\n")
    with Memory() as memory:  # mapped files, which the system can take back, do not count
        assert len(load(str(folder)).documents) == rows
    return memory.peak / 2**20
small = made("small", 20_000)
print(made("large", 300_000) - small)
"""
    grown = float(
        subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True, cwd=Path(__file__).parents[2])
    )
    assert grown < 30, f"{grown:.0f} MiB for 280,000 more rows of 500 bytes"


def test_the_record_on_disk_has_no_path_of_the_user(whole):
    found = load(str(whole))
    assert str(whole) not in json.dumps(found.describe())


def test_ids_are_found_whatever_the_size_of_the_pieces(tmp_path, beir, monkeypatch):
    corpus = [{"_id": f"d{n}", "text": "x", "lang": "en"} for n in range(20)]
    queries = [{"_id": f"q{n}", "text": "x", "lang": "en"} for n in range(7)]
    qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{19 - 2 * n}\t1\n" for n in range(7))
    data = beir(tmp_path / "data", corpus=corpus, queries=queries, qrels=qrels)
    whole = load(str(data)).qrels.values.tolist()
    assert whole == [[f"en:q{n}", f"en:d{19 - 2 * n}", 1] for n in range(7)]
    for piece in (1, 3, 20):
        monkeypatch.setattr(sys.modules["mimo_eval.collections.hashes"], "PIECE", piece)
        monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / str(piece)))
        assert load(str(data)).qrels.values.tolist() == whole
