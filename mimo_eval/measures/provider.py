"""Language measures for users of ir-measures: from any run and qrels, and two maps that say what language is what."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import ir_measures
import numpy as np
from ir_measures import Metric
from ir_measures.measures import Measure
from ir_measures.providers import Evaluator, Provider
from ir_measures.util import QrelsConverter, RunConverter

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.measures.base import DataNeed, LanguageMeasure, unmet
from mimo_eval.measures.ranking import Ranking
from mimo_eval.measures.standard import kernel

if TYPE_CHECKING:
    import pandas as pd

UNINFORMATIVE = frozenset({DataNeed.PARALLEL_DOCUMENTS, DataNeed.SEVERAL_PER_LANGUAGE})
"""Needs of which the lack makes a number worthless but not wrong: asked for by name, it is given with a warning."""


class LanguageMaps(NamedTuple):
    """What language each id is in; ids are never parsed."""

    documents: Mapping[str, str]
    """Document id to language, for the whole pool: its size counts in some measures."""
    queries: Mapping[str, str]
    """Query id to language."""


_current: ContextVar[LanguageMaps | None] = ContextVar("mimo_eval_languages", default=None)


class LanguageProvider(Provider):  # type: ignore[misc]
    """Computes language measures; with maps of its own it computes the other measures too, with one order of ties."""

    NAME = "mimo_eval"

    def __init__(self, maps: LanguageMaps | None = None) -> None:
        super().__init__()
        self._maps = maps

    def supports(self, measure: Measure) -> bool:
        """Return whether this provider computes a measure.

        :param measure: any measure.
        :return: True for language measures; with maps, for all that ir-measures supports.
        """
        measure.validate_params()
        known = isinstance(measure, LanguageMeasure)
        return known or (self._maps is not None and bool(ir_measures.DefaultPipeline.supports(measure)))

    def _evaluator(self, measures: Iterable[Measure], qrels: Any) -> LanguageEvaluator:
        maps = self._maps or _current.get()
        measures = list(measures)
        for measure in measures:
            if not self.supports(measure):
                raise ConfigError(f"the provider of language measures cannot compute {measure}")
        if maps is None:
            raise DataError(
                f"{measures[0]} needs the language of every document and query: compute inside `with "
                "mimo_eval.measures.languages(documents={docid: language}, queries={qid: language}):`, or use "
                "mimo_eval.measures.provider(documents, queries) in place of ir_measures"
            )
        return LanguageEvaluator(measures, qrels, maps)


class LanguageEvaluator(Evaluator):  # type: ignore[misc]
    """Measures, qrels and languages, ready for runs; excluded queries yield nan."""

    def __init__(self, measures: list[Measure], qrels: Any, maps: LanguageMaps) -> None:
        self._qrels = _with_columns(QrelsConverter(qrels).as_pd_dataframe(), "relevance")
        self._maps = maps
        super().__init__(measures, set(self._qrels["query_id"].astype(str)))

    def _iter_calc(self, run: Any) -> Iterator[Metric]:
        frame = _with_columns(RunConverter(run).as_pd_dataframe(), "score")
        ranking = Ranking.from_frames(self._qrels, frame, self._maps.documents, self._maps.queries)
        for measure in self.measures:
            _object(measure, ranking)
            for query_id, value in zip(ranking.query_ids, compute([measure], ranking)[measure], strict=True):
                yield Metric(str(query_id), measure, float(value))


def _with_columns(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """Name the columns of an empty frame, which older versions of ir-measures leave out."""
    return frame if len(frame) else frame.reindex(columns=["query_id", "doc_id", value])


def _object(measure: Measure, ranking: Ranking) -> None:
    missing = unmet(measure, ranking) if isinstance(measure, LanguageMeasure) else None
    if missing is None:
        return
    need, reason = missing
    if need not in UNINFORMATIVE:
        raise DataError(reason)
    warnings.warn(reason, stacklevel=4)


def compute(measures: Iterable[Measure], ranking: Ranking) -> dict[Measure, np.ndarray]:
    """Compute measures for every query.

    :param measures: language measures, or any that ir-measures computes.
    :param ranking: n queries; ask `applicable` first whether a language measure says anything about it.
    :return: measure to (n,) float64; nan where a query is excluded.
    :raises ConfigError: if a parameter is unknown, missing or wrong.
    :raises DataError: if a language measure is asked of a ranking without languages.
    """
    return {measure: _values(measure, ranking) for measure in measures}


def _values(measure: Measure, ranking: Ranking) -> np.ndarray:
    measure.validate_params()
    if isinstance(measure, LanguageMeasure):
        return measure.values(ranking)
    fast = kernel(measure)
    if fast is not None:
        return fast(ranking.hits)
    row = {query_id: str(i) for i, query_id in enumerate(ranking.query_ids.tolist())}
    qrels, run = (frame.assign(query_id=frame["query_id"].map(row)) for frame in ranking.frames())  # gdeval takes numbers only
    values = np.full(len(ranking), float(measure.DEFAULT))
    for metric in ir_measures.iter_calc([measure], qrels, run):
        values[int(metric.query_id)] = metric.value
    return values


ONE_LANGUAGE = "the corpus has one language, so there is none to prefer"


def applicable(measure: Measure, ranking: Ranking) -> str | None:
    """Say why a measure is left out.

    :param measure: any measure.
    :param ranking: what it would be computed from.
    :return: None if it can be computed and says something; else the reason, and what to use instead.
    """
    if not isinstance(measure, LanguageMeasure):
        return None
    one_language = ranking.pool_languages is not None and (ranking.pool_languages > 0).sum(axis=1).max(initial=0) < 2
    if one_language and DataNeed.LANGUAGES in measure.needs:
        return ONE_LANGUAGE
    missing = unmet(measure, ranking)
    return missing[1] if missing else None


@contextmanager
def languages(documents: Mapping[str, str], queries: Mapping[str, str]) -> Iterator[None]:
    """Give ir-measures the languages, for all calls inside the `with` block (of this thread or task).

    :param documents: document id to language, for every document that could have been retrieved.
    :param queries: query id to language.
    :yield: nothing.
    """
    token = _current.set(_maps(documents, queries))
    try:
        yield
    finally:
        _current.reset(token)


def provider(documents: Mapping[str, str], queries: Mapping[str, str]) -> LanguageProvider:
    """Return an ir-measures provider that knows the languages; use it in place of the module `ir_measures`.

    :param documents: document id to language, for every document that could have been retrieved.
    :param queries: query id to language.
    :return: the provider, with `iter_calc`, `calc_aggregate`, `calc` and `evaluator`.
    """
    return LanguageProvider(_maps(documents, queries))


def _maps(documents: Mapping[str, str], queries: Mapping[str, str]) -> LanguageMaps:
    for what, given in (("documents", documents), ("queries", queries)):
        if not isinstance(given, Mapping):
            raise ConfigError(f"'{what}' must map ids to languages, for example {{'d1': 'de'}}; got {type(given)}")
    return LanguageMaps(documents, queries)
