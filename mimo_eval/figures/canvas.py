"""What the figures share: sheet, colours, and how files are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.errors import DataError, require
from mimo_eval.figures.lettering import families
from mimo_eval.files import atomic_write

DPI = 160
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
"""Okabe and Ito's palette without its yellow, which cannot be seen on white."""
AREAS = (*COLOURS[:6], "#F0E442")
"""For areas, on which other text stands: yellow instead of black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#8c8c8c"
SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.titlesize": 10,
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "mimo-eval",
    "text.parse_math": False,
}
_lock = RLock()


class Files(NamedTuple):
    """The two files of a figure."""

    png: Path
    svg: Path


class Mark(NamedTuple):
    """How one of many things is shown."""

    colour: str
    marker: str


def mark(number: int) -> Mark:
    """Return a colour and a marker; 56 numbers in a row have different pairs, and neighbours differ in both.

    :param number: place in the list of things shown.
    :return: the mark.
    """
    return Mark(COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])


@contextmanager
def drawing(texts: Iterable[str]) -> Iterator[None]:
    """Set matplotlib's defaults, whatever the user's are, and the fonts for some texts; put back the old ones after.

    :param texts: texts that will be drawn, beside ASCII.
    :yield: nothing.
    """
    matplotlib = require("matplotlib", "report")
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith("backend")}
    fonts = {"font.family": [*families(texts), "sans-serif"]}  # only a list of families falls back letter by letter
    with _lock, matplotlib.rc_context({**defaults, **SETTINGS, **fonts}):
        yield


def sheet(width: float, height: float) -> Any:
    """Return an empty figure that finds room for labels by itself.

    :param width: inches.
    :param height: inches.
    :return: a matplotlib Figure that pyplot knows nothing of.
    """
    figure = require("matplotlib.figure", "report").Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    require("matplotlib.backends.backend_agg", "report").FigureCanvasAgg(figure)
    return figure


def write(figure: Any, stem: Path) -> Files:
    """Write a figure as PNG and SVG.

    :param figure: the figure.
    :param stem: path without the ending.
    :return: the files.
    :raises CacheError: if they cannot be written.
    """
    files = Files(stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg"))
    unsigned: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Creator": None, "Date": None}}
    for path, (form, metadata) in zip(files, unsigned.items(), strict=True):
        with atomic_write(path) as stream:
            figure.savefig(stream, format=form, metadata=metadata, bbox_inches="tight", pad_inches=0.08)
    return files


def numbers(values: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Check an array of numbers, in which NaN stands for none.

    :param values: anything numpy reads as numbers; None becomes NaN.
    :param shape: what it must be.
    :param what: its name in messages.
    :return: float64.
    :raises DataError: if the shape is another, it is empty, a value is infinite, or all are NaN.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: not a table of numbers ({error})") from error
    if array.shape != shape:
        raise DataError(f"{what} must have the shape {shape}, one place for each name, not {array.shape}")
    if array.size == 0 or np.isnan(array).all():
        raise DataError(f"{what} holds no number; there is nothing to draw")
    if np.isinf(array).any():
        raise DataError(f"{what} holds infinity, which has no place in a figure")
    return array


def distinct(names: Iterable[str], what: str) -> list[str]:
    """Check that names are not empty and do not repeat.

    :param names: the names.
    :param what: what they are names of.
    :return: the names.
    :raises DataError: if there are none, or one stands twice.
    """
    listed = list(names)
    if not listed:
        raise DataError(f"no {what} is given; there is nothing to draw")
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise DataError(f"the {what} '{twice[0]}' is given twice")
    return listed


def ink(ground: Sequence[float]) -> str:
    """Return the colour of text that can be read best on a ground.

    :param ground: red, green and blue in [0, 1].
    :return: `black` or `white`, whichever contrasts more by WCAG's definition.
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in ground[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"
