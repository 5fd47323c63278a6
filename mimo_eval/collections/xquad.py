"""XQuAD from the hub: 240 paragraphs and 1,190 questions in 12 languages, fully parallel.

The same paragraphs as `xquad-r`'s, which reads the upstream JSON files and also has LAReQA's sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mimo_eval.collections.jsonl import clean
from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Layout, Published, Remote, Repo, chosen
from mimo_eval.collections.tables import need_fields, read_records

NAME = "xquad"
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
FIELDS = ("id", "context", "question")


class _Row(NamedTuple):
    lang: str
    id: str
    group: str
    context: str
    question: str
    where: str


class XQuAD:
    """Paragraphs and questions of the chosen languages.

    The rows give no paragraph number: a paragraph's group is the id of its first question, which is the same in all languages.

    :param data: folder with the files, `xquad.{lang}/validation-00000-of-00001.parquet`.
    :param wanted: languages to read; None for all that are there.
    """

    grouped_judgements = True
    info = Info(
        name=NAME,
        title="XQuAD, paragraphs and questions",
        licence="CC BY-SA 4.0",
        provenance="google/xquad",
        citation="Artetxe et al., On the Cross-lingual Transferability of Monolingual Representations, ACL 2020",
    )

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None) -> None:
        repo, layout = _repo(LANGUAGES), Layout(data, NAME)
        self.paths = {lang: layout.need(repo, _path(lang)) for lang in layout.there(wanted, LANGUAGES, repo, _path)}
        self._paragraph: dict[str, str] = {}

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None) -> Remote:
        """Say what is downloaded for some languages."""
        langs = chosen(NAME, wanted, LANGUAGES)
        counts = dict.fromkeys(langs, 240), dict.fromkeys(langs, 1190)
        return Remote((_repo(langs),), Published("XQuAD's paper, size from the data set's card", *counts, len(langs) * 250_000))

    def files(self) -> list[Path]:
        """Return the files of the chosen languages."""
        return [path for paths in self.paths.values() for path in paths]

    def _rows(self, problems: Problems) -> Iterator[_Row]:
        """Yield the rows with their paragraphs' groups, which are remembered."""
        for lang, paths in self.paths.items():
            group_of: dict[str, str] = {}
            for path in paths:
                for record, where in read_records(path, FIELDS, problems):
                    values = need_fields(record, FIELDS, where, problems)
                    if values is None:
                        continue
                    name, context = values[0], clean(values[1])
                    group = group_of.setdefault(context, self._paragraph.get(name, name))
                    self._paragraph.setdefault(name, group)
                    yield _Row(lang, name, group, context, clean(values[2]), where)

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield each paragraph once."""
        seen: set[tuple[str, str]] = set()
        for row in self._rows(problems):
            if (row.lang, row.group) not in seen:
                seen.add((row.lang, row.group))
                yield Text(f"{row.lang}:{row.group}", row.context, row.lang, row.group, where=row.where)

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the questions; what is wrong with a row was noted with the paragraphs."""
        for row in self._rows(Problems()):
            yield Text(f"{row.lang}:{row.id}", row.question, row.lang, row.id, where=row.where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield question to paragraph, once for all languages."""
        seen: set[str] = set()
        for row in self._rows(Problems()):
            if row.id not in seen:
                seen.add(row.id)
                yield Judgement(row.id, row.group, 1, row.where)


def _path(lang: str) -> str:
    return f"xquad.{lang}/validation*.parquet"


def _repo(langs: tuple[str, ...]) -> Repo:
    paths = tuple(map(_path, langs))
    return Repo("google/xquad", "51adfef1c1287aab1d2d91b5bead9bcfb9c68583", paths, "CC BY-SA 4.0")
