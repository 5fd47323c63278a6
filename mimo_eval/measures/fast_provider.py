"""A provider for ir-measures that computes the measures of trec_eval from arrays: the numbers of pytrec_eval, in less time.

Equal scores stand in trec_eval's order (as float32, then by document id, descending) for every measure. ir-measures' default
pipeline does the same for all but `RR@k` and `Judged@k`, with or without `rel`: for these it asks providers that put the
smaller id first, so that under ties its values may differ from those here, and its RR@10 can exceed its RR. Where no scores are
equal, also as float32, they agree. Of `nDCG(dcg='exp-log2')@k` gdeval gives it five places; here there are all.

Runs and judgements may be whatever ir-measures takes, or files. Scores are never made into Python objects. What has no function
here is computed by ir-measures' own providers, from scores that decrease strictly in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ir_measures
import numpy as np
from ir_measures import CalcResults, Metric
from ir_measures.measures import Measure
from ir_measures.providers import Evaluator, Provider

from mimo_eval.errors import ConfigError
from mimo_eval.measures.inputs import Judgements, judgements_of, run_of
from mimo_eval.measures.join import hits, surrogates
from mimo_eval.measures.standard import kernel
from mimo_eval.measures.trec import read_run

if TYPE_CHECKING:
    import pandas as pd


class FastProvider(Provider):  # type: ignore[misc]
    """Use it in place of the module `ir_measures`: it has `calc_aggregate`, `iter_calc`, `calc` and `evaluator`."""

    NAME = "mimo_eval_fast"

    def supports(self, measure: Measure) -> bool:
        """Return whether this provider computes a measure.

        :param measure: any measure.
        :return: True if there is a function for it, or if ir-measures computes it.
        """
        return kernel(measure) is not None or bool(ir_measures.DefaultPipeline.supports(measure))

    def _evaluator(self, measures: Iterable[Measure], qrels: Any) -> FastEvaluator:
        measures = list(dict.fromkeys(measures))
        for measure in measures:
            if not self.supports(measure):
                raise ConfigError(f"no provider of ir-measures that is installed computes {measure}")
        return FastEvaluator(measures, qrels)


class FastEvaluator(Evaluator):  # type: ignore[misc]
    """Measures and judgements, ready for runs."""

    def __init__(self, measures: list[Measure], qrels: Any) -> None:
        self._kernels = {measure: found for measure in measures if (found := kernel(measure)) is not None}
        rest = [measure for measure in measures if measure not in self._kernels]
        self._judgements = judgements_of(qrels)
        self._rest = ir_measures.DefaultPipeline.evaluator(rest, _frame(self._judgements)) if rest else None
        super().__init__(measures, set(self._judgements.query_ids.tolist()))

    def values(self, run: Any) -> dict[Measure, np.ndarray]:
        """Compute every measure for every query.

        :param run: as ir-measures takes it, or the path of a TREC file.
        :return: measure to (n,) float64; the queries are `query_ids`.
        :raises DataError: if the run is not one, or a document stands twice for a query.
        """
        columns = read_run(Path(run)) if isinstance(run, (str, Path)) else run_of(run)
        found = hits(self._judgements, columns)
        values = {measure: compute(found) for measure, compute in self._kernels.items()}
        if self._rest:
            values |= self._by_ir_measures(surrogates(columns))
        return {measure: values[measure] for measure in self.measures}

    @property
    def query_ids(self) -> list[str]:
        """The judged queries, in the order of `values`."""
        names: list[str] = self._judgements.query_ids.tolist()
        return names

    def iter_calc(self, run: Any) -> Iterator[Metric]:
        """Yield the value of every measure for every query.

        :param run: as for `values`.
        :yield: one Metric each.
        """
        for measure, values in self.values(run).items():
            yield from (Metric(*row) for row in zip(self.query_ids, repeat(measure), values.tolist()))

    def calc_aggregate(self, run: Any) -> dict[Measure, float]:
        """Return the mean, or sum, of every measure.

        :param run: as for `values`.
        :return: measure to value.
        """
        return {measure: _aggregated(measure, values) for measure, values in self.values(run).items()}

    def calc(self, run: Any) -> CalcResults:
        """Return the value of every measure, aggregated and for every query.

        :param run: as for `values`.
        :return: both.
        """
        values = self.values(run)
        metrics = [Metric(*row) for m, found in values.items() for row in zip(self.query_ids, repeat(m), found.tolist())]
        return CalcResults({m: _aggregated(m, found) for m, found in values.items()}, metrics)

    def _by_ir_measures(self, run: pd.DataFrame) -> dict[Measure, np.ndarray]:
        assert self._rest is not None
        row = {query: i for i, query in enumerate(self.query_ids)}
        values = {m: np.full(len(row), float(m.DEFAULT)) for m in self.measures if m not in self._kernels}
        for query, measure, value in self._rest.iter_calc(run):
            values[measure][row[query]] = value
        return values


def _aggregated(measure: Measure, values: np.ndarray) -> float:
    total = measure.aggregator()
    for value in values.tolist():
        total.add(value)
    result: float = total.result()
    return result


def _frame(judged: Judgements) -> pd.DataFrame:
    """Return judgements as ir-measures takes them."""
    import pandas as pd

    columns = {"query_id": judged.query_ids[judged.query], "doc_id": judged.document.to_pylist(), "relevance": judged.gain}
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame


fast = FastProvider()
