"""What a source yields: texts and judgements, each with the place it was read from, and the problems met on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from mimo_eval.errors import DataError
from mimo_eval.files import Line

EXAMPLES = 5


class Text(NamedTuple):
    """A document or a query."""

    id: str
    text: str
    lang: str
    group: str | None = None
    """Equal for translations of one text; None where nothing is parallel."""
    title: str = ""
    where: str = ""
    """File and line."""


class Judgement(NamedTuple):
    """The relevance of a document to a query. Ids, or groups: then it holds for every language version."""

    query: str
    document: str
    relevance: int
    where: str = ""


def namespaced(identifier: str, lang: str) -> str:
    """Return `{lang}:{id}`; source ids repeat across languages. An id that has the prefix keeps it."""
    return identifier if identifier.startswith(f"{lang}:") else f"{lang}:{identifier}"


def lacking(name: str, absent: Iterable[str], present: Iterable[str], asked: bool = False) -> DataError:
    """Return the error for languages that a collection does not have, with the option that chooses others.

    :param name: the collection.
    :param absent: languages asked for in vain.
    :param present: languages that can be asked for.
    :param asked: whether those are only what was asked for with success, and there may be more.
    :return: the error, to be raised.
    """
    absent, there, whose = ", ".join(sorted(absent)), sorted(present), "of those asked for " if asked else ""
    return DataError(f"{name} has no texts in {absent}; {whose}it has {', '.join(there)}: use --languages {','.join(there)}")


@dataclass(frozen=True)
class Info:
    """What a collection is and where it comes from."""

    name: str
    title: str
    licence: str
    provenance: str
    citation: str = ""
    machine_translated: bool = False
    judged_within_language: bool = False
    """Whether documents in other languages than the query's are unjudged rather than not relevant."""


@runtime_checkable
class Source(Protocol):
    """Where a collection comes from. One module per source; adding one is one file."""

    info: Info
    grouped_judgements: bool
    """Whether `judgements` name groups instead of ids."""

    def files(self) -> list[Path]:
        """Return the files that are read; when they change, the collection is built again."""

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the documents."""

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the queries."""

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield the judgements."""


ERRORS = {
    "unreadable file": "fetch or save it again",
    "no texts": "a collection needs documents and queries, in the languages asked for",
    "unreadable line": "one JSON object or one tab-separated record a line, as the layout says",
    "broken UTF-8": "save the file as UTF-8",
    "NUL byte": "the file is damaged or is not text",
    "missing field": "every text needs an id and a text",
    "id with white space": "TREC files are split at white space; replace it",
    "duplicate id": "ids must be unique; languages that share ids need a folder each, or judgements of groups",
    "empty text": "remove the line or give it a text",
    "unknown language": "use BCP 47 codes such as 'de', 'zh', 'sr-Latn'",
    "no language": "add a 'lang' field, or put each language into a folder named after it",
    "two texts of one group in one language": "a group holds at most one text per language",
    "no judgements": "no judgement is above 0, in the languages asked for; nothing can be evaluated without one",
    "orphan judgement": "it names a query or document that does not exist",
    "relevance is not an integer": "use 0, 1, 2, …",
}
WARNINGS = {
    "byte-order mark": "it is skipped; save without it",
    "CR-LF line end": "it is taken off; save with LF",
    "repeated document": "the source has it twice under one id; the first one counts",
    "query without a relevant document": "it is dropped from the scores and counted",
    "judgements differ within a group": "the highest relevance counts",
    "looks like another language": "declared and detected language differ",
}
LINE_PROBLEMS = {"bom": "byte-order mark", "crlf": "CR-LF line end", "utf8": "broken UTF-8", "nul": "NUL byte"}


@dataclass
class Problems:
    """Counts of what is wrong with some input, with the first places of each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, where: str, detail: str = "") -> None:
        """Note one problem.

        :param kind: a key of ERRORS or WARNINGS.
        :param where: file and line.
        :param detail: the id, value or text concerned.
        """
        if kind not in ERRORS and kind not in WARNINGS:
            raise KeyError(kind)
        self.counts[kind] += 1
        places = self.examples.setdefault(kind, [])
        if len(places) < EXAMPLES:
            places.append(f"{where}: {detail}" if detail else where)

    def line(self, path: Path, line: Line) -> bool:
        """Note what is odd about a line's bytes.

        :param path: the file.
        :param line: the line.
        :return: whether the line can be used.
        """
        if line.problem:
            self.add(LINE_PROBLEMS[line.problem], f"{path}:{line.number}")
        return line.problem not in ("utf8", "nul")

    @property
    def errors(self) -> dict[str, int]:
        """Return the counts of the kinds that forbid loading."""
        return {kind: n for kind, n in self.counts.items() if kind in ERRORS}

    @property
    def warnings(self) -> dict[str, int]:
        """Return the counts of the kinds that loading can live with."""
        return {kind: n for kind, n in self.counts.items() if kind in WARNINGS}

    def lines(self) -> Iterator[str]:
        """Yield the report: a line per kind with its count and remedy, then the first places."""
        for kind, remedy in {**ERRORS, **WARNINGS}.items():
            if kind in self.counts:
                level = "error" if kind in ERRORS else "warning"
                yield f"{level}: {kind}: {self.counts[kind]:,} ({remedy})"
                yield from (f"    {place}" for place in self.examples[kind])

    def refuse(self, name: str) -> None:
        """Raise if there are errors.

        :param name: what was being loaded.
        :raises DataError: with the report.
        """
        if self.errors:
            total = sum(self.errors.values())
            raise DataError(f"{name} cannot be used: {total:,} error{'s'[: total != 1]}\n" + "\n".join(self.lines()))
