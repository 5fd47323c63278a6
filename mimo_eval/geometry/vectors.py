"""The record that every diagnostic reads: vectors with a language and a group per row, read a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from mimo_eval.errors import DataError

CHUNK = 4096
"""Rows held as float32 at a time: 12 MiB at 768 dimensions."""


class RowArray(Protocol):
    """What vectors must offer: a shape, and rows by slice or by index array, as numpy arrays and memory maps do."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, dimensions)."""

    def __getitem__(self, key: Any, /) -> Any: ...


class Translations(NamedTuple):
    """The parallel items: every group that stands in at least two languages."""

    groups: np.ndarray
    """(items,) group codes."""
    rows: np.ndarray
    """(items, languages) row of the item in each language: the first if there are several, -1 if none."""


class Pairs(NamedTuple):
    """The translations that two languages share."""

    items: np.ndarray
    """(pairs,) positions in `Translations.groups`, ascending."""
    first: np.ndarray
    """(pairs,) row in the first language."""
    second: np.ndarray
    """(pairs,) row in the second language."""


@dataclass(frozen=True)
class _Rows:
    """Some rows of an array, without a copy of it."""

    array: RowArray
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), self.array.shape[1])

    def __getitem__(self, key: Any, /) -> Any:
        return self.array[self.rows[key]]


@dataclass(frozen=True, eq=False)
class LabelledVectors:
    """Vectors of texts in several languages; rows of one group are translations of one another."""

    vectors: RowArray
    """(n, d) float32 or float16, in memory or memory-mapped, of any length: they are normalised when they are read."""
    languages: np.ndarray
    """(n,) int: position of the row's language in `language_names`."""
    groups: np.ndarray
    """(n,) int: equal for translations of one text, different for all else."""
    language_names: Sequence[str]
    """Names of the languages; those without a row take no part."""

    def __post_init__(self) -> None:
        if len(self.vectors.shape) != 2 or self.vectors.shape[1] == 0:
            raise DataError(f"vectors must have the shape (rows, dimensions), not {tuple(self.vectors.shape)}")
        for name, labels in (("languages", self.languages), ("groups", self.groups)):
            if labels.shape != (len(self),) or not np.issubdtype(labels.dtype, np.integer):
                raise DataError(f"{name} must be one whole number for each of the {len(self)} vectors")
        if len(self) and not 0 <= self.languages.min() <= self.languages.max() < len(self.language_names):
            raise DataError(f"language codes must lie in 0..{len(self.language_names) - 1}, one for each language name")

    def __len__(self) -> int:
        return int(self.vectors.shape[0])

    @property
    def dimensions(self) -> int:
        """Number of columns."""
        return int(self.vectors.shape[1])

    @cached_property
    def present(self) -> np.ndarray:
        """Codes of the languages that have rows, ascending."""
        return np.unique(self.languages)

    @property
    def present_names(self) -> list[str]:
        """Names of the languages that have rows, in the order of `present`."""
        return [self.language_names[code] for code in self.present]

    @cached_property
    def item_of_row(self) -> np.ndarray:
        """(n,) the group of each row, numbered from 0 without gaps."""
        return np.unique(self.groups, return_inverse=True)[1].reshape(-1)

    @property
    def items(self) -> int:
        """Number of different groups."""
        return int(self.item_of_row.max()) + 1 if len(self) else 0

    @cached_property
    def translations(self) -> Translations:
        """The parallel items and where each of their versions stands."""
        width = len(self.language_names)
        cells, rows = np.unique(self.item_of_row.astype(np.int64) * width + self.languages, return_index=True)
        owner = cells // width
        parallel = np.bincount(owner)[owner] > 1 if len(owner) else np.zeros(0, bool)
        _, item = np.unique(owner[parallel], return_inverse=True)
        table = np.full((int(item.max()) + 1 if item.size else 0, width), -1, dtype=np.int64)
        table[item.reshape(-1), cells[parallel] % width] = rows[parallel]
        return Translations(self.groups[table.max(axis=1)] if len(table) else self.groups[:0], table)

    def pairs(self, first: int, second: int, *, limit: int | None = None, seed: int = 0) -> Pairs:
        """Find the translations that two languages share.

        :param first: code of one language.
        :param second: code of the other.
        :param limit: keep at most so many, drawn with the seed; the same items are preferred for every language pair.
        :param seed: of the draw.
        :return: the pairs, in the order of `translations`.
        """
        rows = self.translations.rows
        items = np.flatnonzero((rows[:, first] >= 0) & (rows[:, second] >= 0))
        if limit is not None and len(items) > limit:
            priority = np.random.default_rng(seed).permutation(len(rows))
            items = np.sort(items[np.argsort(priority[items])[:limit]])
        return Pairs(items, rows[items, first], rows[items, second])

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """Read rows as directions.

        :param rows: positions, or a slice.
        :return: (rows, d) float32 of length 1.
        :raises DataError: if a row is zero or holds NaN or infinity: it has no direction.
        """
        block = np.asarray(self.vectors[rows], dtype=np.float32)
        length = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        bad = np.flatnonzero(~np.isfinite(length) | (length == 0))
        if bad.size:
            row = int(np.arange(len(self))[rows][bad[0]])
            raise self._fault(row, "is zero" if length[bad[0]] == 0 else "holds NaN or infinity")
        return np.asarray(block / length[:, None], dtype=np.float32)

    def chunks(self, rows: np.ndarray | None = None, *, size: int = CHUNK) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read rows as directions, some at a time.

        :param rows: positions; all rows by default.
        :param size: rows at a time.
        :yield: positions (c,) and their vectors, (c, d) float32 of length 1.
        """
        for start in range(0, len(self) if rows is None else len(rows), size):
            if rows is None:
                stop = min(start + size, len(self))
                yield np.arange(start, stop), self.take(slice(start, stop))
            else:
                yield rows[start : start + size], self.take(rows[start : start + size])

    def sample(self, size: int, seed: int) -> np.ndarray:
        """Draw rows, the same number from every language as long as each has some left.

        A corpus of mostly English would otherwise make every pooled number a number about English.

        :param size: how many; all rows if there are not more.
        :param seed: of the draw; languages may be relabelled without changing it.
        :return: positions, ascending.
        """
        if size >= len(self):
            return np.arange(len(self))
        order = np.random.default_rng(seed).permutation(len(self))
        by_language = np.argsort(self.languages[order], kind="stable")
        counts = np.bincount(self.languages)
        turn = np.empty(len(self), dtype=np.int64)  # 0 for the first row drawn of each language, 1 for the second, …
        turn[by_language] = np.arange(len(self)) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.sort(order[np.argsort(turn, kind="stable")[:size]])

    def select(self, rows: np.ndarray) -> LabelledVectors:
        """Keep some rows, without copying their vectors.

        :param rows: positions.
        :return: the same record over those rows.
        """
        return LabelledVectors(_Rows(self.vectors, rows), self.languages[rows], self.groups[rows], self.language_names)

    def without_zeros(self) -> LabelledVectors:
        """Leave out rows that are zero, as static models give for texts without a known word.

        :return: the same record, or one over the remaining rows.
        :raises DataError: if a row holds NaN or infinity: then the encoder failed.
        """
        kept = np.zeros(len(self), dtype=bool)
        for start in range(0, len(self), CHUNK):
            block = np.asarray(self.vectors[start : start + CHUNK])
            finite = np.isfinite(block).all(axis=1)
            if not finite.all():
                raise self._fault(start + int(np.flatnonzero(~finite)[0]), "holds NaN or infinity")
            kept[start : start + CHUNK] = block.any(axis=1)
        return self if kept.all() else self.select(np.flatnonzero(kept))

    def _fault(self, row: int, fault: str) -> DataError:
        return DataError(f"vector {row} ({self.language_names[self.languages[row]]}) {fault}; encode its text again")
