"""What readers of two aligned sides share: lines with their numbers, empty ones too, and pairs as groups of two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mimo_eval.collections.jsonl import clean
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import MAX_LINE, open_binary
from mimo_eval.languages import normalise
from mimo_eval.training.data.lines import Parallel


def every_line(path: Path) -> Iterator[tuple[str, str]]:
    """Read a text file; an empty line is a line, for alignment is by number.

    :param path: a plain, `.gz` or `.zst` file.
    :yield: (`file:line`, text in normal form C, white space collapsed except tabs).
    :raises DataError: if the file cannot be read, or a line is not UTF-8, holds a NUL byte or is longer than 8 MiB.
    """
    with open_binary(path) as stream:
        for number in range(1, 2**62):
            raw = stream.readline(MAX_LINE + 1)
            if not raw:
                return
            where = f"{path}:{number}"
            if len(raw) > MAX_LINE:
                raise DataError(f"{where}: line longer than {MAX_LINE // 2**20} MiB; is this one sentence a line?")
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{where}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
            if "\0" in text:
                raise DataError(f"{where}: a NUL byte; the file is damaged or is not text")
            yield where, "\t".join(map(clean, text.split("\t")))


def two_languages(languages: Sequence[str] | str) -> tuple[str, str]:
    """Return the languages of two sides.

    :param languages: two codes, or a text such as `en,de`.
    :return: canonical codes.
    :raises ConfigError: if there are not two different ones.
    """
    codes = [normalise(code) for code in (languages.split(",") if isinstance(languages, str) else languages)]
    if len(set(codes)) != 2 or len(codes) != 2:
        raise ConfigError(f"languages={languages}: two different languages are needed, in the order of the sides")
    return codes[0], codes[1]


def paired(
    left: Sequence[str], right: Sequence[str], languages: tuple[str, str], source: str, step: dict[str, Any]
) -> Parallel:
    """Make groups of two; pairs of which one side is empty are left out and counted.

    :param left: n texts.
    :param right: their translations.
    :param languages: of left and right.
    :param source: where they come from.
    :param step: what was read, for the history.
    :return: the pairs, left before right.
    :raises DataError: if no pair is left.
    """
    import numpy as np
    import pyarrow as pa

    full = [i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a and b]
    if not full:
        raise DataError(f"{source}: no pair of texts")
    strings, places = pa.large_string(), np.repeat(full, 2)
    table = {
        "group": pa.array([str(i + 1) for i in places.tolist()], strings),
        "lang": pa.array(list(languages) * len(full), strings),
        "text": pa.array([side[i] for i in full for side in (left, right)], strings),
        "source": pa.array([source] * len(places), strings),
    }
    counts = {"pairs": len(full), "left_out_empty": len(left) - len(full)}
    return Parallel(pa.table(table), [{"step": "read", "source": source, **step, **counts}])
