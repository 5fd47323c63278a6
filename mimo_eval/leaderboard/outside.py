"""Results of other tools, which have means and no scores per query: ranked by themselves, without intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from mimo_eval.benchmark import EFFECTIVENESS
from mimo_eval.errors import DataError
from mimo_eval.leaderboard import text
from mimo_eval.leaderboard.schema import BoardMeasure, BoardSetting, Entry, Group
from mimo_eval.measures import direction
from mimo_eval.results import FILE

MAIN = "main score"
"""Stands for the main measure of a task where no measure has its value."""


class Row(Protocol):
    """What one model scored on one subset of one task; the rows that `integrations.mteb` reads are such."""

    @property
    def model(self) -> str:
        """Its name."""

    @property
    def model_revision(self) -> str:
        """Of its weights."""

    @property
    def task(self) -> str:
        """Name of the data set."""

    @property
    def dataset_revision(self) -> str:
        """Of its content."""

    @property
    def split(self) -> str:
        """Such as `test`."""

    @property
    def subset(self) -> str:
        """Such as a language."""

    @property
    def main_score(self) -> float:
        """Value of the task's main measure."""

    @property
    def measures(self) -> dict[str, float]:
        """Measure to value."""

    @property
    def mteb_version(self) -> str:
        """Of the tool."""


class _Task(NamedTuple):
    """What may share a ranking: one split of one revision of the data."""

    name: str
    split: str
    revision: str


def is_ours(path: Path) -> bool:
    """Say whether a path is or holds results of this package.

    :param path: a file or folder.
    :return: False if it must be another tool's.
    """
    return path.name == FILE if path.is_file() else any(path.rglob(FILE))


def outside_group(rows: Sequence[Row], tool: str) -> Group:
    """Make a ranking of another tool's results: a setting per task, a language per subset.

    :param rows: the results.
    :param tool: its name.
    :return: the group; models that lack a subset of a task have no mean there.
    :raises DataError: if there are no rows, or one stands twice with different scores.
    """
    if not rows:
        raise DataError(f"no results of {tool} were found")
    cells: dict[tuple[tuple[str, str], _Task], dict[str, Row]] = {}
    for row in rows:
        place = (row.model, row.model_revision), _Task(row.task, row.split, row.dataset_revision)
        other = cells.setdefault(place, {}).setdefault(row.subset, row)
        if other.main_score != row.main_score:
            who = f"{row.model} at {row.model_revision or 'no revision'}"
            raise DataError(f"{row.task}, {row.split}, {row.subset}: two results of {who} differ; give one of them")
    models = sorted({model for model, _ in cells})
    tasks = sorted({task for _, task in cells})
    subsets = {task: sorted({s for (_, t), found in cells.items() if t == task for s in found}) for task in tasks}
    mains = {task: _main([row for (_, t), found in cells.items() if t == task for row in found.values()]) for task in tasks}
    kept = list(dict.fromkeys([*mains.values(), *EFFECTIVENESS]))
    kept = [m for m in kept if any(_value(row, m) is not None for found in cells.values() for row in found.values())]
    versions = sorted({row.mteb_version for row in rows})
    names = [name for name, _ in models]
    entries = [
        _entry(model, names.count(model[0]) > 1, [cells.get((model, task), {}) for task in tasks], list(subsets.values()), kept)
        for model in models
    ]
    return Group(
        benchmark=text.name(tool),
        title=f"Results of {text.name(tool)}: means without scores per query, so without intervals and tests",
        protocol={
            f"data: {text.name(t.name)} {text.name(t.split)}": text.name(t.revision) or "no revision stated" for t in tasks
        },
        differs=[],
        notes=[f"versions of {text.name(tool)}: {', '.join(map(text.name, versions))}"],
        measures=[BoardMeasure(name=m, direction="higher" if m == MAIN else direction(m).value) for m in kept],
        tested=[],
        settings=[_setting(tool, task, tasks, subsets[task], mains[task]) for task in tasks],
        pairs={},
        entries=sorted(entries, key=lambda e: (-(e.scores[0].get(mains[tasks[0]]) or 0.0), e.name)),
    )


def _main(rows: Sequence[Row]) -> str:
    """Return the measure that has the main score's value in every row; usual ones first."""
    shared = set.intersection(*({m for m, v in row.measures.items() if v == row.main_score} for row in rows))
    return min(shared, key=lambda m: (m not in EFFECTIVENESS, len(m), m)) if shared else MAIN


def _value(row: Row | None, measure: str) -> float | None:
    if row is None:
        return None
    return row.main_score if measure == MAIN else row.measures.get(measure)


def _setting(tool: str, task: _Task, tasks: Sequence[_Task], subsets: Sequence[str], main: str) -> BoardSetting:
    several = sum((t.name, t.split) == (task.name, task.split) for t in tasks) > 1
    revision = f"@{text.name(task.revision, 12)}" if several else ""
    label = f"{text.name(task.name)}{revision} {text.name(task.split)}"
    return BoardSetting(
        collection=text.name(tool),
        setting=label,
        mix=label,
        main=main,
        languages=list(map(text.name, subsets)),
        cells=[1] * len(subsets),
        questions=0,
    )


def _entry(
    model: tuple[str, str],
    several: bool,
    found: Sequence[dict[str, Row]],
    subsets: Sequence[Sequence[str]],
    measures: Sequence[str],
) -> Entry:
    name, revision = model
    table = [{m: [_value(rows.get(s), m) for s in names] for m in measures} for rows, names in zip(found, subsets, strict=True)]
    means = [{m: _mean(values) for m, values in row.items()} for row in table]
    return Entry(
        name=text.name(name) + (f" @{text.name(revision, 12)}" if several else ""),
        key="",
        kind="external",
        created="",
        version="",
        licence="",
        link="",
        parameters=None,
        dimension=None,
        rate=None,
        device="",
        revision=text.name(revision, 64),
        prompts={},
        marks=[],
        scores=means,
        languages=table,
        intervals=[{} for _ in table],
        pairs={},
        geometry={},
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 6) if known and len(known) == len(values) else None
