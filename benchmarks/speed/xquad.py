"""Cuts of XQuAD-R that every side of a row reads from the same files: paragraphs with all their questions, in all languages.

A cut keeps the proportions of the whole (five questions to a paragraph, eleven languages).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from mimo_eval.collections import Problems, Text, source_for

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
"""Of the benchmark `xquad-r`."""


@dataclass(frozen=True)
class Cut:
    """A folder in the layout that `xquad-r` reads: `corpus.jsonl`, `queries.jsonl`, `qrels.tsv` over groups."""

    folder: Path

    @classmethod
    def of(cls, data: Path, folder: Path, paragraphs: int | None = None, without: int | None = None) -> Cut:
        """Write a cut of XQuAD-R.

        :param data: folder with the files of XQuAD-R, in either of its layouts, in `xquad-r`.
        :param folder: a folder to be made or written over.
        :param paragraphs: how many, spread over all articles; None for all 240.
        :param without: leave out one document of so many; None leaves out none.
        :return: the cut.
        """
        source, _ = source_for("xquad-r", data / "xquad-r", LANGUAGES)
        documents = list(source.documents(Problems()))
        groups = sorted({text.group or "" for text in documents})
        count = min(paragraphs or len(groups), len(groups))
        kept = {groups[(2 * number + 1) * len(groups) // (2 * count)] for number in range(count)}
        answer = {j.query: j.document for j in source.judgements(Problems()) if j.document in kept}
        corpus = sorted((text for text in documents if text.group in kept), key=lambda text: (text.group or "", text.lang))
        if without is not None:
            corpus = [text for number, text in enumerate(corpus, 1) if number % without]
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "corpus.jsonl", "docid", corpus)
        _write(folder / "queries.jsonl", "qid", (text for text in source.queries(Problems()) if text.group in answer))
        lines = [f"{query}\t{document}\t1\n" for query, document in sorted(answer.items())]
        (folder / "qrels.tsv").write_text("query_group\tpara_group\trel\n" + "".join(lines), "utf-8")
        return cls(folder)

    def documents(self) -> list[Text]:
        """Read the paragraphs."""
        return [Text(line["docid"], line["text"], line["lang"], line["group"]) for line in _lines(self.folder / "corpus.jsonl")]

    def queries(self) -> list[Text]:
        """Read the questions."""
        return [Text(line["qid"], line["text"], line["lang"], line["group"]) for line in _lines(self.folder / "queries.jsonl")]

    def answers(self) -> dict[str, str]:
        """Read which group of paragraphs answers which group of questions."""
        lines = (self.folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]
        return dict(line.split("\t")[:2] for line in lines)

    @cached_property
    def size(self) -> dict[str, int]:
        """How many documents and queries there are."""
        return {"documents": len(self.documents()), "queries": len(self.queries())}

    def texts(self) -> list[str]:
        """Read every text, questions first."""
        return [text.text for text in (*self.queries(), *self.documents())]


class Asked(NamedTuple):
    """One corpus and the queries asked of it, as a peer wants them."""

    queries: list[Text]
    documents: list[Text]
    relevant: dict[str, list[str]]
    """Query id to ids of documents; every language version of the answering paragraph."""


def asked_of(cut: Cut, corpora: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> Iterator[tuple[str, Asked]]:
    """Read a cut and yield each of some corpora.

    :param cut: the texts.
    :param corpora: name to languages of queries and of documents.
    :yield: name and corpus.
    """
    documents, queries, answers = cut.documents(), cut.queries(), cut.answers()
    for name, (asked, stored) in corpora.items():
        mine = [text for text in documents if text.lang in stored]
        versions: dict[str, list[str]] = {}
        for text in mine:
            versions.setdefault(text.group, []).append(text.id)
        wanted = [text for text in queries if text.lang in asked and answers[text.group] in versions]
        yield name, Asked(wanted, mine, {text.id: versions[answers[text.group]] for text in wanted})


MIXED = {"parallel": (LANGUAGES, LANGUAGES)}
"""The one corpus with all languages."""


def all_settings() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return every corpus of the four settings: name to languages of queries and of documents."""
    found = dict(MIXED)
    found |= {f"monolingual {lang}": ((lang,), (lang,)) for lang in LANGUAGES}
    found |= {f"cross-lingual {q}-{d}": ((q,), (d,)) for q in LANGUAGES for d in LANGUAGES if q != d}
    found |= {f"bilingual en+{lang}": (("en", lang),) * 2 for lang in LANGUAGES if lang != "en"}
    return found


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _write(path: Path, name: str, texts: Iterable[Text]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for text in texts:
            line = {name: text.id, "text": text.text, "lang": text.lang, "group": text.group}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
