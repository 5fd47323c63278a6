"""Multi-EuP v2: speeches in the European Parliament in 24 languages; the queries are the debates' titles, in every language.

A speech stands in the language in which it was given, and every speech of a debate is relevant to the debate's title.
MIMO's script reads the languages of mMARCO and looks for Dutch under `dt`, so its suite has de, en, es, fr, it and pt.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Layout, Published, Remote, Repo, chosen
from mimo_eval.collections.tables import read_records
from mimo_eval.errors import DataError
from mimo_eval.languages import normalise

NAME = "multieup"
FILE = "clean_all_with_did_qid.MEP.csv"
CODES = "bg cs da de el en es et fi fr ga hr hu it lt lv mt nl pl pt ro sk sl sv"
LANGUAGES = tuple(CODES.split())
REPO = Repo("unimelb-nlp/MultiEup-v2", "382817850e097286b3fa9d874fb1b5128d0a430c", (FILE,), "CC BY 4.0")


class MultiEuP:
    """Speeches and titles of the chosen languages.

    :param data: folder with the table.
    :param wanted: languages to read; None for all 24.
    """

    grouped_judgements = True
    info = Info(
        name=NAME,
        title="Multi-EuP v2, debates' titles and speeches",
        licence=REPO.licence,
        provenance=REPO.name,
        citation="Yang et al., Language Bias in Multilingual Information Retrieval, MRL 2024",
    )

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None) -> None:
        self.languages = chosen(NAME, wanted, LANGUAGES)
        self.path = Layout(data, NAME).need(REPO, FILE)[0]

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None) -> Remote:
        """Say what is downloaded: one table with all languages."""
        return Remote(
            (REPO,), Published("Multi-EuP v2 publishes no counts by language", languages=chosen(NAME, wanted, LANGUAGES))
        )

    def files(self) -> list[Path]:
        """Return the table."""
        return [self.path]

    def _rows(self, problems: Problems) -> Iterator[tuple[dict[str, Any], str]]:
        for record, where in read_records(self.path, (), problems):
            if absent := [name for name in ("did", "LANGUAGE", "TEXT", "qid_EN") if name not in record]:
                problems.add("missing field", where, ", ".join(absent))
                return
            try:
                lang = normalise(record["LANGUAGE"])
            except DataError:
                problems.add("unknown language", where, repr(record["LANGUAGE"]))
                continue
            if lang in self.languages:
                yield {**record, "LANGUAGE": lang}, where

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the speeches that belong to a debate with a title."""
        for record, where in self._rows(problems):
            if record["did"] and record["TEXT"].strip() and record["qid_EN"]:
                lang = record["LANGUAGE"]
                yield Text(f"{lang}:{record['did']}", record["TEXT"], lang, where=where)

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the titles in the chosen languages, each once; those of one debate are a group."""
        seen: set[tuple[str, str]] = set()
        for record, where in self._rows(Problems()):
            for lang in self.languages:
                title, name = record.get(f"title_{lang.upper()}"), _debate(record.get(f"qid_{lang.upper()}"))
                if title and title.strip() and name and (lang, name) not in seen:
                    seen.add((lang, name))
                    yield Text(f"{lang}:{name}", title, lang, name, where=where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield debate to speech; a debate without a title in any chosen language is left out."""
        asked = {text.group for text in self.queries(Problems())}
        for record, where in self._rows(Problems()):
            name = _debate(record["qid_EN"])
            if name in asked and record["did"] and record["TEXT"].strip():
                yield Judgement(name, f"{record['LANGUAGE']}:{record['did']}", 1, where)


def _debate(qid: str | None) -> str:
    """Return the debate's own number of `123#EN`."""
    return (qid or "").partition("#")[0]
