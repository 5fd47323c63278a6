"""mMARCO: MS MARCO's passages and queries, machine-translated into 13 languages, beside the English originals.

A passage has the same number in every language, so it is one group. Dutch is called `dt` in ir_datasets and MIMO.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Layout, Published, Remote, Repo, chosen
from mimo_eval.collections.tables import read_columns, read_trec_qrels
from mimo_eval.errors import ConfigError

NAME = "mmarco"
COLLECTION = "data/{by}/collections/{language}_collection.tsv"
QUERIES = "data/{by}/queries/dev/{language}_queries.dev.tsv"
SPLITS = {"small": "data/qrels.dev.small.tsv", "dev": "data/qrels.dev.tsv"}
PASSAGES, SMALL_QUERIES = 8_841_823, 6_980

# language: (name in the files, MB translated by Google, MB by Helsinki's models or None); sizes from ir_datasets'
# downloads.json and the repository's page
SIZES = {
    "ar": ("arabic", 4671, None),
    "de": ("german", 3493, 3423),
    "en": ("english", 3065, 3065),
    "es": ("spanish", 3577, 3388),
    "fr": ("french", 3662, 3475),
    "hi": ("hindi", 7660, None),
    "id": ("indonesian", 3302, 3123),
    "it": ("italian", 3449, 3324),
    "ja": ("japanese", 3931, None),
    "nl": ("dutch", 3367, None),
    "pt": ("portuguese", 3436, 3188),
    "ru": ("russian", 5777, 5509),
    "vi": ("vietnamese", 4146, None),
    "zh": ("chinese", 2724, 2232),
}


class MMarco:
    """Passages in the chosen languages, and the dev queries of which some are judged.

    :param data: folder with the repository's files.
    :param wanted: languages to read; None for all whose collection is there.
    :param by: who translated: `google` (14 languages with English) or `helsinki` (9).
    :param split: `small` (6,980 queries, the usual one) or `dev`.
    """

    grouped_judgements = True

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None, by: str = "google", split: str = "small") -> None:
        repo, layout = _repo(_languages(by), by, split), Layout(data, NAME)
        langs = layout.there(wanted, _languages(by), repo, lambda lang: _path(COLLECTION, by, lang))
        self.collections, self.topics = (
            {lang: layout.need(repo, _path(pattern, by, lang))[0] for lang in langs} for pattern in (COLLECTION, QUERIES)
        )
        self.qrels = layout.need(repo, SPLITS[split])[0]
        self.info = Info(
            name=NAME + ("" if by == "google" else f"-{by}") + ("" if split == "small" else f"-{split}"),
            title=f"mMARCO passages, dev {split}, translated by {by}",
            licence=repo.licence,
            provenance=repo.name,
            citation="Bonifacio et al., mMARCO: A Multilingual Version of the MS MARCO Passage Ranking Dataset, 2021",
            machine_translated=True,
        )

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, by: str = "google", split: str = "small") -> Remote:
        """Say what is downloaded for some languages, one translation and split."""
        langs = chosen(NAME, wanted, _languages(by))
        megabytes = sum((SIZES[lang][2] if by == "helsinki" else SIZES[lang][1]) or 0 for lang in langs)
        counts = Published(
            "ir_datasets and mteb's descriptive statistics",
            dict.fromkeys(langs, PASSAGES),
            dict.fromkeys(langs, SMALL_QUERIES) if split == "small" else {},
            megabytes * 10**6,
        )
        return Remote((_repo(langs, by, split),), counts)

    def files(self) -> list[Path]:
        """Return the collections, queries and judgements."""
        return [*self.collections.values(), *self.topics.values(), self.qrels]

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the passages, `pid <tab> text` a line."""
        for lang, path in self.collections.items():
            for (pid, text), where in read_columns(path, 2, problems):
                yield Text(f"{lang}:{pid}", text, lang, pid, where=where)

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the queries that are judged in this split; the files hold all of dev."""
        for lang, path in self.topics.items():
            for (qid, text), where in read_columns(path, 2, problems):
                if qid in self._judged:
                    yield Text(f"{lang}:{qid}", text, lang, qid, where=where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield query number to passage number: they hold in every language."""
        yield from read_trec_qrels(self.qrels, problems)

    @cached_property
    def _judged(self) -> set[str]:
        return {judgement.query for judgement in self.judgements(Problems())}


def _languages(by: str) -> tuple[str, ...]:
    if by not in ("google", "helsinki"):
        raise ConfigError(f"mmarco has no translation by '{by}'; choose google or helsinki")
    return tuple(lang for lang, (_, _, helsinki) in SIZES.items() if by == "google" or helsinki)


def _path(pattern: str, by: str, lang: str) -> str:
    return pattern.format(by=by, language=SIZES[lang][0])


def _repo(langs: tuple[str, ...], by: str, split: str) -> Repo:
    if split not in SPLITS:
        raise ConfigError(f"mmarco has no split '{split}'; choose {' or '.join(SPLITS)}")
    paths = [_path(pattern, by, lang) for lang in langs for pattern in (COLLECTION, QUERIES)]
    return Repo(
        "unicamp-dl/mmarco",
        "6d039c4638c0ba3e46a9cb7b498b145e7edc6230",
        (*paths, SPLITS[split]),
        "Apache-2.0 (MS MARCO: research only)",
    )
