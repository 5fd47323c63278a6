"""The between-language share of the variance: how much of the spread is the distance between language centres."""

from __future__ import annotations

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.moments import block_sums
from mimo_eval.geometry.uncertainty import jackknife_error
from mimo_eval.geometry.vectors import LabelledVectors


def variance_share(x: np.ndarray, languages: np.ndarray) -> float:
    """Compute Σ_l n_l ‖μ_l − μ‖² / Σ ‖x − μ‖².

    :param x: (n, d) vectors of any length.
    :param languages: (n,) language of each.
    :return: the share, in [0, 1]; NaN if all vectors are equal.
    """
    centred = x - x.mean(axis=0)
    _, language = np.unique(languages, return_inverse=True)
    counts = np.bincount(language)
    sums = np.zeros((len(counts), x.shape[1]))
    np.add.at(sums, language, centred)
    return float(_share(sums, counts, (centred**2).sum()))


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the between-language variance share of all vectors.

    Our definition, the R² of a one-way analysis of variance summed over dimensions. Without any language signal it is
    about (L − 1)/(n − 1), given as `chance`, so compare only like sizes.

    :param vectors: vectors in at least two languages, read once; nothing is sampled.
    :param seed: of the blocks of items that the standard error leaves out in turn.
    :param sample: not used.
    :return: value in [0, 1], lower is better; n counts rows.
    """
    blocks = block_sums(vectors, seed)
    rest = blocks.without_each_block()
    # Rows have length 1, so the sum of squares is their number.
    value = float(_share(blocks.sums.sum(axis=0), blocks.counts.sum(axis=0), len(vectors)))
    if not np.isfinite(value):
        raise DataError("all vectors are equal")
    estimates = np.array([_share(s, c, c.sum()) for s, c in zip(rest.sums, rest.counts, strict=True)])
    details = {"chance": (len(vectors.present) - 1) / (len(vectors) - 1), "blocks": len(estimates), "seed": seed}
    return Finding(value, len(vectors), jackknife_error(estimates), details)


def _share(sums: np.ndarray, counts: np.ndarray, squares: float) -> float:
    """Compute the share from sums (languages, d), row counts (languages,) and the sum of squared lengths."""
    if not counts.any():
        return float("nan")
    centre = (sums.sum(axis=0) ** 2).sum() / counts.sum()
    between = ((sums[counts > 0] ** 2).sum(axis=1) / counts[counts > 0]).sum() - centre
    total = squares - centre
    # What rounding leaves of equal vectors is no variance.
    return float(np.clip(between / total, 0, 1)) if total > 1e-6 * squares else float("nan")


DIAGNOSTIC = Diagnostic(
    name="variance_share",
    answers="How much of the spread of the vectors is the distance between the languages' centres?",
    function=measure,
    range=(0.0, 1.0),
    direction=Direction.LOWER,
    needs=(VectorNeed.LANGUAGES, VectorNeed.ITEMS),
    source="one-way analysis of variance; definition ours",
    beside=("chance",),
)
