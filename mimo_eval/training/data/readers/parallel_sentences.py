"""The layout of `sentence-transformers/parallel-sentences-*`: subsets `en-xx` with columns english and non_english."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mimo_eval.collections import downloads
from mimo_eval.collections.jsonl import clean
from mimo_eval.collections.remote import Remote, Repo
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import normalise
from mimo_eval.training.data.lines import Parallel
from mimo_eval.training.data.readers.aligned import every_line, paired

SUBSET = re.compile(r"(?<![A-Za-z0-9])en-([a-z]{2,3}(?:[-_](?:cn|tw|br))?)(?![A-Za-z0-9])")
COMMIT = re.compile(r"[0-9a-f]{40}")
COLUMNS = ["english", "non_english"]
BATCH = 65_536

logger = logging.getLogger(__name__)


def parallel_sentences(
    path: str | Path | None = None,
    repository: str | None = None,
    revision: str | None = None,
    languages: Sequence[str] | None = None,
    split: str = "train",
    most: int | None = None,
) -> Parallel:
    """Read subsets of English and another language; each pair is a group.

    :param path: a local copy: files below it with `en-xx` and the split in their paths, Parquet, or TSV without header.
    :param repository: instead of a path, the data set on the hub, such as `sentence-transformers/parallel-sentences-talks`.
    :param revision: its commit, 40 hexadecimal digits, so that the same data are read tomorrow.
    :param languages: languages besides English; all by default.
    :param split: part of the file names.
    :param most: read only so many rows of each file, the first; rows beyond are not counted.
    :return: the pairs; those with an empty side are left out and counted.
    :raises ConfigError: if not exactly one of path and repository is given, or the repository without a commit.
    :raises DataError: if files are missing, unreadable or without these columns.
    """
    wanted = {normalise(lang) for lang in languages} - {"en"} if languages else None
    if (path is None) == (repository is None):
        raise ConfigError("parallel_sentences takes either a path or a repository")
    root = Path(path) if path is not None else fetch(str(repository), revision, sorted(wanted or ()), split)
    files = [(file, lang) for file, lang in subsets(root, split) if wanted is None or lang in wanted]
    absent = (wanted or set()) - {lang for _, lang in files}
    if absent or not files:
        what = f"no subset en-{min(absent)}" if absent else "no file with en-xx and the split in its path"
        raise DataError(f"{repository or root}: {what} (split '{split}'); expected such as en-de/train-00000-of-00001.parquet")
    parts = []
    for file, lang in files:
        left, right = read_sides(file, most)
        name = file.relative_to(root).as_posix()
        step = {"reader": "parallel_sentences", "file": name, **({"revision": revision} if repository else {})}
        parts.append(paired(left, right, ("en", lang), f"{(repository or root.name)}/{name}", step))
    found: Parallel = Parallel.concat(parts)
    return found


def subsets(root: Path, split: str) -> Iterator[tuple[Path, str]]:
    """Yield the files of a split and the language that each pairs with English, sorted by path.

    :param root: the local copy.
    :param split: part of the file names.
    :yield: file, canonical language.
    """
    for file in sorted(root.rglob("*")):
        found = SUBSET.search(file.relative_to(root).as_posix())
        if found and split in file.name and file.name.endswith((".parquet", ".tsv", ".tsv.gz", ".tsv.zst")):
            yield file, normalise(found[1])


def read_sides(file: Path, most: int | None) -> tuple[list[str], list[str]]:
    """Read English and the other language of one file.

    :param file: Parquet with columns english and non_english, or TSV with English first.
    :param most: so many rows at most.
    :return: two lists of equal length; what is missing is empty.
    :raises DataError: if the file is not such a file.
    """
    sides: tuple[list[str], list[str]] = ([], [])
    for english, other in _parquet(file) if file.suffix == ".parquet" else _tsv(file):
        if most is not None and len(sides[0]) == most:
            break
        sides[0].append(clean(english or ""))
        sides[1].append(clean(other or ""))
    return sides


def _parquet(file: Path) -> Iterator[tuple[str, str]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            lacking = [name for name in COLUMNS if name not in table.schema_arrow.names]
            if lacking:
                raise DataError(f"{file}: no column '{lacking[0]}'; it has {', '.join(table.schema_arrow.names)}")
            for batch in table.iter_batches(BATCH, columns=COLUMNS):
                texts = [batch.column(name).cast(pa.large_string()).to_pylist() for name in COLUMNS]
                yield from zip(*texts, strict=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a whole Parquet file ({error}); fetch it again") from error


def _tsv(file: Path) -> Iterator[tuple[str, str]]:
    for where, line in every_line(file):
        fields = line.split("\t")
        if len(fields) < 2:
            raise DataError(f"{where}: one column, expected English, a tab, the other language")
        yield fields[0], fields[1]


def fetch(repository: str, revision: str | None, languages: Sequence[str] | None, split: str) -> Path:
    """Fetch the subsets of some languages from the hub, once.

    :param repository: a data set.
    :param revision: its commit.
    :param languages: languages besides English; all if None.
    :param split: part of the file names.
    :return: the folder of this commit.
    :raises ConfigError: if the commit is not one.
    :raises DataError: if they cannot be fetched.
    """
    if not COMMIT.fullmatch(revision or ""):
        raise ConfigError(f"{repository}: revision={revision}: a commit is needed, 40 hexadecimal digits, as its page shows it")
    patterns = [f"*en-{lang}[-/_]*{split}*" for lang in languages or ["*"]]
    parts = downloads.plan(Remote((Repo(repository, str(revision), tuple(patterns), "as its page says"),)))
    if any(part.missing for part in parts):
        logger.warning("%s", "\n".join(downloads.lines(repository, parts)))
    downloads.fetch(parts)
    return parts[0].record.folder
