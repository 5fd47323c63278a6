"""Anisotropy: whether the vectors fill a narrow cone."""

from __future__ import annotations

import numpy as np

from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.moments import block_sums
from mimo_eval.geometry.uncertainty import jackknife_error
from mimo_eval.geometry.vectors import LabelledVectors


def anisotropy(x: np.ndarray) -> float:
    """Compute the mean cosine over all pairs of vectors.

    :param x: (n, d) unit vectors, n >= 2.
    :return: the mean over i < j, in [−1/(n−1), 1].
    """
    return float(_mean_cosine(x.sum(axis=0, dtype=np.float64), len(x)))


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the mean cosine over all pairs of rows, and over the pairs of each language.

    Ethayarajh (2019) estimates it from random pairs. The mean over all pairs follows from the length of the sum of
    the vectors, so it is exact and costs one pass; there is no sampling error. Translations are pairs like others:
    the expectation is over two rows drawn blindly.

    :param vectors: the vectors, read once.
    :param seed: of the blocks of items that the standard error leaves out in turn.
    :param sample: not used.
    :return: value in [−1/(n−1), 1], lower is more isotropic; n counts rows.
    """
    blocks = block_sums(vectors, seed)
    rest = blocks.without_each_block()
    estimates = [_mean_cosine(s.sum(axis=0), c.sum()) for s, c in zip(rest.sums, rest.counts, strict=True)]
    sums, counts = blocks.sums.sum(axis=0), blocks.counts.sum(axis=0)
    per_language = {name: _mean_cosine(total, n) for name, total, n in zip(vectors.present_names, sums, counts, strict=True)}
    details = {"per_language": per_language, "blocks": len(estimates), "seed": seed}
    value = _mean_cosine(sums.sum(axis=0), counts.sum())
    return Finding(value, len(vectors), jackknife_error(np.array(estimates)), details)


def _mean_cosine(total: np.ndarray, n: int) -> float:
    """Take from ‖Σx‖² the n pairs of a vector with itself; NaN with fewer than two vectors."""
    return float((total @ total - n) / (n * (n - 1))) if n > 1 else float("nan")


DIAGNOSTIC = Diagnostic(
    name="anisotropy",
    answers="How similar are two texts drawn at random: do the vectors fill a narrow cone?",
    function=measure,
    range=(-1.0, 1.0),
    direction=Direction.LOWER,
    needs=(VectorNeed.ITEMS,),
    source="Ethayarajh 2019 (arXiv 1909.00512)",
)
