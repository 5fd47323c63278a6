"""Results both ways: ours as files in the layout of MTEB's results repository, MTEB's files as rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimo_eval.errors import DataError, require
from mimo_eval.files import inside, read_json, write_json
from mimo_eval.integrations.mteb.definitions import SPLIT, find, revision
from mimo_eval.integrations.mteb.meta import model_meta
from mimo_eval.integrations.mteb.names import folder_name, mteb_measure, own_measure, subset_name, task_name
from mimo_eval.languages import mteb_code
from mimo_eval.results import PoolScores, Result, SettingScores, read_result, require_exact

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)
META = "model_meta.json"
BESIDE = (META, "paths.json")
"""Files of a results repository that hold no results."""
KNOWN = ("hf_subset", "languages", "main_score", "mteb_version")
"""Keys of a subset's scores that are no measures."""


@dataclass(frozen=True)
class TaskRow:
    """What one model scored on one subset of one task."""

    model: str
    """Such as `intfloat/multilingual-e5-small`."""
    model_revision: str
    task: str
    dataset_revision: str
    split: str
    subset: str
    languages: tuple[str, ...]
    """MTEB's codes, such as `deu-Latn`."""
    main_score: float
    """Value of the task's main measure."""
    measures: dict[str, float]
    """Measure, as ir-measures writes it where that has it, to value; what is not finite is left out."""
    mteb_version: str
    path: str
    """The file."""


def export_result(result: Result | Path, output: Path) -> list[Path]:
    """Write a result of this package as MTEB's TaskResult files, one per mix, with the model's record beside them.

    `mteb.ResultCache(output).load_results()` reads the folder. A mix on which no task of ours is defined gets a name made of
    collection and mix; MTEB validates only tasks that are registered, so such files need `validate_and_filter=False`.

    :param result: the result, its file or its folder.
    :param output: folder in which `results/ORGANISATION__MODEL/REVISION/` is made.
    :return: the files, the model's record last.
    :raises DataError: if it is no result, or has no score.
    :raises CacheError: if the folder cannot be written.
    """
    require("mteb", "mteb")
    from mteb.results import TaskResult

    result = read_result(result) if isinstance(result, Path) else result
    require_exact(result, "MTEB")
    meta = model_meta(result.model["name"], result.model, result.fingerprints)
    folder = inside(output / "results", f"{folder_name(meta.name)}/{meta.revision}")
    content = {}
    for setting in result.settings:
        name, task = _task(result, setting)
        if task["scores"][SPLIT]:
            checked = TaskResult.model_validate(task).model_dump(mode="json")
            content[folder / f"{name}.json"] = {**checked, "date": datetime.fromisoformat(result.created).timestamp()}
    if not content:
        raise DataError(f"{result.model['name']}: the result has no value of a main measure, so nothing can be exported")
    for path, values in content.items():
        write_json(path, values)
    record = {key: None if value in (math.inf, -math.inf) else value for key, value in meta.to_dict().items()}
    write_json(folder / META, record)
    return [*content, folder / META]


def _task(result: Result, setting: SettingScores) -> tuple[str, dict[str, Any]]:
    """Return the name and content of one TaskResult."""
    from importlib.metadata import version

    collection = next(c for c in result.collections if c["name"] == setting.collection)
    stored = tuple(sorted({lang for pool in setting.pools for lang in pool.documents}))
    definition = find(setting.collection, setting.mix, stored)
    name = definition.name if definition else task_name(setting.collection, setting.mix)
    scores = [row for pool in setting.pools for row in _subsets(pool, setting.main)]
    return name, {
        "task_name": name,
        "dataset_revision": revision(collection["revision"], setting.mix),
        "mteb_version": version("mteb"),
        "scores": {SPLIT: scores},
        "evaluation_time": result.timings.get("total"),
        "kg_co2_emissions": None,
    }


def _subsets(pool: PoolScores, main: str) -> Iterator[dict[str, Any]]:
    """Yield the scores of each query language of a corpus that has a value of the main measure."""
    for lang, scores in pool.scores.items():
        known = {mteb_measure(name): value for name, value in scores.items() if value is not None}
        if scores.get(main) is None:
            continue
        yield {
            **known,
            "main_score": scores[main],
            "hf_subset": subset_name(pool, lang),
            "languages": list(dict.fromkeys(mteb_code(code) for code in (lang, *sorted(pool.documents)))),
        }


def read_task_results(path: Path) -> list[TaskRow]:
    """Read TaskResult files of MTEB's; mteb need not be installed.

    :param path: one file, the folder of a model, or a whole cache or results repository.
    :return: a row per file, split and subset, by path.
    :raises DataError: naming the file, if one is not a TaskResult or there is none. Files from before MTEB 1.11 in a folder
        are passed over with a warning.
    """
    if path.is_file():
        return list(_rows(path, _read(path)))
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    rows: list[TaskRow] = []
    old = 0
    for file in sorted(found for found in path.rglob("*.json") if found.name not in BESIDE):
        content = _read(file)
        if "mteb_dataset_name" in content:
            old += 1
        else:
            rows += _rows(file, content)
    if old:
        logger.warning("%s: %d files in the layout from before MTEB 1.11 are passed over", path, old)
    if not rows:
        raise DataError(f"{path}: holds no result of MTEB's (TASK.json in a folder per model and revision)")
    return rows


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a TaskResult of MTEB's: not an object")
    return content


def _rows(path: Path, content: dict[str, Any]) -> Iterator[TaskRow]:
    model, model_revision = _model(path)
    try:
        for split, subsets in content["scores"].items():
            for scores in subsets:
                yield TaskRow(
                    model=model,
                    model_revision=model_revision,
                    task=str(content["task_name"]),
                    dataset_revision=str(content["dataset_revision"]),
                    split=str(split),
                    subset=str(scores["hf_subset"]),
                    languages=tuple(map(str, scores["languages"])),
                    main_score=float(scores["main_score"]),
                    measures={own_measure(k): float(v) for k, v in scores.items() if k not in KNOWN and _is_score(v)},
                    mteb_version=str(scores.get("mteb_version") or content.get("mteb_version")),
                    path=str(path),
                )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: not a TaskResult of MTEB's: {reason}") from error


def _is_score(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _model(path: Path) -> tuple[str, str]:
    """Return name and revision of a model: from its record, else from the folders."""
    if (path.parent / META).is_file():
        record = _read(path.parent / META)
        return str(record.get("name") or path.parent.parent.name), str(record.get("revision") or path.parent.name)
    return path.parent.parent.name.replace("__", "/"), path.parent.name


def frame(rows: Sequence[TaskRow]) -> pd.DataFrame:
    """Return rows as a table: a column per measure, empty where a task lacks it.

    :param rows: what `read_task_results` gave.
    :return: columns model, model_revision, task, dataset_revision, split, subset, languages, main_score, mteb_version, then
        the measures in the order in which they first occur.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "model": row.model,
                "model_revision": row.model_revision,
                "task": row.task,
                "dataset_revision": row.dataset_revision,
                "split": row.split,
                "subset": row.subset,
                "languages": ",".join(row.languages),
                "main_score": row.main_score,
                "mteb_version": row.mteb_version,
                **row.measures,
            }
            for row in rows
        ]
    )
