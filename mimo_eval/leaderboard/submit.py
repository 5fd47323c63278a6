"""A result checked, and made ready to be added to a board by a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimo_eval.comparison.pairing import KEYS
from mimo_eval.comparison.report import ALSO
from mimo_eval.comparison.stored import locate
from mimo_eval.errors import DataError
from mimo_eval.files import atomic_write, write_json
from mimo_eval.leaderboard import checks, text
from mimo_eval.leaderboard.description import description
from mimo_eval.leaderboard.entries import CARD, ModelCard, Source, read_sources
from mimo_eval.results import Result, read_queries, read_result, result_folder, write_result


class Submission(NamedTuple):
    """What was prepared."""

    folder: Path
    """The result's folder inside the submission."""
    description: Path
    """Text for the pull request."""
    warnings: list[str]
    """What a maintainer should look at."""


def submit(path: Path, output: Path, card: ModelCard, *, board: Sequence[Path] = ()) -> Submission:
    """Validate a result and write the folder of its pull request; nothing is written if it is not valid.

    :param path: the JSON file, its folder, or a folder further up that holds one model's results: the newest is taken.
    :param output: where the submission goes, such as `leaderboards/xquad-r`: the result below `results/`, the text beside it.
    :param card: what the result does not say of the model.
    :param board: results that are there already; their data and protocol must be the same.
    :return: what was written, and what is doubtful.
    :raises DataError: naming everything that is wrong.
    """
    file = locate(path)
    source = Source(file, read_result(file), card)
    queries = read_queries(file)
    present = read_sources(board) if board else []
    faults = [*checks.faults(source, queries)] or [*checks.unlike(source, present)]
    if faults:
        raise DataError("\n".join([f"{file}: cannot be submitted:", *(f"  {fault}" for fault in faults)]))
    result = source.result
    folder = result_folder(output, "results", str(result.model["name"]), result.key)
    write_result(folder, result, slim(result, queries))
    write_json(folder / CARD, {k: v for k, v in card.model_dump().items() if v not in ("", None)})
    warnings = list(checks.doubts(source))
    about = output / "PULL_REQUEST.md"
    title = f"# Add {text.markdown(source.name)} to the {text.markdown(text.name(result.benchmark['name']))} board"
    with atomic_write(about, "w") as stream:
        stream.write("\n".join([title, "", *description(source, warnings)]) + "\n")
    return Submission(folder, about, warnings)


def slim(result: Result, queries: pd.DataFrame) -> pd.DataFrame:
    """Return the per-query scores that a board needs: those it tests, so that a repository can hold many results.

    :param result: the result.
    :param queries: all per-query scores.
    :return: the keys, and the main measures and LPR as float32.
    """
    measures = [m for m in tested(result) if m in queries]
    keys = queries[KEYS].astype("category")
    return pd.concat([keys, queries[measures].astype(np.float32)], axis=1)


def tested(result: Result) -> list[str]:
    """Return the measures that a board tests: the main ones, and LPR."""
    return list(dict.fromkeys([*(s.main for s in result.settings), ALSO]))
