"""Language purity: whether the nearest neighbours of a text are in its own language more often than chance."""

from __future__ import annotations

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.neighbours import nearest
from mimo_eval.geometry.uncertainty import clustered_error
from mimo_eval.geometry.vectors import LabelledVectors

K = 10


def purity_and_chance(vectors: LabelledVectors, rows: np.ndarray, k: int = K) -> tuple[np.ndarray, np.ndarray]:
    """Compute the share of a row's nearest neighbours that are in its language, and what chance gives.

    :param vectors: the vectors; all of them are candidates.
    :param rows: (q,) rows to ask with.
    :param k: neighbours; fewer where the pool has fewer.
    :return: (q,) share among the k nearest, without the row and its translations, NaN without any neighbour;
        (q,) share of the language among those candidates.
    """
    found = nearest(vectors, rows, k).rows
    own = vectors.languages[rows]
    same = (vectors.languages[found] == own[:, None]) & (found >= 0)
    width = len(vectors.language_names)
    _, cell = np.unique(vectors.item_of_row * width + vectors.languages, return_inverse=True)
    versions = np.bincount(vectors.item_of_row)[vectors.item_of_row[rows]]
    own_versions = np.bincount(cell.reshape(-1))[cell.reshape(-1)[rows]]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = same.sum(axis=1) / (found >= 0).sum(axis=1)
        chance = (np.bincount(vectors.languages)[own] - own_versions) / (len(vectors) - versions)
    return share, chance


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the kNN language purity of a sample of rows among all rows.

    From the field's common use, not from one paper: the mean share of the 10 nearest neighbours that are in the row's
    language. The row and its translations are no candidates, so a model is not called mixed for finding the
    translations only. Rows are sampled; candidates are not, because a thinner pool has other neighbours.

    :param vectors: vectors in at least two languages.
    :param seed: of the sample.
    :param sample: rows asked with, the same number per language.
    :return: value in [0, 1], good near `chance` (the share of the language among the candidates); n counts the rows
        asked with; `per_language` holds both for each language. The standard error is over items.
    """
    rows = vectors.sample(sample, seed)
    share, chance = purity_and_chance(vectors, rows)
    known = np.isfinite(share)
    if not known.any():
        raise DataError("no row has a neighbour that is not its translation")
    rows, share, chance = rows[known], share[known], chance[known]
    own = vectors.languages[rows]
    details = {
        "chance": chance.mean(),
        "k": K,
        "seed": seed,
        "per_language": {
            vectors.language_names[code]: {"value": share[own == code].mean(), "chance": chance[own == code].mean()}
            for code in np.unique(own)
        },
    }
    return Finding(float(share.mean()), len(rows), clustered_error(share, vectors.groups[rows]), details)


DIAGNOSTIC = Diagnostic(
    name="purity",
    answers="Are the nearest neighbours of a text in its own language more often than chance?",
    function=measure,
    range=(0.0, 1.0),
    direction=Direction.CHANCE,
    needs=(VectorNeed.LANGUAGES, VectorNeed.ITEMS),
    source="common use; definition ours",
    beside=("chance",),
)
