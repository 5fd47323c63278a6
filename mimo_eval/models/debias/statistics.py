"""What a debiasing knows of each language: the mean of its vectors, or the directions in which most of them point."""

from __future__ import annotations

import numpy as np

from mimo_eval.embeddings import VectorStore
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.models.debias.sample import Sample

FLAT = 1e-10
"""Share of the largest eigenvalue below which a direction is rounding error."""


class PerLanguage(dict[str, np.ndarray]):
    """Language to its statistics; asking for a language without is an error.

    :param sample: where they come from, for messages.
    :param values: language to statistics.
    """

    def __init__(self, sample: Sample, values: dict[str, np.ndarray]) -> None:
        super().__init__(values)
        self.sample = sample

    def __missing__(self, lang: str) -> np.ndarray:
        self.sample.require(lang)
        raise DataError(f"no statistics of {lang} were taken from the sample '{self.sample.name}'")


def means(sample: Sample, vectors: VectorStore) -> PerLanguage:
    """Compute the mean vector of each language.

    :param sample: where the texts come from.
    :param vectors: their vectors.
    :return: language to (d,) float64.
    """
    found = {}
    for lang in vectors.texts.languages:
        rows = vectors.texts.rows(lang)
        found[lang] = np.sum([part.sum(axis=0, dtype=np.float64) for _, part in vectors.tiles(lang, rows)], axis=0) / len(rows)
    return PerLanguage(sample, found)


def directions(sample: Sample, vectors: VectorStore, rank: int) -> PerLanguage:
    """Compute the directions in which most of each language's vectors point.

    They are the first left singular vectors of the uncentred d x n matrix of a language's n vectors, that is the first
    eigenvectors of its product with its transpose.

    :param sample: where the texts come from.
    :param vectors: their vectors.
    :param rank: how many per language.
    :return: language to (rank, d) float64, orthonormal rows, the strongest first.
    :raises ConfigError: if they are all the dimensions there are.
    :raises DataError: if a language's texts do not span as many.
    """
    return PerLanguage(sample, {lang: _directions(sample, vectors, lang, rank) for lang in vectors.texts.languages})


def _directions(sample: Sample, vectors: VectorStore, lang: str, rank: int) -> np.ndarray:
    rows, width = vectors.texts.rows(lang), vectors.width or 0
    if rank == 0:
        return np.empty((0, width))
    if rank >= width:
        raise ConfigError(f"rank={rank} leaves nothing of vectors of {width} dimensions")
    product = np.zeros((width, width))
    for _, part in vectors.tiles(lang, rows, 4096):
        wide = part.astype(np.float64)
        product += wide.T @ wide
    strength, found = _largest(product, rank)
    spanned = int((strength > FLAT * strength[0]).sum()) if strength[0] > 0 else 0
    if spanned < rank:
        raise DataError(
            f"the vectors of the {len(rows):,} texts in {lang} of the sample '{sample.name}' span {spanned} "
            f"dimension{'s'[: spanned != 1]} of {width}; rank={rank} needs more: take a lower rank or a larger sample"
        )
    return found


def _largest(product: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues of a symmetric matrix, descending, and their eigenvectors as rows."""
    from scipy.linalg import eigh

    last = len(product) - 1
    values, columns = eigh(product, subset_by_index=(last - count + 1, last))
    return values[::-1], np.ascontiguousarray(columns.T[::-1])
