"""What a diagnostic is, what it needs, and what it gives back: a finding, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from mimo_eval.errors import DataError, MissingExtraError
from mimo_eval.geometry.vectors import LabelledVectors


class Direction(str, Enum):
    """Which values of a diagnostic are good."""

    LOWER = "lower"
    HIGHER = "higher"
    ZERO = "near zero"
    CHANCE = "near chance"


class VectorNeed(str, Enum):
    """What the vectors must hold; the value is the reason that is given where they do not."""

    ITEMS = "needs at least two items that are not translations of one another"
    LANGUAGES = "needs vectors in at least two languages"
    TRANSLATIONS = "needs parallel data: an item in at least two languages"

    def met_by(self, vectors: LabelledVectors) -> bool:
        """Say whether vectors hold it.

        :param vectors: the vectors.
        :return: whether they do.
        """
        if self is VectorNeed.ITEMS:
            return vectors.items >= 2
        if self is VectorNeed.LANGUAGES:
            return len(vectors.present) >= 2
        return len(vectors.translations.rows) > 0


@dataclass(frozen=True)
class Finding:
    """One number about vectors, how sure it is, and what stands behind it."""

    value: float
    n: int
    """How many items, rows or pairs it was computed from; each diagnostic says which."""
    standard_error: float | None = None
    """For items drawn from a larger population of items; None where it cannot be said."""
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: NaN becomes None, arrays become lists."""
        record = {"value": self.value, "standard_error": self.standard_error, "n": self.n, **self.details}
        return {name: plain(value) for name, value in record.items()}


@dataclass(frozen=True)
class Unavailable:
    """Why a diagnostic says nothing about these vectors."""

    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"value": None, "reason": self.reason}


Measure = Callable[[LabelledVectors, int, int], "Finding | Unavailable"]
"""Vectors, seed and sample size to what was found; diagnostics that read every row do not use the last."""


@dataclass(frozen=True)
class Diagnostic:
    """A number about vectors alone."""

    name: str
    answers: str
    """The question it answers, in one line."""
    function: Measure
    range: tuple[float, float]
    """Smallest and largest possible value; the smallest may depend on the data, which `answers` then says."""
    direction: Direction
    needs: tuple[VectorNeed, ...]
    source: str
    beside: tuple[str, ...] = ()
    """Details without which the value cannot be read, printed beside it: a chance level, the value after centring."""

    def measure(self, vectors: LabelledVectors, *, seed: int = 0, sample: int = 4096) -> Finding | Unavailable:
        """Compute it, or say why that is not possible.

        :param vectors: the vectors.
        :param seed: of everything that is drawn.
        :param sample: rows that a sampling diagnostic draws.
        :return: the finding, or the reason why there is none.
        """
        missing = next((need for need in self.needs if not need.met_by(vectors)), None)
        if missing is not None:
            return Unavailable(f"{self.name} {missing.value}")
        try:
            return self.function(vectors, seed, sample)
        except (DataError, MissingExtraError) as error:
            return Unavailable(f"{self.name}: {error}")


def plain(value: Any) -> Any:
    """Turn numpy values into what JSON can hold.

    :param value: a number, string, array, list or dict.
    :return: the same with lists for arrays and None for NaN and infinity.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value
