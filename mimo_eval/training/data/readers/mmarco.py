"""mMARCO: training triples of ids, and per language a file of queries and one of passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimo_eval.collections.jsonl import ENDINGS
from mimo_eval.errors import DataError
from mimo_eval.files import read_lines
from mimo_eval.languages import normalise
from mimo_eval.training.data.lines import Lines
from mimo_eval.training.data.retrieval import Retrieval

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = {
    "arabic": "ar",
    "chinese": "zh",
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "hindi": "hi",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "portuguese": "pt",
    "russian": "ru",
    "spanish": "es",
    "vietnamese": "vi",
}
"""Languages as the files' names spell them; codes are understood too, `dt` for Dutch included."""
TRIPLES, QUERIES, PASSAGES = "triples.train.ids.small.tsv", "_queries.train.tsv", "_collection.tsv"
BLOCK = 2**24
"""Bytes that are parsed at a time."""


def mmarco(path: str | Path, languages: Sequence[str] | None = None, most: int | None = None) -> Retrieval:
    """Read the unique pairs of query and positive passage (methods.md 2.2), and the texts of those alone.

    :param path: a folder with, at any depth, `triples.train.ids.small.tsv` (query, positive, negative), and for each language
        `LANGUAGE_queries.train.tsv` and `LANGUAGE_collection.tsv` (id, text); all may end in .gz or .zst.
    :param languages: languages to read; all by default.
    :param most: the first so many pairs only.
    :return: the data; groups are named by id.
    :raises DataError: if a file is missing or has wrong lines.
    """
    root = Path(path)
    triples = _by_language(root, TRIPLES).get("")
    if triples is None:
        raise DataError(f"{root}: no {TRIPLES}; it has the pairs that are trained on")
    sides = [_by_language(root, ending) for ending in (QUERIES, PASSAGES)]
    wanted = [normalise(lang) for lang in languages] if languages else sorted({*sides[0], *sides[1]})
    for lang in wanted or ["en"]:
        for there, ending in zip(sides, (QUERIES, PASSAGES), strict=True):
            if lang not in there:
                raise DataError(
                    f"{root}: no file LANGUAGE{ending} for '{lang}'; there are {', '.join(sorted(there)) or 'none'}"
                )
    pairs = _pairs(triples)[:most]
    queries, passages = (
        _texts({lang: there[lang] for lang in wanted}, np.unique(pairs[:, side])) for side, there in enumerate(sides)
    )
    names = ((str(q), str(p)) for q, p in pairs.tolist())
    return Retrieval.of(queries, passages, names)


def _by_language(root: Path, ending: str) -> dict[str, Path]:
    """Return the files with some ending by the language before it."""
    found: dict[str, Path] = {}
    for suffix in ENDINGS:
        for file in sorted(root.rglob(f"*{ending}{suffix}")):
            name = file.name.removesuffix(ending + suffix)
            found.setdefault(NAMES.get(name.lower()) or (normalise(name) if name else ""), file)
    return found


def _pairs(triples: Path) -> np.ndarray:
    """Return (n, 2) int64 unique pairs of query and positive passage, in the order of the file."""
    blocks: list[np.ndarray] = []
    for batch in _blocks(triples, {"query": "int64", "positive": "int64", "negative": "int64"}):
        blocks.append(_first_of_each(np.stack([batch.column(0).to_numpy(), batch.column(1).to_numpy()], axis=1)))
    if not blocks:
        raise DataError(f"{triples}: empty")
    return _first_of_each(np.concatenate(blocks))


def _first_of_each(pairs: np.ndarray) -> np.ndarray:
    keys = (pairs[:, 0] << 32) + pairs[:, 1]
    return pairs[np.sort(np.unique(keys, return_index=True)[1])]


def _texts(files: dict[str, Path], wanted: np.ndarray) -> Lines:
    """Read the texts of some ids in several languages; empty texts are left out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables, strings = [], pa.large_string()
    for lang, file in files.items():
        for batch in _blocks(file, {"id": "int64", "text": "string"}):
            text = pc.utf8_trim_whitespace(batch.column(1))
            keep = pc.and_(pc.is_in(batch.column(0), value_set=pa.array(wanted)), pc.greater(pc.utf8_length(text), 0))
            names = batch.column(0).filter(keep).cast(strings)
            rows = {"group": names, "lang": pa.array([lang] * len(names), strings), "text": text.filter(keep).cast(strings)}
            tables.append(pa.table({**rows, "source": pa.array(["mmarco"] * len(names), strings)}))
    steps = [{"step": "read", "reader": "mmarco", "lang": lang, "file": file.name} for lang, file in files.items()]
    return Lines(pa.concat_tables(tables), steps)


def _blocks(file: Path, columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """Parse a tab-separated file block by block; quotation marks are text."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        with pa.input_stream(str(file), compression="detect") as stream:
            yield from csv.open_csv(
                stream,
                csv.ReadOptions(column_names=list(columns), block_size=BLOCK),
                csv.ParseOptions(delimiter="\t", quote_char=False),
                csv.ConvertOptions(column_types=columns, strings_can_be_null=False),
            )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{_place(file, columns)}: not what was expected ({error})") from error


def _place(file: Path, columns: dict[str, str]) -> str:
    """Return file and line of the first line that cannot be read, or the file where it is none."""
    for line in read_lines(file):
        fields = line.text.split("\t")
        numbers = [value for value, kind in zip(fields, columns.values(), strict=False) if kind == "int64"]
        if len(fields) != len(columns) or line.problem == "utf8" or not all(value.strip().isdecimal() for value in numbers):
            return f"{file}:{line.number}"
    return str(file)
