"""The language-ID probe: how well a linear classifier tells the language from the vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimo_eval.errors import DataError, require
from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, VectorNeed
from mimo_eval.geometry.uncertainty import clustered_error
from mimo_eval.geometry.vectors import LabelledVectors

HELD_OUT = 0.25


def measure(vectors: LabelledVectors, seed: int, sample: int) -> Finding:
    """Measure the accuracy of multinomial logistic regression that names the language of held-out items.

    As in `jlibovicky/assess-multilingual-bert`, before and after the mean of its language is taken from every vector.
    Items are held out, never rows: a translation of a training item would let topic help. The means come from the
    training rows alone. Vectors have length 1 and are scaled by √d, so that a coordinate is about 1 and the default
    L2 penalty means the same at every width.

    :param vectors: vectors in at least two languages.
    :param seed: of the sample and of the split.
    :param sample: rows drawn, the same number per language.
    :return: value in [chance, 1], lower is less linear language signal; n counts held-out rows; `chance` is the share
        of their largest language; `after_centring` is the accuracy without the languages' means.
    """
    rows, held_out = _split(vectors, seed, sample)
    x, y = vectors.take(rows) * np.float32(np.sqrt(vectors.dimensions)), vectors.languages[rows]
    means = np.stack([_mean_or_zero(x[~held_out & (y == code)]) for code in range(len(vectors.language_names))])
    items = vectors.groups[rows[held_out]]
    before = _hits(x, y, held_out)
    after = _hits(x - means[y], y, held_out)
    truth = y[held_out]
    details = {
        "chance": np.bincount(truth).max() / len(truth),
        "after_centring": after.mean(),
        "after_centring_standard_error": clustered_error(after, items),
        "trained_on": int((~held_out).sum()),
        "seed": seed,
        "per_language": {vectors.language_names[code]: before[truth == code].mean() for code in np.unique(truth)},
    }
    return Finding(float(before.mean()), len(truth), clustered_error(before, items), details)


def _split(vectors: LabelledVectors, seed: int, sample: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows and hold a quarter of their items out; languages that training never sees are left out."""
    rows = vectors.sample(sample, seed)
    items, item = np.unique(vectors.item_of_row[rows], return_inverse=True)
    order = np.random.default_rng([seed, 1]).permutation(len(items))
    held_out = (order < max(1, round(HELD_OUT * len(items))))[item.reshape(-1)]
    y = vectors.languages[rows]
    seen = np.isin(y, y[~held_out])
    rows, held_out, y = rows[seen], held_out[seen], y[seen]
    if min(len(np.unique(y[held_out])), len(np.unique(y[~held_out]))) < 2:
        raise DataError("needs at least two languages with items to train on and others to hold out")
    return rows, held_out


def _mean_or_zero(x: np.ndarray) -> Any:
    return x.mean(axis=0) if len(x) else np.zeros(x.shape[1], dtype=x.dtype)


def _hits(x: np.ndarray, y: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Train on what is not held out and return a 1.0 for each held-out row named correctly."""
    linear_model = require("sklearn.linear_model", "report")
    classifier = linear_model.LogisticRegression(max_iter=1000).fit(x[~held_out], y[~held_out])
    return np.asarray(classifier.predict(x[held_out]) == y[held_out], dtype=np.float64)


DIAGNOSTIC = Diagnostic(
    name="probe",
    answers="How well can a linear classifier tell the language from the vector, before and after centring?",
    function=measure,
    range=(0.0, 1.0),
    direction=Direction.CHANCE,
    needs=(VectorNeed.LANGUAGES, VectorNeed.ITEMS),
    source="Libovický et al. 2020 (arXiv 2004.05160)",
    beside=("after_centring", "chance"),
)
