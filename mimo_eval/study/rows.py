"""What is kept of one method on one fold: a small record, and a score per question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from mimo_eval.errors import DataError
from mimo_eval.files import atomic_write, read_json, write_json

ROWS = "rows"
"""Folder of rows in that of a study's results."""
DATA = "data.json"
"""Beside them: what was trained and tested on, and which text was in both."""
COLUMNS = ("test", "mix", "lang", "group")
"""What says which question a score is of."""


class Row(BaseModel):
    """One method on one fold."""

    model_config = ConfigDict(extra="forbid")

    key: str
    """Hash of all that decides the numbers: a row with another one is made again."""
    label: str
    """The run's name in the study."""
    method: str
    """The training method."""
    fold: int
    """Which fold was held out, from 0."""
    seed: int
    """Of everything drawn in the method's own stage."""
    stages: list[dict[str, Any]]
    """What each stage did: rows, rows seen, steps, seconds, the last losses."""
    scores: dict[str, dict[str, dict[str, float | None]]]
    """Test to mix to measure to mean."""
    geometry: dict[str, dict[str, float]]
    """Diagnostic of the divided collection's documents to `value` and `standard_error`."""
    seconds: dict[str, float]
    """Of training, and of the tests."""
    environment: dict[str, Any]
    """Versions, cores, threads."""


def row_path(folder: Path, label: str, fold: int) -> Path:
    """Return where a row lies.

    :param folder: of a study's results.
    :param label: of the run.
    :param fold: from 0.
    :return: the record's path; the scores per question are beside it.
    """
    return folder / ROWS / label / f"fold-{fold + 1}.json"


def read_row(folder: Path, label: str, fold: int) -> Row | None:
    """Read a row.

    :param folder: of a study's results.
    :param label: of the run.
    :param fold: from 0.
    :return: the row, None if it is not there.
    :raises DataError: if the file is no row.
    """
    path = row_path(folder, label, fold)
    if not path.exists():
        return None
    try:
        return Row.model_validate(read_json(path))
    except ValidationError as error:
        raise DataError(f"{path}: not a row of a study of this version; remove it, and it is made again") from error


def write_row(folder: Path, row: Row, questions: pd.DataFrame) -> None:
    """Write a row, its record last.

    :param folder: of a study's results.
    :param row: the record.
    :param questions: COLUMNS and a column per measure.
    """
    path = row_path(folder, row.label, row.fold)
    with atomic_write(path.with_suffix(".parquet")) as stream:
        questions.to_parquet(stream, index=False, compression="zstd")
    write_json(path, row.model_dump(mode="json"))


def read_questions(folder: Path, label: str, fold: int) -> pd.DataFrame:
    """Read the scores per question of a row.

    :param folder: of a study's results.
    :param label: of the run.
    :param fold: from 0.
    :return: COLUMNS and a column per measure, missing where a measure has no value.
    :raises DataError: if they are missing or damaged.
    """
    path = row_path(folder, label, fold).with_suffix(".parquet")
    try:
        found = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read; remove the folder {path.parent}, and it is made again") from error
    if not set(COLUMNS) <= set(found.columns):
        raise DataError(f"{path}: these are no scores of a study; remove the folder {path.parent}, and it is made again")
    return found


def per_question(queries: pd.DataFrame, test: str, mix: str, measures: tuple[str, ...]) -> pd.DataFrame:
    """Reduce scores per query and corpus to scores per question.

    A question's score is the mean over the language versions in which it is asked, and over the corpora of which. Where all
    questions are asked in all languages, their mean is the score of the mix.

    :param queries: `lang`, `group` and the measures, a line per query and corpus.
    :param test: name of the test.
    :param mix: the mix.
    :param measures: which to keep; one that is not there is left out.
    :return: COLUMNS and measures as float32; `lang` is empty where a question is asked in several languages.
    """
    kept = [name for name in measures if name in queries.columns]
    frame = queries[kept].astype("float64").assign(group=queries["group"].astype(str), lang=queries["lang"].astype(str))
    grouped = frame.groupby("group", sort=True)
    lang = grouped["lang"].agg(lambda langs: langs.iloc[0] if langs.nunique() == 1 else "")
    found = grouped[kept].mean().astype("float32")
    found.insert(0, "lang", lang)
    found = found.reset_index()
    found.insert(0, "mix", mix)
    found.insert(0, "test", test)
    return found[[*COLUMNS, *kept]]


@contextmanager
def taken(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock of the operating system, which a killed process does not hold.

    :param path: of the lock's empty file.
    :param wait: until another process has done; else find out whether one is at it.
    :yield: whether the lock is held.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
