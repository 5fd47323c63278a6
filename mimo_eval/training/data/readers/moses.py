"""Moses' format: two plain text files, line by line translations of each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mimo_eval.errors import DataError
from mimo_eval.training.data.lines import Parallel
from mimo_eval.training.data.readers.aligned import every_line, paired, two_languages


def moses(source: str | Path, target: str | Path, languages: Sequence[str] | str) -> Parallel:
    """Read two aligned files; a group's name is its line number.

    :param source: a plain, `.gz` or `.zst` file.
    :param target: the other.
    :param languages: of source and target.
    :return: the pairs; those with an empty side are left out and counted.
    :raises DataError: if a file cannot be read, is not UTF-8, or the numbers of lines differ.
    """
    codes = two_languages(languages)
    paths = Path(source), Path(target)
    left, right = ([text.replace("\t", " ").strip() for _, text in every_line(path)] for path in paths)
    if len(left) != len(right):
        raise DataError(
            f"{paths[0]} has {len(left):,} lines, {paths[1]} has {len(right):,}; aligned files have as many lines, empty ones "
            "counted, so one of the two is cut off or is another version"
        )
    return paired(left, right, codes, paths[0].name, {"reader": "moses", "files": [path.name for path in paths]})
