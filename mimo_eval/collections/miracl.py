"""MIRACL v1.0: Wikipedia passages and native speakers' questions in 18 languages, judged within each language.

Read from the raw files of `miracl/miracl-corpus` and of `miracl/miracl`, whose topics and qrels may be gated. Ids repeat across
languages (`7#0`), so each is read with its language before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import xxhash

from mimo_eval.collections.jsonl import read_texts
from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Layout, Published, Remote, Repo, chosen
from mimo_eval.collections.tables import read_columns, read_trec_qrels
from mimo_eval.errors import ConfigError

NAME = "miracl"
SPLITS = ("dev", "train")
CORPUS = "miracl-corpus-v1.0-{lang}/docs-*.jsonl.gz"
TOPICS = "miracl-v1.0-{lang}/topics/topics.miracl-v1.0-{lang}-{split}.tsv"
QRELS = "miracl-v1.0-{lang}/qrels/qrels.miracl-v1.0-{lang}-{split}.tsv"
REPEATING = ("ko",)
"""Languages whose corpus has ids twice (castorini/pyserini#1902)."""

# language: (passages, dev queries, MB to download), as in mteb's descriptive statistics and ir_datasets' downloads.json; the
# size of `yo`, which is wrong there, is estimated
COUNTS = {
    "ar": (2_061_414, 2896, 321),
    "bn": (297_265, 411, 60),
    "de": (15_866_222, 305, 2629),
    "en": (32_893_221, 799, 5060),
    "es": (10_373_953, 648, 1596),
    "fa": (2_207_172, 632, 270),
    "fi": (1_883_509, 1271, 270),
    "fr": (14_636_953, 343, 1911),
    "hi": (506_264, 350, 98),
    "id": (1_446_315, 960, 170),
    "ja": (6_953_614, 860, 1066),
    "ko": (1_486_752, 213, 227),
    "ru": (9_543_918, 1252, 1575),
    "sw": (131_924, 482, 11),
    "te": (518_079, 828, 72),
    "th": (542_166, 733, 110),
    "yo": (49_043, 119, 7),
    "zh": (4_934_368, 393, 734),
}
LANGUAGES = tuple(COUNTS)


class Miracl:
    """The whole corpora of the chosen languages, with the questions of one split.

    :param data: folder with the files of both repositories.
    :param wanted: languages to read; None for all whose corpus is there.
    :param split: `dev`, or `train` (de and yo have none); the judgements of other splits are not public.
    """

    grouped_judgements = False

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None, split: str = "dev") -> None:
        corpus, topics = _repos(LANGUAGES, split)
        layout = Layout(data, NAME)
        self.languages = layout.there(wanted, LANGUAGES, corpus, lambda lang: CORPUS.format(lang=lang))
        self.corpus = {lang: layout.need(corpus, CORPUS.format(lang=lang)) for lang in self.languages}
        self.topics, self.qrels = (
            {lang: layout.need(topics, pattern.format(lang=lang, split=split))[0] for lang in self.languages}
            for pattern in (TOPICS, QRELS)
        )
        self.info = Info(
            name=NAME if split == "dev" else f"{NAME}-{split}",
            title=f"MIRACL v1.0, {split}",
            licence=corpus.licence,
            provenance=f"{corpus.name} and {topics.name}",
            citation="Zhang et al., MIRACL: A Multilingual Retrieval Dataset Covering 18 Diverse Languages, TACL 2023",
            judged_within_language=True,
        )

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, split: str = "dev") -> Remote:
        """Say what is downloaded for some languages and a split."""
        langs = chosen(NAME, wanted, LANGUAGES)
        return Remote(
            _repos(langs, split),
            Published(
                "mteb's descriptive statistics, sizes from ir_datasets",
                {lang: COUNTS[lang][0] for lang in langs},
                {lang: COUNTS[lang][1] for lang in langs} if split == "dev" else {},
                sum(COUNTS[lang][2] for lang in langs) * 10**6,
            ),
        )

    def files(self) -> list[Path]:
        """Return the files of the chosen languages."""
        return [path for lang in self.languages for path in (*self.corpus[lang], self.topics[lang], self.qrels[lang])]

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the passages; of those that stand twice under one id, the first."""
        for lang, paths in self.corpus.items():
            texts = (text for path in paths for text in read_texts(path, problems, lang, prefix=True))
            yield from _first(texts, problems) if lang in REPEATING else texts

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the questions."""
        for lang, path in self.topics.items():
            yield from read_topics(path, lang, problems)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield the judgements, each within its language."""
        for lang, path in self.qrels.items():
            yield from read_qrels(path, lang, problems)


def read_topics(path: Path, lang: str, problems: Problems) -> Iterator[Text]:
    """Read a topics file, `qid <tab> query` a line.

    :param path: the file.
    :param lang: its language, put before ids.
    :param problems: where problems are noted.
    :yield: the questions.
    """
    for (qid, query), where in read_columns(path, 2, problems):
        yield Text(f"{lang}:{qid}", query, lang, where=where)


def read_qrels(path: Path, lang: str, problems: Problems) -> Iterator[Judgement]:
    """Read a qrels file in TREC's format.

    :param path: the file.
    :param lang: its language, put before ids.
    :param problems: where problems are noted.
    :yield: the judgements.
    """
    for found in read_trec_qrels(path, problems):
        yield found._replace(query=f"{lang}:{found.query}", document=f"{lang}:{found.document}")


def _first(texts: Iterator[Text], problems: Problems) -> Iterator[Text]:
    """Leave out texts whose id came before."""
    seen: set[int] = set()
    for text in texts:
        key = xxhash.xxh3_64_intdigest(text.id.encode("utf-8", "surrogatepass"))
        if key in seen:
            problems.add("repeated document", text.where, text.id)
        else:
            seen.add(key)
            yield text


def _repos(langs: tuple[str, ...], split: str) -> tuple[Repo, Repo]:
    if split not in SPLITS:
        raise ConfigError(f"miracl has no judgements of the split '{split}'; choose {' or '.join(SPLITS)}")
    questions = [pattern.format(lang=lang, split=split) for lang in langs for pattern in (TOPICS, QRELS)]
    return (
        Repo(
            "miracl/miracl-corpus",
            "d921ec7e349ce0d28daf30b2da9da5ee698bef0d",
            tuple(CORPUS.format(lang=lang) for lang in langs),
            "Apache-2.0 (passages CC BY-SA 3.0)",
        ),
        Repo("miracl/miracl", "5be20db9509754dadad47689368639fcec739c00", tuple(questions), "Apache-2.0", gated=True),
    )
