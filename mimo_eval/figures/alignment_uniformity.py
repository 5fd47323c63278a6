"""Alignment against uniformity: one point per model, arrows along training runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.figures.canvas import Files, Mark, distinct, drawing, mark, sheet, write
from mimo_eval.figures.lettering import legible
from mimo_eval.figures.placement import Label, place

STEPS = 24
"""Places along an arrow or an error bar that labels keep off."""


@dataclass(frozen=True)
class ModelPoint:
    """One model, or one checkpoint of a training run."""

    name: str
    alignment: float
    uniformity: float
    alignment_error: float | None = None
    """Standard error; None or NaN where it is not known."""
    uniformity_error: float | None = None
    """Likewise."""


def draw_alignment_uniformity(
    stem: Path, points: Sequence[ModelPoint], runs: Sequence[Sequence[str]] = (), *, title: str = ""
) -> Files:
    """Draw alignment against uniformity; on both axes lower is better.

    :param stem: path of the files without ending.
    :param points: n models with different names, n >= 1.
    :param runs: for each training run the names of its checkpoints in order; arrows lead from one to the next. Of
        checkpoints between the first and the last, those without room for a label get none.
    :param title: above the figure.
    :return: the files.
    :raises DataError: if there is no point, a name stands twice, a number is not finite, or a run names an unknown model.
    """
    _check(points, runs)
    shown = dict(zip((p.name for p in points), legible([p.name for p in points], "model"), strict=True))
    heading = legible([title], "figure", 90)[0] if title else ""
    with drawing([*shown.values(), heading]):
        figure = sheet(6.4, 5.0)
        axes = figure.add_subplot(xlabel="Uniformity  (← lower is better)", ylabel="Alignment  (← lower is better)")
        axes.set_title(heading)
        axes.margins(0.14)
        axes.grid(color="#e6e6e6", linewidth=0.6)
        marks = _marks(points, runs)
        for point in points:
            _draw_point(axes, point, marks[point.name])
        by_name = {point.name: point for point in points}
        paths = [(by_name[a], by_name[b]) for run in runs for a, b in pairwise(run)]
        for start, end in paths:
            _draw_arrow(axes, start, end, marks[end.name].colour)
        place(axes, _labels(points, runs, shown, marks), np.array(_occupied(points, paths)))
        return write(figure, stem)


def _check(points: Sequence[ModelPoint], runs: Sequence[Sequence[str]]) -> None:
    names = set(distinct((point.name for point in points), "model"))
    for point in points:
        if not (math.isfinite(point.alignment) and math.isfinite(point.uniformity)):
            raise DataError(f"alignment or uniformity of '{point.name}' is not a finite number; leave the model out")
        for error in (point.alignment_error, point.uniformity_error):
            if error is not None and (error < 0 or math.isinf(error)):
                raise DataError(f"a standard error of '{point.name}' is {error}; it must be 0 or more")
    for run in runs:
        distinct(run, "checkpoint")
        unknown = [name for name in run if name not in names]
        if unknown:
            raise DataError(f"the training run names '{unknown[0]}', which has no point")


def _marks(points: Sequence[ModelPoint], runs: Sequence[Sequence[str]]) -> dict[str, Mark]:
    """Give each run one mark, and each model outside runs its own."""
    run_of = {name: number for number, run in enumerate(runs) for name in run}
    alone = [point.name for point in points if point.name not in run_of]
    return {name: mark(number) for name, number in (run_of | {n: i for i, n in enumerate(alone, len(runs))}).items()}


def _error(value: float | None) -> float:
    return 0.0 if value is None or math.isnan(value) else value


def _draw_point(axes: Any, point: ModelPoint, shown: Mark) -> None:
    bars = {"xerr": _error(point.uniformity_error) or None, "yerr": _error(point.alignment_error) or None}
    axes.errorbar(
        point.uniformity,
        point.alignment,
        **bars,
        fmt=shown.marker,
        color=shown.colour,
        markersize=6,
        markeredgecolor="white",
        markeredgewidth=0.6,
        ecolor=shown.colour,
        elinewidth=1.0,
        capsize=2.5,
        zorder=4,
    )


def _draw_arrow(axes: Any, start: ModelPoint, end: ModelPoint, colour: str) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 4, "shrinkB": 4, "mutation_scale": 11}
    ends = (end.uniformity, end.alignment), (start.uniformity, start.alignment)
    axes.annotate("", *ends, arrowprops=style, zorder=3)


def _labels(
    points: Sequence[ModelPoint], runs: Sequence[Sequence[str]], shown: dict[str, str], marks: dict[str, Mark]
) -> list[Label]:
    ends = {name for run in runs for name in (run[0], run[-1])}
    between = {name for run in runs for name in run} - ends
    labels = [Label(shown[p.name], p.uniformity, p.alignment, marks[p.name].colour, optional=p.name in between) for p in points]
    return sorted(labels, key=lambda label: label.optional)


def _occupied(points: Sequence[ModelPoint], paths: Sequence[tuple[ModelPoint, ModelPoint]]) -> list[tuple[float, float]]:
    """Return places on error bars and arrows."""
    places = []
    for share in np.linspace(-1, 1, STEPS):
        places += [(p.uniformity + share * _error(p.uniformity_error), p.alignment) for p in points]
        places += [(p.uniformity, p.alignment + share * _error(p.alignment_error)) for p in points]
    for share in np.linspace(0, 1, STEPS):
        places += [
            (a.uniformity + share * (b.uniformity - a.uniformity), a.alignment + share * (b.alignment - a.alignment))
            for a, b in paths
        ]
    return places
