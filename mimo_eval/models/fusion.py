"""Fusion: one ranking out of several models' rankings, by their ranks or by their scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mimo_eval.asking import fingerprint
from mimo_eval.errors import ConfigError
from mimo_eval.models.loading import Model, ModelOptions, load_model, model_name
from mimo_eval.protocols import CorpusTexts, Derived, Encoder, Hits
from mimo_eval.specs import spec_name

BLOCK = 1024
"""Queries whose lists are joined at a time."""
LARGEST_K = 100_000
"""With a larger constant float32 no longer keeps neighbouring ranks apart."""


def load_bases(name: str, bases: Sequence[str | Model], options: dict[str, Any]) -> list[Model]:
    """Return the models that a combination is made of.

    :param name: the combination's, for messages.
    :param bases: names with arguments, folders, hub ids, or models.
    :param options: options of the command line, which all of them are given.
    :return: the models.
    :raises ConfigError: if one is unknown, or an option is.
    """
    passed_on = ModelOptions.passed_on(name, options)
    return [load_model(base, passed_on) for base in bases]


def identity(model: Model) -> dict[str, Any]:
    """Return what a model's fingerprints say; it must have them.

    :param model: the model.
    :return: role, or `retriever`, to fingerprint.
    """
    if isinstance(model, (Encoder, Derived)):
        return {role: fingerprint(model, model_name(model), role) for role in ("query", "document")}
    return {"retriever": fingerprint(model, model_name(model))}


def description(model: Model) -> dict[str, Any]:
    """Return a model's name and what it says of itself."""
    return {"name": model_name(model), **getattr(model, "describe", dict)()}


def combined_name(name: str, parts: Sequence[str], arguments: dict[str, tuple[Any, Any]]) -> str:
    """Return a combination's name with its parts and those arguments that are not the usual ones.

    :param name: the bare name.
    :param parts: names of the models.
    :param arguments: argument to (value, usual value).
    :return: such as `rrf(bm25, hashing, k=10)`.
    """
    inside = spec_name("", arguments)[1:-1]
    return f"{name}({', '.join([*parts, *filter(None, [inside])])})"


class Fusion:
    """What the two ways of fusion share: documents of all lists, each once, with the sum of what every list gives it.

    A document that a base did not return gets nothing from it.

    :param kind: the bare name.
    :param bases: two models or more.
    :param options: options of the command line.
    """

    def __init__(self, kind: str, bases: Sequence[str | Model], options: dict[str, Any]) -> None:
        if len(bases) < 2:
            raise ConfigError(f"{kind} needs two models or more, such as {kind}(bm25, hashing); it was given {len(bases)}")
        self.kind = kind
        self.bases: list[Model] = load_bases(kind, bases, options)
        self.name = ""

    def settings(self) -> dict[str, Any]:
        """Return everything but the bases that changes a score."""
        raise NotImplementedError

    def contributions(self, found: Sequence[Hits], texts: CorpusTexts) -> list[np.ndarray]:
        """Return per base (n, k) what its list gives to each document.

        :param found: the bases' lists.
        :param texts: the corpus.
        :return: float64 arrays; what stands past a list's end is not looked at.
        """
        raise NotImplementedError

    @property
    def fingerprint(self) -> Callable[[], dict[str, Any]]:
        """What returns everything that changes a score; there is none if a base has none."""
        if not all(hasattr(base, "fingerprint") for base in self.bases):
            raise AttributeError("a base of this combination has no fingerprint")
        return lambda: {"model": self.kind, **self.settings(), "bases": [identity(base) for base in self.bases]}

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {"kind": "fusion", "fusion": self.kind, **self.settings(), "bases": [description(base) for base in self.bases]}

    def combine(self, found: Sequence[Hits], *, texts: CorpusTexts) -> Hits:
        """Join the lists of the bases.

        :param found: per base (n, k) documents, best first, and their scores.
        :param texts: the corpus.
        :return: (n, m) documents, each once per query, and scores, in no particular order.
        """
        given = self.contributions(found, texts)
        parts = []
        for start in range(0, len(found[0].documents), BLOCK):
            block = slice(start, start + BLOCK)
            rows = np.concatenate([hits.documents[block] for hits in found], axis=1)
            parts.append(_sum_by_document(rows, np.concatenate([part[block] for part in given], axis=1)))
        width = max((part.documents.shape[1] for part in parts), default=0)
        result = Hits(
            np.full((len(found[0].documents), width), -1, np.int64),
            np.full((len(found[0].documents), width), -np.inf, np.float32),
        )
        for number, part in enumerate(parts):
            block = slice(number * BLOCK, number * BLOCK + len(part.documents))
            result.documents[block, : part.documents.shape[1]] = part.documents
            result.scores[block, : part.scores.shape[1]] = part.scores
        return result


def _sum_by_document(rows: np.ndarray, values: np.ndarray) -> Hits:
    """Add up the values of equal rows in each line; -1 stays -1. The order of the columns does not change a bit of the sums."""
    order = np.lexsort((values, rows), axis=1)
    rows, values = np.take_along_axis(rows, order, 1), np.take_along_axis(values, order, 1)
    found = rows >= 0
    first = found.copy()
    first[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    line, _ = np.nonzero(first)
    place = np.cumsum(first, axis=1)[first] - 1  # of a document among those of its line
    width = int(first.sum(axis=1).max(initial=0))
    result = Hits(np.full((len(rows), width), -1, np.int64), np.full((len(rows), width), -np.inf, np.float32))
    if not width:
        return result
    sums = np.bincount(np.cumsum(first.reshape(-1))[found.reshape(-1)] - 1, values[found])
    result.documents[line, place] = rows[first]
    with np.errstate(over="ignore"):
        result.scores[line, place] = sums
    return result


class RRF(Fusion):
    """Reciprocal rank fusion: a document's score is the sum of 1 / (k + rank) over the lists that hold it.

    :param bases: two models or more: names with arguments, folders, hub ids, other combinations.
    :param k: the larger, the less the first ranks stand out; 60 is the usual value.
    :param options: options of the command line, for the bases.
    """

    def __init__(self, *bases: str | Model, k: float = 60, **options: Any) -> None:
        if isinstance(k, bool) or not isinstance(k, (int, float)) or not 0 <= k <= LARGEST_K:
            raise ConfigError(f"rrf(k={k}): k must be a number from 0 to {LARGEST_K}")
        super().__init__("rrf", bases, options)
        self.k = k
        self.name = combined_name("rrf", [*map(model_name, self.bases)], {"k": (k, 60)})

    def settings(self) -> dict[str, Any]:
        """Return everything but the bases that changes a score."""
        return {"k": float(self.k)}

    def contributions(self, found: Sequence[Hits], texts: CorpusTexts) -> list[np.ndarray]:
        """Return 1 / (k + rank).

        :param found: the bases' lists.
        :param texts: not used.
        :return: per base an array of the lists' shape.
        """
        return [np.broadcast_to(1 / (self.k + np.arange(1, h.documents.shape[1] + 1)), h.documents.shape) for h in found]


NORMALISATIONS = ("minmax", "zscore", "none")


class ScoreFusion(Fusion):
    """Weighted sum of scores that were made comparable: for each query, base and, by default, document language by itself.

    By language, every language's best document counts alike in a base's list whatever the scores of other languages are: a
    base that favours a language does not carry this over. The price is that a language of which a base found but poor documents
    is raised as well. With `per_language=false` a base's scores are scaled as one list.

    `minmax` scales from 0, the lowest score found, to 1, the highest; a document that is alone, or scores that are all equal,
    get 1. `zscore` subtracts the mean and divides by the standard deviation; where all are equal they get 0. `none` takes
    scores as they are. A document that a base did not return gets 0 of it, which is `minmax`'s lowest but `zscore`'s mean: with
    `zscore` a base that returns a document below its mean says less for it than one that does not return it.

    :param bases: two models or more: names with arguments, folders, hub ids, other combinations.
    :param weights: one for each base, such as `0.3+0.7`; they are divided by their sum; equal if not given.
    :param normalise: minmax, zscore or none.
    :param per_language: whether each document language is normalised by itself.
    :param options: options of the command line, for the bases.
    """

    def __init__(
        self,
        *bases: str | Model,
        weights: str | float | Sequence[float] | None = None,
        normalise: str = "minmax",
        per_language: bool = True,
        **options: Any,
    ) -> None:
        if normalise not in NORMALISATIONS:
            raise ConfigError(f"fuse(normalise={normalise}): choose {', '.join(NORMALISATIONS)}")
        if not isinstance(per_language, bool):
            raise ConfigError(f"fuse(per_language={per_language}): choose true or false")
        super().__init__("fuse", bases, options)
        self.weights = _weights(weights, len(self.bases))
        self.normalise, self.per_language = normalise, per_language
        shown = "+".join(f"{weight:g}" for weight in self.weights)
        usual = {
            "weights": (shown, "+".join([f"{1 / len(self.bases):g}"] * len(self.bases))),
            "normalise": (normalise, "minmax"),
            "per_language": (str(per_language).lower(), "true"),
        }
        self.name = combined_name("fuse", [*map(model_name, self.bases)], usual)

    def settings(self) -> dict[str, Any]:
        """Return everything but the bases that changes a score."""
        return {"weights": self.weights, "normalise": self.normalise, "per_language": self.per_language}

    def contributions(self, found: Sequence[Hits], texts: CorpusTexts) -> list[np.ndarray]:
        """Return the weighted, normalised scores.

        :param found: the bases' lists.
        :param texts: tells the documents' languages.
        :return: per base an array of the lists' shape.
        """
        return [weight * self._normalised(hits, texts) for weight, hits in zip(self.weights, found, strict=True)]

    def _normalised(self, hits: Hits, texts: CorpusTexts) -> np.ndarray:
        filled = hits.documents >= 0
        scores = np.where(filled, hits.scores, 0).astype(np.float64)
        if self.normalise == "none" or not filled.any():
            return scores
        groups = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)[filled]
        if self.per_language:
            langs = np.asarray(texts.languages(hits.documents[filled]), np.int64)
            groups = groups * (int(langs.max()) + 1) + langs
        scale = _minmax if self.normalise == "minmax" else _zscore
        scores[filled] = scale(scores[filled], np.unique(groups, return_inverse=True)[1].reshape(-1))
        return scores


def _weights(weights: str | float | Sequence[float] | None, count: int) -> list[float]:
    given = weights.split("+") if isinstance(weights, str) else [weights] if isinstance(weights, (int, float)) else weights
    if given is None:
        return [1 / count] * count
    shown = weights if isinstance(weights, str) else "+".join(map(str, given))
    try:
        values = [float(value) for value in given]
    except (TypeError, ValueError):
        values = [math.nan]
    if not all(math.isfinite(value) and value >= 0 for value in values) or not 0 < sum(values) < math.inf:
        raise ConfigError(f"fuse(weights={shown}): weights are numbers of at least 0, not all 0, such as 0.3+0.7")
    if len(values) != count:
        raise ConfigError(f"fuse(weights={shown}): {len(values)} weights for {count} models")
    return [value / sum(values) for value in values]


def _minmax(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    low, high = _extremes(scores, groups)
    span = (high - low)[groups]
    return np.where(span > 0, (scores - low[groups]) / np.where(span > 0, span, 1), 1.0)


def _zscore(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    low, high = _extremes(scores, groups)
    count = np.bincount(groups)
    centred = scores - (np.bincount(groups, scores) / count)[groups]
    deviation = np.sqrt(np.bincount(groups, centred**2) / count)[groups]
    varies = (high > low)[groups] & (deviation > 0)  # the mean of equal scores may miss them by a rounding
    return np.where(varies, centred / np.where(varies, deviation, 1), 0.0)


def _extremes(scores: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = int(groups.max()) + 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, groups, scores)
    np.maximum.at(high, groups, scores)
    return low, high
