"""What a language measure is: an ir-measures measure that declares itself and reads a whole `Ranking` at once.

A query about which a measure can say nothing is *excluded*: its value is nan, never 0. ir-measures fills every missing
(measure, query) pair with the measure's `DEFAULT`, so leaving such queries out is not possible there; instead `DEFAULT`
is nan and the aggregator skips nan and counts what it skipped. A mean is therefore over the queries that count, and nan
if there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
from ir_measures.measures import MeanAgg, Measure, ParamInfo

from mimo_eval.errors import ConfigError
from mimo_eval.measures.counting import known_relevant, relevant_by_language
from mimo_eval.measures.ranking import Ranking
from mimo_eval.specs import refuse_unknown

CUTOFF = ParamInfo(dtype=int, required=True, desc="number of ranks that are looked at")
AT_K = {"cutoff": CUTOFF}
"""The parameters of a measure that is written `Measure@k` and has no others."""


class Direction(Enum):
    """Which way a value gets better."""

    HIGHER = "higher"
    LOWER = "lower"
    NONE = "none"


class DataNeed(Enum):
    """What the data must offer before a measure says anything; the most basic first."""

    LANGUAGES = "languages of documents and queries"
    PARALLEL_DOCUMENTS = "relevant documents in several languages"
    SEVERAL_PER_LANGUAGE = "several relevant documents in one language"
    FULL_RANKING = "the rank of every relevant document"
    CORPUS_SIZE = "the number of documents in the corpus"
    PARALLEL_QUERIES = "translations of each query"
    SCORES = "scores of documents outside the run"


@dataclass(frozen=True)
class Declaration:
    """What a user must know of a measure before reading its number."""

    name: str
    """As it is written, for example `LangNDCG(gain=0.5)@10`."""
    answers: str
    """The question it answers, one sentence."""
    range: tuple[float, float]
    """Least and greatest value; infinite where the pool decides."""
    direction: Direction
    """Which way is better."""
    needs: tuple[DataNeed, ...]
    """What the data must offer."""
    source: str
    """Paper or public code."""


class MeanOfCounted(MeanAgg):  # type: ignore[misc]
    """The mean over the queries that are not excluded; `excluded` counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self.excluded = 0

    def add(self, value: float) -> None:
        """Take one query's value.

        :param value: the value; nan for an excluded query.
        """
        if math.isnan(value):
            self.excluded += 1
        else:
            super().add(value)


class LanguageMeasure(Measure):  # type: ignore[misc]
    """One measure that is read off a `Ranking`: declare the class attributes and write `values`."""

    NAME: ClassVar[str]
    SHORT_DESC: ClassVar[str]
    SUPPORTED_PARAMS: ClassVar[dict[str, Any]] = {}
    DEFAULT = math.nan
    RANGE: ClassVar[tuple[float, float]] = (0.0, 1.0)
    DIRECTION: ClassVar[Direction] = Direction.HIGHER
    NEEDS: ClassVar[frozenset[DataNeed]] = frozenset({DataNeed.LANGUAGES})
    SOURCE: ClassVar[str]
    USES: ClassVar[tuple[str, ...]]
    """How it is written: one example for each variant worth listing."""
    INSTEAD: ClassVar[str] = ""
    """Measures that answer a like question where the needs are not met."""
    validated: bool

    @property
    def __name__(self) -> str:
        return self.NAME

    @property
    def cutoff(self) -> int | None:
        """The number of ranks that are looked at; None for all."""
        value: int | None = self.params.get("cutoff")
        return value

    @property
    def direction(self) -> Direction:
        """Which way is better, with these parameters."""
        return self.DIRECTION

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest value, with these parameters."""
        return self.RANGE

    @property
    def needs(self) -> frozenset[DataNeed]:
        """What the data must offer, with these parameters."""
        return self.NEEDS

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return one value per query.

        :param ranking: n queries, what was retrieved for them and what was judged.
        :return: (n,) float64; nan where the query is excluded.
        """
        raise NotImplementedError

    def chance(self, ranking: Ranking) -> np.ndarray | None:
        """Return what blind choice would score on the same queries, where that is known.

        :param ranking: as for `values`.
        :return: (n,) float64, nan for the same queries as in `values`; None if no such level is defined.
        """
        return None

    def check(self) -> None:
        """Check what a parameter table cannot say.

        :raises ConfigError: if a parameter value makes no sense.
        """

    def validate_params(self) -> None:
        """Check the parameters.

        :raises ConfigError: if one is unknown, missing, or of the wrong type or value.
        """
        if self.validated:
            return
        refuse_unknown_parameters(self)
        example = f"write for example {self.USES[0]}"
        for name, info in self.SUPPORTED_PARAMS.items():
            value = self.params.get(name)
            if value is None and info.required:
                raise ConfigError(f"measure {self.NAME} needs '{name}'; {example}")
            if name in self.params and not (info.validate(value) and isinstance(value, bool) == (info.dtype is bool)):
                raise ConfigError(f"measure {self.NAME} cannot take {name}={value!r} ({info.desc}); {example}")
        if self.cutoff is not None and self.cutoff < 1:
            raise ConfigError(f"measure {self.NAME} cannot take the cutoff {self.cutoff}: ranks start at 1")
        self.check()
        self.validated = True

    def aggregator(self) -> MeanOfCounted:
        """Return the mean that skips excluded queries."""
        return MeanOfCounted()

    def _param_repr(self, v: Any) -> str:
        # ir-measures drops the items of a dict whose key equals the value, and tells 1 from 1.0
        if isinstance(v, dict):
            return "{" + ",".join(f"{key}:{self._param_repr(value)}" for key, value in sorted(v.items())) + "}"
        return repr(int(v)) if isinstance(v, float) and v.is_integer() else repr(v)

    def declarations(self) -> list[Declaration]:
        """Return one declaration for each way of writing the measure that is worth listing."""
        from ir_measures import parse_measure

        variants = [(text, parse_measure(text)) for text in self.USES]
        return [
            Declaration(text, m.SHORT_DESC, m.range, m.direction, tuple(n for n in DataNeed if n in m.needs), m.SOURCE)
            for text, m in variants
        ]


def refuse_unknown_parameters(measure: Measure) -> None:
    """Refuse a parameter that a measure does not have.

    :param measure: any measure of ir-measures.
    :raises ConfigError: naming it, and those there are; what is written behind `@` is `@k`.
    """
    named, known = (
        ["@k" if name == measure.AT_PARAM else name for name in names] for names in (measure.params, measure.SUPPORTED_PARAMS)
    )
    refuse_unknown(f"the measure {measure.NAME}", named, known)


def unmet(measure: LanguageMeasure, ranking: Ranking) -> tuple[DataNeed, str] | None:
    """Return the first need of a measure that a ranking does not meet.

    :param measure: a language measure.
    :param ranking: the ranking it is asked of.
    :return: the need, and in plain words what is missing and what to use instead; None if all are met.
    :raises ConfigError: if a parameter of the measure is wrong.
    """
    measure.validate_params()
    for need in DataNeed:
        missing = _CHECKS[need](ranking) if need in measure.needs else None
        if missing:
            helps = need in (DataNeed.FULL_RANKING, DataNeed.SEVERAL_PER_LANGUAGE)  # the others lack the same
            instead = f"; use {measure.INSTEAD} instead" if measure.INSTEAD and helps else ""
            return need, f"{measure} needs {need.value}, but {missing}{instead}"
    return None


def _no_languages(ranking: Ranking) -> str | None:
    given = ranking.query_language, ranking.document_language, ranking.judged_language
    return "none are given" if any(array is None for array in given) else None


def _not_parallel(ranking: Ranking) -> str | None:
    languages = (relevant_by_language(ranking) > 0).sum(axis=1)
    return None if (languages > 1).any() else "no query has relevant documents in more than one"


def _one_per_language(ranking: Ranking) -> str | None:
    count = relevant_by_language(ranking)
    several = ((count > 0).sum(axis=1) > 1) & (count.max(axis=1, initial=0) > 1)
    return None if several.any() else "no query has two in any, so the value is a constant that carries no information"


def _cut(ranking: Ranking) -> str | None:
    unknown = int(np.isnan(ranking.judged_rank[known_relevant(ranking)]).sum())
    return f"{unknown} of them lie below rank {ranking.depth}, where the run is cut" if unknown else None


def _no_pool_size(ranking: Ranking) -> str | None:
    return "it is not given" if ranking.pool_size is None else None


def _single_queries(ranking: Ranking) -> str | None:
    group = ranking.query_group
    return "every query stands alone" if group is None or len(np.unique(group)) == len(group) else None


def _no_scores(ranking: Ranking) -> str | None:
    return "a run has none" if ranking.scores is None or ranking.documents is None else None


_CHECKS: dict[DataNeed, Callable[[Ranking], str | None]] = {
    DataNeed.LANGUAGES: _no_languages,
    DataNeed.PARALLEL_DOCUMENTS: _not_parallel,
    DataNeed.SEVERAL_PER_LANGUAGE: _one_per_language,
    DataNeed.FULL_RANKING: _cut,
    DataNeed.CORPUS_SIZE: _no_pool_size,
    DataNeed.PARALLEL_QUERIES: _single_queries,
    DataNeed.SCORES: _no_scores,
}
