"""What users hold runs and judgements in, as columns: frames, dictionaries, tuples, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from ir_measures.util import QrelsConverter, RunConverter

from mimo_eval.collections.jsonl import read_judgements
from mimo_eval.collections.records import Problems
from mimo_eval.errors import DataError

TEXT = pa.large_string()
AT_ONCE = 1 << 16
"""Tuples that are turned into columns at once."""


class Table(NamedTuple):
    """A run as columns, in any order."""

    query: pa.Array
    """(s,) text."""
    document: pa.Array
    """(s,) text."""
    score: np.ndarray
    """(s,) float32, none of them nan."""


Run = Table | Mapping[str, Mapping[str, float]]
"""A run that can be joined; dictionaries are best left as they are."""


@dataclass(frozen=True)
class Judgements:
    """Judgements as columns, sorted by query."""

    query_ids: np.ndarray
    """(n,) str, ascending."""
    query: np.ndarray
    """(j,) int64: row of the query, ascending."""
    document: pa.Array
    """(j,) text."""
    gain: np.ndarray
    """(j,) int32."""

    @cached_property
    def names(self) -> pa.Array:
        """(n,) text: `query_ids`."""
        return pa.array(self.query_ids.tolist(), TEXT)

    @cached_property
    def start(self) -> np.ndarray:
        """(n + 1,) int64: the first judgement of each query, and the number of judgements."""
        return np.searchsorted(self.query, np.arange(len(self.query_ids) + 1))


def run_of(given: Any) -> Run:
    """Read a run in any form.

    :param given: a DataFrame or namedtuples (query_id, doc_id, score), {query: {document: score}}, or columns.
    :return: the run.
    :raises DataError: if it has another form, an id is no text, or a score no number.
    """
    if isinstance(given, (Table, Mapping)):
        return given if isinstance(given, Table) else _checked(given)
    columns = _columns(RunConverter(given), ("query_id", "doc_id", "score"), "run")
    return table(*columns)


def table(query: Any, document: Any, score: Any) -> Table:
    """Make a run of columns.

    :param query: (s,) ids.
    :param document: (s,) ids.
    :param score: (s,) numbers.
    :return: the run.
    :raises DataError: if an id is no text, or a score no number.
    """
    queries, documents = texts(query, "query ids of the run"), texts(document, "document ids of the run")
    try:
        return Table(queries, documents, single(score))
    except (TypeError, ValueError):
        raise no_number(zip(queries.to_pylist(), documents.to_pylist(), score, strict=True)) from None


def judgements_of(given: Any) -> Judgements:
    """Read judgements in any form.

    :param given: a DataFrame or namedtuples (query_id, doc_id, relevance), {query: {document: relevance}}, or the path of a
        file in TREC's or BEIR's layout.
    :return: the judgements.
    :raises DataError: if they have another form, an id is no text, a relevance no integer, or a document is judged twice.
    """
    if isinstance(given, Mapping):
        sizes = [len(judged) for judged in given.values()]
        names = texts(list(given), "query ids of the qrels")
        documents = list(chain.from_iterable(given.values()))
        gains: Iterable[Any] = chain.from_iterable(judged.values() for judged in given.values())
        return _judgements(names, np.repeat(np.arange(len(sizes)), sizes), documents, list(gains))
    if isinstance(given, (str, Path)):
        problems = Problems()
        rows = [(j.query, j.document, j.relevance) for j in read_judgements(Path(given), problems)]
        problems.refuse(str(given))
        columns: tuple[Any, ...] = tuple(zip(*rows, strict=True)) or ((), (), ())
    else:
        columns = _columns(QrelsConverter(given), ("query_id", "doc_id", "relevance"), "qrels")
    query = texts(columns[0], "query ids of the qrels").dictionary_encode()
    return _judgements(query.dictionary, query.indices.to_numpy(), columns[1], columns[2])


def _judgements(names: pa.Array, code: np.ndarray, document: Any, gain: Any) -> Judgements:
    """Sort judgements by the name of their query."""
    ids = names.to_pylist()
    order = sorted(range(len(ids)), key=ids.__getitem__)
    row = np.empty(len(ids), np.int64)
    row[order] = np.arange(len(ids))
    query = row[code]
    place = np.argsort(query, kind="stable")
    found = Judgements(
        np.array([ids[i] for i in order], np.str_),
        query[place],
        texts(document, "document ids of the qrels").take(pa.array(place)),
        _whole(gain)[place],
    )
    _refuse_repeats(found)
    return found


def _refuse_repeats(judgements: Judgements) -> None:
    code = judgements.document.dictionary_encode().indices.to_numpy().astype(np.int64)
    keys = judgements.query * (int(code.max(initial=0)) + 1) + code
    first = np.unique(keys, return_index=True)[1]
    if len(first) < len(keys):
        again = int(np.setdiff1d(np.arange(len(keys)), first)[0])
        query = judgements.query_ids[judgements.query[again]]
        raise DataError(f"qrels: document '{judgements.document[again]}' stands twice for query '{query}'")


def texts(values: Any, what: str) -> pa.Array:
    """Return a column of ids as text; whole numbers are written out.

    :param values: a Series, an array or a list.
    :param what: what they are, for messages.
    :return: the same ids.
    :raises DataError: if one is missing or something else.
    """
    try:
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        raise DataError(f"{what} must be text: {error}") from error
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    if not len(found):
        return pa.array([], TEXT)
    kind = found.type.value_type if pa.types.is_dictionary(found.type) else found.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    if found.null_count:
        raise DataError(f"{what}: number {int(np.argmax(found.is_null()))} is missing")
    if not (text or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise DataError(f"{what} must be text, not {kind}")
    return found if found.type == TEXT else found.cast(TEXT)


def single(values: Any) -> np.ndarray:
    """Return scores as float32, as trec_eval compares them.

    :param values: (s,) numbers: a Series, an array, or anything that yields them.
    :return: (s,) float32.
    :raises ValueError: if one is not a number.
    """
    found = np.fromiter(values, np.float64) if isinstance(values, Iterator) else np.asarray(values)
    if found.dtype != np.float32:
        with np.errstate(over="ignore"):
            found = found.astype(np.float64).astype(np.float32)
    if np.isnan(found).any():
        raise ValueError("nan")
    return found


def no_number(entries: Iterable[tuple[Any, Any, Any]]) -> DataError:
    """Return the error that names a score which is no number.

    :param entries: query, document and score, one of which is at fault.
    :return: the error.
    """
    for query, document, score in entries:
        try:
            fault = np.isnan(float(score))
        except (TypeError, ValueError):
            fault = True
        if fault:
            return DataError(f"run: the score {score!r} of document '{document}' for query '{query}' is not a number")
    return DataError("run: a score is not a number")


def _whole(values: Any) -> np.ndarray:
    """Return relevance as int32."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"relevance must be an integer: {error}") from error
    wrong = ~(np.abs(found) < 2**31) | (found != np.trunc(found))
    if wrong.any():
        raise DataError(f"relevance must be an integer: number {int(wrong.argmax())} is {found[wrong][0]}")
    return found.astype(np.int32)


def _columns(converter: Any, names: tuple[str, str, str], what: str) -> tuple[Any, ...]:
    """Return the columns of a frame or of tuples, as ir-measures tells them apart."""
    form, error = converter.predict_type()
    given = getattr(converter, what)
    if form == "pd_dataframe":
        return tuple(given[name] for name in names)
    if form != "namedtuple_iter":
        raise DataError(f"{what}: {error}")
    parts = [tuple(zip(*part, strict=True)) for part in _portions(map(attrgetter(*names), given))]
    columns = [[texts(part[0], "query ids"), texts(part[1], "document ids"), np.array(part[2])] for part in parts]
    if not columns:
        return pa.array([], TEXT), pa.array([], TEXT), np.empty(0)
    query, document, value = zip(*columns, strict=True)
    return pa.concat_arrays(query), pa.concat_arrays(document), np.concatenate(value)


def _portions(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while part := list(islice(rows, AT_ONCE)):
        yield part


def _checked(run: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
    """Refuse what would be passed over in silence: ids that are not text, and so equal no judged id."""
    for query, ranked in run.items():
        if not isinstance(ranked, Mapping):
            raise DataError(f"run: the results of query {query!r} must be {{document: score}}, not {type(ranked).__name__}")
        for name in (query, next(iter(ranked), "")):
            if not isinstance(name, str):
                raise DataError(f"run: id {name!r} must be text, not {type(name).__name__}")
    return run
