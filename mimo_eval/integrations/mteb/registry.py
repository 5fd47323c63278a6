"""Names of this package's tasks in MTEB's own registries.

MTEB has no entry points for tasks. Its registries are private, so every touch of them is here, is checked, and fails with
the way around: a task object needs no registry.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mimo_eval.errors import ConfigError, require
from mimo_eval.integrations.mteb.definitions import BENCHMARK, SUITE, SUITE_DESCRIPTION

if TYPE_CHECKING:
    from mteb import Benchmark

    from mimo_eval.integrations.mteb.tasks import MixedRetrieval

OLDEST = (2, 22)
"""The first version of mteb whose registries were looked at, and that is installed with the extra."""


def register(data: str | Path | None = None) -> list[str]:
    """Make MTEB find this package's tasks and benchmark by name; doing it twice is harmless.

    `mteb.get_task`, `mteb.get_tasks` (with its filters), `mteb.get_benchmark` and `mteb.cli` know them afterwards, in this
    process.

    :param data: folder with the files of a collection, or one with a folder per collection; `$MIMO_EVAL_DATA` if None.
    :return: the names of the tasks.
    :raises MissingExtraError: if mteb is not installed.
    :raises ConfigError: if mteb is too old, knows other tasks of these names, or has moved its registries.
    """
    require("mteb", "mteb")
    check_version(version("mteb"))
    from mimo_eval.integrations.mteb.tasks import MixedRetrieval, task_classes

    classes = task_classes()
    if data is not None:
        MixedRetrieval.data = Path(data)
    try:
        _register_tasks(sys.modules["mteb.get_tasks"], classes)
        _register_benchmark(sys.modules["mteb.benchmarks.get_benchmark"])
        _look_up(list(classes))
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"mteb {version('mteb')} keeps its tasks where this version of mimo-eval does not find them ({error!r}). Use "
            "`mimo-eval mteb run`, or pass objects: mteb.evaluate(model, mimo_eval.integrations.mteb.get_task(NAME)); or "
            "install mteb 2.26"
        ) from error
    return list(classes)


def check_version(installed: str) -> None:
    """Refuse a version of mteb whose tasks are other than those that are made here.

    :param installed: its version.
    :raises ConfigError: with the line that installs another one.
    """
    from packaging.version import Version

    if Version(installed).release[:2] < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigError(f"mteb {installed} is too old; mimo-eval needs {oldest} or newer: pip install 'mimo-eval[mteb]'")


def get_task(name: str, data: str | Path | None = None) -> MixedRetrieval:
    """Return a task of this package as an object, which MTEB takes without any registration.

    :param name: one of the table's names.
    :param data: as for `register`.
    :return: a task, its data not yet loaded.
    :raises ConfigError: if there is no such task.
    """
    require("mteb", "mteb")
    from mimo_eval.integrations.mteb.tasks import task_classes

    classes = task_classes()
    if name not in classes:
        raise ConfigError(f"there is no task '{name}'; there are {', '.join(classes)}")
    task = classes[name]()
    if data is not None:
        task.data = Path(data)
    return task


def get_benchmark() -> Benchmark:
    """Return the benchmark of mixed tasks as an object."""
    from mteb import Benchmark

    return Benchmark(
        name=BENCHMARK,
        tasks=[get_task(name) for name in SUITE],
        description=SUITE_DESCRIPTION,
        reference="https://github.com/mimo-eval/mimo-eval",
    )


def _register_tasks(module: ModuleType, classes: dict[str, Any]) -> None:
    """Add classes to the dictionary of names, and to the tuple that `get_tasks` filters."""
    registry, listed = module._TASKS_REGISTRY, module.TASK_LIST
    foreign = [name for name, task in classes.items() if registry.get(name, task) is not task]
    if foreign:
        raise ConfigError(f"mteb has tasks named {', '.join(foreign)} already, which are not those of mimo-eval")
    registry.update(classes)
    module.TASK_LIST = (*listed, *(task for task in classes.values() if task not in listed))  # type: ignore[attr-defined]


def _register_benchmark(module: ModuleType) -> None:
    """Add the benchmark to the module that is scanned for benchmarks, and drop what was remembered of the scan."""
    import mteb.benchmarks.benchmarks as scanned

    if BENCHMARK not in vars(scanned):
        setattr(scanned, BENCHMARK, get_benchmark())
    module._build_registry.cache_clear()
    module._build_aliases_registry.cache_clear()


def _look_up(names: list[str]) -> None:
    """Find out whether MTEB's own functions know the names now."""
    import mteb

    mteb.get_task(names[0])
    if len(mteb.get_tasks(tasks=names)) != len(names):
        raise KeyError("get_tasks")
    mteb.get_benchmark(BENCHMARK)
