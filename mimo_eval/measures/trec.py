"""TREC run files, read into columns: in bulk where every line is plain, line by line where one is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mimo_eval.errors import DataError
from mimo_eval.files import MAX_LINE, open_binary, read_lines
from mimo_eval.measures.inputs import TEXT, Table
from mimo_eval.measures.join import check

CHUNK = 1 << 24
"""Bytes that are parsed at once."""
LARGEST = float(np.finfo(np.float32).max)
COLUMNS = ["query", "q0", "document", "rank", "score", "tag"]
TYPES = {"query": TEXT, "document": TEXT, "score": pa.float64()}
ASCII = bytes(range(128))


def read_run(path: Path) -> Table:
    """Read a TREC run; ranks in the file are ignored, as trec_eval does.

    :param path: the file, plain, `.gz` or `.zst`.
    :return: the run, in the order of the lines.
    :raises DataError: for a line that is not a run's, or a document that stands twice; with file and line.
    """
    run = _in_bulk(path)
    if run is not None:
        try:
            check(run)
        except DataError:
            run = None
    return _line_by_line(path) if run is None else run


def _in_bulk(path: Path) -> Table | None:
    """Read lines of six fields with one space or tab between them; None if there is anything else in the file."""
    parts = [Table(pa.array([], TEXT), pa.array([], TEXT), np.empty(0, np.float32))]
    with open_binary(path) as stream:
        while read := stream.read(CHUNK):
            end = stream.readline(MAX_LINE)
            part = _parsed(read + end) if len(end) < MAX_LINE else None
            if part is None:
                return None
            parts.append(part)
    query, document, score = zip(*parts, strict=True)
    return Table(pa.concat_arrays(query), pa.concat_arrays(document), np.concatenate(score))


def _parsed(lines: bytes) -> Table | None:
    gap = b"\t" if b"\t" in lines else b" "
    if not _plain(lines, gap):
        return None
    try:
        found = csv.read_csv(
            pa.BufferReader(lines),
            read_options=csv.ReadOptions(column_names=COLUMNS, use_threads=False, block_size=len(lines) + 1),
            parse_options=csv.ParseOptions(delimiter=gap.decode(), quote_char=False, double_quote=False, escape_char=False),
            convert_options=csv.ConvertOptions(
                include_columns=list(TYPES), column_types=TYPES, null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    query, document, score = (column.combine_chunks() for column in found.columns)
    values = score.to_numpy()
    return Table(query, document, values.astype(np.float32)) if (np.abs(values) <= LARGEST).all() else None


def _plain(lines: bytes, gap: bytes) -> bool:
    """Say whether there is no white space but single line ends and one gap between any two fields."""
    codes = np.frombuffer(lines, np.uint8)
    white = codes <= ord(" ")
    if white[0] or codes[-1] == ord(gap) or (white[1:] & white[:-1]).any():
        return False
    if np.count_nonzero(white) != lines.count(gap) + lines.count(b"\n"):
        return False
    try:
        return lines.isascii() or bool(lines.decode() and lines.translate(None, ASCII).decode().isprintable())
    except UnicodeDecodeError:
        return False


def _line_by_line(path: Path) -> Table:
    """Read what is not plain, and name the line that is wrong."""
    query_ids, doc_ids, scores, seen = [], [], [], set()
    for line in read_lines(path):
        fields = line.text.split()
        if line.problem in ("utf8", "nul") or len(fields) != 6:
            raise DataError(f"{path}:{line.number}: not a TREC run line (query Q0 document rank score tag)")
        query, _, document, _, score, _ = fields
        try:
            value = float(score)
        except ValueError:
            value = np.nan
        if not abs(value) <= LARGEST:
            raise DataError(f"{path}:{line.number}: score '{score}' is not a float32 number")
        if (query, document) in seen:
            raise DataError(f"{path}:{line.number}: document '{document}' stands twice for query '{query}'")
        seen.add((query, document))
        query_ids.append(query)
        doc_ids.append(document)
        scores.append(value)
    return Table(pa.array(query_ids, TEXT), pa.array(doc_ids, TEXT), np.array(scores, np.float64).astype(np.float32))
