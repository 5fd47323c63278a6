"""The Collection record: corpus, queries and judgements with languages and groups, memory-mapped from Arrow files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mimo_eval.collections.numbers import Arrays, Numbers, StoredArrays, leading, pieces, shown, take
from mimo_eval.collections.records import Info
from mimo_eval.digests import text_hash
from mimo_eval.errors import DataError
from mimo_eval.files import read_json
from mimo_eval.locks import Use

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import pyarrow as pa

Rows = dict[str, np.ndarray]
"""Language to rows of texts, ascending."""


class Records(NamedTuple):
    """Some texts, compared with what was written when the collection was built."""

    columns: dict[str, list[str]]
    """id, text, lang, group, and for documents title."""
    shown: list[str]
    """What a model sees: the title, if there is one, then the text."""
    hashes: np.ndarray
    """(n, 16) uint8: hash of what a model sees."""


class Texts:
    """Documents or queries: an Arrow-backed data set and what is often asked about its rows.

    :param dataset: columns id, text, lang, group, and for documents title.
    :param shards: language to a hash of that language's texts in row order.
    :param place: where arrays with a number for each text are made, or were.
    """

    def __init__(self, dataset: datasets.Dataset, shards: dict[str, str], place: Arrays | None = None) -> None:
        self.dataset = dataset
        self.shards = shards
        self._numbers = Numbers(dataset.data.table.column, self.languages, place or Arrays())

    @classmethod
    def open(cls, path: Path, shards: dict[str, str]) -> Texts:
        """Open texts that were built before; all of them stay on disk.

        :param path: the Arrow file; arrays lie beside it, see `numbers.write`.
        :param shards: language to a hash of that language's texts in row order.
        :return: the texts, memory-mapped.
        :raises OSError: if a file is missing.
        :raises ValueError: if a file is damaged.
        """
        from datasets import Dataset

        texts = cls(Dataset.from_file(str(path)), shards, StoredArrays(path))
        texts._numbers.all()
        return texts

    def __len__(self) -> int:
        return len(self.dataset)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column without copying it."""
        return self.dataset.data.table.column(name)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that occur, sorted; `language` holds numbers into it."""
        return tuple(sorted(self.shards))

    @property
    def language(self) -> np.ndarray:
        """(rows,) int16: number of each text's language."""
        return self._numbers.language

    @property
    def group(self) -> np.ndarray:
        """(rows,) int32: number of each text's group, from 0; equal for translations."""
        return self._numbers.group

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
        for part in pieces(len(column)):
            at = pc.fill_null(pc.index_in(column[part], value_set=wanted.dictionary), -1).to_numpy()
            hits = np.flatnonzero(at >= 0)
            found[at[hits]] = self.group[part][hits]
        return np.asarray(found[wanted.indices.to_numpy()], np.int64)

    @property
    def id_order(self) -> np.ndarray:
        """(rows,) uint32: place of each id among the sorted ids, by UTF-8 bytes as trec_eval sorts them."""
        return self._numbers.id_order

    @property
    def row_at(self) -> np.ndarray:
        """(rows,) int32: the inverse of `id_order`, the row whose id stands at each place."""
        return self._numbers.row_at

    @property
    def text_hash(self) -> np.ndarray:
        """(rows,) uint64: the leading bytes of the hash of each text, as it was when the collection was built."""
        return self._numbers.text_hash

    def ids(self, rows: np.ndarray | Sequence[int] | None = None) -> list[str]:
        """Return the ids of some rows, or of all."""
        column = self.column("id")
        return list((column if rows is None else take(column, rows)).to_pylist())

    def rows(self, language: str) -> np.ndarray:
        """Return the rows of one language, ascending, int64; not to be written to."""
        if language not in self.shards:
            return np.empty(0, np.int64)
        return self._numbers.rows(self.languages.index(language))

    def by_language(self, rows: np.ndarray | None = None) -> Rows:
        """Return some rows, or all, by language.

        :param rows: row numbers, ascending; of all of them none is copied.
        """
        if rows is None:
            return {lang: self.rows(lang) for lang in self.languages}
        numbers = self.language[rows]
        return {self.languages[number]: rows[numbers == number] for number in np.unique(numbers)}

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """Return the place of some texts among those of their language.

        :param rows: (n,) row numbers, in any order.
        :return: (n,) int64.
        """
        numbers, places = self.language[rows], np.empty(len(rows), np.int64)
        for number in np.unique(numbers):
            mine = numbers == number
            places[mine] = np.searchsorted(self.rows(self.languages[number]), rows[mine])
        return places

    def read(self, rows: np.ndarray | Sequence[int]) -> list[str]:
        """Return texts as a model sees them: the title, if there is one, then the text.

        :param rows: row numbers.
        :return: one string per row.
        :raises DataError: if a text is not what was written when the collection was built.
        """
        return self.records(rows).shown

    def records(self, rows: np.ndarray | Sequence[int]) -> Records:
        """Return all that is known of some texts.

        :param rows: n row numbers.
        :return: their columns, and what a model sees of them.
        :raises DataError: if a text is not what was written when the collection was built.
        """
        rows = np.asarray(rows, np.int64)
        columns = self.dataset[rows]
        texts = shown(columns.get("title"), columns["text"])
        hashes = np.frombuffer(b"".join(map(text_hash, texts)), np.uint8).reshape(-1, 16)
        wrong = np.flatnonzero(leading(hashes) != self.text_hash[rows])
        if len(wrong):
            files = ", ".join(str(file["filename"]) for file in self.dataset.cache_files)
            raise DataError(
                f"{files}: damaged, the text of '{self.ids(rows[wrong[:1]])[0]}' is not what was written; "
                "`mimo-eval cache verify --repair` removes what is damaged, and the next run makes it again"
            )
        return Records(columns, texts, hashes)


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

        try:
            meta = read_json(folder / "collection.json")
            collection = cls(
                info=Info(**meta["info"]),
                documents=Texts.open(folder / "documents.arrow", meta["shards"]["documents"]),
                queries=Texts.open(folder / "queries.arrow", meta["shards"]["queries"]),
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
