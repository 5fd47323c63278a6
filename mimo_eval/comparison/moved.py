"""The queries that moved most between two models, with their texts where the collection is at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mimo_eval.benchmark import Benchmark, data_folder
from mimo_eval.collections import Collection, load
from mimo_eval.comparison.pairing import Paired
from mimo_eval.errors import MimoEvalError
from mimo_eval.results import Result
from mimo_eval.statistics import TIE


@dataclass(frozen=True)
class Moved:
    """One query; scores are means over the corpora that it was asked of."""

    first: str
    second: str
    collection: str
    mix: str
    measure: str
    better: bool | None
    """Whether the second model is better here; None if the measure has no direction."""
    query_id: str
    lang: str
    first_score: float
    second_score: float
    difference: float
    text: str | None
    """None where the collection is not at hand; the report's notes say why."""


@dataclass
class Texts:
    """Texts of queries, read when first asked for, from collections of the very content that the results saw."""

    result: Result
    data: Path | None
    """What the user gave: the collection's folder, or one that holds a folder per collection."""
    missing: list[str] = field(default_factory=list)
    """Why texts are not shown."""
    _loaded: dict[int, Collection | None] = field(default_factory=dict)

    def find(self, setting: int, ids: list[str]) -> list[str | None]:
        """Return the texts of some queries.

        :param setting: number of a setting of the result.
        :param ids: ids of queries.
        :return: their texts, None where they cannot be read.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        task = [i for i, t in enumerate(self.result.benchmark["tasks"]) for _ in t["mixes"]][setting]
        if task not in self._loaded:
            self._loaded[task] = self._load(task)
        collection = self._loaded[task]
        if collection is None:
            return [None] * len(ids)
        rows = pc.index_in(pa.array(ids, pa.string()), value_set=collection.queries.column("id")).to_pylist()
        return [None if row is None else collection.queries.read([row])[0] for row in rows]

    def _load(self, number: int) -> Collection | None:
        recorded = self.result.collections[number]
        try:
            tasks = Benchmark.model_validate(self.result.benchmark).tasks
            task = tasks[number]
            found = load(task.collection, data=data_folder(task, self.data, len(tasks)), languages=task.languages)
        except (MimoEvalError, OSError, ValueError) as error:
            self.missing.append(f"no texts of {recorded['name']}: {str(error).splitlines()[0]}")
            return None
        if found.revision != recorded["revision"]:
            versions = f"{found.revision[:12]}, the results are of {recorded['revision'][:12]}"
            self.missing.append(f"no texts of {recorded['name']}: the files here have the revision {versions}")
            return None
        return found


def moved_most(
    paired: Paired, pair: tuple[int, int], labels: tuple[str, str], measure: str, sign: int, most: int, texts: Texts
) -> list[Moved]:
    """Return the queries whose scores differ most.

    :param paired: a setting.
    :param pair: numbers of the two results.
    :param labels: their labels.
    :param measure: by which measure.
    :param sign: 1 if higher is better, -1 if lower, 0 if neither.
    :param most: at most so many in each direction.
    :param texts: where to look for texts.
    :return: those on which the second is better (or higher), then those on which it is worse, the largest first.
    """
    scores = pd.DataFrame({"query_id": paired.queries["query_id"], "lang": paired.queries["lang"]})
    scores["first"], scores["second"] = (paired.values[i][measure].to_numpy() for i in pair)
    means = scores.dropna().groupby(["query_id", "lang"], sort=True, as_index=False)[["first", "second"]].mean()
    difference = (means["second"] - means["first"]).to_numpy()
    gain = difference * (sign or 1)
    order = np.argsort(-gain, kind="stable")
    rows = [r for r in order[:most] if gain[r] > TIE] + [r for r in np.argsort(gain, kind="stable")[:most] if gain[r] < -TIE]
    chosen = means.iloc[rows]
    found = texts.find(paired.number, chosen["query_id"].tolist()) if rows else []
    where = (*labels, paired.scores.collection, paired.scores.mix, measure)
    columns = [chosen[name].tolist() for name in ("query_id", "lang", "first", "second")]
    better = [None if not sign else bool(gain[row] > 0) for row in rows]
    return [Moved(*where, *values) for values in zip(better, *columns, difference[rows].tolist(), found, strict=True)]
