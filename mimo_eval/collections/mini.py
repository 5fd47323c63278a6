"""`mini`, the embedded default: short passages on closely related things, written for this project in ten languages (CC0)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import chosen
from mimo_eval.files import read_lines

FOLDER = Path(__file__).parent / "data" / "mini"
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "id", "ja", "ru", "zh")


class Mini:
    """Clusters of five or six confusable passages; two questions per passage, the second in other words than the passage.

    :param data: not used; the texts are in the package.
    :param wanted: languages to read; None for all ten.
    """

    grouped_judgements = True
    info = Info(
        name="mini",
        title="mini: hand-written parallel passages and questions",
        licence="CC0-1.0",
        provenance="written for mimo-eval; each language checked by a second reader",
    )

    def __init__(self, data: Path | None = None, wanted: tuple[str, ...] | None = None) -> None:
        self.languages = chosen("mini", wanted, LANGUAGES)

    def files(self) -> list[Path]:
        """Return one file per language."""
        return [FOLDER / f"{lang}.jsonl" for lang in self.languages]

    def _records(self, problems: Problems) -> Iterator[tuple[str, dict[str, str | list[str]], str]]:
        for lang, path in zip(self.languages, self.files(), strict=True):
            for line in read_lines(path):
                if problems.line(path, line):
                    yield lang, json.loads(line.text), f"{path}:{line.number}"

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the passages."""
        for lang, record, where in self._records(problems):
            yield Text(f"{lang}:{record['group']}", str(record["text"]), lang, str(record["group"]), where=where)

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield two questions per passage: `-1` is the direct one, `-2` shares few words with the passage."""
        for lang, record, where in self._records(problems):
            for number, question in enumerate(record["questions"], 1):
                name = f"{record['group']}-{number}"
                yield Text(f"{lang}:{name}", question, lang, name, where=where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield question group to passage group."""
        groups = {str(record["group"]): where for _, record, where in self._records(Problems())}
        for group, where in groups.items():
            yield from (Judgement(f"{group}-{number}", group, 1, where) for number in (1, 2))
