"""The shared readers, from files in memory's size."""

from __future__ import annotations

import pytest

from mimo_eval.collections.jsonl import clean, find_file, read_judgements, read_texts
from mimo_eval.collections.records import Problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\u0301 b", "á b"), ("\ufeffa\u200b\u2060b", "ab"), (" a \t\n\u00a0b ", "a b"), ("", ""), ("ｆｕｌｌ", "ｆｕｌｌ")],
)
def test_clean_is_nfc_with_single_spaces_and_nothing_invisible(text, expected):
    assert clean(text) == expected


def test_the_first_name_wins_and_plain_before_packed(tmp_path, put):
    for name in ("b.tsv", "a.tsv.zst", "a.tsv.gz"):
        put(tmp_path / name, "")
    (tmp_path / "a.tsv").mkdir()
    assert find_file(tmp_path, "a.tsv", "b.tsv") == tmp_path / "a.tsv.gz"
    assert find_file(tmp_path, "c") is None


def test_texts_carry_file_and_line_past_empty_lines(tmp_path, put):
    path = put(tmp_path / "t.jsonl", '\n{"_id": 1, "text": "a", "lang": "de"}\n  \n{"id": "x", "query": "b", "group": 3}\n')
    first, second = read_texts(path, Problems(), "fr")
    assert first == ("1", "a", "de", None, "", f"{path}:2")
    assert second == ("x", "b", "fr", "3", "", f"{path}:4")


def test_an_empty_group_is_none(tmp_path, put):
    path = put(tmp_path / "t.jsonl", [{"_id": "1", "text": "a", "group": "", "title": None}])
    assert next(read_texts(path, Problems())).group is None


def test_a_query_whose_name_starts_like_a_heading_is_no_heading(tmp_path, put):
    path = put(tmp_path / "q.txt", "query1 0 doc1 1\nquery2 0 doc1 0\n")
    assert [j[:3] for j in read_judgements(path, Problems())] == [("query1", "doc1", 1), ("query2", "doc1", 0)]


@pytest.mark.parametrize("relevance", ["-1", "+2", "0", "007"])
def test_whole_numbers_are_relevances(tmp_path, put, relevance):
    path = put(tmp_path / "q.txt", f"q 0 d {relevance}\n")
    assert next(read_judgements(path, Problems())).relevance == int(relevance)


@pytest.mark.parametrize("relevance", ["1.0", "1_0", "١", "1e3", "nan", "2147483648", "9" * 5000])
def test_anything_else_is_not(tmp_path, put, relevance):
    problems = Problems()
    assert list(read_judgements(put(tmp_path / "q.txt", f"q 0 d {relevance}\n"), problems)) == []
    assert problems.errors == {"relevance is not an integer": 1}


def test_judgements_of_two_columns_are_refused(tmp_path, put):
    problems = Problems()
    assert list(read_judgements(put(tmp_path / "q.txt", "q d\nq d\n"), problems)) == []
    assert problems.errors == {"unreadable line": 2}
