"""Any data set of `ir_datasets`, in one language: `ir_datasets(beir/scifact/test, lang=en)`. Needs the extra `ir-datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.errors import ConfigError, DataError, require
from mimo_eval.languages import normalise


class IrDatasets:
    """Documents, queries and judgements as `ir_datasets` gives them; it downloads and keeps the files itself.

    :param data: not used; `$IR_DATASETS_HOME` says where its files lie.
    :param wanted: must have the data set's language, if given.
    :param id: name in `ir_datasets`.
    :param lang: language, where `ir_datasets` does not know it.
    """

    grouped_judgements = False
    positional = ("id",)

    def __init__(
        self, data: Path | None = None, wanted: tuple[str, ...] | None = None, id: str = "", lang: str | None = None
    ) -> None:
        package = require("ir_datasets", "ir-datasets")
        try:
            self.dataset: Any = package.load(id)
        except KeyError as error:
            raise ConfigError(f"ir_datasets has no '{id}'; see https://ir-datasets.com") from error
        for side in ("docs", "queries", "qrels"):
            if not getattr(self.dataset, f"has_{side}")():
                raise DataError(
                    f"'{id}' of ir_datasets has no {side}; choose a part of it that has, such as {id}/dev or {id}/test"
                )
        self.id = id
        self.lang = self._language("docs", lang)
        self.query_lang = self._language("queries", lang)
        if wanted is not None and not {self.lang, self.query_lang} <= set(wanted):
            raise DataError(f"'{id}' of ir_datasets is in {self.lang}, not in {', '.join(wanted)}")
        self.info = Info(
            name=f"ir_datasets-{id.replace('/', '-')}",
            title=f"ir_datasets {id}",
            licence="see https://ir-datasets.com",
            provenance=f"ir_datasets {package.__version__} {id}",
        )

    def files(self) -> list[Path]:
        """Return none: `ir_datasets` keeps its own, and what an id names does not change."""
        return []

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the documents; title apart from text where the data set has them so."""
        for number, doc in enumerate(self._of("docs"), 1):
            title = str(getattr(doc, "title", "") or "")
            text = str(doc.text) if title and hasattr(doc, "text") else str(doc.default_text())
            yield Text(f"{self.lang}:{doc.doc_id}", text, self.lang, title=title, where=f"{self.id}: document {number}")

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the queries that are judged."""
        judged = {qrel.query_id for qrel in self._of("qrels")}
        for number, query in enumerate(self._of("queries"), 1):
            if query.query_id in judged:
                where = f"{self.id}: query {number}"
                yield Text(f"{self.query_lang}:{query.query_id}", str(query.default_text()), self.query_lang, where=where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield the judgements."""
        for number, qrel in enumerate(self._of("qrels"), 1):
            query, document = f"{self.query_lang}:{qrel.query_id}", f"{self.lang}:{qrel.doc_id}"
            yield Judgement(query, document, int(qrel.relevance), f"{self.id}: judgement {number}")

    def _language(self, side: str, given: str | None) -> str:
        known = given or getattr(self.dataset, f"{side}_lang")()
        if not known:
            raise ConfigError(f"ir_datasets does not say in which language the {side} of '{self.id}' are; add lang=…")
        return normalise(str(known))

    def _of(self, side: str) -> Iterator[Any]:
        try:
            yield from getattr(self.dataset, f"{side}_iter")()
        except Exception as error:  # downloads, checksums and parsing of many formats, none of them ours
            raise DataError(f"'{self.id}' of ir_datasets cannot be read: {type(error).__name__}: {error}") from error
