"""Readers: what they understand, and what they say of files that are not what they should be."""

import gzip
import json

import pyarrow as pa
import pytest
from hub import Hub
from pyarrow import parquet

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import cache_dir
from mimo_eval.training.data import Retrieval, read

PACK = [
    {"group": "g1", "lang": "en", "text": "One  sentence.", "doc": "d"},
    {"group": "g1", "lang": "deu", "text": "Ein Satz."},
    {"group": "g2", "lang": "en", "text": "Cafe\u0301"},
]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def rows(lines):
    return [tuple(row.values()) for row in lines.table.to_pylist()]


def test_packs(tmp_path):
    write(tmp_path / "b.jsonl.gz", jsonl(PACK))
    write(tmp_path / "a.jsonl", jsonl([{"group": "g1", "lang": "fr", "text": "Une phrase"}]))
    write(tmp_path / "words" / "lexicon.jsonl.gz", jsonl([{"group": "s", "lang": "en", "text": "bank | shore"}]))
    found = read("packs", path=str(tmp_path))
    assert rows(found) == [
        ("g1", "fr", "Une phrase", "a"),
        ("g1", "en", "One sentence.", "b"),
        ("g1", "de", "Ein Satz.", "b"),
        ("g2", "en", "Café", "b"),
    ]
    assert [step["lines"] for step in found.history] == [1, 3]
    some = read("packs", path=tmp_path, names=["b"], languages=["de"], lexicon=tmp_path / "words" / "lexicon.jsonl.gz")
    assert rows(some) == [("g1", "de", "Ein Satz.", "b")]
    lexicon = read("packs", path=tmp_path / "a.jsonl", lexicon=tmp_path / "words" / "lexicon.jsonl.gz")
    assert rows(lexicon)[1:] == [("s", "en", "bank", "lexicon"), ("s", "en", "shore", "lexicon")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jsonl(PACK) + "{broken\n", r"p\.jsonl\.gz:4: Expecting"),
        (jsonl(PACK) + '{"group": "g", "lang": "en"}\n', r"p\.jsonl\.gz:4: a JSON object with group, lang and text"),
        (jsonl(PACK) + "[1]\n", r"p\.jsonl\.gz:4"),
        (jsonl(PACK) + '{"group": "g", "lang": "xx-nolang", "text": "a"}\n', r"p\.jsonl\.gz:4: 'xx-nolang' is not"),
        (jsonl(PACK) + '{"group": "g", "lang": 5, "text": "a"}\n', r"p\.jsonl\.gz:4"),
        (jsonl(PACK) + '{"group": "g", "lang": "en", "text": 5}\n', r"p\.jsonl\.gz:4: group or text is not a string"),
        (jsonl(PACK) + '{"group": "g", "lang": "en", "text": " "}\n', r"empty text.*\n.*p\.jsonl\.gz:4: g"),
        (b'{"group": "g", "lang": "en", "text": "\xff"}\n', r"broken UTF-8.*\n.*p\.jsonl\.gz:1"),
    ],
)
def test_wrong_lines_of_packs_are_named(tmp_path, content, message):
    write(tmp_path / "p.jsonl.gz", content)
    with pytest.raises(DataError, match=message):
        read("packs", path=tmp_path)


def test_a_pack_is_parsed_once_and_again_when_it_changes(tmp_path, monkeypatch):
    path = write(tmp_path / "p.jsonl", jsonl(PACK))
    first = read("packs", path=path)
    with monkeypatch.context() as patch:
        patch.setattr("mimo_eval.training.data.readers.packs.read_objects", None)
        assert read("packs", path=path).revision == first.revision
        assert read("packs", path=path, languages=["de"]).texts() == ["Ein Satz."]
    write(path, jsonl(PACK[:1]))
    assert len(read("packs", path=path)) == 1
    for kept in (cache_dir() / "training").iterdir():
        kept.write_bytes(b"damaged")
    assert len(read("packs", path=path)) == 1


def test_packs_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="no packs; expected a folder"):
        read("packs", path=tmp_path)
    write(tmp_path / "a.jsonl", jsonl(PACK))
    with pytest.raises(DataError, match="no pack 'b'; there are a"):
        read("packs", path=tmp_path, names=["b"])
    with pytest.raises(DataError, match="no line in ja; there are en"):
        read("packs", path=tmp_path, languages=["en", "ja"])


def test_a_truncated_pack_is_refused(tmp_path):
    whole = gzip.compress(jsonl(PACK * 500).encode())
    (tmp_path / "p.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated or damaged"):
        read("packs", path=tmp_path)


def test_moses(tmp_path):
    source, target = (
        write(tmp_path / "x.en", "one\r\n\nthree\tmore\nfour\n"),
        write(tmp_path / "x.de.gz", "eins\nzwei\ndrei\n\n"),
    )
    found = read("moses", source=source, target=target, languages="en,de")
    assert rows(found) == [
        ("1", "en", "one", "x.en"),
        ("1", "de", "eins", "x.en"),
        ("3", "en", "three more", "x.en"),
        ("3", "de", "drei", "x.en"),
    ]
    assert found.history[0]["left_out_empty"] == 2


def test_moses_files_that_do_not_fit(tmp_path):
    source, target = write(tmp_path / "x.en", "one\ntwo\n"), write(tmp_path / "x.de", "eins\n")
    with pytest.raises(DataError, match=r"x\.en has 2 lines, .*x\.de has 1"):
        read("moses", source=source, target=target, languages=["en", "de"])
    with pytest.raises(ConfigError, match="two different languages"):
        read("moses", source=source, target=target, languages="en,eng")
    write(target, b"eins\nzw\xe4i\n")
    with pytest.raises(DataError, match=r"x\.de:2: not UTF-8 at byte 2"):
        read("moses", source=source, target=target, languages="en,de")
    write(target, "eins\nzw\0ei\n")
    with pytest.raises(DataError, match=r"x\.de:2: a NUL byte"):
        read("moses", source=source, target=target, languages="en,de")
    with pytest.raises(DataError, match=r"y\.de: no such file"):
        read("moses", source=source, target=tmp_path / "y.de", languages="en,de")
    with pytest.raises(DataError, match="no pair of texts"):
        read("moses", source=write(tmp_path / "e.en", "\n"), target=write(tmp_path / "e.de", "\n"), languages="en,de")


def test_tsv(tmp_path):
    path = write(tmp_path / "x.tsv.gz", "id\ten\tde\n1\tone\teins\n2\t\tzwei\n3\tthree\tdrei\n")
    found = read("tsv", path=path, languages=["de", "en"], columns=[2, 1], header=True)
    assert [(row[1], row[2]) for row in rows(found)] == [("de", "eins"), ("en", "one"), ("de", "drei"), ("en", "three")]
    assert len(read("tsv", path=path, languages=["de", "en"], columns=[2, 1], header=True, most=1)) == 2
    with pytest.raises(DataError, match=r"x\.tsv\.gz:1: 3 columns, but column 3"):
        read("tsv", path=path, languages=["de", "en"], columns=[0, 3])
    with pytest.raises(ConfigError, match="two columns"):
        read("tsv", path=path, languages=["de", "en"], columns=[0])


def test_parallel_sentences_layout(tmp_path):
    (tmp_path / "en-de").mkdir()
    table = pa.table({"english": ["one", None, "three"], "non_english": ["eins", "zwei", "drei"]})
    parquet.write_table(table, tmp_path / "en-de" / "train-00000-of-00001.parquet")
    parquet.write_table(table, tmp_path / "en-de" / "dev-00000-of-00001.parquet")
    write(tmp_path / "Talks" / "talks-en-zh-cn-train.tsv.gz", "two\t二\n")
    found = read("parallel_sentences", path=tmp_path)
    assert [(row[1], row[2]) for row in rows(found)] == [
        ("en", "two"),
        ("zh", "二"),
        ("en", "one"),
        ("de", "eins"),
        ("en", "three"),
        ("de", "drei"),
    ]
    assert found.groups == 3
    assert found.history[1]["left_out_empty"] == 1
    assert read("parallel_sentences", path=tmp_path, languages=["en", "de"], most=1).texts() == ["one", "eins"]
    with pytest.raises(DataError, match="no subset en-fr"):
        read("parallel_sentences", path=tmp_path, languages=["fr"])
    with pytest.raises(DataError, match="no file with en-xx"):
        read("parallel_sentences", path=tmp_path, split="test")


def test_parallel_sentences_files_that_are_wrong(tmp_path):
    (tmp_path / "en-de").mkdir()
    path = tmp_path / "en-de" / "train.parquet"
    parquet.write_table(pa.table({"english": ["one"], "german": ["eins"]}), path)
    with pytest.raises(DataError, match="no column 'non_english'; it has english, german"):
        read("parallel_sentences", path=tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"train\.parquet: not a whole Parquet file"):
        read("parallel_sentences", path=tmp_path)
    with pytest.raises(ConfigError, match="either a path or a repository"):
        read("parallel_sentences")
    with pytest.raises(ConfigError, match="a commit is needed"):
        read("parallel_sentences", repository="org/name", revision="main")
    with pytest.raises(DataError, match=r"HF_HUB_OFFLINE is set and org/name is not here"):
        read("parallel_sentences", repository="org/name", revision="0" * 40)


def test_a_repository_is_fetched_at_its_commit_and_then_read_without_the_hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    folder = tmp_path / "hub" / "datasets" / "org" / "name"
    for lang, split, text in (("de", "train", "one\teins\n"), ("de", "dev", "two\tzwei\n"), ("fr", "train", "one\tun\n")):
        write(folder / f"en-{lang}" / f"{split}.tsv", text)
    with Hub(tmp_path / "hub") as hub, monkeypatch.context() as online:
        online.setenv("HF_ENDPOINT", hub.url)
        online.setattr(constants, "HF_HUB_OFFLINE", False)
        commit = hub.commit("org/name", "datasets")
        found = read("parallel_sentences", repository="org/name", revision=commit, languages=["en", "de"])
        assert [path.rpartition("/resolve/")[2] for _, path, *_ in hub.asked("/resolve/")] == [f"{commit}/en-de/train.tsv"]
    assert found.texts() == ["one", "eins"]
    assert found.sources == ("org/name/en-de/train.tsv",)
    assert found.history[0]["revision"] == commit
    again = read("parallel_sentences", repository="org/name", revision=commit, languages=["de"])
    assert again.revision == found.revision


def mmarco(folder):
    write(folder / "triples.train.ids.small.tsv", "1\t10\t11\n1\t10\t12\n2\t11\t10\n3\t99\t10\n")
    for lang, name in (("en", "english"), ("de", "german")):
        write(folder / "queries" / f"{name}_queries.train.tsv", f"1\tq1 {lang}\n2\tq2 {lang}\n4\tq4\n")
        write(folder / "collections" / f"{name}_collection.tsv.gz", f'10\tp10 "{lang}\n11\tp11 {lang}\n12\tp12\n')
    return folder


def test_mmarco(tmp_path):
    found = read("mmarco", path=mmarco(tmp_path))
    assert isinstance(found, Retrieval)
    pairs = [(found.queries.group_names()[q], found.passages.group_names()[p]) for q, p in found.positives]
    assert pairs == [("1", "10"), ("2", "11")]  # once each; query 3 and passage 99 have no text
    assert found.queries.texts() == ["q1 de", "q2 de", "q1 en", "q2 en"]
    assert found.passages.texts() == ['p10 "de', "p11 de", 'p10 "en', "p11 en"]  # what no pair names is not read
    assert found.languages == ("de", "en")
    assert len(read("mmarco", path=tmp_path, languages=["de"], most=1).positives) == 1


def test_mmarco_files_that_are_wrong(tmp_path):
    with pytest.raises(DataError, match=r"no triples\.train\.ids\.small\.tsv"):
        read("mmarco", path=tmp_path)
    mmarco(tmp_path)
    with pytest.raises(DataError, match=r"no file LANGUAGE_queries\.train\.tsv for 'fr'; there are de, en"):
        read("mmarco", path=tmp_path, languages=["fr"])
    write(tmp_path / "queries" / "english_queries.train.tsv", b"1\tfine\n2\tb\xffd\n")
    with pytest.raises(DataError, match=r"english_queries\.train\.tsv:2: not what was expected"):
        read("mmarco", path=tmp_path, languages=["en"])
    write(tmp_path / "triples.train.ids.small.tsv", "1\t10\t11\n1\tten\t12\n")
    with pytest.raises(DataError, match=r"triples\.train\.ids\.small\.tsv:2"):
        read("mmarco", path=tmp_path)


def test_collection_and_its_split(tmp_path, folders):
    folder = folders(
        tmp_path / "c", {"en": {"d": "text", "e": "more"}}, {"en": {"q": "what", "r": "who"}}, {"q": {"d": 1}, "r": {"e": 1}}
    )
    assert read("collection", name=str(folder)).counts()["positives"] == 2
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    splits = {"q": "train", "r": "dev"}
    write(folder / "queries.jsonl", jsonl([{**query, "split": splits[query["group"]]} for query in queries]))
    assert read("collection", name=str(folder), split="train").queries.texts() == ["what"]
    with pytest.raises(ConfigError, match=r"split=test: .* has dev, train"):
        read("collection", name=str(folder), split="test")
    with pytest.raises(ConfigError, match="no query of split 'train'"):
        read("collection", name=str(folder), split="train", query_groups=["r"])
    with pytest.raises(ConfigError, match="mini is not a folder"):
        read("collection", name="mini", split="train")


def test_readers_are_found_by_name():
    with pytest.raises(ConfigError, match="unknown reader 'pack'; did you mean packs"):
        read("pack", path="x")
    with pytest.raises(
        ConfigError, match=r"unknown argument 'lang' of the reader packs .*'languages'.*; it takes path, names, languages"
    ):
        read("packs", path="x", lang="en")
    with pytest.raises(ConfigError, match="the argument 'path' of the reader packs is missing; it takes path, names"):
        read("packs")
