"""Alignment: how far translations lie apart."""

from __future__ import annotations

import numpy as np

from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.uncertainty import MacroMean
from mimo_eval.geometry.vectors import CHUNK, LabelledVectors


def alignment(x: np.ndarray, y: np.ndarray, alpha: float = 2.0) -> float:
    """Compute the alignment of pairs, as Wang & Isola (2020) define it.

    :param x: (n, d) vectors.
    :param y: (n, d) their partners.
    :param alpha: exponent of the distance.
    :return: mean of ‖x − y‖^alpha, in [0, 4] for unit vectors and alpha 2.
    """
    return float(np.mean(np.linalg.norm(x - y, axis=1) ** alpha))


def translation_cosines(vectors: LabelledVectors, *, chunk: int = CHUNK) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the cosine of every two versions of every parallel item; each row is read once.

    :param vectors: the vectors.
    :param chunk: rows held at a time, about.
    :return: (items, pairs) float32 cosines, NaN where a version is missing; (pairs,) first and (pairs,) second
        language, as positions in `vectors.present`, first < second.
    """
    table = vectors.translations.rows[:, vectors.present]
    first, second = np.triu_indices(table.shape[1], 1)
    cosines = np.full((len(table), len(first)), np.nan, dtype=np.float32)
    step = max(1, chunk // table.shape[1])
    for start in range(0, len(table), step):
        rows = table[start : start + step]
        block = np.full((*rows.shape, vectors.dimensions), np.nan, dtype=np.float32)
        block[rows >= 0] = vectors.take(rows[rows >= 0])
        cosines[start : start + step] = (block @ block.transpose(0, 2, 1))[:, first, second]
    return cosines, first, second


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the cross-lingual alignment: E‖f(x^a) − f(x^b)‖² over translations, averaged over language pairs.

    MIMO's own formula was not published where we could read it. Ours is Wang & Isola's alignment with translations
    as the positive pairs, every language pair counting once however many translations it has, so that a corpus with
    much English does not hide a language that lies apart.

    :param vectors: parallel vectors, read once; nothing is sampled.
    :param seed: not used.
    :param sample: not used.
    :return: value in [0, 4], lower is better; n counts parallel items; `matrix` holds the symmetric (languages ×
        languages) values. The standard error takes every item's influence on all of its pairs together.
    """
    cosines, first, second = translation_cosines(vectors)
    matrix = np.full((len(vectors.present),) * 2, np.nan)
    mean = MacroMean(len(cosines))
    for pair, (a, b) in enumerate(zip(first, second, strict=True)):
        items = np.flatnonzero(~np.isnan(cosines[:, pair]))
        if items.size:
            # On the unit sphere; rounding may leave a cosine a hair above 1.
            distances = np.clip(2 - 2 * cosines[items, pair].astype(np.float64), 0, 4)
            matrix[a, b] = matrix[b, a] = mean.add_mean(distances, items)
    details = {"languages": vectors.present_names, "matrix": matrix, "pairs": mean.cells}
    return Finding(mean.value, len(cosines), mean.standard_error, details)


DIAGNOSTIC = Diagnostic(
    name="alignment",
    answers="How far apart do translations of one text lie?",
    function=measure,
    range=(0.0, 4.0),
    direction=Direction.LOWER,
    needs=(VectorNeed.TRANSLATIONS,),
    source="Wang & Isola 2020 (arXiv 2005.10242), on translations",
)
