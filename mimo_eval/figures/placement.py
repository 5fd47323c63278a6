"""Labels beside points, so that they cover neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

PASSES = 3
RADII = (7.0, 13.0, 22.0, 34.0, 48.0, 64.0, 84.0)
"""Distances from the point that are tried, in printer's points; the first needs no line to the point."""
NEAR = 10.0
ANGLES = np.deg2rad((0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 68, 112, 248, 292))


class Label(NamedTuple):
    """A text that belongs to a point."""

    text: str
    x: float
    y: float
    colour: str
    """Of the frame, where there is one."""
    optional: bool = False
    """Whether it may be left out where there is no room."""


def place(axes: Any, labels: Sequence[Label], obstacles: np.ndarray, *, size: float = 8.0, over: bool = False) -> None:
    """Write labels beside their points, each where it covers least; a line leads to one that had to go far.

    The figure's layout is done here, and stays as it is from then on.

    :param axes: matplotlib axes, complete but for the labels.
    :param labels: in order of importance.
    :param obstacles: (n, 2) places in data coordinates that should stay free, besides the labels' own points.
    :param size: of the letters.
    :param over: write labels over their points, in a frame, or not at all.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    scale = 72 / figure.dpi
    frame = np.array(axes.get_window_extent().extents) * scale
    anchors = axes.transData.transform([(label.x, label.y) for label in labels]) * scale
    others = axes.transData.transform(obstacles.reshape(-1, 2)) * scale
    blocked = np.empty((0, 4)) if over else _boxes(np.concatenate([anchors, others]), np.full(2, 7.0))
    extents = [np.array(_extent(axes, label.text, size)) * scale for label in labels]
    spots: dict[int, _Spot] = {}
    for _ in range(PASSES):  # the later ones mend what the first, which did not know all labels, did badly
        for number, label in enumerate(labels):
            spots.pop(number, None)
            room = _Room(frame, blocked, list(spots.values()))
            radii = (0.0,) if over else RADII[:2] if label.optional else RADII
            found = room.best(anchors[number], extents[number], radii)
            if found.cost == 0 or not label.optional:
                spots[number] = found
    for number, spot in sorted(spots.items()):
        _write(axes, labels[number], spot, size, over)


def _write(axes: Any, label: Label, found: _Spot, size: float, over: bool) -> None:
    line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3, "relpos": tuple(found.corner)}
    axes.annotate(
        label.text,
        (label.x, label.y),
        tuple(found.offset),
        textcoords="offset points",
        ha="center",
        va="center",
        size=size,
        color="#111111",
        arrowprops=line if len(found.line) else None,
        bbox={"facecolor": "white", "edgecolor": label.colour, "linewidth": 1.2, "pad": 1.2} if over else None,
        zorder=6,
    )


def _extent(axes: Any, text: str, size: float) -> tuple[float, float]:
    """Return width and height of a text in pixels."""
    probe = axes.text(0, 0, text, size=size)
    box = probe.get_window_extent()
    probe.remove()
    return float(box.width), float(box.height)


class _Spot(NamedTuple):
    offset: np.ndarray
    """(2,) from the point to the label's centre."""
    box: np.ndarray
    line: np.ndarray
    """(n, 4) small boxes along the line to the point; none if the label is near."""
    corner: np.ndarray
    """(2,) where the line meets the label, as shares of its width and height."""
    cost: float


class _Room:
    """What is taken so far, in printer's points."""

    def __init__(self, frame: np.ndarray, blocked: np.ndarray, spots: Sequence[_Spot]) -> None:
        self.frame, self.blocked = frame, blocked
        self.labels = np.array([spot.box for spot in spots]).reshape(-1, 4)
        self.lines = np.concatenate([np.empty((0, 4)), *(spot.line for spot in spots)])

    def best(self, anchor: np.ndarray, extent: np.ndarray, radii: Sequence[float]) -> _Spot:
        """Try places around a point; return the first that covers nothing, else the one that covers least."""
        tried = []
        for radius in radii:
            for angle in ANGLES:
                spot = self._spot(anchor, extent, radius, np.array([np.cos(angle), np.sin(angle)]))
                if spot.cost == 0:
                    return spot
                tried.append(spot)
        return min(tried, key=lambda spot: spot.cost)

    def _spot(self, anchor: np.ndarray, extent: np.ndarray, radius: float, direction: np.ndarray) -> _Spot:
        side = np.sign(np.round(direction, 3)) * extent / 2 if radius else np.zeros(2)
        offset = direction * radius + side
        box = _boxes((anchor + offset)[None], extent + 2)[0]
        edge = offset - np.clip(offset, -extent / 2, extent / 2)
        steps = np.linspace(0.1, 1, 16)[:, None] if radius > NEAR else np.empty((0, 1))
        line = _boxes(anchor + steps * edge, np.full(2, 1.0))
        outside = _area(box) - _overlap(box, self.frame[None])
        crossed = sum(_overlap(label, line) for label in self.labels)
        covered = _overlap(box, self.blocked) + 3 * _overlap(box, self.labels) + 20 * _overlap(box, self.lines)
        return _Spot(offset, box, line, 0.5 + (edge - offset) / extent, round(covered + 20 * crossed + 5 * outside, 6))


def _boxes(centres: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """Return (n, 4) left, bottom, right, top."""
    return np.concatenate([centres - extent / 2, centres + extent / 2], axis=1)


def _area(box: np.ndarray) -> float:
    return float(np.prod(box[2:] - box[:2]))


def _overlap(box: np.ndarray, boxes: np.ndarray) -> float:
    """Return the area that a box shares with others."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return float(np.prod(np.maximum(sides, 0), axis=1).sum())
