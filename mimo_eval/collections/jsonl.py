"""Readers shared by the sources: JSON Lines, tab-separated tables and TREC qrels, each problem with its file and line."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimo_eval.collections.records import Judgement, Problems, Text, namespaced
from mimo_eval.errors import DataError
from mimo_eval.files import Line, read_lines

ENDINGS = ("", ".gz", ".zst")
ID_FIELDS = ("_id", "id", "docid", "doc_id", "qid", "query_id", "pid")
TEXT_FIELDS = ("text", "query", "contents")
LANG_FIELDS = ("lang", "language", "lang_code")


def find_file(folder: Path, *names: str) -> Path | None:
    """Return the first of some files that exists, plain, `.gz` or `.zst`.

    :param folder: where to look.
    :param names: file names, best first.
    :return: the path, or None.
    """
    for name in names:
        for ending in ENDINGS:
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path
    return None


INVISIBLE = str.maketrans("", "", "\ufeff\u200b\u2060")
QRELS_COLUMNS = (("query", "qid"), ("corpus", "doc", "para", "pid", "sent"), ("score", "rel"))


def clean(text: str) -> str:
    """Return a text in Unicode normal form C, white space collapsed, without byte-order marks and zero-width spaces."""
    return " ".join(unicodedata.normalize("NFC", text.translate(INVISIBLE)).split())


def usable_lines(path: Path, problems: Problems) -> Iterator[tuple[Line, str]]:
    """Read a file's lines, noting those that cannot be used, and a file that cannot be read to its end.

    :param path: a plain, `.gz` or `.zst` file.
    :param problems: where problems are noted.
    :yield: each usable line and its place.
    """
    lines = read_lines(path)
    while True:
        try:
            line = next(lines, None)
        except DataError as error:
            problems.add("unreadable file", str(error))
            return
        if line is None:
            return
        if problems.line(path, line):
            yield line, f"{path}:{line.number}"


def read_objects(path: Path, problems: Problems) -> Iterator[tuple[dict[str, Any], str]]:
    """Read JSON objects, one a line, noting lines that hold none.

    :param path: a plain, `.gz` or `.zst` file.
    :param problems: where problems are noted.
    :yield: each object and its place.
    """
    for line, where in usable_lines(path, problems):
        try:
            record = json.loads(line.text)
        except (ValueError, RecursionError) as error:  # ValueError also for numbers of thousands of digits
            problems.add("unreadable line", where, str(error))
            continue
        if isinstance(record, dict):
            yield record, where
        else:
            problems.add("unreadable line", where, "not a JSON object")


def read_texts(path: Path, problems: Problems, lang: str = "", prefix: bool = False) -> Iterator[Text]:
    """Read documents or queries, one JSON object a line.

    :param path: the file; fields as in BEIR (`_id`, `title`, `text`) or their common variants, `lang`, `group`.
    :param problems: where problems are noted.
    :param lang: the language of texts that do not name theirs.
    :param prefix: whether to put the language before ids, because other files repeat them.
    :yield: the texts.
    """
    for record, where in read_objects(path, problems):
        identifier, text = _first(record, ID_FIELDS), _first(record, TEXT_FIELDS)
        if identifier is None or text is None:
            problems.add("missing field", where, f"found {', '.join(map(str, list(record)[:8]))}")
            continue
        own, title, group = _first(record, LANG_FIELDS) or lang, record.get("title") or "", record.get("group")
        strings = {"text": text, "lang": own, "title": title}
        odd = [name for name, value in strings.items() if not isinstance(value, str)]
        odd += [name for name, value in (("id", identifier), ("group", group)) if not _is_name(value)]
        if odd:
            problems.add("unreadable line", where, f"{odd[0]} is not a string")
            continue
        yield Text(
            id=namespaced(str(identifier), lang) if prefix else str(identifier),
            text=text,
            lang=own,
            group=None if group in (None, "") else str(group),
            title=title,
            where=where,
        )


def _is_name(value: Any) -> bool:
    return value is None or (isinstance(value, (str, int)) and not isinstance(value, bool))


def _first(record: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def read_judgements(path: Path, problems: Problems, lang: str = "") -> Iterator[Judgement]:
    """Read qrels: a tab-separated table with a header line, as BEIR's, or TREC's four columns without one.

    :param path: the file.
    :param problems: where problems are noted.
    :param lang: put before every id, with a colon.
    :yield: the judgements.
    """
    columns, width = (0, 1, 2), 0
    for line, where in usable_lines(path, problems):
        fields = line.text.split("\t") if "\t" in line.text else line.text.split()
        if not width:
            width = len(fields)
            header = _header(fields)
            columns = header or ((0, 2, 3) if width == 4 else (0, 1, 2))
            if header:
                continue
        if len(fields) != width or width < 3:
            problems.add("unreadable line", where, f"{len(fields)} columns, expected {max(width, 3)}")
            continue
        query, document, relevance = (fields[column].strip() for column in columns)
        gain = read_relevance(relevance, problems, where)
        if gain is not None:
            if lang:
                query, document = namespaced(query, lang), namespaced(document, lang)
            yield Judgement(query, document, gain, where)


def read_relevance(text: str, problems: Problems, where: str) -> int | None:
    """Read a relevance.

    :param text: such as `1` or `-1`.
    :param problems: where anything else is noted.
    :param where: file and line.
    :return: the number, or None.
    """
    if re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII):
        return int(text)
    problems.add("relevance is not an integer", where, repr(text[:40]))
    return None


def _header(fields: list[str]) -> tuple[int, int, int] | None:
    """Return the columns of query, document and relevance if this is a header line."""
    found = [
        next((i for i, field in enumerate(fields) if field.strip().lower().startswith(names)), -1) for names in QRELS_COLUMNS
    ]
    return (found[0], found[1], found[2]) if min(found) >= 0 else None
