"""From scores to hits: the best documents of a query, a tie at the cut never broken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mimo_eval.protocols import Hits


def is_number(value: Any) -> bool:
    """Say whether a setting is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return where the k largest scores stand, and all that equal the k-th.

    :param scores: (n,) scores.
    :param k: how many are wanted, at least 1.
    :return: positions, ascending.
    """
    if k >= len(scores):
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])


def stack(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> Hits:
    """Make hits of what was found for each query.

    :param found: documents and their scores, per query.
    :return: as wide as the longest list.
    """
    width = max([1, *(len(documents) for documents, _ in found)])
    hits = Hits(np.full((len(found), width), -1), np.full((len(found), width), -np.inf, np.float32))
    for row, (documents, scores) in enumerate(found):
        hits.documents[row, : len(documents)] = documents
        hits.scores[row, : len(scores)] = scores
    return hits
