"""Texts in groups: all lines of a group are translations of one text. Held in Arrow, asked for through arrays of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from mimo_eval.digests import digest
from mimo_eval.errors import DataError
from mimo_eval.languages import normalise

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

BLOCK = 65_536
"""Rows that are turned into Python strings at a time."""


class Lines:
    """Lines `group, lang, text, source`, and what is often asked about them.

    A group is named within its source: equal names in two sources are two groups. A language may have several lines in a group.

    :param table: columns group, lang, text, source, all strings without nulls, languages in canonical codes.
    :param history: what was read and what was left out, one JSON object per step, for the model card.
    """

    def __init__(self, table: pa.Table, history: Sequence[dict[str, Any]] = ()) -> None:
        import pyarrow as pa

        schema = pa.schema([(name, pa.large_string()) for name in ("group", "lang", "text", "source")])
        self.table: pa.Table = table.select(schema.names).cast(schema)
        self.history = tuple(history)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str]], source: str = "given", history: Sequence[dict[str, Any]] = ()) -> Any:
        """Make lines of tuples.

        :param rows: (group, language in any common spelling, text).
        :param source: where they come from, as the model card says it.
        :param history: steps so far.
        :return: the lines, an object of this class.
        """
        import pyarrow as pa

        names, langs, texts = tuple(zip(*rows, strict=True)) or ((), (), ())
        strings = pa.large_string()
        columns = {
            "group": pa.array(names, strings),
            "lang": pa.array([normalise(lang) for lang in langs], strings),
            "text": pa.array(texts, strings),
            "source": pa.array([source] * len(names), strings),
        }
        return cls(pa.table(columns), history)

    @classmethod
    def concat(cls, parts: Sequence[Lines]) -> Any:
        """Join lines; those of earlier parts come first.

        :param parts: at least one.
        :return: the lines, with all histories.
        """
        import pyarrow as pa

        return cls(pa.concat_tables([part.table for part in parts]), [step for part in parts for step in part.history])

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that occur, sorted; `language` holds numbers into it."""
        return tuple(sorted(self.table.column("lang").unique().to_pylist()))

    @cached_property
    def language(self) -> np.ndarray:
        """(lines,) int16: number of each line's language."""
        return self._numbers("lang", self.languages).astype(np.int16)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The sources, in the order read."""
        return tuple(self.table.column("source").unique().to_pylist())

    @cached_property
    def source(self) -> np.ndarray:
        """(lines,) int16: number of each line's source."""
        return self._numbers("source", self.sources).astype(np.int16)

    def _numbers(self, column: str, names: Sequence[str]) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(self.table.column(column), value_set=pa.array(names, pa.large_string()))
        return np.asarray(found.to_numpy())

    @cached_property
    def group(self) -> np.ndarray:
        """(lines,) int64: number of each line's group, counted in the order of their first lines."""
        import pandas as pd

        names = pd.factorize(self.table.column("group").to_numpy())[0].astype(np.int64)
        return np.asarray(pd.factorize(names * len(self.sources) + self.source)[0], np.int64)

    @cached_property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.group.max(initial=-1)) + 1

    @cached_property
    def first(self) -> np.ndarray:
        """(groups,) int64: first line of each group."""
        return np.unique(self.group, return_index=True)[1]

    def group_names(self, groups: np.ndarray | None = None) -> list[str]:
        """Return the names of some groups, or of all.

        :param groups: group numbers.
        :return: their names, without the source.
        """
        rows = self.first if groups is None else self.first[groups]
        return list(self.table.column("group").take(rows).to_pylist())

    @cached_property
    def has(self) -> np.ndarray:
        """(groups, languages) bool: which languages each group has."""
        found: np.ndarray = np.zeros((self.groups, len(self.languages)), bool)
        found[self.group, self.language] = True
        return found

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        """(lines,) lines in the order of group and language; (groups × languages + 1,) where each cell's lines begin."""
        cell = self.group * len(self.languages) + self.language
        counts = np.bincount(cell, minlength=self.groups * len(self.languages))
        return np.argsort(cell, kind="stable"), np.concatenate([[0], np.cumsum(counts)])

    def pick(self, group: np.ndarray, language: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return a line for each of some groups and languages.

        :param group: (n,) group numbers.
        :param language: (n,) language numbers; the group must have the language.
        :param rng: draws one where there are several; without it the first is taken.
        :return: (n,) int64 line numbers.
        """
        order, starts = self._cells
        cell = group * len(self.languages) + language
        counts = starts[cell + 1] - starts[cell]
        if not counts.all():
            raise IndexError("a group does not have the language asked for")
        if rng is None or not (counts > 1).any():
            return np.asarray(order[starts[cell]])
        return np.asarray(order[starts[cell] + (rng.random(len(cell)) * counts).astype(np.int64)])

    def text(self, rows: np.ndarray) -> pa.ChunkedArray:
        """Return the texts of some lines, without making Python strings.

        :param rows: (n,) line numbers in any order.
        :return: n strings.
        """
        return self.table.column("text").take(rows)

    def texts(self) -> list[str]:
        """Return every text, in order."""
        return list(self.table.column("text").to_pylist())

    def number(self, language: str) -> int:
        """Return the number of a language.

        :param language: a code in any common spelling.
        :return: its place in `languages`.
        :raises DataError: if no line has it.
        """
        code = normalise(language)
        if code not in self.languages:
            raise DataError(f"no text in '{code}'; there are {', '.join(self.languages) or 'none'}")
        return self.languages.index(code)

    def select(self, keep: np.ndarray, step: dict[str, Any] | None = None) -> Any:
        """Return some of the lines, in their order.

        :param keep: (lines,) bool, or line numbers.
        :param step: added to the history.
        :return: the lines; their groups are counted anew.
        """
        rows = np.flatnonzero(keep) if keep.dtype == bool else keep
        return type(self)(self.table.take(rows), [*self.history, *([step] if step else [])])

    @cached_property
    def revision(self) -> str:
        """Hash of all lines in their order, 32 hexadecimal characters."""
        hasher = xxhash.xxh3_128()
        for start in range(0, len(self), BLOCK):
            for name in self.table.column_names:
                block = self.table.column(name).slice(start, BLOCK).to_pylist()
                hasher.update("\n".join([str(len(block)), *block]).encode("utf-8", "surrogatepass"))
        return str(hasher.hexdigest())

    def counts(self) -> dict[str, int]:
        """Return the number of lines per language, largest first."""
        numbers = np.bincount(self.language, minlength=len(self.languages))
        return {self.languages[i]: int(numbers[i]) for i in np.argsort(-numbers, kind="stable")}

    def describe(self) -> dict[str, Any]:
        """Return what a model card says of the data: sizes, languages, sources, and the history of reading and filtering."""
        lines = np.bincount(self.source, minlength=len(self.sources))
        groups = np.bincount(self.source[self.first], minlength=len(self.sources))
        return {
            "lines": len(self),
            "groups": self.groups,
            "languages": self.counts(),
            "sources": {name: {"lines": int(lines[i]), "groups": int(groups[i])} for i, name in enumerate(self.sources)},
            "history": list(self.history),
            "revision": self.revision,
        }


class Parallel(Lines):
    """Parallel text for distillation."""

    def anchor_rows(self, anchor: str) -> np.ndarray:
        """Return the line that stands for each line in the anchor language.

        :param anchor: a language.
        :return: (lines,) int64: the line itself where it is in that language, else the first such line of its group, else -1.
        """
        number = self.number(anchor)
        mine = np.flatnonzero(self.language == number)
        of_group = np.full(self.groups, -1, np.int64)
        of_group[self.group[mine[::-1]]] = mine[::-1]  # of several the first, written last
        rows: np.ndarray = of_group[self.group]
        rows[mine] = mine
        return rows

    def anchored(self, anchor: str = "en", identity: bool = True) -> datasets.Dataset:
        """Pair every text with its translation into the anchor language, which a teacher encodes (methods.md 2.1).

        :param anchor: the language of the teacher's side.
        :param identity: also pair each text of the anchor language with itself.
        :return: columns text, anchor, lang (strings), group (int64), in the order of the lines.
        :raises DataError: if there is no such pair.
        """
        import pyarrow as pa

        rows = self.anchor_rows(anchor)
        keep = rows >= 0
        if not identity:
            keep &= self.language != self.number(anchor)
        mine = np.flatnonzero(keep)
        if not len(mine):
            raise DataError(f"no text has a translation into '{anchor}'")
        columns = {
            "text": self.text(mine),
            "anchor": self.text(rows[mine]),
            "lang": self.table.column("lang").take(mine),
            "group": pa.array(self.group[mine]),
        }
        return as_dataset(pa.table(columns), self.revision, mine, rows[mine])


def as_dataset(table: pa.Table, *identity: str | np.ndarray) -> datasets.Dataset:
    """Make a data set of a table without hashing its content, which takes longer than making the table.

    :param table: the rows.
    :param identity: what determines them: revisions of lines, numbers drawn.
    :return: the data set, whose fingerprint is a hash of its identity.
    """
    from datasets import Dataset

    parts = [part if isinstance(part, str) else np.ascontiguousarray(part).tobytes() for part in identity]
    return Dataset(table, fingerprint=digest(*table.column_names, *parts)[:16])
