"""NeuCLIR 2022 and 2023 as in MIMO's suite: English queries, and a corpus of Russian and Chinese news (Persian if asked for).

The corpora are those of MTEB's hard-negative subsets (the 250 best documents per query of three systems); the queries are
NeuCLIRBench's English ones for the same topics, and the judgements NeuCLIRBench's per language, of documents in the corpora.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mimo_eval.collections.jsonl import read_relevance
from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Layout, Published, Remote, Repo, chosen
from mimo_eval.collections.tables import need_fields, read_columns, read_records
from mimo_eval.errors import ConfigError

NAME = "neuclir"
CODES = {"fa": "fas", "ru": "rus", "zh": "zho"}
USUAL = ("ru", "zh")
REVISIONS = {2022: "cc5a0360c8bdf1e4afa19d2ea8ec111c0ca96335", 2023: "efb44bb789b9f82223aa819e18dba3748fd09e33"}
# year: language to documents, as in mteb's descriptive statistics
COUNTS = {2022: {"fa": 8882, "ru": 8724, "zh": 10325}, 2023: {"fa": 15921, "ru": 16247, "zh": 17265}}
QUERIES_FILE = "data/news.eng.tsv"


class NeuCLIR:
    """English queries on pooled Russian and Chinese news.

    :param data: folder with the files of both repositories.
    :param wanted: languages of the documents, beside English for the queries; None for Russian and Chinese.
    :param year: 2022 or 2023.
    :param graded: whether relevance keeps TREC's grades; MIMO counts every grade above 0 as 1.
    """

    grouped_judgements = False

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None, year: int = 2023, graded: bool = True) -> None:
        self.languages, self.graded = _documents_in(wanted), graded
        pool, bench = _repos(self.languages, year)
        layout = Layout(data, NAME)
        self.corpus, self.pool_queries = (
            {lang: layout.need(pool, f"{CODES[lang]}-{side}/*.parquet") for lang in self.languages}
            for side in ("corpus", "queries")
        )
        self.topics = layout.need(bench, QUERIES_FILE)[0]
        self.qrels = {lang: layout.need(bench, f"data/qrels.{CODES[lang]}.gains.txt")[0] for lang in self.languages}
        self.info = Info(
            name=f"{NAME}-{year}",
            title=f"NeuCLIR {year}, English queries on hard-negative pools",
            licence=f"{pool.licence}; queries and judgements {bench.licence}",
            provenance=f"{pool.name} and {bench.name}",
            citation="Lawrie et al., Overview of the TREC 2023 NeuCLIR Track, 2024",
        )

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, year: int = 2023, graded: bool = True) -> Remote:
        """Say what is downloaded for some languages and a year."""
        langs = _documents_in(wanted)
        repos = _repos(langs, year)
        documents = {lang: COUNTS[year][lang] for lang in langs}
        return Remote(repos, Published("mteb's descriptive statistics", documents, languages=("en", *langs)))

    def files(self) -> list[Path]:
        """Return corpora, queries and judgements."""
        sides = (*self.corpus.values(), *self.pool_queries.values())
        return [*(path for paths in sides for path in paths), self.topics, *self.qrels.values()]

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the news, title and text."""
        for lang, paths in self.corpus.items():
            for path in paths:
                for record, where in read_records(path, ("_id", "id", "title", "text"), problems):
                    record = {"id": record.get("_id"), "title": "", **{k: v for k, v in record.items() if v is not None}}
                    values = need_fields(record, ("id", "title", "text"), where, problems)
                    if values is not None and (values[1].strip() or values[2].strip()):
                        yield Text(f"{lang}:{values[0]}", values[2], lang, title=values[1], where=where)

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the year's queries in English; those without a relevant document in the corpora are counted later."""
        for (name, text), where in read_columns(self.topics, 2, problems):
            if name in self._year:
                yield Text(f"en:{name}", text, "en", where=where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield the judgements of the year's queries and of documents in the corpora."""
        for lang, path in self.qrels.items():
            for (name, _, document, gain), where in read_columns(path, 4, problems, None):
                relevance = read_relevance(gain, problems, where)
                if relevance is None or name not in self._year or f"{lang}:{document}" not in self._pool:
                    continue
                yield Judgement(f"en:{name}", f"{lang}:{document}", relevance if self.graded else int(relevance > 0), where)

    @cached_property
    def _pool(self) -> set[str]:
        return {text.id for text in self.documents(Problems())}

    @cached_property
    def _year(self) -> set[str]:
        paths = (path for paths in self.pool_queries.values() for path in paths)
        records = (record for path in paths for record, _ in read_records(path, ("_id", "id"), Problems()))
        return {str(record.get("_id", record.get("id"))) for record in records}


def _documents_in(wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    if wanted is None:
        return USUAL
    return tuple(lang for lang in chosen(NAME, wanted, (*CODES, "en")) if lang != "en") or USUAL


def _repos(langs: tuple[str, ...], year: int) -> tuple[Repo, Repo]:
    if year not in REVISIONS:
        raise ConfigError(f"neuclir has no year {year}; choose {' or '.join(map(str, REVISIONS))}")
    pool = tuple(f"{CODES[lang]}-{side}/*.parquet" for lang in langs for side in ("corpus", "queries"))
    judged = tuple(f"data/qrels.{CODES[lang]}.gains.txt" for lang in langs)
    return (
        Repo(f"mteb/NeuCLIR{year}RetrievalHardNegatives", REVISIONS[year], pool, "ODC-BY"),
        # no commit of it was published; the branch is resolved at the first download and recorded
        Repo("neuclir/bench", "main", (QUERIES_FILE, *judged), "CC BY 4.0"),
    )
