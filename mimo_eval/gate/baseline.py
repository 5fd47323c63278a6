"""A baseline is a result, kept small: what the gate tests, per query and compressed, with a table that diffs well beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from mimo_eval.comparison.pairing import KEYS, Side, main_measure, measures_of
from mimo_eval.comparison.stored import locate
from mimo_eval.errors import DataError, MissingBaselineError
from mimo_eval.files import atomic_write
from mimo_eval.gate.policy import Policy
from mimo_eval.results import FILE, PoolScores, Result, SettingScores, read_queries, read_result, write_result

SUMMARY = "summary.tsv"


def find_baseline(path: Path) -> Path:
    """Return the JSON file of a baseline.

    :param path: the file, its folder, or a folder further up that holds one baseline only.
    :return: the file; it exists.
    :raises MissingBaselineError: if there is none; the message says how to make one.
    """
    found = None
    if path.exists():
        try:
            found = locate(path, single=True)
        except DataError as error:
            if any(path.rglob(FILE)):  # several
                raise
            raise MissingBaselineError(f"{path}: no baseline here; {HOW.format(path=path)}") from error
    if found is None or not found.exists():
        raise MissingBaselineError(f"{path}: there is no baseline; {HOW.format(path=path)}")
    return found


def refuse_lacking(measures: Sequence[str], baseline: Side, result: Side) -> None:
    """Refuse to test what a baseline or a result was not evaluated with.

    :param measures: what will be tested.
    :param baseline: the baseline.
    :param result: the result.
    :raises DataError: naming the file, the measures and how to have them there.
    """
    if lacking := _lacking(measures, baseline.result):
        raise DataError(
            f"{baseline.path}: the baseline has no {', '.join(lacking)}, which the policy names; make it again from a result "
            f"that you trust and that has: mimo-eval check RESULT --baseline {baseline.path.parent} --policy POLICY --update"
        )
    if lacking := _lacking(measures, result.result):
        raise DataError(
            f"{result.path}: was not evaluated with {', '.join(lacking)}, which is tested; run it again with "
            f"--measures '{' '.join(measures)}', or change the policy"
        )


HOW = "make one by hand from a result that you trust: mimo-eval check RESULT --baseline {path} --update"


def write_baseline(path: Path, folder: Path, policy: Policy) -> Path:
    """Make a baseline of a result.

    :param path: the result.
    :param folder: the baseline's folder; an older baseline in it is replaced, other files are left.
    :param policy: the policy that it will serve: its measures are kept, and the main measure of each setting.
    :return: the JSON file.
    :raises DataError: if the result cannot be read, lacks a measure, or the folder holds a file of that name that is no result.
    """
    source = locate(path)
    result, queries = read_result(source), read_queries(source)
    if (folder / FILE).exists():
        read_result(folder / FILE)
    kept = _kept(result, policy, source)
    small = queries[[*KEYS, *(m for m in kept if m in queries)]]
    slim = result.model_copy(update={"settings": [_setting(s, kept) for s in result.settings], "geometry": {}})
    written = write_result(folder, slim, small)
    with atomic_write(folder / SUMMARY, "w") as stream:
        summary(slim).to_csv(stream, sep="\t", index=False, float_format="%.4f", lineterminator="\n")
    return written


def summary(result: Result) -> pd.DataFrame:
    """Return the means of a result, one row per setting, query language and measure.

    :param result: the result.
    :return: columns collection, setting, mix, language (`all` for the setting's own mean), measure, score.
    """
    rows = []
    for s in result.settings:
        place = {"collection": s.collection, "setting": s.setting, "mix": s.mix}
        rows += [{**place, "language": "all", "measure": m, "score": v} for m, v in s.scores.items() if v is not None]
        cells = pd.DataFrame(
            [(lang, m, v) for pool in s.pools for lang, of in pool.scores.items() for m, v in of.items()],
            columns=["language", "measure", "score"],
        ).dropna()
        means = cells.groupby(["language", "measure"], sort=True)["score"].mean().reset_index()
        rows += [{**place, "language": row.language, "measure": row.measure, "score": row.score} for row in means.itertuples()]
    return pd.DataFrame(rows)


def _kept(result: Result, policy: Policy, source: Path) -> list[str]:
    if lacking := _lacking(policy.named(), result):
        raise DataError(f"{source}: was not evaluated with {', '.join(lacking)}; run it with --measures, or change the policy")
    return list(dict.fromkeys([*policy.named(), *(main_measure(result, s) for s in result.settings)]))


def _lacking(measures: Iterable[str], result: Result) -> list[str]:
    known = set(measures_of(result))
    return [measure for measure in measures if measure not in known]


def _setting(setting: SettingScores, kept: Iterable[str]) -> SettingScores:
    names = set(kept)
    table = {q: {d: _only(cell, names) for d, cell in row.items()} for q, row in setting.table.items()}
    update = {name: _only(getattr(setting, name), names) for name in ("scores", "chance", "excluded", "left_out")}
    return setting.model_copy(update={**update, "table": table, "pools": [_pool(p, names) for p in setting.pools]})


def _pool(pool: PoolScores, names: set[str]) -> PoolScores:
    update = {name: _only(getattr(pool, name), names) for name in ("excluded", "left_out", "chance")}
    scores = {lang: _only(of, names) for lang, of in pool.scores.items()}
    return pool.model_copy(update={**update, "scores": scores, "composition": {}})


def _only(mapping: dict, names: set[str]) -> dict:  # type: ignore[type-arg]
    return {name: value for name, value in mapping.items() if name in names}
