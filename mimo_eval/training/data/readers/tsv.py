"""Tab-separated pairs: two columns of a file are translations of each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.training.data.lines import Parallel
from mimo_eval.training.data.readers.aligned import every_line, paired, two_languages


def tsv(
    path: str | Path,
    languages: Sequence[str] | str,
    columns: Sequence[int] = (0, 1),
    header: bool = False,
    most: int | None = None,
) -> Parallel:
    """Read pairs; a group's name is its number among the rows.

    :param path: a plain, `.gz` or `.zst` file.
    :param languages: of the two sides.
    :param columns: where they stand, counted from 0.
    :param header: whether the first line holds names.
    :param most: read only so many rows.
    :return: the pairs; those with an empty side are left out and counted.
    :raises DataError: if the file cannot be read, is not UTF-8, or a line has too few columns.
    """
    codes, path = two_languages(languages), Path(path)
    if len(columns) != 2 or min(columns) < 0:
        raise ConfigError(f"columns={columns}: two columns are needed, counted from 0")
    sides: tuple[list[str], list[str]] = ([], [])
    for number, (where, line) in enumerate(every_line(path)):
        if header and number == 0:
            continue
        if most is not None and len(sides[0]) == most:
            break
        fields = line.split("\t")
        if len(fields) <= max(columns):
            raise DataError(f"{where}: {len(fields)} columns, but column {max(columns)} is asked for (counted from 0)")
        for side, column in zip(sides, columns, strict=True):
            side.append(fields[column])
    return paired(*sides, codes, path.name, {"reader": "tsv", "file": path.name})
