"""The Collection record: corpus, queries and judgements with languages and groups, memory-mapped from Arrow files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_eval.collections.records import Info
from mimo_eval.errors import DataError
from mimo_eval.files import read_json
from mimo_eval.locks import Use

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import pyarrow as pa

PIECE = 2**20
"""Texts that are looked at in one go where all of them are."""


class Texts:
    """Documents or queries: an Arrow-backed data set and what is often asked about its rows.

    :param dataset: columns id, text, lang, group, and for documents title.
    :param shards: language to a hash of that language's texts in row order.
    """

    def __init__(self, dataset: datasets.Dataset, shards: dict[str, str]) -> None:
        self.dataset = dataset
        self.shards = shards
        self._rows: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column without copying it."""
        return self.dataset.data.table.column(name)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that occur, sorted; `language` holds numbers into it."""
        return tuple(sorted(self.shards))

    @cached_property
    def language(self) -> np.ndarray:
        """(rows,) int16: number of each text's language."""
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = pc.index_in(self.column("lang"), value_set=pa.array(self.languages, pa.string()))
        return np.asarray(numbers.to_numpy(), np.int16)

    @cached_property
    def group(self) -> np.ndarray:
        """(rows,) int32: number of each text's group, from 0; equal for translations."""
        names = self.column("group")
        if names.equals(self.column("id")):  # nothing is parallel: each text is a group, and names need not be compared again
            return np.asarray(self.id_order.view(np.int32))
        codes = names.dictionary_encode()
        return np.concatenate([np.empty(0, np.int32), *(chunk.indices.to_numpy() for chunk in codes.chunks)])

    @cached_property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.group.max(initial=-1)) + 1

    def group_numbers(self, names: Sequence[str]) -> np.ndarray:
        """Return the numbers of groups, -1 for those that do not occur; memory does not grow with the number of texts.

        :param names: group names.
        :return: (len(names),) int64.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(names, pa.string()).dictionary_encode()
        found, column = np.full(len(wanted.dictionary), -1, np.int64), self.column("group")
        for start in range(0, len(column), PIECE):
            at = pc.fill_null(pc.index_in(column.slice(start, PIECE), value_set=wanted.dictionary), -1).to_numpy()
            hits = np.flatnonzero(at >= 0)
            found[at[hits]] = self.group[start + hits]
        return np.asarray(found[wanted.indices.to_numpy()], np.int64)

    @cached_property
    def id_order(self) -> np.ndarray:
        """(rows,) uint32: place of each id among the sorted ids, by UTF-8 bytes as trec_eval sorts them."""
        import pyarrow.compute as pc

        order = pc.sort_indices(self.column("id")).to_numpy()
        place = np.empty(len(order), np.uint32)
        place[order] = np.arange(len(order), dtype=np.uint32)
        return place

    @cached_property
    def row_at(self) -> np.ndarray:
        """(rows,) int32: the inverse of `id_order`, the row whose id stands at each place."""
        rows = np.empty(len(self), np.int32)
        rows[self.id_order] = np.arange(len(self), dtype=np.int32)
        return rows

    def ids(self, rows: np.ndarray | Sequence[int] | None = None) -> list[str]:
        """Return the ids of some rows, or of all."""
        column = self.column("id")
        if rows is None:
            return list(column.to_pylist())
        return list(column.take(np.asarray(rows, np.int64)).to_pylist())

    def rows(self, language: str) -> np.ndarray:
        """Return the rows of one language, ascending, int64; not to be written to."""
        if language not in self.shards:
            return np.empty(0, np.int64)
        if language not in self._rows:
            self._rows[language] = np.flatnonzero(self.language == self.languages.index(language))
            self._rows[language].setflags(write=False)
        return self._rows[language]

    def read(self, rows: np.ndarray | Sequence[int]) -> list[str]:
        """Return texts as a model sees them: the title, if there is one, then the text.

        :param rows: row numbers.
        :return: one string per row.
        """
        batch = self.dataset[np.asarray(rows, np.int64)]
        titles = batch.get("title") or [""] * len(batch["text"])
        return [f"{title} {text}" if title else text for title, text in zip(titles, batch["text"], strict=True)]


@dataclass(frozen=True)
class Collection:
    """Corpus, queries and qrels from one source, before any mixing."""

    info: Info
    documents: Texts
    queries: Texts
    qrels: pd.DataFrame
    """Columns query_group, doc_group, relevance: a judgement holds for every language version of query and document."""
    revision: str
    """Hash of the content of corpus, queries and qrels, whatever their order; 64 hexadecimal characters."""
    problems: dict[str, int]
    """Warnings met while reading, with counts."""
    folder: Path | None = None
    use: Use | None = field(default=None, repr=False, compare=False)
    """Keeps the folder from `mimo-eval cache gc`."""

    @property
    def name(self) -> str:
        """The short name, such as `xquad-r`."""
        return self.info.name

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language of a document or a query, sorted."""
        return tuple(sorted({*self.documents.languages, *self.queries.languages}))

    @cached_property
    def parallel(self) -> bool:
        """Whether some document stands in more than one language."""
        return self.documents.groups < len(self.documents)

    @cached_property
    def judgements(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(query group, document group, relevance) as numbers into `queries.group` and `documents.group`, by query."""
        query = self.queries.group_numbers(self.qrels["query_group"].tolist())
        document = self.documents.group_numbers(self.qrels["doc_group"].tolist())
        relevance = self.qrels["relevance"].to_numpy(np.int32)
        known = (query >= 0) & (document >= 0)
        order = np.argsort(query[known], kind="stable")
        return query[known][order], document[known][order], relevance[known][order]

    def counts(self) -> dict[str, Any]:
        """Return what a reader wants to know first: numbers of texts per language, groups and judgements."""
        return {
            "documents": {lang: len(self.documents.rows(lang)) for lang in self.documents.languages},
            "queries": {lang: len(self.queries.rows(lang)) for lang in self.queries.languages},
            "document_groups": self.documents.groups,
            "query_groups": self.queries.groups,
            "judgements": len(self.qrels),
        }

    def describe(self) -> dict[str, Any]:
        """Return the provenance that a result carries."""
        return {**asdict(self.info), "revision": self.revision, "counts": self.counts(), "warnings": self.problems}

    @classmethod
    def open(cls, folder: Path) -> Collection:
        """Open a collection that was built before; nothing but a few kilobytes is read.

        :param folder: as `build` wrote it.
        :return: the collection.
        :raises DataError: if the folder holds no complete collection.
        """
        import pandas as pd
        from datasets import Dataset

        try:
            meta = read_json(folder / "collection.json")
            collection = cls(
                info=Info(**meta["info"]),
                documents=Texts(Dataset.from_file(str(folder / "documents.arrow")), meta["shards"]["documents"]),
                queries=Texts(Dataset.from_file(str(folder / "queries.arrow")), meta["shards"]["queries"]),
                qrels=pd.read_parquet(folder / "qrels.parquet"),
                revision=meta["revision"],
                problems=meta["problems"],
                folder=folder,
                use=Use(folder),
            )
            rows = {"documents": len(collection.documents), "queries": len(collection.queries)}
            if rows != meta["rows"]:
                raise ValueError(f"{rows} instead of {meta['rows']}")
            return collection
        except (KeyError, TypeError, ValueError, OSError) as error:  # Arrow's errors are ValueErrors
            raise DataError(f"{folder}: not a complete collection ({error}); remove the folder, it is built again") from error
