"""Each source reads its official layout: languages, groups, judgements, and the traps of its data."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import official
import pandas as pd
import pytest

from mimo_eval.collections import SOURCES, Collection, Problems, load, remote_of, validate
from mimo_eval.collections.belebele import VARIANTS
from mimo_eval.collections.miracl import COUNTS, read_qrels, read_topics
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.mixing import Mix, pools

ROOT = os.environ.get("MIMO_EVAL_DATA")


def texts(collection: Collection, side: str = "documents") -> dict[str, str]:
    rows = getattr(collection, side)
    return dict(zip(rows.ids(), rows.read(range(len(rows))), strict=True))


def judged(collection: Collection) -> set[tuple[str, str, int]]:
    return set(collection.qrels.itertuples(index=False, name=None))


def test_miracl_keeps_languages_apart_and_the_first_of_an_id(tmp_path: Path) -> None:
    collection = load("miracl", data=official.miracl(tmp_path))
    assert texts(collection) == {
        "ko:7#0": "지미 카터 지미 카터는 대통령이다.",
        "ko:8#0": "수학 수학은 학문이다.",
        "sw:7#0": "Nairobi Nairobi ni mji mkuu wa Kenya.",
        "sw:9#1": "Simba Simba ni mnyama.",
    }
    assert collection.problems == {"repeated document": 1}
    assert judged(collection) == {
        ("ko:1", "ko:7#0", 1), ("ko:1", "ko:8#0", 0), ("sw:1", "sw:7#0", 1), ("sw:1", "sw:9#1", 0),
    }  # fmt: skip
    assert collection.info.judged_within_language and not collection.parallel
    assert load("miracl", data=tmp_path, languages=("sw",)).languages == ("sw",)


def test_miracl_is_read_from_any_way_of_copying_it(tmp_path: Path) -> None:
    root = official.miracl(tmp_path / "clone")
    revision = load("miracl", data=root).revision
    both = tmp_path / "both"
    for repo in ("miracl-corpus", "miracl"):
        shutil.copytree(root / "miracl" / repo, both, dirs_exist_ok=True)
    assert load("miracl", data=root / "miracl").revision == load("miracl", data=both).revision == revision
    flat = tmp_path / "flat"  # topics and qrels packed and in one folder, beside the corpus
    shutil.copytree(root / "miracl" / "miracl-corpus", flat)
    for path in (root / "miracl" / "miracl").rglob("*.tsv"):
        (flat / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert load("miracl", data=flat).revision == revision


def test_a_language_that_a_copy_lacks_is_asked_for_in_vain(tmp_path: Path) -> None:
    data = official.miracl(tmp_path)
    with pytest.raises(
        DataError, match=r"no miracl-corpus-v1.0-yo/docs-\*.jsonl.gz of miracl/miracl-corpus here.*data fetch miracl"
    ):
        load("miracl", data=data, languages=("yo",))
    with pytest.raises(DataError, match="miracl has no texts in el; it has ar, bn, de"):
        load("miracl", data=data, languages=("el",))
    with pytest.raises(ConfigError, match="no judgements of the split 'test-a'; choose dev or train"):
        load("miracl(split=test-a)", data=data)


def test_a_language_without_qrels_is_named(tmp_path: Path) -> None:
    data = official.miracl(tmp_path)
    next(data.rglob("qrels.*sw-dev.tsv")).unlink()
    with pytest.raises(DataError, match=r"no miracl-v1.0-sw/qrels/qrels.miracl-v1.0-sw-dev.tsv of miracl/miracl here"):
        load("miracl", data=data)
    assert load("miracl", data=data, languages=("ko",)).languages == ("ko",)


@pytest.mark.data
def test_the_topics_and_qrels_of_miracl_have_their_published_counts() -> None:
    root = Path(ROOT or "") / "miracl-topics"
    if not root.is_dir():
        pytest.skip("MIMO_EVAL_DATA has no miracl-topics")
    expected = pd.read_csv(root / "counts.tsv", sep="\t").set_index(["lang", "split"])
    for lang, (_, queries, _) in COUNTS.items():
        problems = Problems()
        topics = list(read_topics(root / f"topics.miracl-v1.0-{lang}-dev.tsv.gz", lang, problems))
        qrels = list(read_qrels(root / f"qrels.miracl-v1.0-{lang}-dev.tsv.gz", lang, problems))
        row = expected.loc[lang, "dev"]
        assert len(topics) == queries == row.topics and not problems.counts
        assert len(qrels) == row.qrels and sum(j.relevance > 0 for j in qrels) == row.positives
        assert len({j.document for j in qrels}) == row.judged_docs
        assert {j.query for j in qrels} == {t.id for t in topics}
    assert sum(count[0] for count in COUNTS.values()) == 106_332_152


def test_mmarco_numbers_are_groups_and_dutch_is_nl(tmp_path: Path) -> None:
    collection = load("mmarco", data=official.mmarco(tmp_path))
    assert collection.languages == ("en", "nl") and collection.parallel and collection.info.machine_translated
    assert texts(collection)["nl:1"] == "Een brug gaat over een rivier."
    assert list(texts(collection, "queries")) == ["en:10", "nl:10"]
    assert judged(collection) == {("10", "0", 1)}
    (pool,) = pools(collection, Mix("parallel"))
    assert len(pool.queries) == 2 and len(pool.judged_query) == 4  # both versions are relevant to both
    assert list(texts(load("mmarco(split=dev)", data=tmp_path), "queries")) == ["en:10", "en:11", "nl:10", "nl:11"]
    assert load("mmarco", data=tmp_path, languages=("dt",)).languages == ("nl",)  # as ir_datasets and MIMO call it


def test_belebele_tells_arabics_apart(tmp_path: Path) -> None:
    collection = load("belebele", data=official.belebele(tmp_path))
    assert collection.languages == ("acm", "ar", "de")
    counts = collection.counts()
    assert counts["documents"] == {"acm": 2, "ar": 2, "de": 2} and counts["queries"] == {"acm": 3, "ar": 3, "de": 3}
    assert counts["document_groups"] == 2 and counts["query_groups"] == 3 and counts["judgements"] == 3
    (pool,) = pools(collection, Mix("parallel"))
    assert len(pool.queries) == 9 and len(pool.judged_query) == 27
    assert len(VARIANTS) == 122 and VARIANTS["zh-Hant"] == "zho_Hant" and VARIANTS["ko"] == "kor_Hang"
    (repo,) = remote_of("belebele", ("acm", "de")).repos
    assert repo.files == ("data/acm_Arab.jsonl", "data/deu_Latn.jsonl")


def test_xquad_paragraphs_are_groups(tmp_path: Path) -> None:
    collection = load("xquad", data=official.xquad(tmp_path))
    assert texts(collection) == {"en:q1": "One.", "en:q3": "Two.", "zh:q1": "一。", "zh:q3": "二。"}
    assert judged(collection) == {("q1", "q1", 1), ("q2", "q1", 1), ("q3", "q3", 1)}
    assert len(texts(collection, "queries")) == 6 and collection.parallel


def test_mlqa_relevant_is_every_passage_that_answers(tmp_path: Path) -> None:
    collection = load("mlqa", data=official.mlqa(tmp_path))
    found = {text: name for name, text in texts(collection).items()}
    assert judged(collection) == {
        ("q1", found["One."], 1), ("q1", found["Eins, anderswo."], 1), ("q2", found["One."], 1), ("q3", found["Two."], 1),
    }  # fmt: skip
    assert list(texts(collection, "queries")) == ["de:q1", "en:q1", "en:q2", "en:q3"] and not collection.parallel
    (pool,) = pools(collection, Mix("union"))
    assert len(pool.judged_query) == 2 + 2 + 1 + 1  # q1 in both languages has two


def test_mlqa_reads_the_official_archive(tmp_path: Path) -> None:
    import json
    import zipfile

    archive = tmp_path / "MLQA_V1.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for lang, context in (("de", "Eins, anderswo."), ("en", "One.")):
            qas = [{"id": "q1", "question": f"{lang}?", "answers": []}]
            squad = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]}
            out.writestr(f"MLQA_V1/test/test-context-{lang}-question-{lang}.json", json.dumps(squad))
    collection = load("mlqa", data=archive)
    assert collection.languages == ("de", "en") and len(judged(collection)) == 2


def test_multieup_titles_ask_for_speeches_in_their_own_language_each(tmp_path: Path) -> None:
    data = official.multieup(tmp_path)
    collection = load("multieup", data=data, languages=("de", "fr"))
    assert texts(collection) == {"de:d1": "Sehr geehrte\nDamen", "fr:d2": "Mesdames, messieurs"}
    assert texts(collection, "queries") == {"de:5": "Klima", "fr:5": "Climat"}
    assert judged(collection) == {("5", "de:d1", 1), ("5", "fr:d2", 1)}
    assert load("multieup", data=data).languages == ("de", "fr", "pl")


def test_neuclir_asks_in_english_for_russian_and_chinese(tmp_path: Path) -> None:
    collection = load("neuclir(year=2023)", data=official.neuclir(tmp_path))
    assert texts(collection)["ru:rus-1"] == "Новости текст" and collection.documents.languages == ("ru", "zh")
    assert texts(collection, "queries") == {"en:200": "climate news", "en:201": "no answer here"}
    assert collection.problems == {"query without a relevant document": 1}
    others = {("en:200", "zh:zho-2", 1), ("en:201", "ru:rus-2", 0)}
    assert judged(collection) == {("en:200", "ru:rus-1", 3), *others}
    assert judged(load("neuclir(graded=false)", data=tmp_path)) == {("en:200", "ru:rus-1", 1), *others}
    with pytest.raises(ConfigError, match="no year 2021; choose 2022 or 2023"):
        load("neuclir(year=2021)", data=tmp_path)


def test_tydiqa_is_a_union_of_languages(tmp_path: Path) -> None:
    docs = [
        {"docid": f"tydi-dev-{lang}-0", "text": lang, "title": "", "lang": lang, "group": f"tydi-dev-{lang}-0"}
        for lang in ("fi", "te")
    ]
    official.jsonl(tmp_path / "corpus.jsonl.gz", docs)
    asked = [{"qid": f"tydiq-{split}-{lang}-0", "text": "?", "lang": lang, "group": f"tydiq-{split}-{lang}-0", "split": split}
             for split, lang in (("dev", "fi"), ("dev", "te"), ("train", "te"))]  # fmt: skip
    official.jsonl(tmp_path / "queries.jsonl.gz", asked)
    rows = [
        f"tydiq-{split}-{lang}-0\ttydi-dev-{lang}-0\t1\t{split}"
        for split, lang in (("dev", "fi"), ("dev", "te"), ("train", "te"))
    ]
    official.text(tmp_path / "qrels.tsv", "\n".join(["query_group\tpara_group\trel\tsplit", *rows]) + "\n")
    collection = load("tydiqa", data=tmp_path)
    assert collection.info.judged_within_language and len(collection.queries) == 2 and len(judged(collection)) == 2
    assert load("tydiqa", data=tmp_path, languages=("te",)).languages == ("te",)
    assert load("tydiqa(split=train)", data=tmp_path).queries.languages == ("te",)


@pytest.mark.data
def test_the_real_tydiqa_loads() -> None:
    root = Path(ROOT or "") / "tydiqa-goldp"
    if not root.is_dir():
        pytest.skip("MIMO_EVAL_DATA has no tydiqa-goldp")
    collection = load("tydiqa", data=root)
    assert collection.languages == ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")
    assert len(collection.documents) == 10_800
    published = remote_of("tydiqa").published
    assert collection.counts()["documents"] == published.documents and collection.counts()["queries"] == published.queries


@pytest.mark.parametrize("readme", [True, False])
def test_hf_reads_subsets_with_and_without_a_readme(tmp_path: Path, readme: bool) -> None:
    folder = official.mteb(tmp_path / "org" / "set", readme)
    collection = load("hf(org/set, split=dev)", data=folder)
    assert texts(collection) == {"de:d0": "Haus", "de:d1": "T Baum", "fr:d0": "maison", "fr:d1": "T arbre"}
    assert texts(collection, "queries") == {"de:q0": "Haus?", "fr:q0": "maison?"}
    assert judged(collection) == {("de:q0", "de:d0", 1), ("fr:q0", "fr:d0", 1)}
    assert load("hf(org/set, subset=fra)", data=folder).info.name == "set-fra"
    assert load("hf(org/set)", data=folder, languages=("de",)).languages == ("de",)
    for asked in (("sw",), ("de", "sw")):
        with pytest.raises(DataError, match=r"org/set has no texts in sw; it has de, fr: use --languages de,fr$"):
            load("hf(org/set)", data=folder, languages=asked)
    same = load("hf(org/set, parallel=true)", data=tmp_path)
    assert same.parallel and judged(same) == {("q0", "d0", 1)}


def test_hf_without_subsets_wants_a_language_and_reads_beir_files(tmp_path: Path) -> None:
    official.jsonl(tmp_path / "corpus.jsonl", [{"_id": "1", "title": "", "text": "tea"}])
    official.jsonl(tmp_path / "queries.jsonl", [{"_id": "a", "text": "drink?"}, {"_id": "b", "text": "not judged"}])
    official.text(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\na\t1\t2\n")
    assert "no language" in validate("hf(org/set)", data=tmp_path).errors
    collection = load("hf(org/set, lang=eng)", data=tmp_path)
    assert judged(collection) == {("en:a", "en:1", 2)} and texts(collection, "queries") == {"en:a": "drink?"}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("hf", ConfigError, r"'' is not the name of a data set on the hub; write hf\(org/name\)"),
        ("hf(org/set, nr=3)", ConfigError, "unknown argument 'nr' of hf; it takes repo, subset"),
        ("hf(org/set, subset=xx)", ConfigError, "org/set has no subset 'xx'; it has de, fra"),
        ("hf(org/set, other)", ConfigError, "options of a collection are written as key=value"),
        ("hf(org/set, repo=a/b)", ConfigError, "repo is given twice"),
    ],
)
def test_hf_names_what_is_wrong(tmp_path: Path, name: str, error: type[Exception], message: str) -> None:
    official.mteb(tmp_path)
    with pytest.raises(error, match=message):
        load(name, data=tmp_path)


def test_hf_refuses_a_folder_in_another_layout(tmp_path: Path) -> None:
    official.text(tmp_path / "README.md", "---\nconfigs:\n- config_name: default\n  data_files: data.csv\n---\n")
    with pytest.raises(DataError, match="org/set is not in MTEB's retrieval layout: configurations corpus, queries and qrels"):
        load("hf(org/set)", data=tmp_path)
    official.text(tmp_path / "README.md", "---\nconfigs: [1]\n---\n")
    with pytest.raises(DataError, match=r"README.md: its configurations cannot be read"):
        load("hf(org/set)", data=tmp_path)
    bomb = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 20))  # 10^19 words once written out
    for entry in ("{config_name: *a19}", "{config_name: corpus, data_files: [{split: test, path: *a19}]}"):
        official.text(tmp_path / "README.md", f"---\na0: &a0 [x]\n{bomb}license: *a19\nconfigs:\n- {entry}\n---\n")
        with pytest.raises(DataError, match="aliases are not allowed"):
            load("hf(org/set)", data=tmp_path)


def test_miracl_hn_is_that_data_set(tmp_path: Path) -> None:
    folder = official.mteb(tmp_path / "mteb" / "MIRACLRetrievalHardNegatives")
    shutil.rmtree(folder / "fra-corpus")
    collection = load("miracl-hn", data=tmp_path, languages=("de",))
    assert collection.name == "miracl-hn" and collection.info.judged_within_language and collection.languages == ("de",)
    remote = remote_of("miracl-hn", ("de", "en"))
    assert sum(remote.published.documents.values()) == 71_277 + 178_768
    assert remote.repos[0].revision == "d7d94fa4b946cec4a27c84653aa0cf6b33f74a3c"


def test_ir_datasets_are_read_through_their_package(tmp_path: Path) -> None:
    ir_datasets = pytest.importorskip("ir_datasets")
    from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries

    for name, content in (("docs", "1\tSaa\n2\tChai\n"), ("queries", "q\tkinywaji?\nz\tx\n"), ("qrels", "q 0 2 1\n")):
        official.text(tmp_path / name, content)

    class Local:
        def __init__(self, name: str) -> None:
            self.path_ = tmp_path / name

        def path(self, force: bool = True) -> str:
            return str(self.path_)

        def stream(self) -> object:
            return self.path_.open("rb")

    toy = ir_datasets.Dataset(
        TsvDocs(Local("docs"), namespace="toy", lang="sw"),
        TsvQueries(Local("queries"), lang=None),
        TrecQrels(Local("qrels"), {}),
    )
    if "toy/sw" not in ir_datasets.registry:
        ir_datasets.registry.register("toy/sw", toy)
    with pytest.raises(ConfigError, match="in which language the queries of 'toy/sw' are; add lang="):
        load("ir_datasets(toy/sw)")
    collection = load("ir_datasets(toy/sw, lang=sw)")
    assert texts(collection) == {"sw:1": "Saa", "sw:2": "Chai"} and judged(collection) == {("sw:q", "sw:2", 1)}
    with pytest.raises(ConfigError, match="ir_datasets has no 'toy/absent'"):
        load("ir_datasets(toy/absent)")


def test_every_source_on_the_hub_says_what_it_is_without_the_network() -> None:
    for name in SOURCES:
        if name in ("hf", "ir_datasets"):
            continue
        remote = remote_of(name)
        if remote is not None:
            assert (remote.repos or name in ("tydiqa", "xquad-r")) and remote.published is not None and remote.published.source
            assert all(repo.licence and repo.files and repo.revision for repo in remote.repos)


Corrupt = Callable[[Path], object]


def spoil(pattern: str, change: Callable[[bytes], bytes]) -> Corrupt:
    def run(root: Path) -> None:
        path = next(root.rglob(pattern))
        path.write_bytes(change(path.read_bytes()))

    return run


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (spoil("docs-1.jsonl.gz", lambda b: b[:-12]), r"docs-1.jsonl.gz: truncated or damaged .gz file .*; fetch it again"),
        (spoil("docs-1.jsonl.gz", lambda _: b"<html>"), r"docs-1.jsonl.gz: truncated or damaged .gz file"),
        (spoil("topics*sw*", lambda b: b.replace(b"\t", b" ")), r"topics.*:1: 1 tab-separated fields, expected 2"),
        (spoil("topics*sw*", lambda b: b.replace(b"Mji", b"M\tji")), r"topics.*:1: 3 tab-separated fields, expected 2"),
        (spoil("topics*sw*", lambda b: b.replace(b"Mji", b"M\0ji")), r"NUL byte: 1 .*\n *\S*topics.*:1"),
        (spoil("topics*sw*", lambda b: b.replace(b"1\t", b"1 a\t")), r"id with white space: 1 .*\n.*topics.*:1: 'sw:1 a'"),
        (spoil("topics*sw*", lambda b: b"1\t" + b"x" * 10 * 2**20), r"topics.*:1: line longer than 8 MiB"),
        (spoil("qrels*sw*", lambda b: b.replace(b"9#1", b"99#9")), r"orphan judgement: 1 .*qrels.*:2: no document 'sw:99#9'"),
        (spoil("qrels*sw*", lambda b: b.replace(b"\t1\n", b"\tyes\n")), r"relevance is not an integer: 1 .*qrels.*:1: 'yes'"),
        (spoil("qrels*sw*", lambda b: b.replace(b"Q0\t", b"")), r"qrels.*:1: 3 fields, expected 4"),
        (spoil("qrels*sw*", lambda _: b""), r"query without a relevant document|no judgements"),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_their_line(tmp_path: Path, cache: Path, spoilt: Corrupt, message: str) -> None:
    data = official.miracl(tmp_path / "data")
    spoilt(data)
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        load("miracl", data=data, languages=("sw",))
    assert caught.value.exit_code == 3
    assert not [path for path in cache.rglob("*") if path.is_file() and path.parent.name != ".locks"], "half-written"


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    data = official.xquad(tmp_path)
    path = next(data.rglob("*.parquet"))
    for content in (path.read_bytes()[:-20], b"<html></html>", b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"validation-00000-of-00001.parquet: truncated or damaged Parquet file"):
            load("xquad", data=data)


def test_a_csv_with_another_number_of_fields_is_named(tmp_path: Path) -> None:
    path = next(official.multieup(tmp_path).rglob("*.csv"))
    path.write_text(path.read_text("utf-8") + "d9,short\n", "utf-8")
    with pytest.raises(DataError, match=r"MEP.csv:\d: 2 fields, expected 11 as in the header"):
        load("multieup", data=tmp_path)


def test_a_table_of_multieup_without_a_column_is_named(tmp_path: Path) -> None:
    path = next(official.multieup(tmp_path).rglob("*.csv"))
    path.write_text(path.read_text("utf-8").replace("did,", "number,", 1), "utf-8")
    with pytest.raises(DataError, match=r"(?s)missing field: .*MEP.csv:\d: did"):
        load("multieup", data=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.replace(b"Panie", b"x" * 9 * 2**20), r"as a table after line 5 \(field larger than field limit"),
        (lambda b: b.replace(b"Panie", b'"a"b'), r"as a table after line 5 \(',' expected after"),
        (lambda b: b.replace(b"Panie", b"Pan\xff" + b"x" * 20_000), r"broken UTF-8: 1 .*MEP.csv: after line \d"),
        (lambda b: b.replace(b"Panie", b"Pa\0nie"), r"NUL byte: 1 .*MEP.csv:6: 'pl:d4'"),
    ],
)
def test_a_damaged_csv_is_named_with_the_line_before(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    spoil("*.csv", change)(official.multieup(tmp_path))
    with pytest.raises(DataError, match=f"(?s){message}"):
        load("multieup", data=tmp_path)


def test_a_row_with_text_and_question_is_counted_once_if_it_is_wrong(tmp_path: Path) -> None:
    official.belebele(tmp_path)
    spoil("deu_Latn.jsonl", lambda b: b.replace(b'"link": "https://x.org/a", ', b"", 1))(tmp_path)
    official.parquet(next(official.mlqa(tmp_path).rglob("MLQA.de.de/*")), [{"id": "q1", "context": "Eins."}])
    official.parquet(next(official.xquad(tmp_path).rglob("xquad.zh/*")), [{"id": "q1", "context": "一。"}])
    for name in ("belebele", "mlqa", "xquad"):
        assert validate(name, data=tmp_path).counts["missing field"] == 1, name
