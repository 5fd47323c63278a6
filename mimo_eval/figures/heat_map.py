"""The heat map that language pairs and scores share: rows and columns are languages, cells are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.errors import DataError, require
from mimo_eval.figures.canvas import Files, drawing, ink, sheet, write
from mimo_eval.figures.lettering import legible
from mimo_eval.figures.names import with_name

CELL = 0.42
"""Inches, as long as the map stays below `LARGEST`."""
LARGEST = 12.0
NUMBERED = 30
"""Most columns whose cells hold numbers."""


@dataclass(frozen=True)
class HeatMap:
    """What a heat map shows and says."""

    values: np.ndarray
    """(rows, columns) float64; NaN cells are left open."""
    rows: Sequence[str]
    """Language codes."""
    columns: Sequence[str]
    """Language codes."""
    row_title: str
    column_title: str
    bar_title: str
    title: str = ""
    limits: tuple[float, float] | None = None
    """Ends of the colour scale; those of the values if None. Give them to compare two figures."""
    lower_is_better: bool = False
    """Bright is good: then the scale is turned round."""
    open_diagonal: bool = False
    """Whether cells of a language with itself mean nothing."""


def draw_heat_map(stem: Path, content: HeatMap) -> Files:
    """Draw a heat map.

    :param stem: path of the files without ending.
    :param content: what it shows.
    :return: the files.
    :raises DataError: if the limits are not two rising numbers.
    """
    low, high = _limits(content)
    rows = legible([with_name(code) for code in content.rows], "language", 24)
    columns = legible(content.columns, "language", 12)
    other = legible([content.bar_title, content.title or " "], "text", 90)
    with drawing([*rows, *columns, *other]):
        cell = min(CELL, LARGEST / max(content.values.shape))
        height, width = (count * cell for count in content.values.shape)
        figure = sheet(max(width + 2.9, 3.6), max(height + 1.2, 1.9))
        axes = figure.add_subplot()
        axes.set_title(other[1] if content.title else "")
        image = axes.imshow(content.values, _colours(content), vmin=low, vmax=high, interpolation="nearest")
        _label_axes(axes, content, rows, columns, min(9.0, 62 * cell))
        _fill_cells(axes, image, content, cell)
        figure.colorbar(image, ax=axes, label=other[0], shrink=min(1.0, max(0.5, 2.4 / height)), aspect=14, pad=0.02)
        return write(figure, stem)


def _limits(content: HeatMap) -> tuple[float, float]:
    low, high = content.limits or (float(np.nanmin(content.values)), float(np.nanmax(content.values)))
    if content.limits and not (np.isfinite([low, high]).all() and low < high):
        raise DataError(f"limits {content.limits} of a colour scale must be two rising numbers")
    room = 0.0 if low < high else max(0.05, 0.1 * abs(low))
    return low - room, high + room


def _colours(content: HeatMap) -> Any:
    colours = require("matplotlib", "report").colormaps["viridis_r" if content.lower_is_better else "viridis"]
    return colours.with_extremes(bad="#eeeeee")


def _label_axes(axes: Any, content: HeatMap, rows: Sequence[str], columns: Sequence[str], size: float) -> None:
    turned = max(map(len, columns)) > 3
    axes.set_xticks(range(len(columns)), columns, size=size, rotation=90 if turned else 0)
    axes.set_yticks(range(len(rows)), rows, size=size)
    axes.set_xlabel(content.column_title)
    axes.set_ylabel(content.row_title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(1, len(columns)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="minor", length=0)


def _fill_cells(axes: Any, image: Any, content: HeatMap, cell: float) -> None:
    """Write numbers where they fit, and hatch the cells without one."""
    written = _written(content.values)
    for (row, column), value in np.ndenumerate(content.values):
        own = content.rows[row] == content.columns[column]
        if np.isnan(value):
            if not (own and content.open_diagonal):
                _hatch(axes, row, column)
        elif len(content.columns) <= NUMBERED:
            colour = ink(image.cmap(image.norm(value)))
            axes.text(column, row, written(value), ha="center", va="center", size=min(8.0, 17 * cell), color=colour)


def _hatch(axes: Any, row: int, column: int) -> None:
    corner = (column - 0.5, row - 0.5)
    rectangle = require("matplotlib.patches", "report").Rectangle
    axes.add_patch(rectangle(corner, 1, 1, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0))


def _written(values: np.ndarray) -> Any:
    """Choose how numbers are written: as many places as the values need to differ, in at most four characters or so."""
    largest, spread = np.nanmax(np.abs(values)), np.nanmax(values) - np.nanmin(values)
    if largest >= 1000:
        return lambda value: f"{value:.2g}"
    places = 0 if largest >= 100 else 1 if largest >= 10 else 3 if 0 < spread < 0.1 else 2
    if largest < 1:
        return lambda value: f"{value:.{places}f}".replace("0.", ".", 1)
    return lambda value: f"{value:.{places}f}"
