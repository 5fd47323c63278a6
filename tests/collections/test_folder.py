"""Every layout that `folder` reads."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from mimo_eval.collections import load, source_for, validate
from mimo_eval.collections.folder import find_parts
from mimo_eval.errors import ConfigError, DataError

TINY = [{"_id": "1", "text": "Tee"}], [{"_id": "7", "text": "Was?"}]
HEADER = "query-id\tcorpus-id\tscore\n"


def judged(collection):
    return [tuple(row) for row in collection.qrels.itertuples(index=False)]


def test_a_flat_folder_gives_languages_groups_and_judgements(tmp_path, beir):
    found = load(str(beir(tmp_path / "tea")))
    assert found.name == "tea"
    assert found.languages == ("de", "en")
    assert found.documents.ids() == ["en:d1", "de:d2", "en:d3"]
    assert found.documents.read([0, 2]) == ["Tea Tea is a drink.", "A bridge crosses a river."]
    assert judged(found) == [("q-tea", "tea", 1)]
    assert found.counts() == {
        "documents": {"de": 1, "en": 2},
        "queries": {"de": 1, "en": 1},
        "document_groups": 2,
        "query_groups": 1,
        "judgements": 1,
    }
    assert found.parallel


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_packing_changes_nothing(tmp_path, beir, packed):
    plain = load(str(beir(tmp_path / "plain")))
    assert load(str(beir(tmp_path / "packed", packed=packed))).revision == plain.revision


def test_without_group_every_text_is_its_own_group(tmp_path, beir):
    corpus = [{"_id": "1", "text": "Tea", "lang": "en"}, {"_id": "2", "text": "Tee", "lang": "de"}]
    queries = [{"_id": "q", "text": "Drink?", "lang": "en"}]
    found = load(str(beir(tmp_path / "own", corpus, queries, HEADER + "q\t2\t1\n")))
    assert judged(found) == [("en:q", "de:2", 1)]
    assert not found.parallel


def test_one_folder_per_language_may_repeat_ids(tmp_path, beir):
    for lang in ("de", "en"):
        beir(tmp_path / "two" / lang, *TINY, HEADER + "7\t1\t1\n")
    found = load(str(tmp_path / "two"))
    assert found.documents.ids() == ["de:1", "en:1"]
    assert judged(found) == [("de:7", "de:1", 1), ("en:7", "en:1", 1)]


def test_a_folder_of_another_spelling_of_the_language_is_the_same(tmp_path, beir):
    beir(tmp_path / "short" / "de", *TINY, HEADER + "7\t1\t1\n")
    beir(tmp_path / "long" / "deu_Latn", *TINY, HEADER + "7\t1\t1\n")
    texts = [[{**row, "lang": "de-DE"} for row in rows] for rows in TINY]
    beir(tmp_path / "named" / "de", *texts, HEADER + "7\t1\t1\n")
    assert len({load(str(tmp_path / name)).revision for name in ("short", "long", "named")}) == 1


def test_folders_per_language_share_groups(tmp_path, beir):
    for lang in ("de", "en"):
        beir(
            tmp_path / "two" / lang,
            [{"_id": "1", "text": lang, "group": "g"}],
            [{"_id": "7", "text": "?", "group": "h"}],
            "query_group\tdoc_group\trel\nh\tg\t1\n",
        )
    assert judged(load(str(tmp_path / "two"))) == [("h", "g", 1)]


@pytest.mark.parametrize(
    ("name", "qrels"),
    [
        ("qrels.txt", "q1 0 d1 1\n"),
        ("qrels.trec", "q1\t0\td1\t1\n"),
        ("qrels", "q1 0 d1 1\n"),
        ("qrels.tsv", "q1\td1\t1\n"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n"),
        ("qrels.tsv", "query_id\titeration\tdoc_id\trelevance\nq1\t0\td1\t1\n"),
        ("qrels.tsv", "QID\tPID\tRel\nq1\td1\t1\n"),
        ("qrels.tsv", "query_group\tpara_group\trel\tsplit\nq-tea\ttea\t1\tdev\n"),
        ("qrels.tsv", "query_group\tlang\tdoc_group\trel\nq-tea\tde\ttea\t1\n"),
        ("qrels/dev.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n"),
        ("qrels/odd.txt", "q1 Q0 d1 1\n"),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_judgements_may_be_trec_beir_or_a_table_of_groups(tmp_path, beir, name, qrels, packed):
    found = load(str(beir(tmp_path / "tea", qrels=qrels, name=name, packed=packed)))
    assert judged(found) == [("q-tea", "tea", 1)]


def test_a_split_is_chosen_by_name_and_is_test_by_default(tmp_path, beir, put):
    folder = beir(tmp_path / "tea")
    put(folder / "qrels/train.tsv", HEADER + "q1\td3\t1\n")
    assert judged(load(str(folder))) == [("q-tea", "tea", 1)]
    assert judged(load("folder(split=train)", data=folder)) == [("q-tea", "bridge", 1)]
    with pytest.raises(DataError, match=r"no split 'tset'; there are: test, train"):
        load("folder(split=tset)", data=folder)


def test_several_splits_without_a_usual_name_must_be_chosen(tmp_path, beir, put):
    folder = beir(tmp_path / "tea", name="qrels/a.tsv")
    put(folder / "qrels/b.tsv", HEADER)
    with pytest.raises(DataError, match="choose a split: a, b"):
        load(str(folder))


def test_only_wanted_languages_are_read(tmp_path, beir):
    folder = beir(tmp_path / "tea", qrels=HEADER + "q1\td1\t1\nq2\td2\t1\n")
    found = load(str(folder), languages=("deu",))
    assert found.documents.ids() == ["de:d2"]
    assert found.problems == {}
    with pytest.raises(DataError, match=r"has no texts in fr; it has de, en: use --languages de,en$"):
        load(str(folder), languages=("de", "fr", "en"))
    for asked in (("fr",), ("de", "fr")):
        with pytest.raises(DataError, match=r"has no texts in fr; it has de, en: use --languages de,en$"):
            load(str(folder), languages=asked)
        assert [why for why in validate(str(folder), languages=asked).examples["unreadable file"] if "it has de, en" in why]


def test_a_language_of_queries_alone_is_a_language_of_the_folder(tmp_path, beir):
    corpus, queries = [{"_id": "1", "text": "Tea", "lang": "en"}], [{"_id": "q", "text": "Was?", "lang": "de"}]
    folder = beir(tmp_path / "cross", corpus, queries, HEADER + "q\t1\t1\n")
    assert load(str(folder), languages=("en", "de")).languages == ("de", "en")


def test_groups_without_a_version_in_a_wanted_language_are_no_orphans(tmp_path, beir):
    qrels = "query_group\tdoc_group\trel\nq-tea\ttea\t1\nq-tea\tbridge\t1\n"
    found = load(str(beir(tmp_path / "tea", qrels=qrels)), languages=("de",))
    assert judged(found) == [("q-tea", "tea", 1)]


def test_ids_may_repeat_across_languages_of_a_flat_file_if_groups_are_judged(tmp_path, beir):
    corpus = [{"_id": "1", "text": lang, "lang": lang, "group": "g"} for lang in ("de", "en")]
    queries = [{"_id": "1", "text": lang, "lang": lang, "group": "h"} for lang in ("de", "en")]
    folder = beir(tmp_path / "flat", corpus, queries, "query_group\tdoc_group\trel\nh\tg\t1\n")
    assert load(str(folder)).documents.ids() == ["de:1", "en:1"]


def test_field_names_of_other_tools_are_understood(tmp_path, beir):
    corpus = [{"docid": 1, "contents": "Tee", "language": "de"}]
    queries = [{"qid": 7, "query": "Was?", "lang_code": "deu"}]
    assert judged(load(str(beir(tmp_path / "odd", corpus, queries, "7 0 1 2\n", name="qrels.txt")))) == [("de:7", "de:1", 2)]


def test_a_folder_without_a_layout_is_told_what_is_expected(tmp_path, put):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no corpus.jsonl here or in a folder per language"):
        load(str(tmp_path / "empty"))
    put(tmp_path / "half" / "corpus.jsonl", "")
    with pytest.raises(DataError, match=r"half: no queries.jsonl"):
        find_parts(tmp_path / "half")
    put(tmp_path / "half" / "queries.jsonl", "")
    with pytest.raises(DataError, match=r"half: no qrels"):
        find_parts(tmp_path / "half")
    with pytest.raises(DataError, match="no such folder"):
        load(str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"unknown collection 'absent'.* or give the folder of a collection of yours"):
        load("absent")
    with pytest.raises(DataError, match=r"corpus.jsonl is a file, not a folder; .* --data "):
        load(str(tmp_path / "half" / "corpus.jsonl"))
    put(tmp_path / "strange" / "backup" / "corpus.jsonl", "")
    with pytest.raises(DataError, match=r"backup: a folder per language .* 'backup' is not a language code"):
        load(str(tmp_path / "strange"))


def test_options_that_do_not_exist_are_named(tmp_path, beir):
    folder = beir(tmp_path / "tea")
    with pytest.raises(
        ConfigError, match=r"unknown argument 'spilt' of folder \(did you mean 'split'\?\); it takes split, name$"
    ):
        load("folder(spilt=test)", data=folder)
    with pytest.raises(ConfigError, match="key=value"):
        load("folder(test)", data=folder)
    with pytest.raises(ConfigError, match=r"did you mean folder\?"):
        load("folders", data=folder)


def test_a_name_for_the_collection_cannot_lead_out_of_the_cache(tmp_path, beir, cache):
    found = load("folder(name=../../evil)", data=beir(tmp_path / "tea"))
    assert found.name == "../../evil"
    assert found.folder.resolve().parent == (cache / "collections").resolve()


def test_a_registered_collection_lies_where_the_environment_says(tmp_path, beir, monkeypatch):
    beir(tmp_path / "root" / "folder")
    with pytest.raises(DataError, match="Give --data FOLDER"):
        load("folder")
    monkeypatch.setenv("MIMO_EVAL_DATA", str(tmp_path / "root"))
    assert len(load("folder").documents) == 3


def test_a_sentences_file_that_is_not_json_does_not_stop_a_users_folder(tmp_path, beir, put):
    folder = beir(tmp_path / "tea")
    put(folder / "sentences.jsonl", "not json\n")
    put(folder / "corpus.jsonl", "[1, 2\n" + json.dumps({"_id": "d1", "text": "x", "lang": "en"}) + "\n")
    with pytest.raises(DataError, match=r"corpus\.jsonl:1"):
        load(str(folder))


def test_ids_that_name_their_language_are_the_same_flat_and_in_folders(tmp_path, beir):
    corpus, queries = [{"_id": "de:1", "text": "Tee", "lang": "de"}], [{"_id": "de:7", "text": "Was?", "lang": "de"}]
    flat = load(str(beir(tmp_path / "flat", corpus, queries, HEADER + "de:7\tde:1\t1\n")))
    beir(tmp_path / "folders" / "de", corpus, queries, HEADER + "de:7\tde:1\t1\n")
    assert load(str(tmp_path / "folders")).revision == flat.revision


SAID = {
    "name": "shop",
    "title": "Tea shop",
    "licence": "CC BY 4.0",
    "provenance": "asked at the counter",
    "citation": "Tea 2024",
    "machine_translated": True,
    "judged_within_language": True,
}


def test_a_user_says_what_the_data_are_in_a_file(tmp_path, beir, put):
    folder = beir(tmp_path / "tea")
    before = load(str(folder))
    path = put(folder / "collection.json", json.dumps(SAID))
    assert path in source_for(str(folder), None, None)[0].files()
    found = load(str(folder))
    assert asdict(found.info) == SAID
    assert found.describe()["machine_translated"] is True
    assert found.revision == before.revision
    put(path, json.dumps({"licence": "CC0-1.0", "title": ""}))
    found = load(str(folder))
    assert found.info == replace(before.info, licence="CC0-1.0")
    path.unlink()
    assert load(str(folder)).info == before.info


def test_the_name_as_an_option_goes_before_that_in_the_file(tmp_path, beir, put):
    folder = beir(tmp_path / "tea")
    put(folder / "collection.json", json.dumps(SAID))
    assert load("folder(name=mine)", data=folder).name == "mine"
    assert load("folder", data=folder).name == "shop"


def test_the_file_stands_beside_folders_per_language(tmp_path, beir, put):
    beir(tmp_path / "two" / "de", *TINY, HEADER + "7\t1\t1\n")
    put(tmp_path / "two" / "collection.json", '{"machine_translated": true}')
    assert load(str(tmp_path / "two")).info.machine_translated


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"license": "CC0"}', r"no field 'license'; the fields are name, title, licence, .*judged_within_language"),
        ('{"machine_translated": "yes"}', 'machine_translated is true or false, not "yes"'),
        ('{"machine_translated": 1}', "machine_translated is true or false, not 1"),
        ('{"title": ["a"]}', r'title is a string, not \["a"\]'),
        ('{"name": null}', "name is a string, not null"),
        ('{"name": "\\ud83d"}', "name has a NUL or half a surrogate pair"),
        ('{"\\ud83d": 1}', r"no field '\\ud83d'"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ("", "not JSON"),
    ],
)
def test_what_the_file_cannot_say_is_refused(tmp_path, beir, put, content, message):
    folder = beir(tmp_path / "tea")
    put(folder / "collection.json", content)
    with pytest.raises(DataError, match=rf"collection\.json.*{message}"):
        load(str(folder))
