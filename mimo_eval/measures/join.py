"""A run joined with judgements: which judged documents it has, and at which ranks.

Ranks follow trec_eval: scores are compared as float32, descending, and equal ones by document id, descending. Only what
the measures need is sorted out. Scores are sorted as integers with the place of their row in the low bits; ids are compared
only where the scores of judged documents are tied. Everything is done for some queries at a time, so memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mimo_eval.errors import DataError
from mimo_eval.measures.hits import Hits
from mimo_eval.measures.inputs import Judgements, Run, Table, no_number, single, texts

ROWS = 1 << 15
"""Rows of a run that are joined at once, so that their ids stay in the cache; a query with more is joined alone."""
LISTS = 1 << 12
"""Queries that are joined at once. With their rows they must leave 32 of 64 bits for a score."""
SIGN = np.uint32(0x80000000)


@dataclass(frozen=True)
class Lists:
    """The results of some queries, one after another."""

    row: np.ndarray
    """(b,) int64: row of each query among the judgements, -1 if it is not judged."""
    size: np.ndarray
    """(b,) int64: number of its results."""
    score: np.ndarray
    """(s,) float32."""
    ids: Callable[[np.ndarray], pa.Array]
    """Positions among the s results to document ids."""

    @cached_property
    def of(self) -> np.ndarray:
        """(s,) int64: the list of each result."""
        return np.repeat(np.arange(len(self.size)), self.size)

    @cached_property
    def start(self) -> np.ndarray:
        """(b,) int64: position of the first result of each list."""
        return np.asarray(np.cumsum(self.size) - self.size)

    @property
    def bits(self) -> int:
        """Number of bits that a position takes."""
        return max(len(self.score) - 1, 0).bit_length()


class Cut(NamedTuple):
    """Some lists out of a table."""

    lists: Lists
    queries: pa.Array
    """(s,) query ids."""
    documents: pa.Array
    """(s,) document ids."""
    rows: np.ndarray
    """(s,) int64: the row of the table that each result is."""


class Found(NamedTuple):
    """Judged documents that some lists have."""

    judgement: np.ndarray
    """(h,) int64: which judgement."""
    list: np.ndarray
    """(h,) int64: which list."""
    score: np.ndarray
    """(h,) float32."""


def hits(judgements: Judgements, run: Run) -> Hits:
    """Find the judged documents of a run and their ranks.

    :param judgements: of n queries.
    :param run: the run; its queries that are not judged are passed over.
    :return: the hits.
    :raises DataError: if a document stands twice for a query, or a score is not a number.
    """
    parts = _of_table(judgements, run) if isinstance(run, Table) else _of_dicts(judgements, run)
    n = len(judgements.query_ids)
    retrieved, asked = np.zeros(n, np.int64), np.zeros(n, bool)
    found, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for lists, mine in parts:
        judged = lists.row >= 0
        retrieved[lists.row[judged]] = lists.size[judged]
        asked[lists.row[judged]] = True
        found.append(mine.judgement)
        places.append(ranks(lists, mine, judgements.document))
    judgement, rank = np.concatenate(found), np.concatenate(places)
    query = judgements.query[judgement]
    order = np.lexsort((rank, query))
    return Hits(
        retrieved, asked, query[order], rank[order], judgements.gain[judgement[order]], judgements.query, judgements.gain
    )


def cuts(run: Table, names: pa.Array) -> Iterator[Cut]:
    """Cut a run into lists.

    :param run: any run.
    :param names: (n,) names of the queries whose number is wanted.
    :yield: some queries' lists.
    """
    encoded = run.query.dictionary_encode()
    code, distinct = encoded.indices.to_numpy(), encoded.dictionary
    row = pc.fill_null(pc.index_in(distinct, names), -1).to_numpy().astype(np.int64)
    edge = np.flatnonzero(np.diff(code, prepend=-1))
    place = None
    if len(edge) > len(distinct):  # the lines of a query are scattered over the run
        place = np.argsort(code, kind="stable")
        code = code[place]
        edge = np.flatnonzero(np.diff(code, prepend=-1))
    size = np.diff(edge, append=len(code))
    first = 0
    while first < len(edge):
        last = first + int(np.searchsorted(np.cumsum(size[first : first + LISTS]), ROWS, side="right"))
        last = max(last, first + 1)
        start, stop = int(edge[first]), int(edge[last]) if last < len(edge) else len(code)
        rows = np.arange(start, stop) if place is None else place[start:stop]
        part = _some(run, rows) if place is not None else Table(*(column[start:stop] for column in run))
        lists = Lists(row[code[edge[first:last]]], size[first:last], part.score, _taking(part.document))
        yield Cut(lists, part.query, part.document, rows)
        first = last


def longest(run: Table, names: pa.Array) -> int:
    """Return the largest number of results of a query.

    :param run: any run.
    :param names: the queries that are looked at.
    :return: the number, 0 if the run has none of them.
    """
    counts = run.query.value_counts()
    counts = counts.filter(pc.is_in(counts.field("values"), names))
    return int(pc.max(counts.field("counts")).as_py() or 0)


def _some(run: Table, rows: np.ndarray) -> Table:
    which = pa.array(rows)
    return Table(run.query.take(which), run.document.take(which), run.score[rows])


def _taking(documents: pa.Array) -> Callable[[np.ndarray], pa.Array]:
    return lambda positions: documents.take(pa.array(positions))


def canonical(lists: Lists) -> np.ndarray:
    """Put every list in canonical order.

    :param lists: b lists.
    :return: (s,) int64 positions: list after list, each by score and then document id, descending.
    """
    ordered, bits = _descending(lists), np.uint64(lists.bits)
    position = (ordered & _mask(lists.bits)).astype(np.int64)
    equal = (ordered[1:] >> bits) == (ordered[:-1] >> bits)
    if not equal.any():
        return position
    tied = np.zeros(len(ordered), bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    group = np.cumsum(~np.concatenate([[False], equal]))[tied]
    place = _descending_ids(lists.ids(position[tied]))
    position[tied] = position[tied][np.lexsort((place, group))]
    return position


def order(run: Table) -> np.ndarray:
    """Put a run in canonical order.

    :param run: any run.
    :return: (s,) int64 rows: by query ascending, then score and document id descending.
    """
    names = pa.array(sorted(run.query.unique().to_pylist()), run.query.type)
    parts = [(cut.lists.row, cut.lists.size, cut.rows[canonical(cut.lists)]) for cut in cuts(run, names)]
    if not parts:
        return np.empty(0, np.int64)
    query, size, rows = map(np.concatenate, zip(*parts, strict=True))
    start, by_name = np.cumsum(size) - size, np.argsort(query)
    return np.asarray(rows[ranges(start[by_name], (start + size)[by_name])])


def _descending(lists: Lists) -> np.ndarray:
    """Return (s,) uint64, ascending: list, falling score and position of every result, from the highest bit down."""
    bits = lists.bits
    keys = _key(lists.of, lists.score, bits) | np.arange(len(lists.score), dtype=np.uint64)
    keys.sort()
    return keys


def _key(of: np.ndarray, score: np.ndarray, bits: int) -> np.ndarray:
    """Return list and score as integers that ascend as the score falls, with `bits` free bits below."""
    raw = (score + np.float32(0)).view(np.uint32)  # adding 0 makes -0 and 0 equal
    falling = np.where(raw & SIGN, raw, ~(raw | SIGN))
    return np.asarray(((of.astype(np.uint64) << np.uint64(32)) | falling) << np.uint64(bits))


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)


def ranks(lists: Lists, found: Found, documents: pa.Array) -> np.ndarray:
    """Return the ranks of found documents: 1, plus the better scores of the list, plus the equal ones of larger ids.

    :param lists: b lists.
    :param found: h documents of theirs.
    :param documents: ids of all judged documents.
    :return: (h,) int64.
    """
    ordered = _descending(lists)
    key = _key(found.list, found.score, lists.bits)
    low = np.searchsorted(ordered, key)
    high = np.searchsorted(ordered, key | _mask(lists.bits), side="right")
    rank = low - lists.start[found.list] + 1
    tied = np.flatnonzero(high - low > 1)
    if len(tied):
        start, group = np.unique(low[tied], return_inverse=True)
        stop = np.zeros(len(start), np.int64)
        stop[group] = high[tied]
        members = ranges(start, stop)
        of = np.repeat(np.arange(len(start)), stop - start)
        ids = lists.ids((ordered[members] & _mask(lists.bits)).astype(np.int64))
        place = _descending_ids(ids)
        mine = place[pc.index_in(documents.take(pa.array(found.judgement[tied])), ids).to_numpy()]
        sorted_places = np.sort((of.astype(np.uint64) << np.uint64(32)) | place)
        wanted = (group.astype(np.uint64) << np.uint64(32)) | mine
        rank[tied] += np.searchsorted(sorted_places, wanted) - (np.cumsum(stop - start) - (stop - start))[group]
    return np.asarray(rank)


def _descending_ids(ids: pa.Array) -> np.ndarray:
    """Return uint64 numbers that ascend as ids fall, equal for equal ids."""
    return np.asarray(pc.rank(ids, sort_keys="descending", tiebreaker="dense").to_numpy().astype(np.uint64))


def ranges(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Concatenate ranges of integers.

    :param start: (b,) int64.
    :param stop: (b,) int64, not below `start`.
    :return: int64: start[0] up to stop[0], then start[1] up to stop[1], and so on.
    """
    size = stop - start
    return np.asarray(np.arange(size.sum()) + np.repeat(start - (np.cumsum(size) - size), size))


def _of_table(judgements: Judgements, run: Table) -> Iterator[tuple[Lists, Found]]:
    for cut in cuts(run, judgements.names):
        yield cut.lists, find(judgements, cut)


def find(judgements: Judgements, cut: Cut) -> Found:
    """Find the judged documents of some lists.

    :param judgements: all of them.
    :param cut: the lists.
    :return: what was found.
    :raises DataError: if a document stands twice in a list.
    """
    lists = cut.lists
    known = np.flatnonzero(lists.row >= 0)
    start, stop = judgements.start[lists.row[known]], judgements.start[lists.row[known] + 1]
    judgement, of = ranges(start, stop), np.repeat(known, stop - start)
    keys, wanted = _by_document(cut, of, judgements.document.take(pa.array(judgement)))
    _refuse_repeats(cut, keys)
    at = np.searchsorted(keys, wanted)
    hit = at < len(keys)
    hit[hit] = (keys[at[hit]] ^ wanted[hit]) <= _mask(lists.bits)
    position = (keys[at[hit]] & _mask(lists.bits)).astype(np.int64)
    return Found(judgement[hit], of[hit], lists.score[position])


def _by_document(cut: Cut, of: np.ndarray, others: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Number the documents, and sort the results by them.

    :param cut: s results.
    :param of: (o,) list of each of some other documents.
    :param others: (o,) their ids.
    :return: (s,) uint64, ascending: list, number and position of every result; (o,) the same of the others at position 0.
    """
    bits, s = np.uint64(cut.lists.bits), len(cut.documents)
    number = pa.concat_arrays([cut.documents, others]).dictionary_encode().indices.to_numpy().astype(np.uint64)
    span = np.uint64(int(number.max(initial=0)).bit_length())
    keys = ((np.concatenate([cut.lists.of, of]).astype(np.uint64) << span) | number) << bits
    mine = keys[:s] | np.arange(s, dtype=np.uint64)
    mine.sort()
    return mine, keys[s:]


def _refuse_repeats(cut: Cut, keys: np.ndarray) -> None:
    bits = np.uint64(cut.lists.bits)
    twice = np.flatnonzero((keys[1:] >> bits) == (keys[:-1] >> bits))
    if len(twice):
        position = int(keys[twice[0]] & _mask(cut.lists.bits))
        raise DataError(f"run: document '{cut.documents[position]}' stands twice for query '{cut.queries[position]}'")


def check(run: Table) -> None:
    """Refuse a run that has a document twice for one query.

    :param run: any run.
    :raises DataError: naming the first.
    """
    for cut in cuts(run, run.query.slice(0, 0)):
        _refuse_repeats(cut, _by_document(cut, np.empty(0, np.int64), cut.documents.slice(0, 0))[0])


def _of_dicts(judgements: Judgements, run: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[Lists, Found]]:
    documents, start = judgements.document.to_pylist(), judgements.start.tolist()
    for rows in _parts([len(run.get(query, ())) for query in judgements.query_ids.tolist()]):
        part = [(row, run[query]) for row in rows if (query := str(judgements.query_ids[row])) in run]
        mine = [
            (i, number, ranked[documents[i]])
            for number, (row, ranked) in enumerate(part)
            for i in range(start[row], start[row + 1])
            if documents[i] in ranked
        ]
        judgement, of, score = zip(*mine, strict=True) if mine else ((), (), ())
        ranked = [one for _, one in part]
        try:
            scores = single(chain.from_iterable(one.values() for one in ranked))
        except (TypeError, ValueError):
            named = ((judgements.query_ids[row], *item) for row, one in part for item in one.items())
            raise no_number(named) from None
        size = np.array([len(one) for one in ranked], np.int64)
        lists = Lists(np.array([row for row, _ in part], np.int64), size, scores, partial(_keys, ranked))
        yield lists, Found(np.array(judgement, np.int64), np.array(of, np.int64), single(score))


def _parts(sizes: list[int]) -> Iterator[range]:
    """Cut queries into parts that are joined at once."""
    first, rows = 0, 0
    for number, size in enumerate(sizes):
        if number > first and (rows + size > ROWS or number - first == LISTS):
            yield range(first, number)
            first, rows = number, 0
        rows += size
    if first < len(sizes):
        yield range(first, len(sizes))


def _keys(ranked: list[Mapping[str, float]], positions: np.ndarray) -> pa.Array:
    """Return the document ids at some positions of dictionaries that stand one after another."""
    start = np.cumsum([0, *map(len, ranked)])
    which = np.searchsorted(start, positions, side="right") - 1
    names = {number: list(ranked[number]) for number in np.unique(which).tolist()}
    offset = (positions - start[which]).tolist()
    return texts([names[number][i] for number, i in zip(which.tolist(), offset, strict=True)], "document ids of the run")
