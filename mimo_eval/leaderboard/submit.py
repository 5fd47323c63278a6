"""A result checked, and made ready to be added to a board by a pull request."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimo_eval import benchmark as benchmarks
from mimo_eval.comparison.pairing import KEYS, Side, locate, pair
from mimo_eval.comparison.report import ALSO
from mimo_eval.errors import DataError
from mimo_eval.files import atomic_write, write_json
from mimo_eval.leaderboard import entries, text
from mimo_eval.leaderboard.entries import CARD, ModelCard, Source
from mimo_eval.leaderboard.tables import number
from mimo_eval.models.loading import BUILTIN
from mimo_eval.results import (
    Result,
    SettingScores,
    read_queries,
    read_result,
    require_exact,
    result_folder,
    result_key,
    write_result,
)
from mimo_eval.specs import parse_spec

LEARNED = ("dense", "sparse", "late interaction", "rerank", "api")
"""Kinds of model that may put something before a text."""


class Submission(NamedTuple):
    """What was prepared."""

    folder: Path
    """The result's folder inside the submission."""
    description: Path
    """Text for the pull request."""
    warnings: list[str]
    """What a maintainer should look at."""


def submit(path: Path, output: Path, card: ModelCard, *, board: Sequence[Path] = ()) -> Submission:
    """Validate a result and write the folder of its pull request; nothing is written if it is not valid.

    :param path: the JSON file, its folder, or a folder further up that holds one result only.
    :param output: where the submission goes, such as `leaderboards/xquad-r`: the result below `results/`, the text beside it.
    :param card: what the result does not say of the model.
    :param board: results that are there already; their data and protocol must be the same.
    :return: what was written, and what is doubtful.
    :raises DataError: naming everything that is wrong.
    """
    file = locate(path)
    source = Source(file, read_result(file), card)
    queries = read_queries(file)
    faults = [*_check(source, queries), *_against(source, board)]
    if faults:
        raise DataError("\n".join([f"{file}: cannot be submitted:", *(f"  {fault}" for fault in faults)]))
    result = source.result
    folder = result_folder(output, "results", str(result.model["name"]), result.key)
    write_result(folder, result, slim(result, queries))
    write_json(folder / CARD, {k: v for k, v in card.model_dump().items() if v not in ("", None)})
    warnings = list(_doubts(source))
    description = output / "PULL_REQUEST.md"
    with atomic_write(description, "w") as stream:
        stream.write(_description(source, folder, warnings))
    return Submission(folder, description, warnings)


def slim(result: Result, queries: pd.DataFrame) -> pd.DataFrame:
    """Return the per-query scores that a board needs: those it tests, so that a repository can hold many results.

    :param result: the result.
    :param queries: all per-query scores.
    :return: the keys, and the main measures and LPR as float32.
    """
    measures = [m for m in dict.fromkeys([*(s.main for s in result.settings), ALSO]) if m in queries]
    keys = queries[KEYS].astype("category")
    return pd.concat([keys, queries[measures].astype(np.float32)], axis=1)


def _check(source: Source, queries: pd.DataFrame) -> Iterator[str]:
    """Yield what is wrong with a result by itself."""
    result = source.result
    try:
        entries.read_sources([source.path])
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


def _against(source: Source, board: Sequence[Path]) -> Iterator[str]:
    """Yield in what a result differs from those of the board; equal data and protocol are what a ranking needs."""
    present = entries.read_sources(board) if board else []
    here = [entries.protocol(s.result) for s in present if s.result.benchmark["name"] == source.result.benchmark["name"]]
    if here and entries.protocol(source.result) not in here:
        for difference in entries.differences(here[-1], entries.protocol(source.result)):
            yield f"unlike the board, {difference}"


def _doubts(source: Source) -> Iterator[str]:
    """Yield what is allowed but deserves a look."""
    result = source.result
    if not result.fingerprints:
        yield "the model has no fingerprint: nothing ties the result to its weights"
    if not entries.described(source)["licence"]:
        yield "no licence is stated (--licence)"
    if not source.card.link:
        yield "no address is stated (--link)"
    if result.model.get("source") == "folder" and not source.card.link:
        yield "the model was read from a folder: others cannot evaluate it again"
    for setting in result.settings:
        cells = [v for p in setting.pools for s in p.scores.values() if (v := s.get(setting.main)) is not None]
        if cells and max(cells) == 0:
            yield f"{setting.mix}: every score is 0"


def _description(source: Source, folder: Path, warnings: Sequence[str]) -> str:
    result, about = source.result, entries.described(source)
    lines = [f"# Add {text.markdown(source.name)} to the {text.markdown(text.name(result.benchmark['name']))} board", ""]
    lines += ["| setting | measure | score |", "|:--|:--|--:|"]
    for s in result.settings:
        shown = text.markdown(text.name(s.mix)), text.markdown(text.name(s.main))
        lines.append(f"| {shown[0]} | {shown[1]} | {number(s.scores.get(s.main))} |")
    facts = {
        "result": folder.name,
        "data": ", ".join(f"{text.name(c['name'])}@{text.name(c['revision'])[:16]}" for c in result.collections),
        "licence": about["licence"] or "not stated",
        "address": about["link"] or "not stated",
        "prompts": json.dumps(about["prompts"], ensure_ascii=False) if about["prompts"] else "none",
    }
    lines += ["", *(f"- {key}: {text.markdown(value)}" for key, value in facts.items())]
    lines += [
        "",
        "Checked: schema, key, benchmark, every setting complete, means equal to per-query scores, prompts declared.",
    ]
    if warnings:
        lines += ["", "To look at:", "", *(f"- {text.markdown(text.name(warning))}" for warning in warnings)]
    return "\n".join(lines) + "\n"
