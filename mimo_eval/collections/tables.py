"""Readers of tables: lines of a fixed number of fields, and records of Parquet, JSON Lines and CSV files; memory is bounded."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mimo_eval.collections.jsonl import read_objects, read_relevance, usable_lines
from mimo_eval.collections.records import Judgement, Problems
from mimo_eval.errors import DataError
from mimo_eval.files import MAX_LINE, open_binary

SURROGATE = re.compile("[\ud800-\udfff]")
ROWS = 4096
"""Rows of a Parquet file that are decoded at once."""


def read_columns(path: Path, width: int, problems: Problems, separator: str | None = "\t") -> Iterator[tuple[list[str], str]]:
    """Read lines of a fixed number of fields, noting every other line.

    :param path: a plain, `.gz` or `.zst` file without a header.
    :param width: number of fields.
    :param problems: where problems are noted.
    :param separator: what stands between fields; None for any white space.
    :yield: fields and place of each line.
    """
    for line, where in usable_lines(path, problems):
        fields = line.text.split(separator)
        if len(fields) != width:
            named = {"\t": "tab-separated ", None: ""}.get(separator, "")
            problems.add("unreadable line", where, f"{len(fields)} {named}fields, expected {width}")
            continue
        yield fields, where


def read_trec_qrels(path: Path, problems: Problems) -> Iterator[Judgement]:
    """Read TREC judgements, `query 0 document relevance` a line.

    :param path: the file.
    :param problems: where problems are noted.
    :yield: the judgements.
    """
    for (query, _, document, relevance), where in read_columns(path, 4, problems, None):
        gain = read_relevance(relevance, problems, where)
        if gain is not None:
            yield Judgement(query, document, gain, where)


def read_records(path: Path, names: Sequence[str], problems: Problems) -> Iterator[tuple[dict[str, Any], str]]:
    """Read records of a Parquet, JSON Lines, CSV or TSV file with a header.

    :param path: the file; all but Parquet may be packed as `.gz` or `.zst`.
    :param names: fields that are read; those that a file lacks are left out of its records.
    :param problems: where problems are noted.
    :yield: each record and its place.
    """
    kind = path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    if kind == "parquet":
        yield from _read_parquet(path, names, problems)
    elif kind in ("csv", "tsv"):
        yield from _read_csv(path, "," if kind == "csv" else "\t", problems)
    else:
        yield from read_objects(path, problems)


def _read_parquet(path: Path, names: Sequence[str], problems: Problems) -> Iterator[tuple[dict[str, Any], str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            there = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(ROWS, columns=there):
                for record in batch.to_pylist():
                    number += 1
                    yield record, f"{path}: row {number}"
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0]
        problems.add(
            "unreadable file", f"{path}: truncated or damaged Parquet file after row {number:,} ({said}); fetch it again"
        )


def _read_csv(path: Path, delimiter: str, problems: Problems) -> Iterator[tuple[dict[str, Any], str]]:
    """Read a table whose quoted fields may span lines; a TSV's quotes are text."""
    quoted: dict[str, Any] = {"quoting": csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE}
    before, number = csv.field_size_limit(MAX_LINE), 0
    try:
        with open_binary(path) as stream:
            rows = csv.reader(_decoded(stream), delimiter=delimiter, strict=True, **quoted)
            header = next(rows, [])
            for row in rows:
                number = rows.line_num
                where = f"{path}:{number}"
                if not row:
                    continue
                if len(row) != len(header):
                    problems.add("unreadable line", where, f"{len(row)} fields, expected {len(header)} as in the header")
                    continue
                yield dict(zip(header, row, strict=True)), where
    except UnicodeDecodeError as error:
        problems.add("broken UTF-8", f"{path}: after line {number:,}", str(error))
    except csv.Error as error:
        problems.add("unreadable file", f"{path}: not readable as a table after line {number:,} ({error})")
    except DataError as error:
        problems.add("unreadable file", str(error))
    finally:
        csv.field_size_limit(before)


def _decoded(stream: Any) -> Iterable[str]:
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def need_fields(record: dict[str, Any], names: Sequence[str], where: str, problems: Problems) -> list[str] | None:
    """Return some fields of a record as text.

    :param record: the record.
    :param names: the fields; strings or whole numbers.
    :param where: its place.
    :param problems: where a missing or odd field is noted.
    :return: the values, or None after noting what is wrong.
    """
    values = []
    for name in names:
        value = record.get(name)
        if value is None:
            problems.add("missing field", where, f"{name}; found {', '.join(map(str, list(record)[:8]))}")
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            problems.add("unreadable line", where, f"{name} is not a string")
            return None
        if SURROGATE.search(text := str(value)):
            problems.add("broken UTF-8", where, f"half a surrogate pair in {name}")
            return None
        values.append(text)
    return values
