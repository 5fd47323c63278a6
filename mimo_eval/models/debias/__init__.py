"""Debiasing as models under test: what of a language can be taken out of an encoder's vectors without training.

Three published methods, each around any encoder, whose stored vectors they change while searching: nothing of the evaluated
collection is encoded again. Their statistics come from a named sample of other texts, encoded as documents; a language of
which the sample has nothing is an error. Changed vectors of cosine models are divided by their length again. A parameter
of 0 gives the encoder's own rankings, but still asks for a fit sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mimo_eval.collections.collection import Texts
from mimo_eval.embeddings import VectorStore
from mimo_eval.errors import ConfigError
from mimo_eval.models.debias.changed import Change, ChangedVectors, PerQueryLanguage
from mimo_eval.models.debias.sample import Sample
from mimo_eval.models.debias.statistics import PerLanguage, directions, means
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.protocols import Encoder, Role
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.onepass import CompleteScorer
from mimo_eval.specs import Spec

if TYPE_CHECKING:
    from mimo_eval.collections import Collection
    from mimo_eval.mixing import Pool

__all__ = ["LIR", "SHIFT", "Centering"]

MAX_ALPHA = 10.0
VERSION = 1
"""Of the arithmetic; goes into fingerprints."""


class _Debiased(ABC):
    """What the three methods share.

    :param base: an encoder, or the name of one.
    :param sample: the texts that give the statistics: a collection, by name or folder, or a JSON-lines file (`.gz`, `.zst`) of
        {text, lang, group}. It must have every language that is evaluated, and no text that is; best are translations of the
        same texts, with one `group` each, so that statistics differ by language alone.
    :param size: most texts per language, at least 1.
    :param seed: of the draw where there are more.
    :param options: options of the command line, for the encoder.
    """

    method: str

    def __init__(
        self, base: str | Encoder, sample: str, size: int, seed: int, options: dict[str, Any], **parameters: float | None
    ) -> None:
        model = load_model(base, ModelOptions.passed_on(self.method, options))
        if not isinstance(model, Encoder):
            raise ConfigError(f"{self.method}({model_name(model)}): it changes the vectors of an encoder, and this is none")
        self.base = model
        self.sample = Sample(str(sample), _whole("size", size, 1), _whole("seed", seed, 0))
        self.parameters = {name: value for name, value in parameters.items() if value is not None}
        self._texts: dict[str, int] = {}

    @property
    def name(self) -> str:
        """Method, encoder, parameters, and what of the sample is not the usual."""
        sample, usual = self._sample(self.sample), self._sample(Sample())
        odd = {key: value for key, value in sample.items() if value != usual[key]}
        return str(Spec(self.method, (Spec(model_name(self.base)),), {**self.parameters, **odd}))

    @staticmethod
    def _sample(sample: Sample) -> dict[str, Any]:
        return {"sample": sample.name, "size": sample.size, "seed": sample.seed}

    @property
    def similarity(self) -> str:
        """`cosine` or `dot`, as the encoder's."""
        return str(getattr(self.base, "similarity", "cosine"))

    @property
    def cosine(self) -> bool:
        """Whether vectors have length 1, before and after."""
        return self.similarity == "cosine"

    @property
    def fingerprint(self) -> Callable[[Role], dict[str, Any]]:
        """`fingerprint(role)`, everything that changes a vector; an attribute only where the encoder has it."""
        of_base: Callable[[Role], dict[str, Any]] = self.base.fingerprint  # type: ignore[attr-defined]

        def fingerprint(role: Role) -> dict[str, Any]:
            return {
                "model": self.name,
                "base": of_base(role),
                "statistics": of_base("document"),
                "debiasing": {"version": VERSION, **self._debiasing(), "revision": self.sample.revision},
            }

        return fingerprint

    def _debiasing(self) -> dict[str, Any]:
        return {"method": self.method, **self.parameters, **self._sample(self.sample)}

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model, the encoder's own words included."""
        known = {"texts_per_language": self._texts} if self._texts else {}
        debiasing = {**self._debiasing(), "revision": self.sample.revision, **known, **self._notes()}
        return {**getattr(self.base, "describe", dict)(), "base": model_name(self.base), "debiasing": debiasing}

    def _notes(self) -> dict[str, str]:
        return {}

    def check(self, collection: Collection, pools: Sequence[Pool]) -> None:
        """Refuse what the sample cannot serve; no vectors are needed for that.

        :param collection: what will be evaluated.
        :param pools: the corpora that will be searched.
        :raises DataError: if the sample is that collection, or has nothing in a language that is searched or asked in.
        """
        self.sample.refuse_itself(collection.documents)
        searched = {lang for pool in pools for lang, rows in pool.documents.items() if len(rows)}
        asked = collection.queries.by_language(np.unique(np.concatenate([pool.queries for pool in pools])))
        for lang in sorted(searched | set(asked)):
            self.sample.require(lang)

    def scorer(self, queries: VectorStore, documents: VectorStore, sample: Callable[[Texts], VectorStore]) -> CompleteScorer:
        """Return what scores queries and documents by changed vectors.

        :param queries: the encoder's vectors of queries.
        :param documents: the encoder's vectors of documents.
        :param sample: encodes other texts as documents and returns their vectors.
        :return: a scorer of the one pass; a language without statistics is an error when it is first asked for.
        :raises DataError: if the sample shares a text with what is evaluated.
        """
        drawn = self.sample.draw({*queries.texts.languages, *documents.texts.languages})
        self.sample.refuse_overlap(drawn, documents.texts, queries.texts)
        self._texts = {lang: len(drawn.rows(lang)) for lang in drawn.languages}
        return self._scorer(queries, documents, sample(drawn))

    @abstractmethod
    def _scorer(self, queries: VectorStore, documents: VectorStore, sample: VectorStore) -> CompleteScorer: ...

    def _changed(self, store: VectorStore, change: Change, identity: bool = False) -> VectorStore:
        """Return a store that gives changed vectors."""
        return cast(VectorStore, ChangedVectors(store, change, self.cosine and not identity))


class Centering(_Debiased):
    """Subtract from each vector the mean of its language: e - mu_l, for queries and documents.

    Source: a baseline in SHIFT's code. Means are those of documents' vectors, also for queries.
    """

    method = "centering"

    def __init__(self, base: str | Encoder, *, sample: str = "mini", size: int = 3000, seed: int = 0, **options: Any) -> None:
        super().__init__(base, sample, size, seed, options)

    def _scorer(self, queries: VectorStore, documents: VectorStore, sample: VectorStore) -> CompleteScorer:
        change = centre(means(self.sample, sample))
        return DenseScorer(self._changed(queries, change), self._changed(documents, change))


class LIR(_Debiased):
    """Remove from each vector what lies in the main directions of its language: e - e V_l V_l^T.

    V_l are the first left singular vectors of the uncentred d x n matrix of language l's vectors (columns). Source: Yang et
    al. 2021, "A simple and effective method to eliminate the self language bias in multilingual representations", and its
    notebook, where rank 1 for documents and 2 for queries was best and both sides' directions come from the encoder of
    questions; here they come from documents' vectors.

    :param rank: directions removed from documents, at least 0 and less than the dimension; 0 removes none.
    :param query_rank: likewise from queries; as many as from documents if None.
    """

    method = "lir"

    def __init__(
        self,
        base: str | Encoder,
        *,
        rank: int = 1,
        query_rank: int | None = None,
        sample: str = "mini",
        size: int = 3000,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.rank = _whole("rank", rank, 0)
        self.query_rank = self.rank if query_rank is None else _whole("query_rank", query_rank, 0)
        other = None if self.query_rank == self.rank else self.query_rank
        super().__init__(base, sample, size, seed, options, rank=self.rank, query_rank=other)

    def _scorer(self, queries: VectorStore, documents: VectorStore, sample: VectorStore) -> CompleteScorer:
        found = directions(self.sample, sample, max(self.rank, self.query_rank))
        return DenseScorer(
            self._changed(queries, remove(found, self.query_rank), identity=self.query_rank == 0),
            self._changed(documents, remove(found, self.rank), identity=self.rank == 0),
        )


class SHIFT(_Debiased):
    """Move documents towards the query's language: z_d - alpha (mu_l - mu_src) for a document in l, a query in src.

    Source: SHIFT's code and article: alpha 0.6 for multilingual-e5-large, 1.0 for the other models, offsets from 3,000 texts
    per language. Queries and documents of the query's own language stay where they are. The paper shifts vectors as the
    model gives them; those of cosine models are stored, and so shifted, with length 1, and divided by their length again
    afterwards. For encoders that normalise by themselves this makes no difference.

    :param alpha: how far, 0 to 10; 0 moves nothing, 1 by the whole difference of the means.
    """

    method = "shift"

    def __init__(
        self,
        base: str | Encoder,
        *,
        alpha: float = 0.6,
        sample: str = "mini",
        size: int = 3000,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 <= alpha <= MAX_ALPHA:
            raise ConfigError(f"shift: alpha must be a number from 0 to {MAX_ALPHA:g}, not {alpha!r}")
        self.alpha = float(alpha)
        super().__init__(base, sample, size, seed, options, alpha=self.alpha)

    def _notes(self) -> dict[str, str]:
        return {"shifted": "vectors of length 1, before normalising them again" if self.cosine else "vectors as encoded"}

    def _scorer(self, queries: VectorStore, documents: VectorStore, sample: VectorStore) -> CompleteScorer:
        found = means(self.sample, sample)

        def towards(source: str) -> DenseScorer:
            return DenseScorer(queries, self._changed(documents, shift(found, self.alpha, source), identity=self.alpha == 0))

        return PerQueryLanguage(queries.texts, towards)


def centre(known: PerLanguage) -> Change:
    """Return what subtracts the mean of a language.

    :param known: language to (d,) mean.
    :return: the change.
    """
    return lambda vectors, lang: vectors - known[lang]


def remove(known: PerLanguage, rank: int) -> Change:
    """Return what removes the part of vectors that lies in the first directions of a language.

    :param known: language to (r, d) orthonormal rows.
    :param rank: how many of them to remove, at most r.
    :return: the change.
    """

    def change(vectors: np.ndarray, lang: str) -> np.ndarray:
        for direction in known[lang][:rank]:  # one by one: a matrix product of few rows sums in another order than of many
            vectors = vectors - np.einsum("nd,d->n", vectors, direction)[:, None] * direction
        return vectors

    return change


def shift(known: PerLanguage, alpha: float, source: str) -> Change:
    """Return what moves vectors from their language's mean towards another's.

    :param known: language to (d,) mean.
    :param alpha: share of the difference.
    :param source: language of the queries.
    :return: the change.
    :raises DataError: if nothing is known of `source`.
    """
    goal = known[source]
    return lambda vectors, lang: vectors - alpha * (known[lang] - goal)


def _whole(name: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value
