"""IsoScore: how evenly the variance is spread over the dimensions."""

from __future__ import annotations

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.moments import item_blocks
from mimo_eval.geometry.uncertainty import jackknife_error
from mimo_eval.geometry.vectors import CHUNK, LabelledVectors


def isoscore(covariance: np.ndarray) -> float:
    """Compute the IsoScore of a covariance matrix.

    Rudman et al. (2022) rotate to the principal components, take Σ̂ = √d · λ/‖λ‖ of the variances λ,
    δ = ‖Σ̂ − 1‖ / √(2(d − √d)) and score ((d − δ²(d − √d))² − d) / (d(d − 1)). Insert δ²: with
    t = Σλ/‖λ‖ the bracket is √d·t, so the score is (t² − 1)/(d − 1). As Σλ is the trace and ‖λ‖ the Frobenius norm of
    the matrix, no decomposition is needed.

    :param covariance: (d, d), d >= 2.
    :return: the score in [0, 1]; NaN if there is no variance.
    """
    size = (covariance**2).sum()
    if size == 0 or len(covariance) < 2:
        return float("nan")
    return float(np.clip((np.trace(covariance) ** 2 / size - 1) / (len(covariance) - 1), 0, 1))


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the IsoScore of all vectors, brought to length 1.

    The reference takes vectors as they come; ours have length 1, because that is how they are compared in search. It
    needs at least as many vectors as dimensions: with fewer, some dimensions have no variance whatever the model.

    :param vectors: the vectors, read once; nothing is sampled.
    :param seed: of the blocks of items that the standard error leaves out in turn.
    :param sample: not used.
    :return: value in [0, 1], higher is more isotropic; n counts rows.
    """
    n, d = len(vectors), vectors.dimensions
    if d < 2 or n < d:
        raise DataError(f"needs two dimensions or more and at least as many vectors; there are {n} of {d} dimensions")
    sums, products, counts = _block_moments(vectors, seed)
    centre, square = sums.sum(axis=0), products.sum(axis=0)
    # The trace of the products is n; what is left of it without the mean is the variance, or only rounding.
    if n - centre @ centre / n < 1e-6 * n:
        raise DataError("all vectors are equal")
    value = isoscore(_covariance(centre, square, n))
    rest = zip(sums, products, counts, strict=True)
    estimates = np.array([isoscore(_covariance(centre - s, square - p, n - c)) for s, p, c in rest])
    return Finding(value, n, jackknife_error(estimates), {"dimensions": d, "blocks": len(counts), "seed": seed})


def _block_moments(vectors: LabelledVectors, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum x (blocks, d) and x xᵀ (blocks, d, d) in float64 and count rows (blocks,), per block of items."""
    blocks = item_blocks(vectors, seed)
    counts = np.bincount(blocks)
    sums = np.zeros((len(counts), vectors.dimensions))
    products = np.zeros((len(counts), vectors.dimensions, vectors.dimensions))
    for rows, x in vectors.chunks(size=2 * CHUNK):
        for block in np.unique(blocks[rows]):
            part = x[blocks[rows] == block]
            sums[block] += part.sum(axis=0, dtype=np.float64)
            products[block] += part.T @ part
    return sums, products, counts


def _covariance(total: np.ndarray, products: np.ndarray, n: int) -> np.ndarray:
    """Compute the covariance from sums, up to the factor n, which the score does not see."""
    return np.asarray(products - np.outer(total, total) / max(n, 1))


DIAGNOSTIC = Diagnostic(
    name="isoscore",
    answers="How evenly is the variance spread over the dimensions?",
    function=measure,
    range=(0.0, 1.0),
    direction=Direction.HIGHER,
    needs=(VectorNeed.ITEMS,),
    source="Rudman et al. 2022 (arXiv 2108.07344)",
)
