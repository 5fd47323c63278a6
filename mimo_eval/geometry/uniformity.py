"""Uniformity: how evenly the vectors cover the sphere, within languages and between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.uncertainty import jackknife_error
from mimo_eval.geometry.vectors import LabelledVectors

T = 2.0
"""Sharpness of the Gaussian kernel, Wang & Isola's default."""
CHUNK = 1024


class PairSums(NamedTuple):
    """For each item the kernel summed over its ordered pairs with other items, and how many pairs those are."""

    total: np.ndarray
    """(items,) float64."""
    pairs: np.ndarray
    """(items,) float64."""

    def uniformity(self) -> float:
        """Return the logarithm of the mean kernel; NaN without a pair."""
        return float(_log_mean(self.total.sum(), self.pairs.sum()))

    def without_each(self) -> np.ndarray:
        """Return the uniformity without each item: its pairs leave twice, once from either side."""
        return _log_mean(self.total.sum() - 2 * self.total, self.pairs.sum() - 2 * self.pairs)


def uniformity(x: np.ndarray, t: float = T) -> float:
    """Compute the uniformity of a set of vectors, as Wang & Isola (2020) define it.

    :param x: (n, d) vectors, n >= 2.
    :param t: sharpness of the kernel.
    :return: log of the mean of exp(−t‖x_i − x_j‖²) over i < j; in [−8, 0] for unit vectors and t = 2, lower is more
        even, and about −4 + 8/d for many random directions.
    """
    within, _ = _pair_sums(np.asarray(x), np.zeros(len(x), dtype=np.int64), np.arange(len(x)), t)
    return within.uniformity()


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure uniformity on a sample: pooled, within each language, and between languages minus within.

    MIMO's own multilingual formula was not published where we could read it. Ours is Wang & Isola's over pairs of
    different items, because translations are meant to lie close together and would count against a model that aligns
    well. `between_minus_within` sets all pairs of different languages against all pairs of one language; near 0 means
    that the languages are mixed, below 0 that they keep apart.

    :param vectors: the vectors.
    :param seed: of the sample.
    :param sample: rows drawn, the same number per language.
    :return: value in [−8, 0], lower is better, over all pairs of different items; n counts the rows drawn. The standard
        errors leave each item (with all its translations) out in turn; they are up to √2 too large where the
        first-order term vanishes: for vectors that prefer no direction, and for the difference of mixed languages.
    """
    rows = vectors.sample(sample, seed)
    languages, items = vectors.languages[rows], np.unique(vectors.item_of_row[rows], return_inverse=True)[1].reshape(-1)
    x = vectors.take(rows)
    within, between = _pair_sums(x, languages, items, T)
    pooled = PairSums(within.total + between.total, within.pairs + between.pairs)
    if not pooled.pairs.any():
        raise DataError("the sample holds no two different items; draw a larger one")
    details = {
        "seed": seed,
        "dimensions": vectors.dimensions,
        "within": within.uniformity(),
        "between": between.uniformity(),
        "between_minus_within": between.uniformity() - within.uniformity(),
        "between_minus_within_standard_error": jackknife_error(between.without_each() - within.without_each()),
        "per_language": {
            vectors.language_names[code]: _one_language(x[languages == code], items[languages == code])
            for code in vectors.present
        },
    }
    return Finding(pooled.uniformity(), len(rows), jackknife_error(pooled.without_each()), details)


def _one_language(x: np.ndarray, items: np.ndarray) -> dict[str, float | int | None]:
    items = np.unique(items, return_inverse=True)[1].reshape(-1)
    sums, _ = _pair_sums(x, np.zeros(len(x), dtype=np.int64), items, T)
    error = jackknife_error(sums.without_each())
    return {"value": sums.uniformity(), "standard_error": error, "n": len(x)}


def _log_mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(count > 0.5, np.log(total / count), np.nan))


def _pair_sums(x: np.ndarray, languages: np.ndarray, items: np.ndarray, t: float) -> tuple[PairSums, PairSums]:
    """Sum the kernel over pairs of different items: within one language, and between two."""
    square = np.einsum("ij,ij->i", x, x)
    sums = np.zeros((4, int(items.max()) + 1 if len(items) else 0))
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        distance = np.maximum(square[part, None] + square - 2 * (x[part] @ x.T), 0)
        kernel = np.exp(-t * distance)
        other = items[part, None] != items
        same = languages[part, None] == languages
        for place, pairs in ((0, other & same), (2, other & ~same)):
            by_row = np.einsum("ij,ij->i", kernel, pairs, dtype=np.float64)
            sums[place] += np.bincount(items[part], by_row, minlength=sums.shape[1])
            sums[place + 1] += np.bincount(items[part], pairs.sum(axis=1), minlength=sums.shape[1])
    return PairSums(sums[0], sums[1]), PairSums(sums[2], sums[3])


DIAGNOSTIC = Diagnostic(
    name="uniformity",
    answers="How evenly do the vectors cover the sphere, and does a language keep to a corner of it?",
    function=measure,
    range=(-8.0, 0.0),
    direction=Direction.LOWER,
    needs=(VectorNeed.ITEMS,),
    source="Wang & Isola 2020 (arXiv 2005.10242), translations left out",
    beside=("between_minus_within",),
)
