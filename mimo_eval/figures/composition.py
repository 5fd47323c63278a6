"""Which languages fill the first ranks, per query language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.errors import DataError, require
from mimo_eval.figures.canvas import AREAS, Files, distinct, drawing, ink, numbers, sheet, write
from mimo_eval.figures.lettering import legible
from mimo_eval.figures.names import with_name

OWN = "#333333"
CHANCE = "#D55E00"
TINTS = (0.0, 0.45, 0.7)
HATCHES = ("", "....", "xxxx")
"""How much white is in a colour, and what is drawn over it, the first, second and third time that it is used."""
VISIBLE = 0.002
REST = {"facecolor": "#f4f4f4", "edgecolor": "#999999", "linewidth": 0.5}
ROUNDING = 1e-6


def draw_composition(
    stem: Path,
    share: Any,
    languages: Sequence[str],
    *,
    chance: Any = None,
    cutoff: int = 10,
    title: str = "",
) -> Files:
    """Draw the mean language composition of the first ranks: one bar per query language, its own language first.

    :param stem: path of the files without ending.
    :param share: (L, L) shares, row query language, column document language; a row of NaN where no query counts. A row
        may sum to less than 1: the rest is documents of unknown language.
    :param languages: L codes, L >= 1.
    :param chance: (L,) share of the pool that is in each language, or (L, L) with one row per query language; marked on
        the own-language part. None marks nothing.
    :param cutoff: the last rank that counts, for the label.
    :param title: above the figure.
    :return: the files.
    :raises DataError: if shapes differ, a share lies outside 0 to 1, a row sums to more than 1, or nothing is known.
    """
    codes = distinct(languages, "language")
    table = _shares(numbers(share, (len(codes), len(codes)), "the language composition"))
    own_chance = _own_chance(chance, len(codes))
    rows = legible([with_name(code) for code in codes], "language", 24)
    short = legible(codes, "language", 12)
    heading = legible([title], "figure", 90)[0] if title else ""
    with drawing([*rows, *short, heading]):
        figure = sheet(8.6, 0.3 * max(len(codes), 3) + 1.6)
        axes = figure.add_subplot()
        axes.set_title(heading)
        for row in range(len(codes)):
            _draw_bar(axes, row, table[row], short)
        if own_chance is not None:
            _draw_chance(axes, np.where(np.isnan(table).all(axis=1), np.nan, own_chance))
        _label_axes(axes, rows, cutoff)
        _draw_legends(axes, short, chance=own_chance is not None, rest=bool((_rests(table) > VISIBLE).any()))
        return write(figure, stem)


def _shares(table: np.ndarray) -> np.ndarray:
    known = table[~np.isnan(table)]
    if (known < -ROUNDING).any() or (np.nansum(table, axis=1) > 1 + ROUNDING).any():
        raise DataError("shares of a language composition must lie between 0 and 1, and those of one query language sum to 1")
    return table


def _own_chance(chance: Any, size: int) -> np.ndarray | None:
    if chance is None:
        return None
    wide = np.ndim(chance) == 2
    values = numbers(chance, (size, size) if wide else (size,), "the chance shares")
    if (values < 0).any() or (values > 1 + ROUNDING).any():
        raise DataError("chance shares must lie between 0 and 1")
    return np.diagonal(values) if wide else values


def _draw_bar(axes: Any, row: int, shares: np.ndarray, codes: Sequence[str]) -> None:
    if np.isnan(shares).all():
        axes.text(0.01, row, "no query counts", va="center", size=8, color="#777777", style="italic")
        return
    start = 0.0
    for column in (row, *(c for c in range(len(codes)) if c != row)):
        width = float(np.nan_to_num(shares[column]))
        own = column == row
        if width > 0:
            axes.barh(row, width, left=start, height=0.78, **(_own_style() if own else _style(column)))
        text = f"{codes[column]} {width:.0%}" if own else codes[column]
        if width >= 0.011 * len(text) + 0.006:
            _write_code(axes, start + width / 2, row, text, (1.0, 1.0, 1.0) if own else _colour(column))
        start += width
    if 1 - start > VISIBLE:
        axes.barh(row, 1 - start, left=start, height=0.78, **REST)


def _rests(table: np.ndarray) -> np.ndarray:
    """Return the share of documents of unknown language, 0 where nothing is known."""
    return np.where(np.isnan(table).all(axis=1), 0.0, 1 - np.nansum(table, axis=1))


def _own_style() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": OWN, "hatch": "/////", "linewidth": 1.0, "zorder": 3}


def _style(number: int) -> dict[str, Any]:
    hatch = HATCHES[number // len(AREAS) % len(HATCHES)]
    return {"facecolor": _colour(number), "edgecolor": "white", "linewidth": 0.5, "hatch": hatch}


def _write_code(axes: Any, x: float, row: int, text: str, ground: tuple[float, ...]) -> None:
    box = {"facecolor": ground, "edgecolor": "none", "pad": 0.6}
    axes.text(x, row, text, ha="center", va="center", size=7, color=ink(ground), bbox=box, zorder=4)


def _colour(number: int) -> tuple[float, ...]:
    """Return the colour of a language: the palette, and its tints for what follows."""
    rgb = np.array(require("matplotlib.colors", "report").to_rgb(AREAS[number % len(AREAS)]))
    tint = TINTS[number // len(AREAS) % len(TINTS)]
    return tuple((rgb + (1 - rgb) * tint).tolist())


def _draw_chance(axes: Any, chance: np.ndarray) -> None:
    for row, share in enumerate(chance):
        if not np.isnan(share):
            axes.plot([share, share], [row - 0.46, row + 0.46], color="white", linewidth=4.0, zorder=5, clip_on=False)
            axes.plot([share, share], [row - 0.46, row + 0.46], color=CHANCE, linewidth=2.0, zorder=6, clip_on=False)


def _label_axes(axes: Any, rows: Sequence[str], cutoff: int) -> None:
    axes.set(
        xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xlabel=f"Mean share of the first {cutoff} results, by document language"
    )
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.set_ylabel("Language of the query")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_legends(axes: Any, codes: Sequence[str], *, chance: bool, rest: bool) -> None:
    patch, line = require("matplotlib.patches", "report").Patch, require("matplotlib.lines", "report").Line2D
    entries = [patch(label="the query's own language", **_own_style())]
    if chance:
        tick = {"color": CHANCE, "marker": "|", "linestyle": "", "markersize": 10, "markeredgewidth": 2.0}
        entries.append(line([], [], label="its share of the corpus (chance)", **tick))
    if rest:
        entries.append(patch(label="language not known", **REST))
    languages = [patch(label=code, **_style(number)) for number, code in enumerate(codes)]
    axes.figure.legend(handles=entries, loc="outside lower center", ncols=3, fontsize=8)
    if len(codes) > 1:
        axes.legend(handles=languages, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0.2, fontsize=8)
