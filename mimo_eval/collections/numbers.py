"""What is often asked about each of many texts, as numbers: its language, its group, its place among the sorted ids.

Of a collection they are made when it is built, and lie beside its Arrow files as arrays that are memory-mapped; of other
texts they are made in memory when they are asked for. Making them takes memory for PIECE texts at a time, however many
there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_eval import mapped
from mimo_eval.digests import text_hash
from mimo_eval.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 2**14
"""Texts that are looked at in one go where all of them are."""
READ = 2**10
"""Texts that are read in one go where all of them are."""
PARTS = 256
"""Parts into which many names are split, at most: of each part every record batch of the file is asked."""
SAMPLE = 32
"""Names that are drawn for each part into which many are split before they are sorted."""

MOST = 2**31 - 1
"""Texts that there may be: rows are numbers of 32 bits here, in ranking keys and in judgements."""

Fill = Callable[[np.ndarray], None]
"""Writes an array's content into it."""


class Arrays:
    """Arrays in memory."""

    def array(self, name: str, dtype: Any, size: int, fill: Fill) -> np.ndarray:
        """Make an array, or read it where it was made before.

        :param name: what it is called.
        :param dtype: its type.
        :param size: number of its elements.
        :param fill: writes its content.
        :return: (size,) not to be written to.
        """
        made = np.empty(size, dtype)
        fill(made)
        made.setflags(write=False)
        return made

    def scratch(self, dtype: Any, size: int) -> np.ndarray:
        """Return zeros for a while."""
        return np.zeros(size, dtype)


class StoredArrays(Arrays):
    """Arrays in files beside an Arrow file, memory-mapped.

    :param path: the Arrow file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def _file(self, name: str) -> Path:
        return self._path.with_name(f"{self._path.stem}.{name}.bin")

    def array(self, name: str, dtype: Any, size: int, fill: Fill) -> np.ndarray:
        """Map an array that was written; ValueError if it has another size."""
        file, wanted = self._file(name), np.dtype(dtype).itemsize * size
        if file.stat().st_size != wanted:
            raise ValueError(f"{file.name}: {file.stat().st_size} bytes instead of {wanted}")
        return np.asarray(np.memmap(file, dtype, "r", shape=(size,)))


class NewArrays(StoredArrays):
    """The same on their way to disk: in files from the start, so that they take no memory."""

    def array(self, name: str, dtype: Any, size: int, fill: Fill) -> np.ndarray:
        """Write an array."""
        with self._file(name).open("w+b") as file:
            made = mapped.zeros(file, dtype, size)
        fill(np.asarray(made))
        made.flush()  # other machines may read it
        return np.asarray(made)

    def scratch(self, dtype: Any, size: int) -> np.ndarray:
        """Return zeros in a file without a name."""
        return mapped.scratch(self._path.parent, dtype, size)


def write(path: Path, languages: Sequence[str]) -> None:
    """Make all arrays of the texts of an Arrow file and write them beside it.

    :param path: the Arrow file.
    :param languages: the languages that occur, sorted.
    :raises OSError: if there is no room.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        Numbers(pa.ipc.open_stream(file).read_all().column, languages, NewArrays(path)).all()


class Numbers:
    """Arrays with one number for each text.

    :param column: gives a column of the texts; KeyError for one that they do not have.
    :param languages: the languages that occur, sorted.
    :param place: where arrays are made, or were.
    :raises DataError: if there are more than MOST texts.
    """

    def __init__(self, column: Callable[[str], pa.ChunkedArray], languages: Sequence[str], place: Arrays) -> None:
        if (count := len(column("id"))) > MOST:
            raise DataError(f"{count:,} texts are more than the {MOST:,} that can be ranked together; take fewer languages")
        self.column, self.languages, self._place = column, languages, place

    def all(self) -> tuple[np.ndarray, ...]:
        """Return every array."""
        return self.language, self.by_language, self.row_at, self.id_order, self.group, self.text_hash

    def _array(self, name: str, dtype: Any, fill: Fill) -> np.ndarray:
        return self._place.array(name, dtype, len(self.column("id")), fill)

    @cached_property
    def language(self) -> np.ndarray:
        """(rows,) int16: number of each text's language."""
        return self._array("language", np.int16, self._fill_language)

    def _fill_language(self, out: np.ndarray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        names = pa.array(self.languages, pa.string())
        for part in pieces(len(out)):
            out[part] = pc.index_in(self.column("lang")[part], value_set=names).to_numpy()

    @cached_property
    def _ends(self) -> np.ndarray:
        """(languages + 1,) int64: where each language ends in `by_language`, after a 0."""
        return _ends(self.language, len(self.languages))

    @cached_property
    def by_language(self) -> np.ndarray:
        """(rows,) int64: the rows of the first language, ascending, then those of the second."""
        return self._array("by_language", np.int64, lambda out: _fill_by(self.language, self._ends, out))

    def rows(self, number: int) -> np.ndarray:
        """Return the rows of one language, ascending.

        :param number: the language's.
        :return: int64, not to be written to.
        """
        return self.by_language[self._ends[number] : self._ends[number + 1]]

    @cached_property
    def row_at(self) -> np.ndarray:
        """(rows,) int32: the row whose id stands at each place among the sorted ids, by UTF-8 bytes as trec_eval sorts them."""
        return self._array("row_at", np.int32, self._fill_row_at)

    def _fill_row_at(self, out: np.ndarray) -> None:
        done = 0
        for rows, _ in in_order(self.column("id"), self._place.scratch):
            out[done : done + len(rows)] = rows
            done += len(rows)

    @cached_property
    def id_order(self) -> np.ndarray:
        """(rows,) uint32: the inverse of `row_at`, the place of each id among the sorted ids."""
        return self._array("id_order", np.uint32, self._fill_id_order)

    def _fill_id_order(self, out: np.ndarray) -> None:
        for part in pieces(len(out)):
            out[self.row_at[part]] = np.arange(part.start, part.stop, dtype=np.uint32)

    @cached_property
    def group(self) -> np.ndarray:
        """(rows,) int32: number of each text's group, from 0; equal for translations."""
        return self._array("group", np.int32, self._fill_group)

    def _fill_group(self, out: np.ndarray) -> None:
        names = self.column("group")
        if names.equals(self.column("id")):  # nothing is parallel: each text is a group, and names need not be sorted again
            out[:] = self.id_order
            return
        first = self._place.scratch(np.int32, len(out))  # row of the first text of each text's group
        for rows, found in in_order(names, self._place.scratch):
            start = np.flatnonzero(np.append(True, _differ(found)))
            first[rows] = np.repeat(rows[start], np.diff(np.append(start, len(rows))))
        count = 0
        for part in pieces(len(out)):  # groups are numbered as they come
            new = part.start + np.flatnonzero(first[part] == np.arange(part.start, part.stop))
            out[new] = np.arange(count, count + len(new))
            out[part] = out[first[part]]
            count += len(new)

    @cached_property
    def text_hash(self) -> np.ndarray:
        """(rows,) uint64: the leading bytes of the hash of each text, as it was when this was made."""
        return self._array("text_hash", np.uint64, self._fill_text_hash)

    def _fill_text_hash(self, out: np.ndarray) -> None:
        for start in range(0, len(out), READ):
            part = slice(start, start + READ)
            titles = None
            with suppress(KeyError):
                titles = self.column("title")[part].to_pylist()
            out[part] = leading(b"".join(map(text_hash, shown(titles, self.column("text")[part].to_pylist()))))


def shown(titles: Sequence[str] | None, texts: Sequence[str]) -> list[str]:
    """Return texts as a model sees them: the title, if there is one, then the text."""
    titles = titles or [""] * len(texts)
    return [f"{title} {text}" if title else text for title, text in zip(titles, texts, strict=True)]


def leading(hashes: bytes | np.ndarray) -> np.ndarray:
    """Return the leading 8 of each 16 bytes, by which texts are compared.

    :param hashes: of n texts, as `text_hash` gives them.
    :return: (n,) uint64.
    """
    whole = np.frombuffer(hashes, np.uint8).reshape(-1, 16) if isinstance(hashes, bytes) else hashes
    return np.ascontiguousarray(whole[:, :8]).view(np.uint64).reshape(-1)


def pieces(size: int) -> Iterator[slice]:
    """Split a number of texts into slices of at most PIECE."""
    return (slice(start, min(start + PIECE, size)) for start in range(0, size, PIECE))


def take(column: pa.ChunkedArray, rows: np.ndarray | Sequence[int]) -> pa.Array:
    """Return the values of some rows of a column.

    Arrow's own `take` joins all chunks of the column first, which takes time and memory for all rows.

    :param column: the column.
    :param rows: row numbers, in any order.
    :return: an array of as many values.
    """
    import pyarrow as pa

    wanted = np.asarray(rows, np.int64)
    order = np.argsort(wanted, kind="stable")
    ordered, back = wanted[order], np.empty_like(order)
    back[order] = np.arange(len(order))
    ends = np.cumsum([0, *map(len, column.iterchunks())])
    chunk = np.searchsorted(ends, ordered, "right") - 1
    starts = np.flatnonzero(np.diff(chunk, prepend=-1))
    parts = [
        column.chunk(chunk[start]).take(pa.array(ordered[start:end] - ends[chunk[start]]))
        for start, end in pairwise([*starts.tolist(), len(ordered)])
    ]
    return pa.concat_arrays([pa.array([], column.type), *parts]).take(pa.array(back))


def in_order(names: pa.ChunkedArray, scratch: Callable[[Any, int], np.ndarray]) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """Sort names by their UTF-8 bytes, some at a time; equal ones stay in their order and are never torn apart.

    Names are dealt into parts by a sample of them, and each part is sorted by itself.

    :param names: column of strings.
    :param scratch: gives arrays of some type and size for a while.
    :yield: (rows, names) of each part, sorted.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    bounds = _bounds(names)
    part_of = scratch(np.int32, len(names))
    for part in pieces(len(names)) if len(bounds) else ():
        order = pc.sort_indices(pa.concat_arrays([bounds, *names[part].iterchunks()])).to_numpy()
        is_name = order >= len(bounds)  # a bound comes before the names that equal it
        part_of[part.start + order[is_name] - len(bounds)] = np.cumsum(~is_name)[is_name]
    dealt, ends = scratch(np.int64, len(names)), _ends(part_of, len(bounds) + 1)
    _fill_by(part_of, ends, dealt)
    for start, end in pairwise(ends.tolist()):
        mine = take(names, dealt[start:end])
        order = pc.sort_indices(mine).to_numpy()
        if len(order):
            yield dealt[start:end][order], mine.take(pa.array(order))


def _bounds(names: pa.ChunkedArray) -> pa.Array:
    """Return sorted bounds that split names into parts of about PIECE, or into PARTS; fewer where many are equal."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = min(-(-len(names) // PIECE), PARTS)
    if count < 2:
        return pa.array([], names.type)
    drawn = take(names, np.random.default_rng(0).integers(len(names), size=SAMPLE * count))  # languages often come in turn
    return pc.unique(drawn.take(pc.sort_indices(drawn).take(pa.array(np.arange(1, count) * SAMPLE))))


def _differ(names: pa.Array) -> np.ndarray:
    """Return for all sorted names but the first whether they are not the one before."""
    import pyarrow.compute as pc

    return np.asarray(pc.not_equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False))


def _ends(numbers: np.ndarray, count: int) -> np.ndarray:
    """Return (count + 1,) int64: how many of some numbers are below 0, 1, ... count."""
    sizes = sum((np.bincount(numbers[part], minlength=count) for part in pieces(len(numbers))), np.zeros(count, np.int64))
    return np.append(0, np.cumsum(sizes))


def _fill_by(numbers: np.ndarray, ends: np.ndarray, out: np.ndarray) -> None:
    """Write the rows of each number in turn, ascending.

    :param numbers: (n,) whole numbers from 0.
    :param ends: as `_ends` returns them.
    :param out: (n,) rows.
    """
    done = ends[:-1].copy()
    for part in pieces(len(numbers)):
        order = np.argsort(numbers[part], kind="stable")
        ordered, sizes = numbers[part][order], np.bincount(numbers[part], minlength=len(done))
        out[(done - np.cumsum(sizes) + sizes)[ordered] + np.arange(len(order))] = part.start + order
        done += sizes
