"""evaluate(model, benchmark) -> Result: the only place that ties the rooms together."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter, time
from typing import Any

import pandas as pd
from ir_measures.measures import Measure

from mimo_eval import __version__, environment, measures
from mimo_eval.asking import fingerprint
from mimo_eval.benchmark import DEFAULT_MEASURES, Benchmark, Task, changed, data_folder, load_benchmark
from mimo_eval.collections import Collection, load
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import inside, new_folder
from mimo_eval.mixing import Mix, all_pools
from mimo_eval.models.loading import Model, ModelOptions, classes, load_model, model_name
from mimo_eval.protocols import Combination, Derived, Encoder
from mimo_eval.results import (
    FILE,
    ApproximateSearch,
    Result,
    SettingScores,
    mark_asked,
    read_queries,
    read_result,
    result_folder,
    result_key,
    write_result,
)
from mimo_eval.runs import frames, write_qrels, write_run
from mimo_eval.scoring import average, score_pool
from mimo_eval.search.index_spec import IndexSpec
from mimo_eval.search.onepass import PoolRanking
from mimo_eval.shared import shared_store
from mimo_eval.systems import ROLES, Engine, Progress, Work, rankings

logger = logging.getLogger(__name__)
DAY = 86_400


@dataclass
class Outcome:
    """A result, where it lies, and whether it was there already."""

    result: Result
    folder: Path | None
    reused: bool


@dataclass
class _Run:
    """What accumulates while one model is evaluated."""

    model: Model
    work: Work
    settings: list[SettingScores] = field(default_factory=list)
    queries: list[pd.DataFrame] = field(default_factory=list)


def evaluate(
    model: str | Model | Sequence[str | Model],
    benchmark: str | Benchmark = "mini",
    *,
    languages: str | Sequence[str] | None = None,
    mixes: str | Sequence[str] | None = None,
    measures: str | Sequence[str] | None = None,
    depth: int | None = None,
    data: str | Path | None = None,
    output: str | Path | None = None,
    options: ModelOptions | None = None,
    index: str | None = None,
) -> pd.DataFrame:
    """Evaluate models on a benchmark.

    `run` evaluates one and returns all that is known of it, not its means alone.

    :param model: a name, folder, hub id, or an object with `encode`, or `index` and `search`; or several of them.
    :param benchmark: a name, a YAML file, or a Benchmark.
    :param languages: read these languages, instead of all that the benchmark reads; `"en,de"` or a sequence.
    :param mixes: which corpora are made, instead of the benchmark's: one mix, such as `"partition(seed=1)"`, or several.
    :param measures: instead of the benchmark's: `"nDCG@10 LPR"` or a sequence.
    :param depth: documents kept per query, from 1 to 100,000, instead of the benchmark's.
    :param data: folder with the collection's files, where it has any.
    :param output: folder for result files; none are written if None.
    :param options: device, dtype, batch size, prompts and so on.
    :param index: search encoders' vectors by this FAISS index, such as `HNSW32:efSearch=128`; exactly if None.
    :return: one row per model, collection and mix; one column per measure.
    :raises MimoEvalError: for a mistake in what was asked for or in files, with the remedy.
    """
    models: list[Any] = list(model) if isinstance(model, (list, tuple)) else [model]
    if not models:
        raise ConfigError("no model is given")
    whole = load_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
    chosen = changed(whole, languages=languages, mixes=mixes, measures=measures, depth=depth)
    outcomes = (run(m, chosen, data=data, output=output, options=options, index=index) for m in models)
    return pd.concat([outcome.result.frame() for outcome in outcomes], ignore_index=True)


def run(
    model: str | Model,
    benchmark: str | Benchmark = "mini",
    *,
    data: str | Path | None = None,
    output: str | Path | None = None,
    options: ModelOptions | None = None,
    progress: Progress | None = None,
    save_runs: bool = False,
    again: bool = False,
    engine: Engine | None = None,
    index: str | None = None,
) -> Outcome:
    """Evaluate one model; a result that is there already is read instead.

    :param model: as in `evaluate`.
    :param benchmark: what to evaluate it on; `load_benchmark` makes one with other languages, mixes, measures or depth.
    :param data: folder of the collections' files.
    :param output: folder for results; None writes nothing, neither scores per query.
    :param options: for models loaded by name.
    :param progress: told what goes on.
    :param save_runs: also write TREC runs and qrels of every corpus.
    :param again: evaluate even if the result is there.
    :param engine: what encodes; None for this process.
    :param index: as in `evaluate`.
    :return: the result and its folder.
    """
    start = perf_counter()
    benchmark = load_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
    approximate = IndexSpec.parse(index) if index is not None else None
    with tempfile.TemporaryDirectory(prefix="mimo-eval-") as temporary:
        work = Work(progress or Progress(), Path(temporary), benchmark.depth, engine=engine, index=approximate)
        state = _Run(load_model(model, options), work)
        if approximate and not _has_vectors(state.model):
            raise ConfigError(f"{model_name(state.model)} has no vectors that an index could hold; leave --index out")
        parsed = [m for text in benchmark.measures for m in measures.parse(text)]
        loaded = []
        with state.work.timed("load data"), work.progress.phase("read", len(benchmark.tasks), "collections") as advance:
            for task in benchmark.tasks:
                folder = data_folder(task, data, len(benchmark.tasks))
                loaded.append((task, load(task.collection, data=folder, languages=task.languages)))
                advance(1)
        collections = [collection for _, collection in loaded]
        key = _key(state.model, benchmark, collections, approximate)
        folder = result_folder(Path(output), benchmark.name, model_name(state.model), key) if output else None
        known = folder is not None and (folder / FILE).exists() and (not save_runs or (folder / "runs").is_dir())
        if folder and known and not again and hasattr(state.model, "fingerprint") and (before := _whole(folder)):
            mark_asked(folder)
            return Outcome(before, folder, reused=True)
        if folder:
            _refuse_unwritable(folder)
        runs = new_folder(folder, "runs.", ".partial") if folder and save_runs else None  # another process may write the same
        try:
            for task, collection in loaded:
                _evaluate_task(state, task, collection, benchmark, parsed, runs)
            state.work.timings["total"] = perf_counter() - start
            result = _result(state, benchmark, collections, key)
            if folder and runs:
                _place_runs(runs, folder / "runs")
        finally:
            if runs:
                shutil.rmtree(runs, ignore_errors=True)
    if folder:
        result.geometry = _kept_geometry(folder) if hasattr(state.model, "fingerprint") else {}
        write_result(folder, result, pd.concat(state.queries, ignore_index=True))
    shared_store().settle(needed=False)  # the result does not depend on it
    return Outcome(result, folder, reused=False)


def _whole(folder: Path) -> Result | None:
    """Return the result in a folder; None if it or what lies beside it is damaged."""
    try:
        read_queries(folder, strict=True)
        return read_result(folder, strict=True)
    except DataError as error:
        logger.warning("%s; it is evaluated again", error)
        return None


def _kept_geometry(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the geometry in an earlier result of the same vectors, as its key says; none if it is missing or damaged."""
    try:
        return read_result(folder).geometry
    except DataError:
        return {}


def _refuse_unwritable(folder: Path) -> None:
    """Find out before the work whether its result can be written; what runs a killed evaluation left a day ago is removed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for left in folder.glob("runs.*partial"):
            if time() - left.stat().st_mtime > DAY:
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise ConfigError(f"{folder}: results cannot be written ({error.strerror}); choose another folder with -o") from error


def _place_runs(made: Path, runs: Path) -> None:
    """Put finished runs in the place of earlier ones; of two processes at once the first one's stay, which are the same."""
    shutil.rmtree(runs, ignore_errors=True)
    try:
        made.rename(runs)
    except OSError:
        if not runs.is_dir():
            raise


def _has_vectors(model: Model) -> bool:
    """Say whether an index may search for a model, or for one that it is made of."""
    return any(map(_has_vectors, model.bases)) if isinstance(model, Combination) else isinstance(model, Encoder)


def _key(model: Model, benchmark: Benchmark, collections: list[Collection], index: IndexSpec | None) -> str:
    return result_key(
        {
            "version": __version__,
            "model": [model_name(model), _identity(model) or classes(model)],
            "benchmark": benchmark.model_dump(mode="json", exclude={"title", "source", "protocol"}),
            "data": [collection.revision for collection in collections],
            **({"index": str(index)} if index else {}),
        }
    )


def _identity(model: Model) -> dict[str, Any]:
    """Return what a model's fingerprints say; empty for a model without, whose results are never taken for known."""
    if not hasattr(model, "fingerprint"):
        return {}
    if isinstance(model, (Encoder, Derived)):
        return {role: fingerprint(model, model_name(model), role) for role in ROLES}
    return {"retriever": fingerprint(model, model_name(model))}


def _evaluate_task(
    state: _Run, task: Task, collection: Collection, benchmark: Benchmark, parsed: list[Measure], save: Path | None
) -> None:
    mixes = [Mix.parse(text) for text in task.mixes]
    made = {mix: all_pools(collection, mix) for mix in mixes}
    every = [pool for mix in mixes for pool in made[mix] if len(pool.queries)]
    if not every:
        raise DataError(f"{collection.name}: no query has a relevant document in any of: {', '.join(task.mixes)}")
    ranked = rankings(state.model, collection, every, state.work)
    with state.work.progress.phase(f"score {collection.name}", len(every), "corpora") as advance:
        for mix in mixes:
            scored = []
            for _ in filter(lambda pool: len(pool.queries), made[mix]):
                found = next(ranked)
                with state.work.timed("score"):
                    scores = score_pool(collection, found, parsed, benchmark.depth)
                scored.append(scores.pool)
                state.queries.append(scores.queries)
                if save:
                    _save_run(save, collection, found, model_name(state.model))
                advance(1)
            unasked = {pool.name: pool.dropped for pool in made[mix] if not len(pool.queries)}
            setting = average(collection.name, mix, task.main or "", parsed, scored, unasked)
            state.settings.append(setting)
            _warn_of_missing(setting)


def _warn_of_missing(setting: SettingScores) -> None:
    """Say which measures have no value at all, if they were asked for by name."""
    for name, why in setting.left_out.items():
        if name not in setting.scores and (name == setting.main or name not in DEFAULT_MEASURES):
            warnings.warn(f"{setting.mix}: {name} is left out: {why}", stacklevel=2)


def _save_run(folder: Path, collection: Collection, found: PoolRanking, tag: str) -> None:
    name = f"{collection.name}.{found.pool.mix}{'.' + found.pool.name if found.pool.name else ''}"
    write_run(inside(folder, f"{name}.trec.gz"), frames(collection, found.pool, found.lists), tag)
    write_qrels(inside(folder, f"{name}.qrels.gz"), collection, found.pool)


def _result(state: _Run, benchmark: Benchmark, collections: list[Collection], key: str) -> Result:
    describe = getattr(state.model, "describe", dict)
    return Result(
        key=key,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model={"name": model_name(state.model), **describe()},
        fingerprints=_identity(state.model),
        benchmark=benchmark.model_dump(mode="json"),
        collections=[collection.describe() for collection in collections],
        settings=state.settings,
        encoded=state.work.encoded,
        search=", ".join(dict.fromkeys(state.work.engines)),
        index=str(state.work.index or ""),
        approximate=[ApproximateSearch(**record) for record in state.work.approximate],
        timings={phase: round(seconds, 3) for phase, seconds in state.work.timings.items()},
        peak_memory=environment.peak_memory(),
        environment=environment.describe(),
    )
