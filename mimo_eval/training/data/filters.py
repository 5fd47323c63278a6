"""Which pairs are trained on: length, ratio of lengths, each sentence of the anchor language once, so many per language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.training.data.lines import Parallel

Mask = Callable[[np.ndarray], np.ndarray]
"""(lines,) bool of what is left to (lines,) bool of what passes."""


@dataclass(frozen=True)
class Filters:
    """Filters for parallel text, in the order in which they are applied; defaults are the paper's (methods.md 2.1).

    Each line is looked at beside its translation in the anchor language; a line of the anchor language is its own translation,
    and one that goes takes the lines that have it as their translation with it.
    """

    shortest: int = 10
    """Fewest characters (code points) of both sides."""
    longest: int = 512
    """Most characters of both sides."""
    ratio: float = 3.0
    """Most that the longer side may have of the shorter one's length."""
    distinct: bool = True
    """Whether a text of the anchor language may stand in one group only: the first that has it."""
    per_language: int | None = None
    """Most lines of each language but the anchor's, drawn at random; a text in the anchor language that is left alone goes."""
    exempt: tuple[str, ...] = ()
    """Sources whose lines are neither measured nor compared, such as a lexicon."""

    def __post_init__(self) -> None:
        if not (0 <= self.shortest <= self.longest and self.ratio >= 1 and (self.per_language or 1) > 0):
            raise ConfigError(f"filters out of range: {asdict(self)}; 0 ≤ shortest ≤ longest, ratio ≥ 1, per_language ≥ 1")

    def apply(self, lines: Parallel, *, anchor: str = "en", seed: int = 42) -> Parallel:
        """Return what passes; how many lines each filter took is in the history.

        :param lines: parallel text.
        :param anchor: the language of the teacher's side.
        :param seed: of the lines that are drawn where a language has too many.
        :return: the lines that pass, in their order.
        :raises DataError: if none passes.
        """
        missing = sorted(set(self.exempt) - set(lines.sources))
        if missing:
            raise ConfigError(f"exempt: no source '{missing[0]}'; there are {', '.join(lines.sources)}")
        anchors = lines.anchor_rows(anchor)
        keep = anchors >= 0
        removed = {"no translation": int((~keep).sum())}
        for name, passes in self._filters(lines, anchors, lines.language == lines.number(anchor), seed):
            left = keep & passes(keep)
            left &= left[anchors]  # what has lost its translation goes with it
            removed[name], keep = int(keep.sum() - left.sum()), left
            if not keep.any():
                raise DataError(f"no line passes the filters: '{name}' took the last {removed[name]:,}")
        step: dict[str, Any] = {"step": "filter", "anchor": anchor, "seed": seed, **asdict(self)}
        return cast(Parallel, lines.select(keep, {**step, "removed": removed, "lines": int(keep.sum())}))

    def _filters(self, lines: Parallel, anchors: np.ndarray, is_anchor: np.ndarray, seed: int) -> list[tuple[str, Mask]]:
        length = _lengths(lines)
        exempt = np.isin(lines.source, [lines.sources.index(name) for name in self.exempt])
        fit = exempt | ((length >= self.shortest) & (length <= self.longest))
        long, short = np.maximum(length, length[anchors]), np.minimum(length, length[anchors])
        alike = exempt | (long <= self.ratio * short)
        filters: list[tuple[str, Mask]] = [("length", lambda keep: fit), ("ratio", lambda keep: alike)]
        if self.distinct:
            filters.append(("repeated", lambda keep: exempt | _first_of_equals(lines, anchors, keep & is_anchor & ~exempt)))
        if self.per_language is not None:
            most, rng = self.per_language, np.random.default_rng(seed)
            filters.append(("cap", lambda keep: _drawn(lines, is_anchor, keep, most, rng)))
        return filters


def _lengths(lines: Parallel) -> np.ndarray:
    """Return (lines,) int64 numbers of code points."""
    import pyarrow.compute as pc

    return np.asarray(pc.utf8_length(lines.table.column("text")).to_numpy(), np.int64)


def _first_of_equals(lines: Parallel, anchors: np.ndarray, teaching: np.ndarray) -> np.ndarray:
    """Keep groups whose text in the anchor language no earlier group has.

    :param lines: parallel text.
    :param anchors: (lines,) the line that stands for each in the anchor language.
    :param teaching: (lines,) bool: lines of the anchor language that passed so far.
    :return: (lines,) bool.
    """
    import pandas as pd

    rows = np.flatnonzero(teaching)
    codes, texts = pd.factorize(lines.text(rows).to_numpy())
    owner = np.empty(len(texts), np.int64)
    owner[codes[::-1]] = lines.group[rows[::-1]]  # of several the first, written last
    passes: np.ndarray = np.zeros(len(lines), bool)
    passes[rows] = owner[codes] == lines.group[rows]
    return np.asarray(passes[anchors])


def _drawn(lines: Parallel, is_anchor: np.ndarray, keep: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Keep at most so many lines of each language; those of the anchor language follow the lines that they teach."""
    left: np.ndarray = keep.copy()
    for number in np.unique(lines.language[~is_anchor]):
        mine = np.flatnonzero(keep & (lines.language == number))
        left[rng.permutation(mine)[most:]] = False
    taught: np.ndarray = np.zeros((2, lines.groups), bool)
    for before, mask in zip(taught, (keep, left), strict=True):
        before[lines.group[mask & ~is_anchor]] = True
    return np.asarray(left & ~(is_anchor & (taught[0] & ~taught[1])[lines.group]))
