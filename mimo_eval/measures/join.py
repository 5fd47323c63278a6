"""A run joined with judgements: which judged documents it has, and at which ranks.

Ranks and their order are those of `lists.py`. Everything is done for some queries at a time, so memory stays flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mimo_eval.errors import DataError
from mimo_eval.measures.hits import Hits
from mimo_eval.measures.inputs import Judgements, Run, Table, no_number, single, table, texts
from mimo_eval.measures.lists import Found, Lists, canonical, mask, ranges, ranks

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1 << 15
"""Rows of a run that are joined at once, so that their ids stay in the cache; a query with more is joined alone."""
LISTS = 1 << 12
"""Queries that are joined at once. With their rows they must leave 32 of 64 bits for a score."""


class Cut(NamedTuple):
    """Some lists out of a table."""

    lists: Lists
    queries: pa.Array
    """(s,) query ids."""
    documents: pa.Array
    """(s,) document ids."""
    rows: np.ndarray
    """(s,) int64: the row of the table that each result is."""


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


def surrogates(run: Run) -> pd.DataFrame:
    """Give a run strictly decreasing scores in canonical order, so that no scorer's own rule for ties can act.

    :param run: any run.
    :return: columns query_id, doc_id, score: from the number of its query's documents down to 1.
    """
    import pandas as pd

    if not isinstance(run, Table):
        rows = [(query, document, score) for query, ranked in run.items() for document, score in ranked.items()]
        run = table(*(zip(*rows, strict=True) if rows else ((), (), ())))
    place = pa.array(order(run))
    ids = {"query_id": run.query.take(place).to_pylist(), "doc_id": run.document.take(place).to_pylist()}
    frame: pd.DataFrame = pd.DataFrame(ids, dtype=object)
    frame["score"] = frame.groupby("query_id", sort=False).cumcount(ascending=False) + 1.0
    return frame


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
    hit[hit] = (keys[at[hit]] ^ wanted[hit]) <= mask(lists.bits)
    position = (keys[at[hit]] & mask(lists.bits)).astype(np.int64)
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
        position = int(keys[twice[0]] & mask(cut.lists.bits))
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
