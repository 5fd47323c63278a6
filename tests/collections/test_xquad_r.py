"""XQuAD and LAReQA in the official layout, made by hand, and the real files where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mimo_eval.collections import load, validate
from mimo_eval.collections.xquad_r import is_xquad
from mimo_eval.errors import ConfigError, DataError

# looked at before a fixture hides it
ROOT = os.environ.get("MIMO_EVAL_DATA")

CONTEXT = {"en": "Bees  make honey. Cows give milk.", "de": "Bienen machen Honig. Kühe geben Milch."}
BREAKS = {"en": [[0, 17], [18, 33]], "de": [[0, 20], [21, 39]]}
START = {"en": (0, 28), "de": (14, 21)}
QUESTIONS = {"en": ("Who makes honey?", "What do cows give?"), "de": ("Wer macht Honig?", "Was geben Kühe?")}


def squad(lang, breaks=True):
    answers = [[{"answer_start": start, "text": "?"}] for start in START[lang]]
    qas = [
        {"id": f"q{n}", "question": question, "answers": answer}
        for n, (question, answer) in enumerate(zip(QUESTIONS[lang], answers, strict=True))
    ]
    paragraph = {"context": CONTEXT[lang], "qas": qas, **({"sentence_breaks": BREAKS[lang]} if breaks else {})}
    return {"data": [{"title": "Farm", "paragraphs": [paragraph]}], "version": "1.1"}


@pytest.fixture
def official(tmp_path, put):
    for lang in CONTEXT:
        put(tmp_path / "x" / "xquad" / f"xquad.{lang}.json", json.dumps(squad(lang, breaks=False)))
        put(tmp_path / "x" / "lareqa" / f"{lang}.json", json.dumps(squad(lang)))
    return tmp_path / "x"


@pytest.fixture
def cleaned(tmp_path, put):
    texts = {lang: " ".join(text.split()) for lang, text in CONTEXT.items()}
    folder = tmp_path / "y"
    put(
        folder / "corpus.jsonl.gz",
        [{"docid": f"xq00-0-{la}", "title": "Farm", "text": t, "lang": la, "group": "xq00-0"} for la, t in texts.items()],
    )
    put(
        folder / "queries.jsonl.gz",
        [
            {"qid": f"q{n}-{lang}", "text": text, "lang": lang, "group": f"q{n}"}
            for lang, both in QUESTIONS.items()
            for n, text in enumerate(both)
        ],
    )
    put(folder / "qrels.tsv", "query_group\tpara_group\trel\nq0\txq00-0\t1\nq1\txq00-0\t1\n")
    sentences = [
        {"docid": f"xq00-0-{lang}-s{n:02d}", "text": f"{text.rstrip('.')}.", "lang": lang, "group": "xq00-0", "sent": n}
        for lang, whole in texts.items()
        for n, text in enumerate(whole.split(". "))
    ]
    put(folder / "sentences.jsonl.gz", sentences)
    answers = {"en": (0, 1), "de": (0, 1)}
    rows = [f"q{q}\t{lang}\txq00-0-{lang}-s{s:02d}\t1" for lang, both in answers.items() for q, s in enumerate(both)]
    put(folder / "qrels_sentences.tsv", "\n".join(["query_group\tlang\tsent_docid\trel", *rows, ""]))
    return folder


def test_official_paragraphs_are_parallel_and_without_the_english_title(official):
    found = load("xquad-r", data=official)
    assert found.documents.ids() == ["de:xq00-0-de", "en:xq00-0-en"]
    assert found.documents.read([1]) == ["Bees make honey. Cows give milk."]
    assert found.qrels.values.tolist() == [["q0", "xq00-0", 1], ["q1", "xq00-0", 1]]
    assert found.counts()["queries"] == {"de": 2, "en": 2}


def test_official_sentences_hold_the_first_character_of_the_answer(official):
    found = load("xquad-r(level=sentence)", data=official)
    assert found.documents.read([0, 1, 2, 3]) == [
        "Bienen machen Honig.",
        "Kühe geben Milch.",
        "Bees make honey.",
        "Cows give milk.",
    ]
    relevant = {(q, d) for q, d, _ in found.qrels.values.tolist()}
    assert relevant == {(f"q{n}", f"{la}:xq00-0-{la}-s0{n}") for la in CONTEXT for n in (0, 1)}


def test_a_sentence_may_be_followed_by_its_paragraph(official):
    found = load("xquad-r(level=sentence,context=true)", data=official)
    assert found.documents.read([3]) == ["Cows give milk. Bees make honey. Cows give milk."]


@pytest.mark.parametrize("level", ["paragraph", "sentence"])
@pytest.mark.parametrize("languages", [None, ("de",)])
def test_official_and_cleaned_files_are_one_collection(official, cleaned, level, languages):
    both = [load(f"xquad-r(level={level})", data=data, languages=languages) for data in (official, cleaned)]
    assert both[0].revision == both[1].revision
    assert both[0].problems == both[1].problems == {}


def test_the_folder_alone_is_recognised(official, cleaned, put, tmp_path):
    assert load(str(official)).name == load(str(cleaned)).name == "xquad-r"
    assert is_xquad(official / "xquad")
    assert not is_xquad(tmp_path)


@pytest.mark.parametrize("place", ["xquad", "lareqa", "xquad-r", "."])
def test_lareqas_files_are_recognised_wherever_they_are_read(tmp_path, put, place):
    content = squad("en")
    content["data"][0]["paragraphs"][0] = dict(sorted(content["data"][0]["paragraphs"][0].items(), reverse=True))
    put(tmp_path / "z" / place / "en.json", json.dumps(content, indent=1))
    assert load(str(tmp_path / "z")).documents.ids() == ["en:xq00-0-en"]


@pytest.mark.parametrize(
    "content",
    [
        b'{"greeting": "Hello", "context": "x", "qas": []}',
        b'{"data": [{"context": "x"}]}',
        b'[{"data": [{"paragraphs": [{"context": "x"}]}]}]',
        b'{"paragraphs": [{"context": "x"}]}',
        b'{"data": [{"paragraphs": ["context"]}]}',
        b"\xff\xfe\x00",
        b"",
        b'{"hello": "' + b"x" * 2**16 + b'", "data": [{"paragraphs": [{"context": "x"}]}]}',
    ],
)
def test_other_json_named_after_a_language_is_not_taken_for_it(tmp_path, put, content):
    put(tmp_path / "en.json", content)
    put(tmp_path / "lareqa" / "de.json", content)
    (tmp_path / "ar.json").mkdir()
    assert not is_xquad(tmp_path)


def test_a_users_folder_with_such_a_file_beside_stays_a_folder(tmp_path, put, beir):
    folder = beir(tmp_path / "tea")
    put(folder / "en.json", json.dumps(squad("en")))
    assert load(str(folder)).name == "tea"


def test_languages_that_are_not_there_are_named_with_the_remedy(official, cleaned):
    for asked in (("el", "ar", "en", "de"), ("el", "ar", "de"), ("el", "ar")):
        with pytest.raises(DataError, match=r"xquad-r has no texts in ar, el; it has de, en: use --languages de,en$"):
            load("xquad-r", data=official, languages=asked)
    with pytest.raises(DataError, match=r"xquad-r has no texts in el; of those asked for it has de: use --languages de$"):
        load("xquad-r", data=cleaned, languages=("el", "de"))


def test_the_lareqa_files_alone_serve_both_levels(official):
    assert len(load("xquad-r", data=official / "lareqa").documents) == 2
    assert len(load("xquad-r(level=sentence)", data=official / "lareqa").documents) == 4


def test_sentences_need_lareqas_files(official):
    with pytest.raises(DataError, match=r"xquad.de.json: article 0, paragraph 0: no 'sentence_breaks'"):
        load("xquad-r(level=sentence)", data=official / "xquad")


def test_what_is_wrong_with_a_choice_is_said(official, tmp_path):
    with pytest.raises(ConfigError, match="no level 'word'; choose paragraph or sentence"):
        load("xquad-r(level=word)", data=official)
    with pytest.raises(DataError, match="neither xquad"):
        load("xquad-r", data=tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load("xquad-r", data=tmp_path / "absent")


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"data": 7}',
        '{"data": [{"title": "x"}]}',
        '{"data": [{"paragraphs": [{"qas": []}]}]}',
        '{"data": [{"paragraphs": [{"context": 7, "qas": []}]}]}',
        '{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "1"}]}]}]}',
        '{"data": [{"paragraphs": ["x"]}]}',
        "{",
        "",
    ],
)
def test_json_in_another_layout_is_refused_with_its_place(tmp_path, put, content):
    path = put(tmp_path / "z" / "xquad.en.json", content)
    with pytest.raises(DataError, match=r"xquad\.en\.json"):
        load("xquad-r", data=path.parent)
    problems = validate("xquad-r", data=path.parent)
    assert problems.errors == {"unreadable file": 1}


@pytest.mark.parametrize("answers", [[], [{}], [{"answer_start": "x"}], None])
def test_a_question_without_an_answer_is_refused_at_sentence_level(tmp_path, put, answers):
    content = squad("en")
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"] = answers
    path = put(tmp_path / "z" / "en.json", json.dumps(content))
    with pytest.raises(DataError, match="paragraph 0: not in SQuAD's layout"):
        load("xquad-r(level=sentence)", data=path.parent)


def test_a_bad_line_of_the_sentence_judgements_is_named(cleaned):
    path = cleaned / "qrels_sentences.tsv"
    path.write_text(path.read_text() + "q0\ten\txq00-0-en-s00\tone\nq0\ten\n")
    problems = validate("xquad-r(level=sentence)", data=cleaned)
    assert problems.errors == {"relevance is not an integer": 1, "unreadable line": 1}
    assert problems.examples["unreadable line"] == [f"{path}:7: 2 columns, expected 4"]


@pytest.mark.data
@pytest.mark.skipif(not ROOT, reason="MIMO_EVAL_DATA is not set")
class TestRealFiles:
    def test_the_paragraphs_are_240_in_twelve_languages(self):
        found = load("xquad-r", data=Path(ROOT) / "xquad-r")
        counts = found.counts()
        assert counts["documents"] == dict.fromkeys(found.languages, 240)
        assert counts["queries"] == dict.fromkeys(found.languages, 1190)
        assert len(found.languages) == 12
        assert (counts["document_groups"], counts["query_groups"], counts["judgements"]) == (240, 1190, 1190)
        assert found.problems == {}

    def test_the_sentences_are_13_014_in_eleven_languages(self):
        found = load("xquad-r(level=sentence)", data=Path(ROOT) / "xquad-r")
        assert len(found.documents) == 13_014
        assert len(found.documents.languages) == 11

    @pytest.mark.parametrize("level", ["paragraph", "sentence"])
    def test_official_and_cleaned_files_have_one_content_hash(self, level):
        languages = ("de", "en", "zh")
        official = load(f"xquad-r(level={level})", data=Path(ROOT) / "xquad-official", languages=languages)
        cleaned = load(f"xquad-r(level={level})", data=Path(ROOT) / "xquad-r", languages=languages)
        assert official.revision == cleaned.revision

    def test_tydi_is_read_as_a_folder_with_its_table_of_groups(self):
        found = load(str(Path(ROOT) / "tydiqa-goldp"))
        assert (len(found.documents), len(found.queries)) == (10_800, 12_990)
