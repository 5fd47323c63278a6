"""Packs: JSON Lines of `group, lang, text`, where all lines of a group are translations of one text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimo_eval.collections.jsonl import ENDINGS, clean, read_objects
from mimo_eval.collections.records import Problems
from mimo_eval.digests import digest
from mimo_eval.errors import DataError
from mimo_eval.files import atomic_write, cache_dir
from mimo_eval.languages import normalise
from mimo_eval.training.data.lines import Parallel

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
"""Of the cached lines: another number makes every pack be parsed again."""
LEMMAS = " | "
"""What stands between the lemmas of one sense in a lexicon."""


def packs(
    path: str | Path,
    names: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    lexicon: str | Path | None = None,
) -> Parallel:
    """Read packs; a pack is `NAME.jsonl`, plain, `.gz` or `.zst`.

    :param path: their folder, or one pack.
    :param names: which of them, in this order; all by default, in alphabetical order.
    :param languages: languages to keep; all by default.
    :param lexicon: a pack of words besides, several lemmas of one sense joined by ` | `; each becomes a line.
    :return: their lines, empty groups left out.
    :raises DataError: if a file is missing or has wrong lines; the message has the first of them.
    """
    wanted = {normalise(lang) for lang in languages} if languages else None
    files = _files(Path(path), names)
    parts = [_read(file, name, wanted) for name, file in files.items()]
    if lexicon is not None:
        parts.append(_read(Path(lexicon), _name(Path(lexicon)), wanted, split=True))
    found: Parallel = Parallel.concat(parts)
    absent = (wanted or set()) - set(found.languages)
    if absent:
        raise DataError(f"{path}: no line in {', '.join(sorted(absent))}; there are {', '.join(found.languages)}")
    return found


def _name(path: Path) -> str:
    return path.name.partition(".jsonl")[0]


def _files(path: Path, names: Sequence[str] | None) -> dict[str, Path]:
    """Return the packs by name."""
    if path.is_file():
        return {_name(path): path}
    there = {_name(file): file for ending in ENDINGS for file in sorted(path.glob(f"*.jsonl{ending}"))}
    if not there:
        raise DataError(f"{path}: no packs; expected a folder of NAME.jsonl, NAME.jsonl.gz or NAME.jsonl.zst")
    absent = [name for name in names or () if name not in there]
    if absent:
        raise DataError(f"{path}: no pack '{absent[0]}'; there are {', '.join(sorted(there))}")
    return {name: there[name] for name in names or sorted(there)}


def _read(path: Path, name: str, wanted: set[str] | None, split: bool = False) -> Parallel:
    """Read a pack, from the cache where it was read before."""
    found: Parallel = Parallel(_kept(path, name, split))
    if wanted is not None:
        found = found.select(np.isin(found.language, [i for i, lang in enumerate(found.languages) if lang in wanted]))
    return Parallel(found.table, [{"step": "read", "reader": "packs", "source": name, "lines": len(found)}])


def _kept(path: Path, name: str, split: bool) -> pa.Table:
    """Return the lines of a pack, memory-mapped; they are parsed again when the file's size or time of change is another."""
    import pyarrow as pa

    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    key = digest(str(FORMAT), str(path.resolve()), str(stat.st_size), str(stat.st_mtime_ns), name, str(split))
    file = cache_dir() / "training" / f"{name}-{key[:20]}.arrow"
    with suppress(OSError, pa.ArrowException):
        return pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    problems = Problems()
    rows = list(_rows(path, problems))
    problems.refuse(str(path))
    if split:
        rows = [(group, lang, lemma) for group, lang, text in rows for lemma in text.split(LEMMAS)]
    table: pa.Table = Parallel.of(rows, name).table
    with atomic_write(file) as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return table


def _rows(path: Path, problems: Problems) -> Iterator[tuple[str, str, str]]:
    """Yield group, language and text of the lines that can be used; note the others."""
    for record, where in read_objects(path, problems):
        try:
            group, code, text = record["group"], record["lang"], record["text"]
            lang = normalise(code)
        except (KeyError, TypeError):
            problems.add("missing field", where, "a JSON object with group, lang and text is needed")
            continue
        except DataError as error:
            problems.add("unknown language", where, str(error))
            continue
        except AttributeError as error:
            problems.add("unreadable line", where, str(error))
            continue
        if not (isinstance(group, str) and isinstance(text, str)):
            problems.add("unreadable line", where, "group or text is not a string")
        elif not (text := clean(text)):
            problems.add("empty text", where, group)
        else:
            yield group, lang, text
