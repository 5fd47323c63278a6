"""Tiny data in the official layouts of the sources, byte for byte as their repositories hold them."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def miracl(root: Path) -> Path:
    """`miracl/miracl-corpus` and `miracl/miracl`: sw in two files, ko with an id twice; `7#0` in both languages."""
    corpus, topics = root / "miracl" / "miracl-corpus", root / "miracl" / "miracl"
    sw = [{"docid": "7#0", "title": "Nairobi", "text": "Nairobi ni mji mkuu wa Kenya."}]
    jsonl(corpus / "miracl-corpus-v1.0-sw" / "docs-0.jsonl.gz", sw)
    more = {"docid": "9#1", "title": "Simba", "text": "Simba ni mnyama."}
    jsonl(corpus / "miracl-corpus-v1.0-sw" / "docs-1.jsonl.gz", [more])
    ko = [
        {"docid": "7#0", "title": "지미 카터", "text": "지미 카터는 대통령이다."},
        {"docid": "8#0", "title": "수학", "text": "수학은 학문이다."},
    ]
    jsonl(corpus / "miracl-corpus-v1.0-ko" / "docs-0.jsonl.gz", [*ko, ko[0]])
    for lang, query, judged in (("sw", "Mji mkuu wa Kenya?", ("7#0", "9#1")), ("ko", "대통령은 누구인가?", ("7#0", "8#0"))):
        base = topics / f"miracl-v1.0-{lang}"
        text(base / "topics" / f"topics.miracl-v1.0-{lang}-dev.tsv", f"1\t{query}\n")
        qrels = f"1\tQ0\t{judged[0]}\t1\n1\tQ0\t{judged[1]}\t0\n"
        text(base / "qrels" / f"qrels.miracl-v1.0-{lang}-dev.tsv", qrels)
    return root


def mmarco(root: Path) -> Path:
    """`unicamp-dl/mmarco`: two languages; a dev query that is not in the small split."""
    data = root / "unicamp-dl" / "mmarco" / "data"
    for language, passages, queries in (
        ("english", ("Tea is a drink.", "A bridge crosses a river."), ("what is tea", "what is a bridge")),
        ("dutch", ("Thee is een drank.", "Een brug gaat over een rivier."), ("wat is thee", "wat is een brug")),
    ):
        text(data / "google" / "collections" / f"{language}_collection.tsv", f"0\t{passages[0]}\n1\t{passages[1]}\n")
        text(data / "google" / "queries" / "dev" / f"{language}_queries.dev.tsv", f"10\t{queries[0]}\n11\t{queries[1]}\n")
    text(data / "qrels.dev.small.tsv", "10\t0\t0\t1\n")
    text(data / "qrels.dev.tsv", "10\t0\t0\t1\n11\t0\t1\t1\n")
    return root


def belebele(root: Path) -> Path:
    """`facebook/belebele`: two passages, three questions, in Mesopotamian Arabic, standard Arabic and German."""
    passages = {"acm_Arab": ("نص", "ثاني"), "arb_Arab": ("نص فصيح", "الثاني"), "deu_Latn": ("Erster Text.", "Zweiter Text.")}
    for variant, (first, second) in passages.items():
        rows = [
            {"link": f"https://x.org/{p}", "question_number": n, "flores_passage": passage, "question": f"{variant} {p}{n}?"}
            | {f"mc_answer{i}": "a" for i in (1, 2, 3, 4)} | {"correct_answer_num": "1", "dialect": variant, "ds": "2023"}
            for p, n, passage in (("a", 1, first), ("a", 2, first), ("b", 1, second))
        ]  # fmt: skip
        jsonl(root / "facebook" / "belebele" / "data" / f"{variant}.jsonl", rows)
    return root


def squad_rows(lang: str, contexts: list[str]) -> list[dict[str, Any]]:
    """Two questions on the first context and one on the second, as XQuAD's and XTREME's Parquet files have them."""
    pairs = [("q1", contexts[0]), ("q2", contexts[0]), ("q3", contexts[1])]
    answers = {"answer_start": [0], "text": ["x"]}
    return [{"id": name, "context": context, "question": f"{lang} {name}?", "answers": answers} for name, context in pairs]


def xquad(root: Path) -> Path:
    """`google/xquad`: two paragraphs in two languages."""
    for lang, contexts in (("en", ["One.", "Two."]), ("zh", ["一。", "二。"])):
        path = root / "google" / "xquad" / f"xquad.{lang}" / "validation-00000-of-00001.parquet"
        parquet(path, squad_rows(lang, contexts))
    return root


def mlqa(root: Path) -> Path:
    """`google/xtreme`: q1 in both languages, q2 and q3 in English only."""
    rows = {"en": squad_rows("en", ["One.", "Two."]), "de": squad_rows("de", ["Eins, anderswo.", "-"])[:1]}
    for lang, found in rows.items():
        parquet(root / "google" / "xtreme" / f"MLQA.{lang}.{lang}" / "test-00000-of-00001.parquet", found)
    return root


def multieup(root: Path) -> Path:
    """`unimelb-nlp/MultiEup-v2`: a speech in German with a line break, one in French, one without text, one in Polish."""
    fields = ["did", "TEXT", "DATE", "LANGUAGE", "title_DE", "title_FR", "title_PL", "qid_EN", "qid_DE", "qid_FR", "qid_PL"]
    debate = {"DATE": "2020-01-13", "title_DE": "Klima", "title_FR": "Climat", "title_PL": "Klimat"}
    debate |= {f"qid_{lang}": f"5#{lang}" for lang in ("EN", "DE", "FR", "PL")}
    speeches = [
        ("d1", "Sehr geehrte\nDamen", "DE"),
        ("d2", "Mesdames, messieurs", "FR"),
        ("d3", "", "FR"),
        ("d4", "Panie", "PL"),
    ]
    path = root / "unimelb-nlp" / "MultiEup-v2" / "clean_all_with_did_qid.MEP.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fields, restval="")
        writer.writeheader()
        writer.writerows({**debate, "did": did, "TEXT": said, "LANGUAGE": lang} for did, said, lang in speeches)
    return root


def neuclir(root: Path, year: int = 2023) -> Path:
    """`mteb/NeuCLIR2023RetrievalHardNegatives` and `neuclir/bench`; topic 300 is another year's."""
    pool = root / "mteb" / f"NeuCLIR{year}RetrievalHardNegatives"
    for code, title, body in (("rus", "Новости", "текст"), ("zho", "新闻", "正文")):
        rows = [{"_id": f"{code}-1", "title": title, "text": body}, {"_id": f"{code}-2", "title": "", "text": f"{body} 2"}]
        parquet(pool / f"{code}-corpus" / "test-00000-of-00001.parquet", rows)
        parquet(
            pool / f"{code}-queries" / "test-00000-of-00001.parquet", [{"_id": "200", "text": "?"}, {"_id": "201", "text": "?"}]
        )
    bench = root / "neuclir" / "bench" / "data"
    text(bench / "news.eng.tsv", "200\tclimate news\n201\tno answer here\n300\tanother year\n")
    text(bench / "qrels.rus.gains.txt", "200 rus rus-1 3\n200 rus rus-9 1\n201 rus rus-2 0\n300 rus rus-1 1\n")
    text(bench / "qrels.zho.gains.txt", "200 zho zho-2 1\n")
    return root


def mteb(folder: Path, readme: bool = True) -> Path:
    """A data set in MTEB's layout with two subsets, Parquet throughout; train judgements beside those of dev."""
    configs = []
    for lang, words in (("de", ("Haus", "Baum")), ("fra", ("maison", "arbre"))):
        corpus = [{"_id": f"d{n}", "title": "T" if n else "", "text": word} for n, word in enumerate(words)]
        parquet(folder / f"{lang}-corpus" / "dev-00000-of-00001.parquet", corpus)
        queries = [{"_id": "q0", "text": f"{words[0]}?"}, {"_id": "q9", "text": "only in train"}]
        parquet(folder / f"{lang}-queries" / "dev-00000-of-00001.parquet", queries)
        for split, query in (("dev", "q0"), ("train", "q9")):
            qrels = [{"query-id": query, "corpus-id": "d0", "score": 1}]
            parquet(folder / f"{lang}-qrels" / f"{split}-00000-of-00001.parquet", qrels)
        for part in ("corpus", "queries"):
            configs.append(f"- config_name: {lang}-{part}\n  data_files:\n  - split: dev\n    path: {lang}-{part}/dev-*\n")
        splits = "".join(f"  - split: {split}\n    path: {lang}-qrels/{split}-*\n" for split in ("train", "dev"))
        configs.append(f"- config_name: {lang}-qrels\n  data_files:\n{splits}")
    if readme:
        text(folder / "README.md", f"---\nlicense: mit\nconfigs:\n{''.join(configs)}---\n# A data set\n")
    return folder
