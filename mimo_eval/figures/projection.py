"""Vectors in two dimensions, coloured by language and by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.figures.canvas import GREY, Files, drawing, mark, sheet, write
from mimo_eval.figures.lettering import legible
from mimo_eval.figures.names import with_name
from mimo_eval.figures.placement import Label, place
from mimo_eval.geometry.vectors import LabelledVectors

LISTED = 24
"""Languages in one column of the legend."""


class Plane(NamedTuple):
    """Vectors in two dimensions."""

    places: np.ndarray
    """(n, 2) float64."""
    shares: np.ndarray
    """(2,) share of the variance along each axis; NaN if there is none."""


def principal_plane(vectors: np.ndarray) -> Plane:
    """Project vectors onto their first two principal components.

    :param vectors: (n, d), n >= 1.
    :return: the places; the sign of a component is such that its largest weight is positive.
    """
    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    axes = np.zeros((2, centred.shape[1]))
    axes[: len(directions[:2])] = directions[:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.where(largest < 0, -1, 1)
    variance = np.zeros(2)
    variance[: len(lengths[:2])] = lengths[:2] ** 2
    with np.errstate(invalid="ignore"):
        return Plane(centred @ axes.T, variance / (lengths**2).sum())


def draw_projection(
    stem: Path,
    vectors: LabelledVectors,
    *,
    title: str = "",
    sample: int = 1500,
    seed: int = 0,
    highlighted: int = 7,
    group_names: Mapping[int, str] | None = None,
) -> Files:
    """Draw the first two principal components of directions twice: by language, and with some groups picked out.

    The second panel is left out where no group has two vectors.

    :param stem: path of the files without ending.
    :param vectors: n >= 3 vectors that are not zero; zero ones are left out.
    :param title: above the figure.
    :param sample: about how many vectors are drawn: whole groups if there are translations, else as many per language.
    :param seed: of the sample, and of the groups picked out.
    :param highlighted: how many groups are picked out, of those with the most versions.
    :param group_names: names of groups for the legend; `item 17` for others.
    :return: the files.
    :raises DataError: if fewer than three vectors are left, or one holds NaN or infinity.
    """
    usable = vectors.without_zeros()
    rows = _sample(usable, sample, seed)
    if len(rows) < 3:
        raise DataError(f"a projection needs at least three vectors that are not zero, not {len(rows)}")
    drawn = usable.select(rows)
    plane = principal_plane(drawn.take(slice(None)))
    picked = _picked(drawn, highlighted, seed)
    names = legible([with_name(drawn.language_names[code]) for code in drawn.present], "language", 24)
    numbered = [f"item {group}" for group in picked]
    items = legible(
        [(group_names or {}).get(int(g), n) for g, n in zip(picked, numbered, strict=True)], "item", 24, instead=numbered
    )
    heading = legible([title], "figure", 90)[0] if title else ""
    with drawing([*names, *items, heading]):
        columns = math.ceil(len(names) / LISTED)
        figure = sheet((11.0 if len(picked) else 6.2) + 1.2 * (columns - 1), 4.6)
        figure.suptitle(heading, size=10)
        panels = np.atleast_1d(figure.subplots(1, 2 if len(picked) else 1))
        for panel in panels:
            _frame(panel, plane)
        _draw_languages(panels[0], plane.places, drawn, names)
        if len(picked):
            _draw_groups(panels[1], plane.places, drawn, picked, items)
        _write_codes(panels[0], plane.places, drawn)
        return write(figure, stem)


def _sample(vectors: LabelledVectors, size: int, seed: int) -> np.ndarray:
    """Draw whole groups until the size is reached; without translations, the same number of rows per language."""
    table = vectors.translations.rows
    if not len(table):
        return vectors.sample(size, seed)
    order = np.random.default_rng(seed).permutation(len(table))
    counts = np.cumsum((table[order] >= 0).sum(axis=1))
    chosen = table[order[: max(1, int(np.searchsorted(counts, size, side="right")))]]
    return np.sort(chosen[chosen >= 0])


def _picked(vectors: LabelledVectors, count: int, seed: int) -> np.ndarray:
    """Draw groups among those with the most versions."""
    translations = vectors.translations
    if not len(translations.groups) or count < 1:
        return translations.groups[:0]
    order = np.random.default_rng(seed).permutation(len(translations.groups))
    versions = (translations.rows[order] >= 0).sum(axis=1)
    return np.asarray(translations.groups[order[np.argsort(-versions, kind="stable")[:count]]])


def _frame(axes: Any, plane: Plane) -> None:
    labels = [
        f"Component {number}" + ("" if np.isnan(share) else f"  ({share:.0%} of variance)")
        for number, share in enumerate(plane.shares, start=1)
    ]
    axes.set(xlabel=labels[0], ylabel=labels[1], xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.05)


def _draw_languages(axes: Any, places: np.ndarray, vectors: LabelledVectors, names: Sequence[str]) -> None:
    axes.set_title("Colour: language", loc="left")
    for number, (code, name) in enumerate(zip(vectors.present, names, strict=True)):
        colour, marker = mark(number)
        own = places[vectors.languages == code]
        axes.scatter(*own.T, s=13, c=colour, marker=marker, linewidths=0, alpha=0.75, label=name)
    columns = math.ceil(len(names) / LISTED)
    corner = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.02), "borderaxespad": 0.2}
    axes.legend(**corner, handletextpad=0.2, markerscale=1.7, fontsize=8, ncols=columns)


def _write_codes(axes: Any, places: np.ndarray, vectors: LabelledVectors) -> None:
    """Write the codes of languages at their means, those that lie furthest out first, as long as there is room."""
    codes = legible(vectors.present_names, "language", 12)
    means = np.array([places[vectors.languages == code].mean(axis=0) for code in vectors.present])
    order = np.argsort(-np.hypot(*(means - places.mean(axis=0)).T), kind="stable")
    labels = [Label(codes[i], means[i, 0], means[i, 1], mark(int(i)).colour, optional=True) for i in order]
    place(axes, labels, np.empty((0, 2)), size=8.0, over=True)


def _draw_groups(axes: Any, places: np.ndarray, vectors: LabelledVectors, picked: np.ndarray, names: Sequence[str]) -> None:
    axes.set_title("Colour: item (its translations, joined to their mean)", loc="left")
    axes.scatter(*places.T, s=7, c="#d0d0d0", linewidths=0)
    for number, (group, name) in enumerate(zip(picked, names, strict=True)):
        colour, marker = mark(number)
        own = places[vectors.groups == group]
        centre = own.mean(axis=0)
        for x, y in own:
            axes.plot([centre[0], x], [centre[1], y], color=colour, linewidth=0.7, alpha=0.8, zorder=3)
        axes.scatter(*own.T, s=34, c=colour, marker=marker, edgecolors="white", linewidths=0.5, label=name, zorder=4)
    axes.scatter([], [], s=7, c=GREY, linewidths=0, label="all others")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2, handletextpad=0.2, fontsize=8)
