"""What a board asks of a result: nothing missing, nothing edited, the whole benchmark, its prompts declared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mimo_eval import benchmark as benchmarks
from mimo_eval.comparison.pairing import Side, pair
from mimo_eval.errors import DataError
from mimo_eval.leaderboard import entries, text
from mimo_eval.leaderboard.entries import Source
from mimo_eval.models.loading import BUILTIN
from mimo_eval.results import Result, SettingScores, require_exact, result_key
from mimo_eval.specs import parse_spec

LEARNED = ("dense", "sparse", "late interaction", "rerank", "api")
"""Kinds of model that may put something before a text."""

KEY = re.compile(r"[0-9a-f]{12,64}")
"""Of a result: a hash in hexadecimal digits."""


def faults(source: Source, queries: pd.DataFrame) -> Iterator[str]:
    """Yield what is wrong with a result by itself.

    :param source: the result.
    :param queries: its per-query scores.
    :return: one sentence per fault; none if it can stand on a board.
    """
    result = source.result
    if not str(result.model.get("name") or "").strip():
        yield "model: it has no name"
        return
    if not KEY.fullmatch(result.key):  # names a folder
        yield "key: it is no hash"
        return
    try:
        entries.require_settings(source)
    except DataError as error:
        yield str(error)
        return
    try:
        require_exact(result, "a board")
    except DataError as error:
        yield f"search: {error}"
    yield from _known_benchmark(result)
    yield from _honest_key(result)
    yield from _complete(result)
    yield from _own_queries(source, queries)
    yield from _declared_prompts(source)
    if source.card.link and not text.link(source.card.link):
        yield "link: not an http(s) address"


def _known_benchmark(result: Result) -> Iterator[str]:
    """Check that the benchmark is the packaged one of its name, not a variant under the same name."""
    name = str(result.benchmark["name"])
    known = benchmarks.names().get(name)
    if known is None:
        yield f"benchmark: {text.name(name)} does not come with mimo-eval; known: {', '.join(benchmarks.names())}"
        return
    expected = benchmarks.read_benchmark(known).model_dump(mode="json")
    for field in ("tasks", "depth"):
        if result.benchmark.get(field) != expected[field]:
            yield f"benchmark: {field} is not that of {name}; evaluate without --mix, --languages and --depth"
    lacking = [m for m in expected["measures"] if m not in result.benchmark.get("measures", ())]
    if lacking:
        yield f"benchmark: measures are missing: {', '.join(lacking)}; evaluate without --measures"


def _honest_key(result: Result) -> Iterator[str]:
    """Check the key, which covers version, model, benchmark and data; a model without fingerprint has none to check."""
    if not result.fingerprints:
        return
    content = {key: value for key, value in result.benchmark.items() if key not in ("title", "source", "protocol")}
    parts = {
        "version": result.environment.get("versions", {}).get("mimo-eval"),
        "model": [result.model.get("name"), result.fingerprints],
        "benchmark": content,
        "data": [collection.get("revision") for collection in result.collections],
        **({"index": result.index} if result.index else {}),
    }
    if result_key(parts) != result.key:
        yield "key: it does not belong to this model, benchmark, data and version; the file was edited"


def _complete(result: Result) -> Iterator[str]:
    for setting in result.settings:
        where = f"{setting.collection} {setting.mix}"
        if setting.scores.get(setting.main) is None:
            yield f"{where}: no {setting.main}"
        asked = [lang for pool in setting.pools for lang in pool.queries if lang not in pool.scores]
        if asked:
            yield f"{where}: no scores for queries in {', '.join(sorted(set(asked)))}"
        for measure, value in setting.scores.items():
            if value is not None and not math.isfinite(value):
                yield f"{where}: {measure} is {value}"
        yield from _means(where, setting)


def _means(where: str, setting: SettingScores) -> Iterator[str]:
    """Check that a setting's score is the mean of its cells."""
    for measure, stored in setting.scores.items():
        cells = [v for pool in setting.pools for row in pool.scores.values() if (v := row.get(measure)) is not None]
        found = float(np.mean(cells)) if cells else None
        same = found == stored if found is None or stored is None else math.isclose(found, stored, rel_tol=1e-6, abs_tol=1e-9)
        if not same:
            yield f"{where}: {measure} is {stored} and not {found}, the mean of its cells; the file was edited"


def _own_queries(source: Source, queries: pd.DataFrame) -> Iterator[str]:
    """Check that the per-query scores give the result's means."""
    side = Side("", source.path, source.result, queries)
    try:
        for _ in pair([side], [m for m in side.measures if m in queries]):
            pass
    except DataError as error:
        yield str(error)


def _declared_prompts(source: Source) -> Iterator[str]:
    """Check that a learned model says what it puts before queries and documents, once and the same everywhere."""
    result = source.result
    stated = result.model.get("prompts")
    for role, fingerprint in result.fingerprints.items():
        if isinstance(stated, dict) and (fingerprint.get("prompt") or "") != (stated.get(role) or ""):
            yield f"prompts: the {role} prompt of the model's description is not that of its vectors; the file was edited"
    silent = not isinstance(stated, dict) and not source.card.prompts
    if silent and str(result.model.get("kind", "")) in (*LEARNED, "") and not _builtin(str(result.model.get("name", ""))):
        yield "prompts: the model does not say what it puts before queries and documents; declare it with --prompts, or 'none'"


def _builtin(name: str) -> bool:
    try:
        return parse_spec(name).name in BUILTIN
    except Exception:  # a name that is no spec is not one of ours
        return False


def _all_known(name: str) -> bool:
    """Say whether a model, and every model that it is made of, comes with this package by name."""
    return _builtin(name) and all(_all_known(str(argument)) for argument in parse_spec(name).args)


def unlike(source: Source, present: Sequence[Source]) -> Iterator[str]:
    """Yield in what a result differs from those of a board; equal data and protocol are what a ranking needs.

    :param source: the result.
    :param present: the board's results; those of other benchmarks do not count.
    :return: one sentence per difference.
    """
    here = [entries.protocol(s.result) for s in present if s.result.benchmark["name"] == source.result.benchmark["name"]]
    if here and entries.protocol(source.result) not in here:
        for difference in entries.differences(here[-1], entries.protocol(source.result)):
            yield f"unlike the board, {difference}"


def doubts(source: Source) -> Iterator[str]:
    """Yield what is allowed but deserves a look.

    :param source: the result.
    :return: one sentence per doubt.
    """
    result = source.result
    if not result.fingerprints:
        yield "the model has no fingerprint: nothing ties the result to its weights"
    if not entries.described(source)["licence"]:
        yield "no licence is stated (--licence)"
    alone = not source.card.link and not _all_known(str(result.model.get("name", "")))
    if alone:
        yield "no address is stated (--link)"
    if alone and result.model.get("source") == "folder":
        yield "the model was read from a folder: others cannot evaluate it again"
    for setting in result.settings:
        cells = [v for p in setting.pools for s in p.scores.values() if (v := s.get(setting.main)) is not None]
        if cells and max(cells) == 0:
            yield f"{setting.mix}: every score is 0"
