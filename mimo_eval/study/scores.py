"""From the rows of a study to means with intervals, and to differences with tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mimo_eval.comparison.macro import Sample, estimate
from mimo_eval.statistics import holm
from mimo_eval.study.definition import GEOMETRY, MEASURES, Contrast, Study, sign
from mimo_eval.study.rows import COLUMNS, Row, read_questions, read_row

LEVEL = 0.05
"""Adjusted p-values below it settle a question."""


class Mean(NamedTuple):
    """What a run scored in one mix of one test, by one measure."""

    run: str
    test: str
    mix: str
    measure: str
    mean: float
    low: float
    """Lower end of the bootstrap interval over questions."""
    high: float
    questions: int


@dataclass(frozen=True)
class Comparison:
    """Some runs less others, on one test."""

    text: str
    """What is asked."""
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    test: str
    mix: str
    """Empty for alignment and uniformity, which have none."""
    measure: str
    difference: float
    low: float
    """Lower end of the bootstrap interval over questions; for alignment and uniformity the least difference over folds."""
    high: float
    p: float
    """Of the permutation test over questions; NaN for alignment and uniformity, of which each fold gives one number."""
    better: int
    """Folds in which what is added is better, by itself."""
    folds: int
    """Folds whose models were tested."""
    p_holm: float = math.nan
    """Adjusted for all comparisons of the study."""

    @property
    def verdict(self) -> int:
        """1 if what is added is better, -1 if what is taken away is, 0 if that is not settled."""
        settled = self.low * self.high > 0 if math.isnan(self.p) else self.p_holm < LEVEL
        return int(np.sign(self.difference)) * sign(self.measure) if settled else 0


class Scores:
    """The scores of a study's runs; of those of which all folds are there.

    :param study: the study.
    :param folder: of its results.
    :param test: name of the divided collection.
    """

    def __init__(self, study: Study, folder: Path, test: str) -> None:
        self.study, self.folder, self.test = study, folder, test
        folds = range(study.trained or study.folds.count)
        found = {label: [read_row(folder, label, fold) for fold in folds] for label in study.runs}
        self.rows: dict[str, list[Row]] = {
            label: [row for row in rows if row] for label, rows in found.items() if all(row is not None for row in rows)
        }

    @property
    def unfinished(self) -> list[str]:
        """Runs that lack a fold."""
        return [label for label in self.study.runs if label not in self.rows]

    @cached_property
    def questions(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        """Run, test and mix to scores by language and question, the mean over the folds whose models were asked it."""
        found = {}
        for label, rows in self.rows.items():
            whole = pd.concat([read_questions(self.folder, label, row.fold) for row in rows], ignore_index=True)
            means = whole.groupby(list(COLUMNS), sort=True).mean().reset_index()
            for (test, mix), part in means.groupby(["test", "mix"], sort=False):
                found[label, str(test), str(mix)] = part.set_index(["lang", "group"])
        return found

    @cached_property
    def settings(self) -> list[tuple[str, str, str]]:
        """Test, mix and measure of everything that was measured, the divided collection first."""
        every = [row.scores for rows in self.rows.values() for row in rows]
        tests = dict.fromkeys([self.test, *(test for scores in every for test in scores)])
        mixes = {test: {mix for scores in every for mix in scores.get(test, {})} for test in tests}
        return [(test, mix, measure) for test in tests for mix in MEASURES if mix in mixes[test] for measure in MEASURES[mix]]

    def column(self, run: str, test: str, mix: str, measure: str) -> pd.Series | None:
        """Return one measure by language and question.

        :param run: label.
        :param test: name of a test.
        :param mix: one of its mixes.
        :param measure: the measure.
        :return: index levels lang and group; None where there is no value.
        """
        frame = self.questions.get((run, test, mix))
        if frame is None or measure not in frame.columns:
            return None
        values = frame[measure].dropna()
        return values if len(values) else None

    def means(self) -> list[Mean]:
        """Return every mean of every run."""
        keys = [(run, *setting) for run in self.rows for setting in self.settings]
        kept = [(key, values) for key in keys if (values := self.column(*key)) is not None]
        samples = [sample(values) for _, values in kept]
        return [
            Mean(*key, float(part.weight @ part.difference), *found.interval, len(np.unique(part.group)))
            for (key, _), part, found in zip(kept, samples, estimate(samples), strict=True)
        ]

    def geometry(self, run: str, name: str) -> np.ndarray:
        """Return a diagnostic of each fold's model, (folds,)."""
        return np.array([row.geometry[name]["value"] for row in self.rows[run]])

    def comparisons(self) -> list[Comparison]:
        """Return every run against those that the study names, on every test by what stands first in its settings, then the
        contrasts and claims; Holm adjusts over all of them.
        """
        wanted = [*self._against(), *((contrast, self.test) for contrast in (*self.study.contrasts, *self.study.claims))]
        usable = [(contrast, test) for contrast, test in wanted if {*contrast.plus, *contrast.minus} <= set(self.rows)]
        tested = self._tested([(c, test) for c, test in usable if c.measure not in GEOMETRY])
        return adjusted([*tested, *(self._spatial(c, test) for c, test in usable if c.measure in GEOMETRY)])

    def _against(self) -> list[tuple[Contrast, str]]:
        pairs = {frozenset((run, base)): (run, base) for base in reversed(self.study.against) for run in self.study.runs}
        first = {test: (mix, measure) for test, mix, measure in reversed(self.settings)}
        return [
            (Contrast(text=f"{run} against {base}", plus=(run,), minus=(base,), mix=mix, measure=measure), test)
            for test, (mix, measure) in reversed(first.items())
            for base in self.study.against
            for run in self.study.runs
            if run != base and pairs[frozenset((run, base))] == (run, base)
        ]

    def _tested(self, wanted: Sequence[tuple[Contrast, str]]) -> list[Comparison]:
        kept, samples = [], []
        for contrast, test in wanted:
            where = (test, contrast.mix, contrast.measure)
            signed = [(1, run) for run in contrast.plus] + [(-1, run) for run in contrast.minus]
            columns = [factor * values for factor, run in signed if (values := self.column(run, *where)) is not None]
            if len(columns) == len(signed):
                kept.append((contrast, test))
                samples.append(sample(pd.concat(columns, axis=1).dropna().sum(axis=1)))
        return [
            self._comparison(c, test, float(part.weight @ part.difference), *found.interval, found.p)
            for (c, test), part, found in zip(kept, samples, estimate(samples), strict=True)
        ]

    def _spatial(self, contrast: Contrast, test: str) -> Comparison:
        each = self._by_fold(contrast, test)
        return self._comparison(contrast, test, float(each.mean()), float(each.min()), float(each.max()), math.nan)

    def _comparison(self, c: Contrast, test: str, difference: float, low: float, high: float, p: float) -> Comparison:
        each, mix = self._by_fold(c, test), "" if c.measure in GEOMETRY else c.mix
        better = int((each * sign(c.measure) > 0).sum())
        return Comparison(c.text, c.plus, c.minus, test, mix, c.measure, difference, low, high, p, better, len(each))

    def _by_fold(self, contrast: Contrast, test: str) -> np.ndarray:
        """Return the difference in each fold that was tested, (folds,)."""
        signed = [(1, run) for run in contrast.plus] + [(-1, run) for run in contrast.minus]
        if contrast.measure in GEOMETRY:
            columns = [factor * self.geometry(run, contrast.measure) for factor, run in signed]
        else:
            where = (test, contrast.mix, contrast.measure)
            columns = [factor * self._fold_means(run, *where) for factor, run in signed]
        each = np.sum(columns, axis=0)
        return np.asarray(each[~np.isnan(each)])

    def _fold_means(self, run: str, test: str, mix: str, measure: str) -> np.ndarray:
        found = [row.scores.get(test, {}).get(mix, {}).get(measure) for row in self.rows[run]]
        return np.array([math.nan if value is None else value for value in found])

    def table(self) -> pd.DataFrame:
        """Return one line per run and fold: what was trained, and what came out."""
        lines: list[dict[str, Any]] = []
        for run, rows in self.rows.items():
            for row in rows:
                line: dict[str, Any] = {"run": run, "method": row.method, "fold": row.fold + 1, "seed": row.seed}
                for stage in row.stages:
                    name = "stage 1" if stage["name"] == "distillation" else "stage 2"
                    line |= {f"{name}: {what}": stage[what] for what in ("rows", "steps", "seen", "seconds")}
                line |= {f"seconds of {part}": value for part, value in row.seconds.items()}
                for test, mixes in row.scores.items():
                    line |= {f"{test}/{mix}/{m}": value for mix, found in mixes.items() for m, value in found.items()}
                lines.append({**line, **{name: row.geometry[name]["value"] for name in GEOMETRY}})
        return pd.DataFrame(lines)


def sample(values: pd.Series) -> Sample:
    """Turn values by language and question into what is tested.

    :param values: index levels lang and group.
    :return: values with their cells and clusters.
    """
    lang, group = (values.index.get_level_values(name) for name in ("lang", "group"))
    return Sample(values.to_numpy(np.float64), pd.factorize(lang)[0], pd.factorize(group, sort=True)[0])


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Adjust p-values for all comparisons together (Holm).

    :param comparisons: those looked at together.
    :return: the same with `p_holm`.
    """
    found = holm(np.array([comparison.p for comparison in comparisons]))
    return [replace(comparison, p_holm=float(p)) for comparison, p in zip(comparisons, found, strict=True)]


def frame(rows: Sequence[Mean | Comparison]) -> pd.DataFrame:
    """Return records as a table; names of several runs are joined."""
    lines = [row._asdict() if isinstance(row, Mean) else {**asdict(row), "verdict": row.verdict} for row in rows]
    return pd.DataFrame([{k: " + ".join(v) if isinstance(v, tuple) else v for k, v in line.items()} for line in lines])
