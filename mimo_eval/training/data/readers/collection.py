"""Any collection as training data: its judged pairs, all of them or those of a fold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mimo_eval.collections import load
from mimo_eval.collections.jsonl import find_file
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import read_lines
from mimo_eval.training.data.retrieval import Retrieval


def collection(
    name: str,
    data: str | Path | None = None,
    languages: Sequence[str] | None = None,
    query_groups: Sequence[str] | None = None,
    passage_groups: Sequence[str] | None = None,
    split: str | None = None,
) -> Retrieval:
    """Read the judged pairs of a collection.

    :param name: as in `mimo-eval run -b`: a registered name with options, or a folder.
    :param data: the folder of a registered collection.
    :param languages: languages to read.
    :param query_groups: only these queries, such as the training part of a fold.
    :param passage_groups: only these passages.
    :param split: only queries whose line has this `split`, for folders that hold several, as TyDi QA's.
    :return: the data.
    :raises ConfigError: if there is no such split, or a collection not of one folder.
    :raises DataError: if the files are missing or wrong, or there is no positive pair.
    """
    found = load(name, data=Path(data) if data else None, languages=tuple(languages) if languages else None)
    if split is None:
        return Retrieval.from_collection(found, query_groups, passage_groups)
    mine = _of_split(Path(data or name), split) & set(found.queries.column("group").to_pylist())
    if query_groups is not None:
        mine &= set(query_groups)
    if not mine:
        raise ConfigError(f"{name}: no query of split '{split}' in the groups and languages asked for")
    return Retrieval.from_collection(found, mine, passage_groups)


def _of_split(folder: Path, split: str) -> set[str]:
    """Return the groups of a split's queries."""
    path = find_file(folder, "queries.jsonl") if folder.is_dir() else None
    if path is None:
        raise ConfigError(f"split={split}: {folder} is not a folder with queries.jsonl, whose lines say their split")
    groups: dict[str, set[str]] = {}
    for line in read_lines(path):
        try:
            record = json.loads(line.text)
            groups.setdefault(str(record.get("split")), set()).add(str(record.get("group")))
        except (ValueError, AttributeError, RecursionError) as error:
            raise DataError(f"{path}:{line.number}: not a JSON object ({error})") from error
    if split not in groups:
        raise ConfigError(f"split={split}: {path} has {', '.join(sorted(groups))}")
    return groups[split]
