"""`mteb.evaluate` with our models on any task, with results that are never stale."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimo_eval.errors import ConfigError, DataError, MimoEvalError, require
from mimo_eval.integrations.mteb.definitions import BENCHMARK, SUITE
from mimo_eval.integrations.mteb.registry import get_task
from mimo_eval.integrations.mteb.results import TaskRow, read_task_results
from mimo_eval.models.loading import Model
from mimo_eval.models.sources import first_line
from mimo_eval.systems import Progress


def evaluate(
    model: Model,
    tasks: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    *,
    data: Path | None = None,
    output: Path,
    again: bool = False,
    progress: Progress | None = None,
) -> list[TaskRow]:
    """Evaluate one model by MTEB; tasks of this package need no registration here.

    MTEB takes a result that covers all subsets for good, whatever data it was made on. Tasks of this package are loaded
    first, and a result whose data revision differs is made again.

    :param model: a model of this package.
    :param tasks: names of tasks, ours or MTEB's.
    :param benchmarks: names of benchmarks, ours or MTEB's.
    :param data: folder with the files of a collection, or one with a folder per collection.
    :param output: folder for MTEB's cache.
    :param again: evaluate even if the result is there.
    :param progress: told what goes on.
    :return: the results, a row per task and subset.
    :raises ConfigError: if there is no such task or benchmark, or none is named.
    """
    mteb = require("mteb", "mteb")
    from mimo_eval.integrations.mteb.search import SearchModel

    chosen = [find_task(name, data) for name in dict.fromkeys((*tasks, *_tasks_of(benchmarks)))]
    if not chosen:
        raise ConfigError("no task is given; -t TASK or -b BENCHMARK; `mimo-eval mteb tasks` lists those of mimo-eval")
    _refuse_others(chosen)
    search = SearchModel(model, progress=progress)
    meta = search.mteb_model_meta
    cache, rows = mteb.ResultCache(output), []
    for task in chosen:
        name = task.metadata.name
        path = cache.get_task_result_path(name, meta)
        _load(task)
        stale = not again and path.is_file() and read_task_results(path)[0].dataset_revision != task.metadata.revision
        strategy = "always" if again or stale or not hasattr(model, "fingerprint") else "only-missing"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            mteb.evaluate(search, task, cache=cache, overwrite_strategy=strategy, show_progress_bar=False, co2_tracker=False)
        rows += read_task_results(path)
        task.unload_data()
    return rows


def _refuse_others(tasks: Sequence[Any]) -> None:
    """Refuse tasks that are not retrieval, before any is evaluated."""
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    others = [task.metadata.name for task in tasks if not isinstance(task, AbsTaskRetrieval)]
    if others:
        raise ConfigError(f"{', '.join(others)}: not a retrieval task; models of mimo-eval rank corpora")


def _load(task: Any) -> None:
    """Load the data of a task, before MTEB looks for a result."""
    name = task.metadata.name
    try:
        task.load_data()
    except MimoEvalError:
        raise
    except Exception as error:  # of the hub, for MTEB's own tasks
        raise DataError(f"{name}: its data cannot be loaded: {type(error).__name__}: {first_line(error)}") from error


def _tasks_of(benchmarks: Sequence[str]) -> list[str]:
    mteb = require("mteb", "mteb")
    names: list[str] = []
    for benchmark in benchmarks:
        try:
            names += SUITE if benchmark == BENCHMARK else [t.metadata.name for t in mteb.get_benchmark(benchmark).tasks]
        except KeyError as error:
            raise ConfigError(f"benchmark '{benchmark}': {error.args[0]}; mimo-eval's own is '{BENCHMARK}'") from error
    return names


def find_task(name: str, data: Path | None = None) -> Any:
    """Return a task by name, one of this package or one of MTEB's.

    :param name: the name.
    :param data: where files of this package's collections are.
    :return: the task.
    :raises ConfigError: if neither has it.
    """
    mteb = require("mteb", "mteb")
    try:
        return get_task(name, data)
    except ConfigError as ours:
        try:
            return mteb.get_task(name)
        except KeyError as theirs:
            raise ConfigError(f"{ours}; and mteb says: {theirs.args[0]}") from theirs
