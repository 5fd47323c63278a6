"""results -> Report: differences with intervals and stars, and the queries behind them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mimo_eval import measures as known_measures
from mimo_eval.comparison.cautions import MOST_PERMUTATIONS, cautions
from mimo_eval.comparison.macro import Sample, estimate
from mimo_eval.comparison.moved import Moved, Texts, moved_most
from mimo_eval.comparison.pairing import SCOPES, Paired, Part, Side, main_measure, notes, pair, read_sides
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.measures import Direction, direction
from mimo_eval.statistics import TIE, effect_size, holm, paired_t, win_tie_loss

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
ALSO = "LPR"
"""Compared by default beside the main measure, where results have it."""

MIXES = "{mixes}"
"""Where the mixes will stand in a note that holds for several."""


@dataclass(frozen=True)
class Difference:
    """Two models on one measure and some queries; differences are second minus first, whatever is better."""

    first: str
    second: str
    collection: str
    setting: str
    mix: str
    scope: str
    """`setting`, `language` (of the queries) or `corpus` (one of the mix)."""
    name: str
    """The language or the corpus; empty for a whole setting."""
    measure: str
    direction: str
    """`higher` or `lower` is better, or `none`."""
    first_mean: float
    second_mean: float
    difference: float
    low: float
    """Lower end of the bootstrap interval; nan if all queries are of one group."""
    high: float
    p: float
    """Of the permutation test, before Holm."""
    p_t: float
    """Of the cluster-robust paired t-test, before Holm; nan if all queries are of one group."""
    effect: float
    """Cohen's d of the paired differences; infinite for a constant difference."""
    win: int
    """Queries on which the second is better; on which it is higher if the measure has no direction."""
    tie: int
    loss: int
    queries: int
    """Pairs of query and corpus."""
    groups: int
    """Clusters: questions, whatever the language."""
    excluded: int
    """Queries dropped because one of the two, or both, have no value."""
    p_holm: float = math.nan
    """Adjusted for all comparisons of the report."""
    stars: str = ""
    better: str | None = None
    """The better model, if the adjusted p is below 0.05 and the measure has a direction."""


@dataclass(frozen=True)
class Report:
    """Everything that a comparison found."""

    results: list[dict[str, str]]
    """Label, path, key and date of each; the first is the baseline."""
    benchmark: str
    depth: int
    collections: dict[str, str]
    """Name to revision."""
    level: float
    permutations: int
    """Number of permutations, and of bootstrap samples."""
    seed: int
    all_pairs: bool
    family: int
    """Number of comparisons for which Holm adjusts: all that are here."""
    differences: list[Difference]
    moved: list[Moved]
    notes: list[str]
    """What differs without forbidding the comparison, what is left out, and why."""

    @property
    def cautions(self) -> list[str]:
        """What stars and intervals cannot show with so many comparisons, so few permutations or so few questions."""
        return list(cautions(self.differences, self.permutations))

    def document(self) -> dict[str, Any]:
        """Return the report as JSON can hold it; what is not finite is null."""
        content = {**asdict(self), "cautions": self.cautions}
        for row in content["differences"]:
            row.update({k: None for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)})
        return content

    def frame(self) -> pd.DataFrame:
        """Return the differences as a table."""
        return pd.DataFrame([asdict(row) for row in self.differences])


class _Plan(NamedTuple):
    """What was asked for."""

    pairs: list[tuple[int, int]]
    measures: list[str] | None
    by: str
    level: float
    permutations: int
    seed: int


def compare(
    paths: Sequence[str | Path],
    *,
    measures: str | None = None,
    level: float = 0.95,
    permutations: int = 10_000,
    seed: int = 0,
    all_pairs: bool = False,
    by: str = "language",
    moved: int = 10,
    data: str | Path | None = None,
) -> Report:
    """Compare results of the same data and protocol.

    :param paths: two or more results; the first is the baseline.
    :param measures: what to compare; if None the main measure of each setting, and LPR where there is one.
    :param level: coverage of the intervals, in (0, 1).
    :param permutations: number of permutations, and of bootstrap samples, up to 1,000,000.
    :param seed: of both.
    :param all_pairs: compare all with all instead of all with the first.
    :param by: the finest that is compared: `setting`, `language` of the queries, or `corpus`.
    :param moved: for each pair and setting, at most so many queries that got better, and so many that got worse.
    :param data: folder of the collections' files, for the texts of these queries.
    :return: differences, queries that moved, and notes.
    :raises ConfigError: if an option makes no sense or a measure is unknown.
    :raises DataError: if the results cannot be compared; the message names what differs.
    """
    if len(paths) < 2:
        raise ConfigError("a comparison needs two or more results")
    if not 0 < level < 1 or not 1 <= permutations <= MOST_PERMUTATIONS or by not in SCOPES:
        raise ConfigError(
            f"level must lie in (0, 1), permutations in 1 to {MOST_PERMUTATIONS:,}, and by be one of {', '.join(SCOPES)}"
        )
    sides = read_sides([Path(path) for path in paths])
    pairs = [p for p in combinations(range(len(sides)), 2) if all_pairs or p[0] == 0]
    plan = _Plan(pairs, _asked(sides, measures), by, level, permutations, seed)
    found, moves, texts = list[Difference](), list[Moved](), Texts(sides[0].result, Path(data) if data else None)
    lacking: dict[str, list[str]] = {}
    uneven = list[str]()
    for paired in pair(sides, plan.measures or _usual(sides)):
        chosen = list(_chosen(paired, sides, plan.measures, lacking))
        found += _differences(paired, sides, plan, chosen)
        uneven += _uneven(paired, sides, plan, chosen)
        for first, second in pairs if chosen and moved else ():
            labels = sides[first].label, sides[second].label
            moves += moved_most(paired, (first, second), labels, chosen[0], _sign(chosen[0]), moved, texts)
    left_out = [why.replace(MIXES, ", ".join(mixes)) for why, mixes in lacking.items()]
    if not found:
        raise DataError("nothing can be compared: " + ("; ".join(left_out) or "no query was asked"))
    return _report(sides, plan, all_pairs, _adjusted(found), moves, [*notes(sides), *left_out, *uneven, *texts.missing])


def _report(
    sides: Sequence[Side], plan: _Plan, all_pairs: bool, found: list[Difference], moves: list[Moved], said: list[str]
) -> Report:
    first = sides[0].result
    return Report(
        results=[{"label": s.label, "path": str(s.path), "key": s.result.key, "created": s.result.created} for s in sides],
        benchmark=str(first.benchmark["name"]),
        depth=int(first.benchmark["depth"]),
        collections={str(c["name"]): str(c["revision"]) for c in first.collections},
        level=plan.level,
        permutations=plan.permutations,
        seed=plan.seed,
        all_pairs=all_pairs,
        family=len(found),
        differences=found,
        moved=moves,
        notes=said,
    )


def _sign(measure: str) -> int:
    return {Direction.HIGHER: 1, Direction.LOWER: -1, Direction.NONE: 0}[direction(measure)]


def _asked(sides: Sequence[Side], text: str | None) -> list[str] | None:
    """Return the measures that the user named; every result must have been evaluated with them."""
    if text is None:
        return None
    asked = [text] if text in sides[0].measures else [str(m) for m in known_measures.parse(text)]
    for measure in asked:
        if any(measure not in side.measures for side in sides):
            has = "\n".join(f"  {s.label} ({s.path}): {', '.join(s.measures)}" for s in sides)
            raise DataError(f"not every result was evaluated with {measure}; they have\n{has}")
    return asked


def _usual(sides: Sequence[Side]) -> list[str]:
    """Return what is compared if nothing is asked for; results that were kept small need have no more."""
    first = sides[0].result
    return list(dict.fromkeys([*(main_measure(first, setting) for setting in first.settings), ALSO]))


def _chosen(paired: Paired, sides: Sequence[Side], asked: list[str] | None, lacking: dict[str, list[str]]) -> Iterator[str]:
    """Yield the measures to compare in a setting; `lacking` takes why one that was asked for is not there."""
    settings = [side.result.settings[paired.number] for side in sides]
    main = main_measure(sides[0].result, paired.scores)
    for measure in asked or dict.fromkeys([main, ALSO]):
        without = [i for i, s in enumerate(settings) if s.scores.get(measure) is None]
        if not without:
            yield measure
        elif asked or measure == main or len(without) < len(sides):
            why = settings[without[0]].left_out.get(measure, "no query has a value")
            note = f"{measure} is not compared in {MIXES}: {why} ({sides[without[0]].label})"
            lacking.setdefault(note, []).append(paired.scores.mix)


def _uneven(paired: Paired, sides: Sequence[Side], plan: _Plan, measures: Sequence[str]) -> Iterator[str]:
    """Say which queries drop out because one result alone has a value for them: its mean is over others than the pair's."""
    for one, other in plan.pairs:
        for first, second in ((one, other), (other, one)):
            for measure in measures:
                alone = np.flatnonzero(paired.lost(measure, first, second))
                if len(alone):
                    query = paired.queries["query_id"].iloc[alone[0]]
                    labels = sides[first].label, sides[second].label
                    yield (
                        f"{measure} in {paired.scores.mix}: {len(alone):,} of {len(paired.queries):,} queries, such as "
                        f"{query}, have a value in {labels[0]} and none in {labels[1]}; they are left out of the pair"
                    )


def _differences(paired: Paired, sides: Sequence[Side], plan: _Plan, measures: Sequence[str]) -> list[Difference]:
    queries = paired.queries
    cell = pd.factorize(pd.MultiIndex.from_frame(queries[["pool", "lang"]]))[0]
    group = pd.factorize(queries["group"])[0]
    rows: list[Difference] = []
    samples: list[Sample] = []
    for first, second in plan.pairs:
        for measure in measures:
            a, b = (paired.values[i][measure].to_numpy(np.float64) for i in (first, second))
            known = ~(np.isnan(a) | np.isnan(b))
            for part in paired.parts(plan.by):
                kept = part.rows & known
                if kept.any():
                    difference = b[kept] - a[kept]
                    difference[np.abs(difference) < TIE] = 0
                    sample = Sample(difference, cell[kept], group[kept])
                    samples.append(sample)
                    labels = sides[first].label, sides[second].label
                    rows.append(_difference(paired, part, measure, labels, (a[kept], b[kept]), sample))
    estimates = estimate(samples, level=plan.level, draws=plan.permutations, seed=plan.seed)
    return [
        replace(row, low=found.interval.low, high=found.interval.high, p=found.p)
        for row, found in zip(rows, estimates, strict=True)
    ]


def _difference(
    paired: Paired, part: Part, measure: str, labels: tuple[str, str], scores: tuple[np.ndarray, np.ndarray], sample: Sample
) -> Difference:
    counts = win_tie_loss(sample.difference * (_sign(measure) or 1))
    setting, weight = paired.scores, sample.weight
    return Difference(
        *labels,
        collection=setting.collection,
        setting=setting.setting,
        mix=setting.mix,
        scope=part.scope,
        name=part.name,
        measure=measure,
        direction=direction(measure).value,
        first_mean=float(weight @ scores[0]),
        second_mean=float(weight @ scores[1]),
        difference=float(weight @ sample.difference),
        low=math.nan,
        high=math.nan,
        p=math.nan,
        p_t=paired_t(sample.difference, sample.group, weight).p_value,
        effect=effect_size(sample.difference, weight),
        win=counts.win,
        tie=counts.tie,
        loss=counts.loss,
        queries=len(sample.difference),
        groups=len(np.unique(sample.group)),
        excluded=int(part.rows.sum()) - len(sample.difference),
    )


def _adjusted(rows: list[Difference]) -> list[Difference]:
    """Adjust over all rows, and say what is significant."""
    adjusted = []
    for row, p in zip(rows, holm(np.array([row.p for row in rows])), strict=True):
        stars = next((mark for limit, mark in STARS if p < limit), "")
        better = None
        if stars and row.direction != Direction.NONE.value:
            better = row.second if (row.difference > 0) == (row.direction == Direction.HIGHER.value) else row.first
        adjusted.append(replace(row, p_holm=float(p), stars=stars, better=better))
    return adjusted
