"""Mixed corpora as folders: the same pool when read back, readable by others, never half-written under a manifest."""

from __future__ import annotations

import json
from hashlib import sha256

import ir_measures
import pytest

from mimo_eval import export
from mimo_eval.collections import load
from mimo_eval.errors import CacheError, ConfigError, DataError
from mimo_eval.export import export_mix
from mimo_eval.mixing import Mix, pools

LANGUAGES = ("de", "en", "zh")
DOCUMENTS = {lang: {f"g{n}": f"{lang} text {n} “é中”\u2028" for n in range(12)} for lang in LANGUAGES}
QUERIES = {lang: {f"h{n}": f"{lang} question {n}" for n in range(5)} for lang in LANGUAGES}
QRELS = {f"h{n}": {f"g{n}": 2, f"g{n + 1}": 1, "g11": 0} for n in range(4)}
MIXES = [
    "parallel",
    "union",
    "partition(seed=3)",
    "away",
    "partition(en=0.8,de=0.2,max_documents=9)",
    "parallel(max_documents=20)",
]
FAMILIES = ["monolingual", "cross-lingual", "bilingual", "bilingual(de+zh)"]


@pytest.fixture
def toy(collect):
    return collect(DOCUMENTS, QUERIES, QRELS)


def judged(collection, pool):
    queries, documents = collection.queries.ids(pool.queries[pool.judged_query]), collection.documents.ids(pool.judged_document)
    return sorted(zip(queries, documents, pool.judged_gain.tolist(), strict=True))


def members(collection, pool):
    return sorted(collection.documents.ids([row for rows in pool.documents.values() for row in rows]))


@pytest.mark.parametrize("text", MIXES + FAMILIES)
def test_reading_an_export_back_gives_the_same_pool_and_judgements(toy, tmp_path, text):
    manifest = export_mix(toy, Mix.parse(text), tmp_path / "out")
    made = pools(toy, Mix.parse(text))
    assert [corpus["name"] for corpus in manifest["corpora"]] == [pool.name for pool in made]
    for pool, corpus in zip(made, manifest["corpora"], strict=True):
        back = load(str(tmp_path / "out" / corpus["folder"]))
        (whole,) = pools(back, Mix("union"))
        assert members(back, whole) == members(toy, pool)
        assert judged(back, whole) == judged(toy, pool)
        assert sorted(back.queries.ids()) == sorted(toy.queries.ids(pool.queries))
        assert back.problems == {}
        assert whole.dropped == {}


def test_an_export_of_everything_has_the_content_hash_of_the_collection(collect, tmp_path):
    toy = collect(DOCUMENTS, {lang: dict(list(texts.items())[:4]) for lang, texts in QUERIES.items()}, QRELS)
    export_mix(toy, Mix(), tmp_path / "out")
    assert load(str(tmp_path / "out")).revision == toy.revision


def test_ir_measures_reads_the_judgements(toy, tmp_path):
    export_mix(toy, Mix.parse("partition"), tmp_path / "out")
    read = sorted(tuple(q[:3]) for q in ir_measures.read_trec_qrels(str(tmp_path / "out" / "qrels.trec.txt")))
    assert read == judged(toy, pools(toy, Mix("partition"))[0])
    rows = (tmp_path / "out" / "qrels" / "test.tsv").read_text().splitlines()
    assert rows[0] == "query-id\tcorpus-id\tscore"
    assert sorted((q, d, int(r)) for q, d, r in (row.split("\t") for row in rows[1:])) == read


def test_a_line_of_the_corpus_is_beirs_with_language_and_group(toy, tmp_path):
    export_mix(toy, Mix(), tmp_path / "out")
    lines = (tmp_path / "out" / "corpus.jsonl").read_text("utf-8").split("\n")
    first = {"_id": "de:g0", "title": "", "text": DOCUMENTS["de"]["g0"], "lang": "de", "group": "g0"}
    assert json.loads(lines[0]) == first
    assert len(lines) == 37
    query = json.loads((tmp_path / "out" / "queries.jsonl").read_text().split("\n")[0])
    assert query == {"_id": "de:h0", "text": "de question 0", "lang": "de", "group": "h0"}


def test_the_manifest_says_what_was_written(toy, tmp_path):
    manifest = export_mix(toy, Mix.parse("cross-lingual(max_documents=6,seed=4)"), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    assert (manifest["mix"], manifest["seed"]) == ("cross-lingual(max_documents=6,seed=4)", 4)
    assert manifest["collection"]["revision"] == toy.revision
    assert manifest["corpora"][0] == {
        "name": "de-en",
        "folder": "cross-lingual/de-en",
        "documents": {"en": 6},
        "queries": {"de": 4},
        "judgements": 12,
        "dropped_queries": {"no relevant document in the corpus": 1},
    }
    assert len(manifest["files"]) == 6 * 4
    for name, entry in manifest["files"].items():
        data = (tmp_path / "out" / name).read_bytes()
        assert entry == {"lines": data.count(b"\n"), "sha256": sha256(data).hexdigest()}
    on_disk = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert on_disk == {*manifest["files"], "manifest.json"}


def test_the_same_files_come_out_whatever_the_order_of_the_input(collect, tmp_path):
    def turned(texts):
        return {lang: dict(reversed(texts[lang].items())) for lang in reversed(texts)}

    one = export_mix(collect(DOCUMENTS, QUERIES, QRELS, "a"), Mix.parse("partition"), tmp_path / "1")
    two = export_mix(collect(turned(DOCUMENTS), turned(QUERIES), QRELS, "b"), Mix.parse("partition"), tmp_path / "2")
    assert one["files"] == two["files"]


def test_a_new_export_takes_the_place_of_an_earlier_one_and_of_nothing_else(toy, tmp_path):
    out = tmp_path / "out"
    export_mix(toy, Mix.parse("monolingual"), out)
    (out / "notes.txt").write_text("mine")
    (out / "monolingual" / "de" / "mine.txt").write_text("mine")
    export_mix(toy, Mix(), out)
    assert sorted(p.name for p in out.iterdir()) == ["corpus.jsonl", "manifest.json", "monolingual", "notes.txt", "qrels",
                                                     "qrels.trec.txt", "queries.jsonl"]  # fmt: skip
    assert [str(p.relative_to(out)) for p in (out / "monolingual").rglob("*.*")] == ["monolingual/de/mine.txt"]


@pytest.mark.parametrize("content", ["{}", '{"format": "other"}', "[]"])
def test_a_folder_of_something_else_is_refused_and_left_alone(toy, tmp_path, content):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="not empty and not an earlier export"):
        export_mix(toy, Mix(), out)
    (out / "manifest.json").write_text(content)
    with pytest.raises(DataError, match="not an earlier export's"):
        export_mix(toy, Mix(), out)
    assert sorted(p.name for p in out.iterdir()) == ["manifest.json", "thesis.tex"]
    with pytest.raises(DataError, match="cannot be read as a folder"):
        export_mix(toy, Mix(), out / "thesis.tex")


@pytest.mark.parametrize("file", ["../thesis/corpus.jsonl", "/etc/corpus.jsonl", "a/../../corpus.jsonl", "notes.txt"])
def test_a_manifest_cannot_make_an_export_delete_other_files(toy, tmp_path, file):
    out, other = tmp_path / "out", tmp_path / "thesis" / "corpus.jsonl"
    for path in (out, other.parent):
        path.mkdir()
    other.write_text("mine")
    (out / "manifest.json").write_text(json.dumps({"format": export.FORMAT, "files": {file: {}}}))
    with pytest.raises(DataError, match=r"names files that no export writes|would lie outside the folder"):
        export_mix(toy, Mix(), out)
    assert other.read_text() == "mine"


def test_an_empty_folder_is_taken(toy, tmp_path):
    (tmp_path / "out").mkdir()
    assert export_mix(toy, Mix(), tmp_path / "out")["mix"] == "parallel"


@pytest.mark.parametrize("steps", range(5))
def test_a_broken_off_export_has_no_manifest_and_the_next_one_replaces_it(toy, tmp_path, monkeypatch, steps):
    out, real, done = tmp_path / "out", export._write, []
    export_mix(toy, Mix(), out)

    def dying(path, lines):
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(path)
        return real(path, lines)

    monkeypatch.setattr(export, "_write", dying)
    with pytest.raises(KeyboardInterrupt):
        export_mix(toy, Mix.parse("monolingual"), out)
    assert not (out / "manifest.json").exists()
    monkeypatch.undo()
    manifest = export_mix(toy, Mix.parse("bilingual"), out)
    on_disk = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert on_disk == {*manifest["files"], "manifest.json"}


def test_a_full_disk_is_a_clear_error_and_no_manifest(toy, tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setitem(export.WRITERS, "queries.jsonl", full)
    with pytest.raises(CacheError, match=r"queries.jsonl: cannot be written \(No space left on device\)"):
        export_mix(toy, Mix(), tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_a_damaged_text_is_named_and_not_exported(toy, tmp_path):
    path, text = toy.folder / "documents.arrow", DOCUMENTS["de"]["g0"].encode()
    path.write_bytes(path.read_bytes().replace(text, b"#" + text[1:], 1))
    with pytest.raises(DataError, match=r"documents\.arrow: damaged, the text of 'de:g0' is not what was written"):
        export_mix(toy, Mix(), tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_mix_that_leaves_no_query_is_refused_before_anything_is_written(collect, tmp_path):
    toy = collect({"de": {"g": "x"}, "fr": {"g": "y"}}, {"de": {"h": "?"}}, {"h": {"g": 1}})
    for text in ("bilingual", "away(de=1)"):
        with pytest.raises(ConfigError, match="its languages are de, fr"):
            export_mix(toy, Mix.parse(text), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_titles_are_kept(tmp_path, folders):
    folder = folders(tmp_path / "t", {"en": {"g": "text"}}, {"en": {"h": "?"}}, {"h": {"g": 1}})
    row = json.loads((folder / "corpus.jsonl").read_text())
    (folder / "corpus.jsonl").write_text(json.dumps({**row, "title": "Title"}))
    toy = load(str(folder))
    export_mix(toy, Mix(), tmp_path / "out")
    assert load(str(tmp_path / "out")).revision == toy.revision
