"""Results made comparable: read, refused where data or protocol differ, and their queries put side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimo_eval.comparison.stored import SEARCH, Stored, differs, labels, locate, protocol
from mimo_eval.errors import DataError
from mimo_eval.results import FILE, QUERIES, Result, SettingScores, read_queries, read_result

KEYS = ["collection", "setting", "mix", "pool", "query_id", "lang", "group"]
SCOPES = {"setting": "", "language": "lang", "corpus": "pool"}
"""How far down differences are compared, each with those before it: scope to the column that it divides by."""
SHOWN = 8
"""Most differing parts that a refusal names."""


@dataclass(frozen=True)
class Side:
    """One of the results that are compared."""

    label: str
    """The model's name, with a number where two results have the same."""
    path: Path
    result: Result
    queries: pd.DataFrame
    """Per-query scores, setting by setting in the order of the result."""

    @property
    def measures(self) -> list[str]:
        """Every measure that was asked for, whether or not it could be computed."""
        return measures_of(self.result)


def measures_of(result: Result) -> list[str]:
    """Return every measure that was asked for, whether or not it could be computed."""
    return list(dict.fromkeys(name for s in result.settings for name in (*s.scores, *s.left_out)))


def main_measure(result: Result, setting: SettingScores) -> str:
    """Return the measure to sort a setting by: its main one, or the result's first if the benchmark's own were replaced."""
    known = measures_of(result)
    return setting.main if setting.main in known or not known else known[0]


class Part(NamedTuple):
    """Some of a setting's queries."""

    scope: str
    name: str
    """The language or corpus; empty for the whole setting."""
    rows: np.ndarray
    """(n,) bool."""


@dataclass(frozen=True)
class Paired:
    """One setting: the queries that were asked, and what every result scored on them."""

    number: int
    """Its place in the results."""
    scores: SettingScores
    """Of the first result."""
    queries: pd.DataFrame
    """(n rows) pool, query_id, lang, group."""
    values: tuple[pd.DataFrame, ...]
    """(n rows) per result, in the same order of queries; one column per measure."""

    def lost(self, measure: str, first: int, second: int) -> np.ndarray:
        """Find the queries that one result has a value for and another has not.

        :param measure: the measure.
        :param first: number of the result that has one.
        :param second: number of the result that lacks it.
        :return: (n,) bool.
        """
        known = [self.values[i][measure].notna().to_numpy() for i in (first, second)]
        return np.asarray(known[0] & ~known[1])

    def parts(self, by: str) -> Iterator[Part]:
        """Yield the setting, its query languages and its corpora; none that has the same queries as one before it.

        :param by: the last of SCOPES.
        :return: the parts.
        """
        parts = [Part("setting", "", np.ones(len(self.queries), bool))]
        for scope in list(SCOPES)[1 : list(SCOPES).index(by) + 1]:
            column = self.queries[SCOPES[scope]].to_numpy()
            parts += [Part(scope, name, column == name) for name in sorted(set(column.tolist()))]
        seen: dict[bytes, Part] = {}
        for part in parts:
            seen.setdefault(part.rows.tobytes(), part)
        yield from seen.values()


def read_sides(paths: Sequence[Path]) -> list[Side]:
    """Read results that are to be compared.

    :param paths: `result.json`, its folder, or a folder further up that holds results of one model: the newest is taken.
    :return: one side per result.
    :raises DataError: if one is missing or not a result, or if data or protocol differ; the message names the parts.
    """
    found = [locate(path) for path in paths]
    results = [read_result(path) for path in found]
    names = labels(results)
    parts = [protocol(path, result) for path, result in zip(found, results, strict=True)]
    for i in range(1, len(parts)):
        _refuse(f"{names[0]} ({found[0]}) and {names[i]} ({found[i]})", parts[0], parts[i])
    return [Side(name, path, result, read_queries(path)) for name, path, result in zip(names, found, results, strict=True)]


def notes(sides: Sequence[Side]) -> list[str]:
    """Return what differs from the first result without forbidding the comparison."""
    first, said = sides[0], list(_namesakes(sides))
    for side in sides[1:]:
        for role in ("query", "document"):
            pair = [s.result.fingerprints.get(role, {}).get("prompt") for s in (first, side)]
            if None not in pair and pair[0] != pair[1]:
                said.append(f"{role} prompts differ: {pair[0]!r} ({first.label}) and {pair[1]!r} ({side.label})")
        pair = [s.result.environment.get("versions", {}).get("mimo-eval") for s in (first, side)]
        if pair[0] != pair[1]:
            said.append(f"versions of mimo-eval differ: {pair[0]} ({first.label}) and {pair[1]} ({side.label})")
    return said


def _namesakes(sides: Sequence[Side]) -> Iterator[str]:
    """Tell results apart whose models have one name, each from the first of them."""
    first: dict[str, Side] = {}
    for side in sides:
        before = first.setdefault(side.result.label, side)
        if before.path != side.path:
            two = [Stored(s.path, s.result, s.result.created) for s in (before, side)]
            apart = " and ".join(f"{s.label} ({t.described()})" for s, t in zip((before, side), two, strict=True))
            yield f"two results of one name: {apart}; the second {differs(*two)}"


def pair(sides: Sequence[Side], measures: Sequence[str]) -> Iterator[Paired]:
    """Put the results' queries side by side.

    :param sides: results of the same data and protocol.
    :param measures: the measures to keep, where a setting has them.
    :return: one record per setting that asked queries.
    :raises DataError: if per-query scores do not belong to their result, or a query is in one result only.
    """
    for number, parts in enumerate(zip(*(_slices(side, measures) for side in sides), strict=True)):
        scores = sides[0].result.settings[number]
        if not len(parts[0]):
            continue
        ids = [pd.MultiIndex.from_frame(part[["pool", "query_id"]].astype(str)) for part in parts]
        order = [_order(scores.mix, ids[0], other, (sides[0], side)) for other, side in zip(ids, sides, strict=True)]
        yield Paired(
            number,
            scores,
            parts[0][["pool", "query_id", "lang", "group"]].astype(str).reset_index(drop=True),
            tuple(part.drop(columns=KEYS).iloc[rows].reset_index(drop=True) for part, rows in zip(parts, order, strict=True)),
        )


def _refuse(who: str, first: dict[str, str], second: dict[str, str]) -> None:
    # what only one has (a language, a mix) stands in a part that both have: the list of languages, of mixes
    names = [name for name in first if name in second and first[name] != second[name]]
    if names:
        lines = [f"  {name}: {first[name]} and {second[name]}" for name in names[:SHOWN]]
        lines += [f"  and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
        lines += ["evaluate both with the same --index, or both without"] if SEARCH in names else []
        raise DataError("\n".join([f"{who} cannot be compared; they differ in", *lines]))


def _slices(side: Side, measures: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Cut the per-query scores into settings, and check against the result that they are its own."""
    file = side.path.parent / QUERIES
    foreign = DataError(f"{file} does not belong to the {FILE} beside it; run the evaluation again")
    start = 0
    for setting in side.result.settings:
        rows = sum(sum(pool.queries.values()) for pool in setting.pools)
        stored = {name: score for name in measures if (score := setting.scores.get(name)) is not None}
        kept = list(stored)
        if not {*KEYS, *kept} <= set(side.queries.columns):
            raise foreign
        part = side.queries.iloc[start : start + rows][[*KEYS, *kept]]
        start += rows
        same = all((part[key] == value).all() for key, value in _names(setting).items())
        means = part.groupby(["pool", "lang"], observed=True)[kept].mean().mean()
        if len(part) != rows or not same or not np.allclose(list(stored.values()), means, rtol=1e-6):
            raise foreign
        yield part
    if start != len(side.queries):
        raise foreign


def _names(setting: SettingScores) -> dict[str, str]:
    return {"collection": setting.collection, "setting": setting.setting, "mix": setting.mix}


def _order(mix: str, first: pd.MultiIndex, other: pd.MultiIndex, sides: tuple[Side, Side]) -> np.ndarray:
    """Return the rows of `other` in the order of `first`."""
    for mine, theirs, side in ((first, other, sides[0]), (other, first, sides[1])):
        if mine.has_duplicates:
            pool, query = mine[mine.duplicated()][0]
            raise DataError(f"{side.path.parent / QUERIES}: {mix}: query {query} stands twice in corpus '{pool}'")
        alone = mine[~mine.isin(theirs)]
        if len(alone):
            where = f" of corpus {alone[0][0]}" if alone[0][0] else ""
            more = f", and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise DataError(f"{mix}: query {alone[0][1]}{where} is only in {side.label} ({side.path}){more}")
    return np.asarray(other.get_indexer(first))
