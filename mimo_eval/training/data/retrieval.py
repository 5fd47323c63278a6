"""Queries, passages and which passage answers which query: what contrastive training needs."""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.training.data.lines import Lines

if TYPE_CHECKING:
    from mimo_eval.collections import Collection

NO_PAIRS = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class Retrieval:
    """Positive pairs of a query group and a passage group; a pair holds for every language version of both."""

    queries: Lines
    passages: Lines
    positives: np.ndarray
    """(n, 2) int64: numbers into `queries.group` and `passages.group`, without repeats."""
    negatives: np.ndarray = field(default_factory=lambda: NO_PAIRS)
    """(m, 2) int64: passages known not to answer a query; may be none."""

    @classmethod
    def of(
        cls,
        queries: Lines,
        passages: Lines,
        positives: Iterable[tuple[str, str]],
        negatives: Iterable[tuple[str, str]] = (),
    ) -> Retrieval:
        """Make it of pairs of names; pairs of which one side has no text are left out.

        :param queries: queries, of one source.
        :param passages: passages, of one source.
        :param positives: (query group, passage group).
        :param negatives: likewise.
        :return: the data.
        :raises DataError: if no positive pair is left.
        """
        found = cls(queries, passages, _numbers(queries, passages, positives), _numbers(queries, passages, negatives))
        if not len(found.positives):
            raise DataError(f"{', '.join(queries.sources) or 'retrieval data'}: no query has a passage that answers it")
        return found

    @classmethod
    def from_collection(
        cls,
        collection: Collection,
        query_groups: Container[str] | None = None,
        passage_groups: Container[str] | None = None,
        least: int = 1,
    ) -> Retrieval:
        """Take the judged pairs of a collection.

        :param collection: any collection.
        :param query_groups: only these, such as the training part of a fold; all if None.
        :param passage_groups: only these.
        :param least: least relevance of a positive; judgements below 1 are negatives.
        :return: the data.
        :raises DataError: if there is no positive pair, or a wanted group does not exist.
        """
        frame = collection.qrels
        keep = np.ones(len(frame), bool)
        for name, wanted in (("query_group", query_groups), ("doc_group", passage_groups)):
            if wanted is not None:
                keep &= frame[name].isin(list(wanted)).to_numpy()
        frame = frame[keep]
        positive = (frame["relevance"] >= least).to_numpy()
        pairs = list(zip(frame["query_group"], frame["doc_group"], strict=True))
        return cls.of(
            _lines(collection.queries, collection.name, query_groups),
            _lines(collection.documents, collection.name, passage_groups),
            [pair for pair, good in zip(pairs, positive, strict=True) if good],
            [pair for pair, gain in zip(pairs, frame["relevance"], strict=True) if gain < 1],
        )

    @classmethod
    def concat(cls, parts: Sequence[Retrieval]) -> Retrieval:
        """Join data; groups of equal names in one source are one group, as for `Lines`.

        :param parts: at least one.
        :return: all texts and pairs, those of earlier parts first.
        """
        queries: Lines = Lines.concat([part.queries for part in parts])
        passages: Lines = Lines.concat([part.passages for part in parts])
        numbers = list(
            zip(
                _joined([part.queries for part in parts], queries),
                _joined([part.passages for part in parts], passages),
                strict=True,
            )
        )
        positives, negatives = (
            _distinct(np.concatenate([_moved(pairs, *moved) for pairs, moved in zip(every, numbers, strict=True)]))
            for every in ([part.positives for part in parts], [part.negatives for part in parts])
        )
        return cls(queries, passages, positives, negatives)

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language of a query or a passage, sorted."""
        return tuple(sorted({*self.queries.languages, *self.passages.languages}))

    def select(self, queries: np.ndarray, passages: np.ndarray, step: dict[str, Any] | None = None) -> Retrieval:
        """Return the data with some of the texts.

        :param queries: (query lines,) bool.
        :param passages: (passage lines,) bool.
        :param step: added to the histories.
        :return: the data; pairs of which one side has no text left are gone.
        :raises DataError: if no positive pair is left.
        """
        kept = self.queries.select(queries, step), self.passages.select(passages, step)
        numbers = [
            _renumbered(old, new, mask)
            for old, new, mask in zip((self.queries, self.passages), kept, (queries, passages), strict=True)
        ]
        positives, negatives = (_moved(pairs, *numbers) for pairs in (self.positives, self.negatives))
        if not len(positives):
            raise DataError("no query has a passage that answers it among the texts that are left")
        return Retrieval(*kept, positives, negatives)

    def counts(self) -> dict[str, int]:
        """Return the number of groups and pairs."""
        return {
            "query_groups": self.queries.groups,
            "passage_groups": self.passages.groups,
            "positives": len(self.positives),
            "negatives": len(self.negatives),
        }

    def describe(self) -> dict[str, Any]:
        """Return what a model card says of the data."""
        return {**self.counts(), "queries": self.queries.describe(), "passages": self.passages.describe()}


def _numbers(queries: Lines, passages: Lines, pairs: Iterable[tuple[str, str]]) -> np.ndarray:
    """Turn names into numbers, without repeats, in the order of first occurrence."""
    places = [{name: i for i, name in enumerate(lines.group_names())} for lines in (queries, passages)]
    numbers = np.array([(places[0].get(q, -1), places[1].get(p, -1)) for q, p in pairs], np.int64).reshape(-1, 2)
    return _distinct(numbers[(numbers >= 0).all(axis=1)])


def _distinct(pairs: np.ndarray) -> np.ndarray:
    return pairs[np.sort(np.unique(pairs, axis=0, return_index=True)[1])]


def _renumbered(old: Lines, new: Lines, keep: np.ndarray) -> np.ndarray:
    """Return the new number of each old group, -1 where it is gone."""
    numbers = np.full(old.groups, -1, np.int64)
    numbers[old.group[keep]] = new.group
    return numbers


def _joined(parts: Sequence[Lines], whole: Lines) -> list[np.ndarray]:
    """Return for each part the numbers that its groups have in the whole."""
    places = np.split(whole.group, np.cumsum([len(part) for part in parts])[:-1])
    return [place[part.first] for part, place in zip(parts, places, strict=True)]


def _moved(pairs: np.ndarray, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    moved = np.stack([queries[pairs[:, 0]], passages[pairs[:, 1]]], axis=1)
    return moved[(moved >= 0).all(axis=1)]


def _lines(texts: Any, source: str, groups: Container[str] | None) -> Lines:
    """Take the texts of a collection, titles before them as models see them."""
    import pyarrow as pa

    rows = np.arange(len(texts))
    names: Sequence[str] = texts.column("group").to_pylist()
    if groups is not None:
        wanted = set(groups)
        absent = wanted - set(names)
        if absent:
            raise DataError(f"{source} has no group '{min(absent)}' and {len(absent) - 1} more that were asked for")
        rows = np.array([i for i, name in enumerate(names) if name in wanted], np.int64)
    columns = {
        "group": texts.column("group").take(rows),
        "lang": texts.column("lang").take(rows),
        "text": pa.array(texts.read(rows), pa.large_string()),
        "source": pa.array([source] * len(rows), pa.large_string()),
    }
    return Lines(pa.table(columns), [{"step": "read", "collection": source, "lines": len(rows)}])
