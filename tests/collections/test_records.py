"""Every kind of problem: noted with its file, line and count, and refused or lived with as its kind says."""

from __future__ import annotations

import gzip
import json
import os

import pytest
import zstandard

from mimo_eval.collections import Problems, load, validate
from mimo_eval.collections.records import ERRORS, WARNINGS
from mimo_eval.errors import DataError

DOCUMENT = {"_id": "d1", "text": "Tea", "lang": "en"}
HEADER = "query-id\tcorpus-id\tscore\n"


def lines(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


CASES = {
    "duplicate id": ("corpus", lines(DOCUMENT, {**DOCUMENT, "text": "Other"}), "corpus.jsonl:2: d1 (first at ", 1),
    "ids equal once the language is before them": (
        "corpus",
        lines({**DOCUMENT, "_id": "en:d1"}, DOCUMENT),
        "corpus.jsonl:2: d1 (first at ",
        1,
    ),
    "orphan query": ("qrels", HEADER + "q1\td1\t1\nq9\td1\t1\n", "test.tsv:3: no query 'q9'", 1),
    "orphan document": ("qrels", HEADER + "q1\td9\t1\n", "test.tsv:2: no document 'd9'", 1),
    "orphan group": ("qrels", "query_group\tdoc_group\trel\nq-tea\ttee\t1\n", "test.tsv:2: no document group 'tee'", 1),
    "empty text": ("corpus", lines(DOCUMENT, {**DOCUMENT, "_id": "e", "text": ""}), "corpus.jsonl:2: e", 1),
    "white-space text": ("corpus", lines(DOCUMENT, {**DOCUMENT, "_id": "e", "text": " \t\u3000"}), "corpus.jsonl:2: e", 1),
    "unknown language": (
        "corpus",
        lines(DOCUMENT, {**DOCUMENT, "_id": "x", "lang": "xx"}),
        "corpus.jsonl:2: 'xx' of x",
        1,
    ),
    "no language": ("corpus", lines(DOCUMENT, {"_id": "x", "text": "y"}), "corpus.jsonl:2: x", 1),
    "two texts of one group in one language": (
        "corpus",
        lines({**DOCUMENT, "group": "g"}, {**DOCUMENT, "_id": "d7", "group": "g"}),
        "corpus.jsonl:2: en g (first at ",
        1,
    ),
    "broken UTF-8": ("corpus", lines(DOCUMENT).encode() + b'{"_id": "\xff"}\n', "corpus.jsonl:2", 1),
    "UTF-16": ("corpus", b"\xff\xfe" + lines(DOCUMENT).encode("utf-16-le"), "corpus.jsonl:1", 1),
    "half a surrogate pair": ("corpus", lines(DOCUMENT, '{"_id": "x", "text": "\\ud83d", "lang": "en"}'), "corpus.jsonl:2", 1),
    "NUL byte": ("corpus", lines(DOCUMENT).encode() + b'{"_id": "x\0"}\n', "corpus.jsonl:2", 1),
    "escaped NUL": ("corpus", lines(DOCUMENT, {**DOCUMENT, "_id": "x", "title": "\0"}), "corpus.jsonl:2: 'x'", 1),
    "malformed JSON": ("corpus", lines(DOCUMENT, '{"_id": "x", "text": '), "corpus.jsonl:2: Expecting value", 1),
    "an array": ("corpus", lines(DOCUMENT, "[1]", "7"), "corpus.jsonl:2: not a JSON object", 2),
    "deep nesting": ("corpus", lines(DOCUMENT, "[" * 100_000), "corpus.jsonl:2: ", 1),
    "endless number": ("corpus", lines(DOCUMENT, '{"_id": ' + "1" * 5000 + "}"), "corpus.jsonl:2: Exceeds", 1),
    "a list for a text": ("corpus", lines(DOCUMENT, {**DOCUMENT, "_id": "x", "text": ["a"]}), "corpus.jsonl:2: text is not", 1),
    "true for an id": ("corpus", lines(DOCUMENT, {**DOCUMENT, "_id": True}), "corpus.jsonl:2: id is not a string", 1),
    "no id": ("corpus", lines(DOCUMENT, {"text": "x", "lang": "en"}), "corpus.jsonl:2: found text, lang", 1),
    "empty id": ("corpus", lines(DOCUMENT, {**DOCUMENT, "_id": ""}), "corpus.jsonl:2: id", 1),
    "extra tab": ("qrels", HEADER + "q1\td1\t1\nq1\td1\t1\t\n", "test.tsv:3: 4 columns, expected 3", 1),
    "missing tab": ("qrels", HEADER + "q1\td11\n", "test.tsv:2: 2 columns, expected 3", 1),
    "relevance is not an integer": ("qrels", HEADER + "q1\td1\t0.5\nq2\td1\tyes\n", "test.tsv:2: '0.5'", 2),
    "relevance beyond 32 bits": ("qrels", HEADER + "q1\td1\t99999999999\n", "test.tsv:2: '99999999999'", 1),
    "id with white space": ("corpus", lines(DOCUMENT, {**DOCUMENT, "_id": "d 2"}), "corpus.jsonl:2: 'd 2'", 1),
    "invisible text": (
        "corpus",
        lines(DOCUMENT, {**DOCUMENT, "_id": "e", "text": "\u200b\ufeff \u2060"}),
        "corpus.jsonl:2: e",
        1,
    ),
    "no judgements": ("qrels", "", "qrels/test.tsv", 1),
    "a header alone": ("qrels", HEADER, "qrels/test.tsv", 1),
    "only judgements of 0 and below": ("qrels", HEADER + "q1\td1\t0\nq2\td1\t-1\n", "qrels/test.tsv:2", 1),
    "no texts": ("corpus", "", "corpus.jsonl", 1),
}
KINDS = {
    "ids equal once the language is before them": "duplicate id",
    "orphan query": "orphan judgement",
    "orphan document": "orphan judgement",
    "orphan group": "orphan judgement",
    "white-space text": "empty text",
    "invisible text": "empty text",
    "a header alone": "no judgements",
    "only judgements of 0 and below": "no judgements",
    "UTF-16": "broken UTF-8",
    "half a surrogate pair": "broken UTF-8",
    "escaped NUL": "NUL byte",
    "malformed JSON": "unreadable line",
    "an array": "unreadable line",
    "deep nesting": "unreadable line",
    "endless number": "unreadable line",
    "a list for a text": "unreadable line",
    "true for an id": "unreadable line",
    "extra tab": "unreadable line",
    "missing tab": "unreadable line",
    "no id": "missing field",
    "empty id": "missing field",
    "relevance beyond 32 bits": "relevance is not an integer",
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_is_noted_with_its_place_and_count_and_loading_refuses(tmp_path, beir, case):
    file, content, place, count = CASES[case]
    kind = KINDS.get(case, case)
    folder = beir(tmp_path / "bad", **{file: content})
    problems = validate(str(folder))
    assert problems.errors[kind] == count
    assert place in problems.examples[kind][0]
    assert str(folder) in problems.examples[kind][0]
    with pytest.raises(DataError) as refused:
        load(str(folder))
    assert f"error: {kind}: {count} ({ERRORS[kind]})" in str(refused.value)
    assert place in str(refused.value)


def test_every_kind_of_error_is_tried_here():
    assert {KINDS.get(case, case) for case in CASES} == set(ERRORS) - {"unreadable file"}


def test_judgements_that_cannot_be_read_are_not_called_missing(check):
    assert check(qrels=HEADER + "q1\td1\tyes\n").errors == {"relevance is not an integer": 1}
    assert check(qrels=HEADER + "q9\td1\t1\n").errors == {"orphan judgement": 1}
    assert set(check(corpus="", qrels=HEADER).errors) == {"no texts"}
    assert check(qrels="", corpus=lines(DOCUMENT, "{")).errors == {"unreadable line": 1, "no judgements": 1}


@pytest.mark.parametrize("title", ["\u200b", "Tea"])
def test_a_text_is_not_empty_if_its_title_can_be_seen(check, title):
    problems = check(corpus=lines({**DOCUMENT, "text": "\u200b", "title": title}))
    assert problems.errors == ({} if title == "Tea" else {"empty text": 1})


@pytest.mark.parametrize("text", ["\u200bTea", "?", "…", "茶", "\u0301"])
def test_a_text_with_anything_visible_is_not_empty(check, text):
    assert check(corpus=lines({**DOCUMENT, "text": text})).errors == {}


def test_a_duplicate_id_is_not_called_a_group_with_two_texts_as_well(check):
    assert check(corpus=lines(DOCUMENT, DOCUMENT, DOCUMENT)).errors == {"duplicate id": 2}


def test_an_id_in_two_languages_is_ambiguous_where_ids_are_judged(check):
    problems = check(corpus=lines(DOCUMENT, {**DOCUMENT, "lang": "de"}))
    assert problems.errors == {"duplicate id": 1}
    assert "a folder each" in "\n".join(problems.lines())


@pytest.mark.parametrize("cut", [1, 20, 60])
@pytest.mark.parametrize("packed", [".gz", ".zst"])
@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_truncated_file_is_an_error_and_the_others_are_still_read(tmp_path, beir, packed, file, cut):
    folder = beir(tmp_path / "bad", packed=packed)
    path = folder / f"{file}{packed}"
    path.write_bytes(path.read_bytes()[: -min(cut, path.stat().st_size - 15)])
    problems = validate(str(folder))
    assert problems.errors["unreadable file"] >= 1
    assert f"{path}: truncated or damaged {packed} file" in problems.examples["unreadable file"][0]
    with pytest.raises(DataError, match="truncated or damaged"):
        load(str(folder))


def test_a_file_that_is_not_what_its_name_says_is_an_error(tmp_path, beir):
    folder = beir(tmp_path / "bad")
    (folder / "corpus.jsonl").rename(folder / "corpus.jsonl.gz")
    (folder / "queries.jsonl").rename(folder / "queries.jsonl.zst")
    problems = validate(str(folder))
    assert problems.errors["unreadable file"] == 2


def test_an_over_long_line_is_named_and_not_held(check):
    problems = check(corpus=lines(DOCUMENT) + '{"text": "' + "x" * (8 * 2**20))
    assert "corpus.jsonl:2: line longer than 8 MiB" in problems.examples["unreadable file"][0]


def test_several_files_may_be_read_from_frames_and_members(tmp_path, beir):
    folder = beir(tmp_path / "a")
    data = (folder / "corpus.jsonl").read_bytes()
    (folder / "corpus.jsonl").unlink()
    half = data.index(b"\n") + 1
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(data[:half]) + gzip.compress(data[half:]))
    assert len(load(str(folder)).documents) == 3
    (folder / "corpus.jsonl.gz").unlink()
    packed = [zstandard.ZstdCompressor().compress(part) for part in (data[:half], data[half:])]
    (folder / "corpus.jsonl.zst").write_bytes(b"".join(packed))
    assert len(load(str(folder)).documents) == 3


def test_warnings_are_counted_and_loading_goes_on(tmp_path, beir):
    corpus = b"\xef\xbb\xbf" + lines(DOCUMENT, {**DOCUMENT, "_id": "d2"}).replace("\n", "\r\n").encode()
    queries = [{"_id": f"q{n}", "text": "?", "lang": "en", "group": "q"} for n in (1,)] + [
        {"_id": "q2", "text": "?", "lang": "de", "group": "q"},
        {"_id": "q3", "text": "?", "lang": "de"},
    ]
    folder = beir(tmp_path / "odd", corpus, queries, HEADER + "q1\td1\t1\nq2\td1\t2\nq1\td2\t0\n")
    problems = validate(str(folder))
    assert problems.errors == {}
    assert problems.warnings == {
        "byte-order mark": 1,
        "CR-LF line end": 1,
        "query without a relevant document": 1,
        "judgements differ within a group": 1,
    }
    assert problems.examples["byte-order mark"] == [f"{folder}/corpus.jsonl:1"]
    assert problems.examples["CR-LF line end"] == [f"{folder}/corpus.jsonl:2"]
    assert problems.examples["query without a relevant document"] == [f"{folder}/queries.jsonl:3: de:q3"]
    assert problems.examples["judgements differ within a group"] == [
        f"{folder}/qrels/test.tsv:3: q en:d1 is 2, and 1 at {folder}/qrels/test.tsv:2"
    ]
    found = load(str(folder))
    assert found.problems == problems.warnings
    assert found.documents.ids() == ["en:d1", "en:d2"]
    assert found.qrels["relevance"].tolist() == [2, 0]


def test_a_clean_collection_has_no_problems(check):
    problems = check()
    assert problems.counts == {}
    assert list(problems.lines()) == []


def test_only_the_first_places_are_kept_but_all_are_counted(check):
    problems = check(corpus=lines(DOCUMENT, *[{**DOCUMENT, "_id": f"e{n}", "text": ""} for n in range(1234)]))
    assert problems.errors == {"empty text": 1234}
    assert len(problems.examples["empty text"]) == 5
    assert next(iter(problems.lines())) == "error: empty text: 1,234 (remove the line or give it a text)"


def test_all_problems_of_a_collection_are_reported_at_once(check):
    corpus = lines(DOCUMENT, {**DOCUMENT, "_id": "e", "text": ""}, "{", {**DOCUMENT, "_id": "x", "lang": "xx"})
    problems = check(corpus=corpus, queries=lines({"_id": "q1", "text": "?", "lang": "en"}, "}"), qrels="q1\td1\tx\n")
    assert problems.errors == {
        "empty text": 1,
        "unreadable line": 2,
        "unknown language": 1,
        "relevance is not an integer": 1,
    }


def test_an_unknown_kind_is_the_programmers_mistake():
    with pytest.raises(KeyError):
        Problems().add("odd", "here")
    assert not set(ERRORS) & set(WARNINGS)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_an_error(tmp_path, beir):
    folder = beir(tmp_path / "bad")
    (folder / "corpus.jsonl").chmod(0)
    with pytest.raises(DataError, match=r"corpus\.jsonl"):
        load(str(folder))
