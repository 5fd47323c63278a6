"""analyse(models, benchmark): the geometry behind the scores, written into the results and drawn."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval import figures, geometry
from mimo_eval.benchmark import Benchmark, Task, data_folder
from mimo_eval.collections import Collection, load
from mimo_eval.embeddings import VectorStore
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import Outcome, run
from mimo_eval.figures import Files, ModelPoint
from mimo_eval.files import inside
from mimo_eval.geometry.vectors import LabelledVectors
from mimo_eval.models.loading import Model, ModelOptions, load_model
from mimo_eval.protocols import Encoder
from mimo_eval.results import Result, SettingScores, write_json_result
from mimo_eval.systems import Progress, Work, encode

logger = logging.getLogger(__name__)
NO_VECTORS = "the model has no vectors of its own"


class DocumentVectors:
    """The stored vectors of a collection's documents as an array that reads rows when it is asked for them.

    :param store: the vectors.
    """

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        self.shape = (len(store.texts), store.gather(np.arange(1)).shape[1])

    def __getitem__(self, key: Any, /) -> np.ndarray:
        """Return rows by slice or by an array of row numbers."""
        found = self.store.gather(np.arange(self.shape[0])[key])
        return found.reshape(-1, self.shape[1])  # a store does not know the width of no rows


def check_names(names: Sequence[str], checkpoints: Sequence[Sequence[str]]) -> None:
    """Refuse what could not be drawn, before anything is computed.

    :param names: of the models.
    :param checkpoints: names of models that are checkpoints of one training run.
    :raises ConfigError: if a name stands twice, or a checkpoint is no model.
    """
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ConfigError(f"the model '{twice[0]}' is given twice")
    unknown = sorted({name for line in checkpoints for name in line} - set(names))
    if unknown:
        raise ConfigError(f"--checkpoints: '{unknown[0]}' is none of the models: {', '.join(names)}")


def open_folder(folder: Path) -> None:
    """Make the folder of figures, or find out before the work that nothing can be written there.

    :param folder: where figures will go.
    :raises ConfigError: if they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{folder}: figures cannot be written ({error.strerror}); choose another folder with -o") from error


def analyse(
    model: str | Model,
    benchmark: Benchmark,
    *,
    data: Path | None = None,
    output: Path | None = None,
    options: ModelOptions | None = None,
    progress: Progress | None = None,
    seed: int = 0,
    sample: int = 4096,
) -> tuple[Outcome, dict[str, LabelledVectors]]:
    """Evaluate a model if that has not been done, and add the geometry of its vectors to the result.

    :param model: as in `evaluation.run`.
    :param benchmark: what to evaluate it on.
    :param data: folder of the collections' files.
    :param output: folder for results.
    :param options: for models loaded by name.
    :param progress: told what goes on.
    :param seed: of everything that is drawn.
    :param sample: rows that sampling diagnostics draw.
    :return: the outcome with `geometry` filled in, and per collection the vectors; none for a model without.
    """
    loaded = load_model(model, options)
    outcome = run(loaded, benchmark, data=data, output=output, progress=progress)
    vectors: dict[str, LabelledVectors] = {}
    with tempfile.TemporaryDirectory(prefix="mimo-eval-") as temporary:
        for task in benchmark.tasks:
            collection = _load(task, benchmark, data)
            if not isinstance(loaded, Encoder):
                outcome.result.geometry[collection.name] = {"reason": NO_VECTORS}
                continue
            work = Work(progress or Progress(), Path(temporary), benchmark.depth)
            labelled = _vectors(loaded, collection, work)
            if hasattr(loaded, "fingerprint"):
                vectors[collection.name] = labelled
            found = geometry.analyse(labelled, seed=seed, sample=sample)
            outcome.result.geometry[collection.name] = found
    if outcome.folder:
        write_json_result(outcome.folder, outcome.result)
    return outcome, vectors


def _load(task: Task, benchmark: Benchmark, data: Path | None) -> Collection:
    return load(task.collection, data=data_folder(task, data, len(benchmark.tasks)), languages=task.languages)


def _vectors(model: Encoder, collection: Collection, work: Work) -> LabelledVectors:
    documents = collection.documents
    with work.progress.phase(f"encode {collection.name}", len(documents), "texts") as advance:
        store = encode(model, "document", documents, documents.by_language(), work, advance)
    languages = documents.language.astype(np.int64)
    return LabelledVectors(DocumentVectors(store), languages, documents.group, documents.languages)


def draw(
    results: Sequence[Result],
    vectors: Sequence[dict[str, LabelledVectors]],
    folder: Path,
    *,
    checkpoints: Sequence[Sequence[str]] = (),
    seed: int = 0,
) -> list[Files]:
    """Draw every figure that the results allow.

    :param results: one per model, of one benchmark.
    :param vectors: per model and collection, as `analyse` returns them.
    :param folder: where the figures go.
    :param checkpoints: names of models that are checkpoints of one training run, in order; arrows join them.
    :param seed: of the sample that is projected.
    :return: the files.
    :raises ConfigError: if the folder cannot be written.
    """
    open_folder(folder)
    drawn = []
    for collection in dict.fromkeys(name for result in results for name in result.geometry):
        points = [p for result in results if (p := _point(result, collection)) is not None]
        if points:
            known = {point.name for point in points}
            runs = [[name for name in line if name in known] for line in checkpoints]
            stem = inside(folder, f"{collection}.alignment-uniformity")
            drawn.append(figures.draw_alignment_uniformity(stem, points, runs, title=collection))
    for result, labelled in zip(results, vectors, strict=True):
        drawn += _draw_result(result, labelled, folder, seed)
    return drawn


def _point(result: Result, collection: str) -> ModelPoint | None:
    found = result.geometry.get(collection, {}).get("diagnostics", {})
    alignment, uniformity = found.get("alignment", {}), found.get("uniformity", {})
    if alignment.get("value") is None or uniformity.get("value") is None:
        return None
    return ModelPoint(
        result.model["name"],
        alignment["value"],
        uniformity["value"],
        alignment.get("standard_error"),
        uniformity.get("standard_error"),
    )


def _draw_result(result: Result, labelled: dict[str, LabelledVectors], folder: Path, seed: int) -> list[Files]:
    name = result.model["name"]
    drawn = []
    for collection in dict.fromkeys(setting.collection for setting in result.settings):
        stem, title = inside(folder, f"{collection}.{_slug(name)}"), f"{name}, {collection}"
        alignment = result.geometry.get(collection, {}).get("diagnostics", {}).get("alignment", {})
        if alignment.get("matrix"):
            drawn.append(
                figures.draw_language_pairs(Path(f"{stem}.alignment"), alignment["matrix"], alignment["languages"], title=title)
            )
        if collection in labelled:
            drawn += _draw_projection(labelled[collection], Path(f"{stem}.projection"), title, seed)
        settings = [setting for setting in result.settings if setting.collection == collection]
        drawn += _draw_scores(settings, Path(f"{stem}.scores"), title)
        drawn += [
            _draw_composition(setting, Path(f"{stem}.{_slug(setting.mix)}.composition"), f"{title}, {setting.mix}")
            for setting in settings
            if setting.setting in ("mlir", "union") and any(pool.composition for pool in setting.pools)
        ]
    return drawn


def _slug(name: str) -> str:
    """Return a name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:80] or "model"


def _draw_projection(labelled: LabelledVectors, stem: Path, title: str, seed: int) -> list[Files]:
    try:
        return [figures.draw_projection(stem, labelled, title=title, seed=seed)]
    except DataError as error:  # too few vectors
        logger.warning("%s: %s", title, error)
        return []


def _draw_scores(settings: Sequence[SettingScores], stem: Path, title: str) -> list[Files]:
    tables = [s.table for s in settings if s.setting in ("multi-monolingual", "cross-lingual")]
    try:
        matrix = figures.score_matrix(tables, settings[0].main)
    except DataError:
        return []
    return [
        figures.draw_scores(
            stem, matrix.values, matrix.query_languages, matrix.document_languages, measure=settings[0].main, title=title
        )
    ]


def _draw_composition(setting: SettingScores, stem: Path, title: str) -> Files:
    pool = setting.pools[0]
    languages = sorted({*pool.composition, *pool.documents})
    share = [[pool.composition[q].get(d, 0.0) if q in pool.composition else np.nan for d in languages] for q in languages]
    total = sum(pool.documents.values())
    chance = [pool.documents.get(lang, 0) / total for lang in languages]
    return figures.draw_composition(stem, share, languages, chance=chance, cutoff=10, title=title)
