"""Any user's data: a BEIR folder with languages, one BEIR folder per language, or TREC qrels; plain, gz or zst."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mimo_eval import languages
from mimo_eval.collections.jsonl import ENDINGS, find_file, read_judgements, read_texts
from mimo_eval.collections.records import Info, Judgement, Problems, Text, lacking
from mimo_eval.errors import DataError
from mimo_eval.files import read_json, read_lines

INFO = "collection.json"
"""What the user says of the collection, beside its files; a folder may do without."""

INFO_FIELDS = {
    **dict.fromkeys(("name", "title", "licence", "provenance", "citation"), str),
    **dict.fromkeys(("machine_translated", "judged_within_language"), bool),
}
LAYOUT = """expected either
  corpus.jsonl    {"_id", "text", "lang", and if you like "title", "group"}
  queries.jsonl   {"_id", "text", "lang", "group"}
  qrels/test.tsv  query-id <tab> corpus-id <tab> score, with a header line (or qrels.tsv, or TREC qrels.txt)
or one such folder per language, named de, en, …; files may end in .gz or .zst"""


@dataclass(frozen=True)
class Part:
    """The three files of one BEIR folder; `lang` is set where the folder is one language's."""

    corpus: Path
    queries: Path
    qrels: Path
    lang: str = ""


class FolderSource:
    """A collection in files of the user's.

    :param data: the folder.
    :param wanted: languages to read; None for all.
    :param split: which of several files in `qrels/`; by default the only one, or `test`, or `dev`.
    :param name: name of the collection; by default that in `collection.json`, or the folder's.
    """

    def __init__(
        self, data: Path, wanted: tuple[str, ...] | None = None, split: str | None = None, name: str | None = None
    ) -> None:
        self.folder = data
        self.wanted = wanted
        self.parts = find_parts(data, split)
        own = data.resolve().name.encode("utf-8", "replace").decode()  # names of files need not be UTF-8
        said = read_info(data / INFO)
        usual = {"name": own or "folder", "title": own, "licence": "unknown", "provenance": f"local files in {own}"}
        self.info = Info(**{**usual, **said, **({"name": str(name)} if name else {})})
        self.grouped_judgements = any(_has_groups(part.qrels) for part in self.parts)

    def files(self) -> list[Path]:
        """Return the files of every part, and `collection.json` where there is one."""
        files = [path for part in self.parts for path in (part.corpus, part.queries, part.qrels)]
        return [*files, self.folder / INFO] if (self.folder / INFO).is_file() else files

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the documents of the wanted languages.

        :param problems: where problems are noted.
        :yield: the documents.
        :raises DataError: if the folder has no text in a wanted language; the message has all languages that there are.
        """
        _ = self._unwanted
        for part in self.parts:
            texts = read_texts(part.corpus, problems, part.lang, prefix=bool(part.lang))
            yield from (text for text in texts if self._is_wanted(_code(text)))

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the queries of the wanted languages."""
        for part in self.parts:
            texts = read_texts(part.queries, problems, part.lang, prefix=bool(part.lang))
            yield from (text for text in texts if self._is_wanted(_code(text)))

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield the judgements; those of unwanted languages are passed over, not orphans."""
        unwanted = self._unwanted
        for part in self.parts:
            for judgement in read_judgements(part.qrels, problems, "" if self.grouped_judgements else part.lang):
                if judgement.query not in unwanted and judgement.document not in unwanted:
                    yield judgement

    def _is_wanted(self, lang: str | None) -> bool:
        return self.wanted is None or lang is None or lang in self.wanted  # what is no language is kept: the check names it

    @cached_property
    def _unwanted(self) -> set[str]:
        """The names, ids or groups, that only texts of unwanted languages have; a wanted language without texts is refused."""
        if self.wanted is None:
            return set()
        names: tuple[set[str], set[str]] = (set(), set())
        there, problems = set[str | None](), Problems()
        for part in self.parts:
            for path in (part.corpus, part.queries):
                for text in read_texts(path, problems, part.lang, prefix=bool(part.lang)):
                    there.add(lang := _code(text))
                    name = text.group if self.grouped_judgements else text.id
                    if name:
                        names[self._is_wanted(lang)].add(name)
        present = {lang for lang in there if lang}
        if present == there and not problems.errors and (absent := set(self.wanted) - present):  # else more is wrong
            raise lacking(self.info.name, absent, present)
        return names[False] - names[True]


def _code(text: Text) -> str | None:
    """Return the language of a text; None if it says none that is known."""
    try:
        return languages.normalise(text.lang)
    except DataError:
        return None


def read_info(path: Path) -> dict[str, Any]:
    """Read what a user says of a collection: licence, provenance, and whether it is machine-translated.

    :param path: a JSON object with fields of `Info`, any of them.
    :return: the fields that have a value; none if there is no such file.
    :raises DataError: if it is not JSON, or has other fields or values; the message names the field and all that there are.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a JSON object; its fields are {', '.join(INFO_FIELDS)}")
    for field, value in content.items():
        kind = INFO_FIELDS.get(field)
        if kind is None:
            raise DataError(f"{path}: no field {field!a}; the fields are {', '.join(INFO_FIELDS)}")
        if not isinstance(value, kind):
            expected = "a string" if kind is str else "true or false"
            raise DataError(f"{path}: {field} is {expected}, not {json.dumps(value)[:40]}")
        if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
            raise DataError(f"{path}: {field} has a NUL or half a surrogate pair")
    return {field: value for field, value in content.items() if value != ""}


def find_parts(folder: Path, split: str | None = None) -> list[Part]:
    """Find the files of a folder collection.

    :param folder: a BEIR folder, or a folder of one per language.
    :param split: which qrels.
    :return: one part, or one per language.
    :raises DataError: if neither layout is there; the message shows the layouts.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if find_file(folder, "corpus.jsonl"):
        return [_part(folder, split)]
    parts = []
    for child in sorted(folder.iterdir()):
        if child.is_dir() and find_file(child, "corpus.jsonl"):
            try:
                lang = languages.normalise(child.name)
            except DataError as error:
                raise DataError(f"{child}: a folder per language is named after it, but {error}") from error
            parts.append(_part(child, split, lang))
    if not parts:
        raise DataError(f"{folder}: no corpus.jsonl here or in a folder per language; {LAYOUT}")
    return parts


def _part(folder: Path, split: str | None, lang: str = "") -> Part:
    corpus, queries = find_file(folder, "corpus.jsonl"), find_file(folder, "queries.jsonl", "topics.jsonl")
    if corpus is None or queries is None:
        raise DataError(f"{folder}: no queries.jsonl; {LAYOUT}")
    return Part(corpus, queries, _qrels(folder, split), lang)


def _qrels(folder: Path, split: str | None) -> Path:
    single = find_file(folder, "qrels.tsv", "qrels.txt", "qrels.trec", "qrels")
    if single and split is None:
        return single
    inside = folder / "qrels"
    found = _splits(inside)
    if split is not None:
        if split not in found:
            raise DataError(f"{inside}: no split '{split}'; there are: {', '.join(found) or 'none'}")
        return found[split]
    for name in ("test", "dev", "validation"):
        if name in found:
            return found[name]
    if len(found) == 1:
        return next(iter(found.values()))
    raise DataError(f"{folder}: no qrels" if not found else f"{inside}: choose a split: {', '.join(found)}")


def _splits(folder: Path) -> dict[str, Path]:
    """Return the qrels files of a folder by the name of their split."""
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        for ending in (f"{kind}{packed}" for kind in (".tsv", ".txt", ".trec") for packed in ENDINGS):
            if path.name.endswith(ending):
                found[path.name.removesuffix(ending)] = path
    return found


def _has_groups(path: Path) -> bool:
    """Tell from the header line whether judgements name groups, as in `query_group doc_group rel`."""
    try:
        first = next(iter(read_lines(path)), None)
    except DataError:  # noted when the judgements are read
        return False
    return first is not None and "group" in first.text.split("\t")[0]
