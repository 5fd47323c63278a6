"""Texts that look like another language than declared."""

from __future__ import annotations

import sys

import pytest

from mimo_eval.collections import load, validate
from mimo_eval.errors import MissingExtraError

ENGLISH = "The parliament met again on Monday to discuss the budget of the coming year."
GREEK = "Το κοινοβούλιο συνεδρίασε ξανά τη Δευτέρα για να συζητήσει τον προϋπολογισμό."
GERMAN = "Das Parlament trat am Montag wieder zusammen, um über den Haushalt zu beraten."
KIND = "looks like another language"


@pytest.fixture
def detected(check):
    pytest.importorskip("py3langid")

    def run(*texts, queries=(("el", "Τι συζητήθηκε;"),)):
        corpus = [{"_id": f"d{n}", "text": text, "lang": lang} for n, (lang, text) in enumerate(texts)]
        asked = [{"_id": f"q{n}", "text": text, "lang": lang} for n, (lang, text) in enumerate(queries)]
        check(corpus=corpus, queries=asked, qrels="q0\td0\t1\n")
        return lambda folder: validate(str(folder / "bad"), check_languages=True)

    return run


def test_english_declared_as_greek_is_noted_with_file_and_line(detected, tmp_path):
    problems = detected(("el", GREEK), ("el", ENGLISH))(tmp_path)
    assert problems.errors == {}
    assert problems.warnings == {KIND: 1}
    assert problems.examples[KIND] == [f"{tmp_path}/bad/corpus.jsonl:2: d1 is declared el, looks like en"]


def test_queries_are_looked_at_too(detected, tmp_path):
    problems = detected(("el", GREEK), queries=(("el", ENGLISH),))(tmp_path)
    assert problems.examples[KIND] == [f"{tmp_path}/bad/queries.jsonl:1: q0 is declared el, looks like en"]


def test_only_the_declared_languages_and_english_are_told_apart(detected, tmp_path):
    assert detected(("el", GREEK), ("en", GERMAN))(tmp_path).warnings == {}  # of Greek and English it is English
    assert detected(("el", GREEK), ("de", GERMAN), ("en", GERMAN))(tmp_path).warnings == {KIND: 1}
    assert detected(("el", GREEK), ("de", GERMAN), ("en", ENGLISH))(tmp_path).warnings == {}


def test_short_texts_and_numbers_are_left_alone(detected, tmp_path):
    assert detected(("el", GREEK), ("el", "The parliament met again."), ("el", "1939 " * 50))(tmp_path).warnings == {}


def test_a_language_the_detector_does_not_know_is_left_alone(detected, tmp_path):
    assert detected(("el", GREEK), ("tlh", ENGLISH))(tmp_path).warnings == {}
    assert detected(("en", ENGLISH), queries=(("en", "Why?"),))(tmp_path).warnings == {}


def test_bad_content_does_not_stop_the_check(detected, tmp_path):
    problems = detected(("el", ENGLISH), ("xx", ENGLISH), ("", ENGLISH))(tmp_path)
    assert problems.counts[KIND] == 1
    assert set(problems.errors) == {"unknown language", "no language"}


def test_without_being_asked_nothing_is_detected(check):
    assert check(corpus=[{"_id": "d1", "text": ENGLISH, "lang": "el"}]).warnings.get(KIND) is None


def test_the_detector_is_left_as_it_was(detected, tmp_path):
    import py3langid

    detected(("el", GREEK))(tmp_path)
    assert py3langid.classify(GERMAN)[0] == "de"


def test_a_missing_detector_is_named_with_the_install_line(check, tmp_path, monkeypatch):
    check()
    monkeypatch.setitem(sys.modules, "py3langid", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mimo-eval\[langid\]'"):
        validate(str(tmp_path / "bad"), check_languages=True)


def test_the_embedded_collection_passes():
    pytest.importorskip("py3langid")
    assert validate("mini", check_languages=True).counts == {}


def test_validating_leaves_the_collection_ready(check, tmp_path, monkeypatch):
    check()
    monkeypatch.setattr("mimo_eval.collections.folder.read_texts", None)
    assert len(load(str(tmp_path / "bad")).documents) == 3
