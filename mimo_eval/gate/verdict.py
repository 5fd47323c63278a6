"""Result and baseline -> Verdict: which drops are beyond the tolerance and significant, which limits are not kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.comparison.pairing import Side, main_measure, notes, pair, read_sides
from mimo_eval.comparison.report import Difference, compare
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.gate.baseline import find_baseline, refuse_lacking
from mimo_eval.gate.policy import Floor, Policy, Rule
from mimo_eval.results import Result
from mimo_eval.statistics import holm


@dataclass(frozen=True)
class Tested:
    """One measure on some queries, against the baseline."""

    collection: str
    setting: str
    mix: str
    scope: str
    """`setting`, `language` (of the queries) or `corpus` (one of the mix)."""
    name: str
    """The language or the corpus; empty for a whole setting."""
    measure: str
    better: str
    """`higher` or `lower`."""
    baseline: float
    result: float
    drop: float
    """How much worse the result is, in the measure's own unit; negative where it is better."""
    low: float
    """Lower end of the 95 % bootstrap interval of the drop; nan if all queries are of one group."""
    high: float
    tolerance: float
    p: float
    """One-sided, of the permutation test of whole query groups, before Holm."""
    p_holm: float
    """Adjusted for all tests of the check."""
    failed: bool
    """Whether the drop is larger than the tolerance and p_holm below alpha."""
    queries: int
    groups: int

    @property
    def place(self) -> str:
        """Where it was tested, in words."""
        return " ".join(part for part in (self.collection, self.mix, self.name) if part)


@dataclass(frozen=True)
class Kept:
    """A floor, a time or the values of queries that had to be kept."""

    what: str
    """In words: measure and place, or phase."""
    value: float
    limit: str
    failed: bool


@dataclass(frozen=True)
class Verdict:
    """What a check found."""

    model: str
    benchmark: str
    baseline: str
    """Path of the baseline."""
    result: str
    """Path of the result."""
    alpha: float
    tested: list[Tested]
    kept: list[Kept]
    notes: list[str]
    """What differs without forbidding the comparison."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """What failed, one line each."""
        lines = [
            f"{row.measure} in {row.place}: {row.baseline:.4f} → {row.result:.4f}, worse by {row.drop:.4f} "
            f"(tolerance {row.tolerance:g}), p {row.p_holm:.2g}"
            for row in self.tested
            if row.failed
        ]
        return lines + [f"{row.what}: {row.value:.4g}, must be {row.limit}" for row in self.kept if row.failed]

    def document(self) -> dict[str, Any]:
        """Return the verdict as JSON can hold it; what is not finite is null."""
        content = {"passed": self.passed, "failures": self.failures, **asdict(self)}
        for row in (*content["tested"], *content["kept"]):
            row.update({k: None for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)})
        return content


def check(result: str | Path, baseline: str | Path, policy: Policy | None = None) -> Verdict:
    """Hold a result against a baseline.

    :param result: a result: folder or JSON file.
    :param baseline: a baseline, or a result that serves as one.
    :param policy: what is forbidden; the defaults if None.
    :return: the verdict.
    :raises MissingBaselineError: if there is no baseline.
    :raises DataError: if the two cannot be compared: other data, languages, prompts, mixes or depth, a measure that one of
        them lacks, or a score that the baseline has and the result lacks; the message names what differs.
    :raises ConfigError: if the policy names a measure without saying which way is better, or a place that does not exist, or
        if nothing could ever fail by it.
    """
    policy = policy or Policy()
    sides = read_sides([find_baseline(Path(baseline)), Path(result)])
    if policy.prompts == "same":
        _same_prompts(sides)
    measures = _measures(sides, policy)
    refuse_lacking(measures, *sides)
    _nothing_lost(sides, measures)
    report = compare(
        [side.path for side in sides],
        measures=" ".join(measures),
        by=policy.by,
        permutations=policy.permutations,
        seed=policy.seed,
        moved=0,
    )
    rows = [(row, rule) for row in report.differences if not (rule := policy.rule(**_row(row))).ignore]
    mains = {(s.collection, s.mix): main_measure(sides[0].result, s) for s in sides[0].result.settings}
    rows = [
        (row, rule)
        for row, rule in rows
        if row.measure == rule.measure or row.measure in (policy.measures or [mains[row.collection, row.mix]])
    ]
    _all_rules_fit(policy, report.differences)
    powerless = list(_powerless([row for row, _ in rows], policy))
    after = sides[1].result
    return Verdict(
        model=str(after.model["name"]),
        benchmark=str(after.benchmark["name"]),
        baseline=str(sides[0].path),
        result=str(sides[1].path),
        alpha=policy.alpha,
        tested=_tested(rows, policy),
        kept=[*_lost(sides, measures, policy), *_floors(policy.floors, after), *_times(policy, sides)],
        notes=[*notes(sides), *_machines(policy, sides), *powerless, *report.notes[len(notes(sides)) :]],
    )


def _row(row: Difference) -> dict[str, str | None]:
    language = row.name if row.scope == "language" else None
    return {"collection": row.collection, "setting": row.setting, "mix": row.mix, "measure": row.measure, "language": language}


def _measures(sides: Sequence[Side], policy: Policy) -> list[str]:
    """Return what is compared: the policy's measures, else the main ones, and those that rules name."""
    mains = [main_measure(sides[0].result, s) for s in sides[0].result.settings]
    return list(dict.fromkeys([*(policy.measures or mains), *(r.measure for r in policy.rules if r.measure and not r.ignore)]))


def _tested(rows: Sequence[tuple[Difference, Rule]], policy: Policy) -> list[Tested]:
    """Test one-sided, and adjust over all rows."""
    worse = [_worse(row, rule) for row, rule in rows]
    p = np.array([_one_sided(row, sign, policy.permutations) for (row, _), sign in zip(rows, worse, strict=True)])
    return [
        _one(row, rule, sign, float(raw), float(adjusted), policy)
        for (row, rule), sign, raw, adjusted in zip(rows, worse, p, holm(p), strict=True)
    ]


def _one_sided(row: Difference, sign: int, permutations: int) -> float:
    """Return the chance of a drop as large if the two were exchangeable.

    Exchanging whole groups gives a symmetric distribution, so the two-sided p is twice the one on the side of the drop.
    """
    if row.difference == 0:
        return 1.0
    return max(row.p / 2 if sign * row.difference > 0 else 1 - row.p / 2, 1 / (permutations + 1))


def _one(row: Difference, rule: Rule, sign: int, p: float, adjusted: float, policy: Policy) -> Tested:
    drop, tolerance = sign * row.difference + 0.0, rule.tolerance or 0.0  # 0.0: no -0
    low, high = sorted((sign * row.low + 0.0, sign * row.high + 0.0)) if math.isfinite(row.low) else (math.nan, math.nan)
    return Tested(
        collection=row.collection,
        setting=row.setting,
        mix=row.mix,
        scope=row.scope,
        name=row.name,
        measure=row.measure,
        better="higher" if sign < 0 else "lower",
        baseline=row.first_mean,
        result=row.second_mean,
        drop=drop,
        low=low,
        high=high,
        tolerance=tolerance,
        p=p,
        p_holm=adjusted,
        failed=drop > tolerance and adjusted < policy.alpha,
        queries=row.queries,
        groups=row.groups,
    )


def _worse(row: Difference, rule: Rule) -> int:
    """Return 1 if a measure gets worse as it grows, -1 otherwise."""
    better = rule.better or row.direction
    if better not in ("higher", "lower"):
        raise ConfigError(
            f"{row.measure} does not say which way is better; add to the policy's rules: "
            f"{{measure: {row.measure}, better: higher}} or lower"
        )
    return 1 if better == "lower" else -1


def _same_prompts(sides: Sequence[Side]) -> None:
    before, after = (side.result.fingerprints for side in sides)
    for role in ("query", "document"):
        prompts = [found.get(role, {}).get("prompt") for found in (before, after)]
        if (prompts[0] or "") != (prompts[1] or ""):
            raise DataError(
                f"the {role} prompt was {prompts[0]!r} in the baseline and is {prompts[1]!r} now: other work, not a "
                "regression; give the same prompt, write a new baseline, or set `prompts: any` in the policy"
            )


def _nothing_lost(sides: Sequence[Side], measures: Sequence[str]) -> None:
    """Refuse a result without a score that the baseline has: what is missing cannot pass."""
    for old, new in zip(sides[0].result.settings, sides[1].result.settings, strict=True):
        pools = {pool.name: pool for pool in new.pools}
        for pool in old.pools:
            for lang, scores in pool.scores.items():
                for measure in measures:
                    after = pools[pool.name].scores.get(lang, {}).get(measure) if pool.name in pools else None
                    if scores.get(measure) is not None and after is None:
                        where = " ".join(part for part in (old.collection, old.mix, pool.name, lang) if part)
                        why = new.left_out.get(measure, "no query has a value")
                        raise DataError(f"{sides[1].path}: {measure} is missing in {where}, which the baseline has: {why}")


def _lost(sides: Sequence[Side], measures: Sequence[str], policy: Policy) -> Iterator[Kept]:
    """Count queries that lost their value: they are in no paired test, so a model could pass by failing where it was bad."""
    for paired in pair(sides, measures):
        scores, languages = paired.scores, paired.queries["lang"].to_numpy()
        place = {"collection": scores.collection, "setting": scores.setting, "mix": scores.mix}
        usual = policy.measures or (main_measure(sides[0].result, scores),)
        for measure in (m for m in measures if m in paired.values[0] and m in paired.values[1]):
            rules = {lang: policy.rule(measure=measure, language=lang, **place) for lang in set(languages)}
            meant = [lang for lang, rule in rules.items() if not rule.ignore and (measure in usual or rule.measure == measure)]
            asked = np.isin(languages, meant)
            lost = np.flatnonzero(paired.lost(measure, 0, 1) & asked)
            if len(lost):
                share = len(lost) / int(paired.values[0][measure].notna()[asked].sum())
                what = (
                    f"{measure} in {scores.collection} {scores.mix}: share of the baseline's queries that have no value now, "
                    f"{len(lost):,} in number, such as {paired.queries['query_id'].iloc[lost[0]]}"
                )
                yield Kept(what, share, f"at most {policy.lost:g}", share > policy.lost)


def _all_rules_fit(policy: Policy, rows: Sequence[Difference]) -> None:
    """Refuse a rule for a place that is not in the results: a misspelt exception would otherwise be none."""
    for rule in policy.rules:
        if not any(rule.fits(**_row(row)) for row in rows):  # type: ignore[arg-type]
            given = rule.model_dump(exclude_none=True, exclude={"tolerance", "better", "ignore"})
            raise ConfigError(f"the policy's rule for {given} fits nothing in these results (compared by {policy.by})")


def _powerless(rows: Sequence[Difference], policy: Policy) -> Iterator[str]:
    """Refuse a policy by which nothing can fail, and note rows that cannot: the smallest p, adjusted, is not below alpha."""
    tests = len(rows)
    if not (tests or policy.floors or policy.slower):
        raise ConfigError("the policy's rules leave nothing to test, and it has no floors and no times: it would pass anything")
    if tests >= policy.alpha * (policy.permutations + 1):
        raise ConfigError(
            f"{tests:,} tests: {policy.permutations:,} permutations give no p-value so small that it stays below alpha "
            f"{policy.alpha:g} when adjusted for all; set `permutations: {math.ceil(4 * tests / policy.alpha)}`, or test less"
        )
    few = [row for row in rows if tests * 0.5**row.groups >= policy.alpha]
    if few:
        yield (
            f"{len(few)} of {tests} tests cannot fail: {max(row.groups for row in few)} questions or fewer are too few for "
            f"significance among {tests}, whatever the drop; set floors there, or test less"
        )


def _floors(floors: Sequence[Floor], result: Result) -> Iterator[Kept]:
    for floor in floors:
        found = [
            (" ".join(part for part in (s.collection, s.mix, floor.language) if part), value)
            for s in result.settings
            if floor.fits(collection=s.collection, setting=s.setting, mix=s.mix, measure=floor.measure, language=floor.language)
            and (value := _score(s, floor)) is not None
        ]
        if not found:
            raise DataError(f"the policy's floor for {floor.model_dump(exclude_none=True)} fits no score of this result")
        for where, value in found:
            low = -math.inf if floor.at_least is None else floor.at_least
            high = math.inf if floor.at_most is None else floor.at_most
            limits = [f"at least {low:g}"] * (low > -math.inf) + [f"at most {high:g}"] * (high < math.inf)
            yield Kept(f"{floor.measure} in {where}", value, " and ".join(limits), not low <= value <= high)


def _score(setting: Any, floor: Floor) -> float | None:
    """Return a setting's mean, or that of a query language over its corpora."""
    if floor.language is None:
        score: float | None = setting.scores.get(floor.measure)
        return score
    cells = [pool.scores[floor.language].get(floor.measure) for pool in setting.pools if floor.language in pool.scores]
    values = [cell for cell in cells if cell is not None]
    return float(np.mean(values)) if values else None


def _times(policy: Policy, sides: Sequence[Side]) -> Iterator[Kept]:
    for phase, times in policy.slower.items():
        before, after = (_seconds(side, phase) for side in sides)
        yield Kept(f"{phase}: times the baseline's", after / before, f"at most {times:g}", after > times * before)


def _seconds(side: Side, phase: str) -> float:
    """Return seconds of a phase; of encoding per text."""
    seconds, texts = side.result.timings.get(phase), side.result.encoded.get("encoded", 0)
    if not seconds or (phase == "encode" and not texts):
        why = (
            "all vectors were read from the store" if phase == "encode" and seconds is not None else "that phase was not timed"
        )
        raise DataError(
            f"{side.path}: no time of '{phase}' to compare: {why}; run it again with an empty $MIMO_EVAL_CACHE and --again"
        )
    return seconds / texts if phase == "encode" else seconds


def _machines(policy: Policy, sides: Sequence[Side]) -> Iterator[str]:
    if policy.slower:
        described = [{k: side.result.environment.get(k) for k in ("platform", "cpus", "threads")} for side in sides]
        if described[0] != described[1]:
            yield f"times were taken on different machines: {described[0]} and {described[1]}"
