"""What a recipe will do, before anything is encoded or trained: rows, steps, teacher texts, memory, what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.training.batches import size_of, steps_of
from mimo_eval.training.data import Lines, Parallel, Retrieval
from mimo_eval.training.fit import settings_of
from mimo_eval.training.material import Prepared, data_root, encoder_of, prepare, resolved
from mimo_eval.training.methods import load_method
from mimo_eval.training.recipe import Recipe, Source
from mimo_eval.training.stage import Material, Stage
from mimo_eval.training.students import StaticStudent

MODEL_ROWS = 2_000
"""Groups of the model of the data that stands for data that are not there."""


@dataclass(frozen=True)
class StagePlan:
    """One stage."""

    name: str
    rows: int
    batch: int
    """Rows per step over all processes."""
    steps: int


@dataclass(frozen=True)
class Plan:
    """What will be done."""

    sources: list[tuple[str, int, int, str]]
    """Source, lines, groups, licence."""
    languages: dict[str, int]
    """Lines per language; empty if the data are not there."""
    stages: list[StagePlan]
    teacher_texts: int
    """Different texts that the teacher must have encoded."""
    memory: dict[str, float]
    """Part to GiB, per process."""
    missing: list[tuple[str, str]] = field(default_factory=list)
    """What is not here, and how to get it."""
    estimated: bool = False
    """Whether rows are what the recipe expects and not what was counted."""


class Counted:
    """Stands for a teacher while a plan is made: numbers its texts and encodes none.

    :param anchor: the teacher's language.
    :param width: of its vectors.
    """

    def __init__(self, anchor: str, width: int) -> None:
        self.anchor, self.width, self.vectors = anchor, width, np.empty((0, width), np.float32)
        self.known: dict[tuple[str, str], int] = {}

    def rows(self, texts: Iterable[str], role: str = "document") -> np.ndarray:
        """Return a number per text, equal for equal texts."""
        return np.array([self.known.setdefault((role, text), len(self.known)) for text in texts], np.int64)

    def describe(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


def plan(recipe: Recipe, data: Path | None = None, processes: int = 1) -> Plan:
    """Say what a recipe will do.

    Where its data are here they are read, filtered and checked. Where they are not, and the recipe says what to expect, the
    method is asked about a small model of them, and its numbers are scaled up.

    :param recipe: the recipe.
    :param data: folder of data; see `data_root`.
    :param processes: that it will run on.
    :return: the plan.
    :raises DataError: if data are missing and the recipe does not say what to expect of them.
    :raises ConfigError: if nothing answers to the name of the teacher or the student, or the teacher is no encoder.
    :raises ModelError: if one of them is a folder without a model.
    """
    root = data_root(recipe, data)
    models = _models(recipe)
    missing = absent(recipe, root)
    anchor = recipe.teacher.language if recipe.teacher else "en"
    if missing:
        prepared, scale = modelled(recipe, anchor, missing)
    else:
        prepared, scale = prepare(recipe, root), 1.0
    teacher = Counted(anchor, recipe.expected.teacher_dimension)
    material = Material(
        prepared.parallel,
        prepared.retrieval,
        cast(Any, teacher if recipe.teacher else None),
        prepared.languages,
        recipe.seed,
        recipe.batch_sizes,
    )
    stages = load_method(recipe.method).stages(material)
    planned = _stages(recipe, stages, scale, processes)
    texts = round(len(teacher.known) * scale)
    sizes = _sources(recipe, prepared, bool(missing))
    memory = _memory(recipe, teacher.width, texts, planned, prepared, scale)
    counts = {} if missing or prepared.parallel is None else prepared.parallel.counts()
    return Plan(sizes, counts, planned, texts, memory, missing + models, bool(missing))


def absent(recipe: Recipe, root: Path | None) -> list[tuple[str, str]]:
    """Return the data that are not here.

    :param recipe: the recipe.
    :param root: folder of data.
    :return: what is missing, and how to get it.
    """
    found = []
    for source in recipe.data.sources:
        try:
            resolved(source, root)
        except DataError:
            name = next((str(source.options[key]) for key in ("path", "data") if key in source.options), source.reader)
            found.append((name, source.download))
    return found


def modelled(recipe: Recipe, anchor: str, missing: list[tuple[str, str]]) -> tuple[Prepared, float]:
    """Return a small model of data that are not here, and how many times larger the data are.

    :param recipe: with `expected` and `languages` in each source.
    :param anchor: the teacher's language.
    :param missing: what is not here, and how to get it.
    :return: data of invented words with the expected proportions, and the factor.
    :raises DataError: if a source says nothing of its size.
    """
    sizes = [*((s, "groups") for s in recipe.data.parallel), *((s, "positives") for s in recipe.data.retrieval)]
    for source, size in sizes:
        if size not in source.expected or not set(source.languages) - {anchor if size == "groups" else ""}:
            name = source.options.get("path") or source.reader
            gone = ", ".join(name + (f" ({how})" if how else "") for name, how in missing)
            raise DataError(
                f"data of the recipe are missing: {gone}; give --data FOLDER or set MIMO_EVAL_DATA. Without them there is no "
                f"plan, as the recipe does not say what to expect of {name} (expected.{size}, languages)"
            )
    largest = max(max(source.expected.values()) for source in recipe.data.sources)
    scale = max(1.0, largest / MODEL_ROWS)
    parallel = retrieval = None
    if recipe.data.parallel:
        parts = [_parallel(source, i, anchor, scale) for i, source in enumerate(recipe.data.parallel)]
        parallel = Parallel.concat(parts)
    if recipe.data.retrieval:
        retrieval = Retrieval.concat([_retrieval(source, i, scale) for i, source in enumerate(recipe.data.retrieval)])
    return Prepared(parallel, retrieval, None), scale


def _parallel(source: Source, number: int, anchor: str, scale: float) -> Parallel:
    """Return pairs of the anchor and each other language in turn."""
    others = [lang for lang in source.languages if lang != anchor]
    count = max(len(others), round(source.expected["groups"] / scale))
    rows = ((f"{i}", lang, f"text {number} {i} {lang}") for i in range(count) for lang in (anchor, others[i % len(others)]))
    found: Parallel = Parallel.of(rows, source=str(source.options.get("path", source.reader)))
    return found


def _retrieval(source: Source, number: int, scale: float) -> Retrieval:
    """Return pairs in every language."""
    pairs = source.expected["positives"]
    queries, passages = (max(1, round(source.expected.get(f"{kind}_groups", pairs) / scale)) for kind in ("query", "passage"))
    sides = [
        Lines.of(
            ((f"{i}", lang, f"{kind} {number} {i} {lang}") for i in range(count) for lang in source.languages),
            source=f"{kind} {number}",
        )
        for kind, count in (("query", queries), ("passage", passages))
    ]
    names = dict.fromkeys((f"{i % queries}", f"{i % passages}") for i in range(max(1, round(pairs / scale))))
    return Retrieval.of(sides[0], sides[1], names)


def _stages(recipe: Recipe, stages: Iterable[Stage], scale: float, processes: int) -> list[StagePlan]:
    stages, found = list(stages), []
    for stage, settings in zip(stages, settings_of(stages, recipe.stages), strict=True):
        rows = round(len(stage.rows) * scale)
        batch = size_of(rows, settings.batch_size, processes) * processes
        steps = steps_of(rows, settings.batch_size, settings.epochs, settings.steps, processes)
        found.append(StagePlan(stage.name, rows, batch, steps))
    return found


def _sources(recipe: Recipe, prepared: Prepared, estimated: bool) -> list[tuple[str, int, int, str]]:
    from mimo_eval.training.material import licences

    found = []
    if estimated:
        for source in recipe.data.sources:
            name, sizes = str(source.options.get("path", source.reader)), source.expected
            licence = source.licence if isinstance(source.licence, str) else "; ".join(source.licence.values())
            if "groups" in sizes:
                found.append((name, 2 * sizes["groups"], sizes["groups"], licence))
                continue
            for what, key in (("queries", "query_groups"), ("passages", "passage_groups")):
                groups = sizes.get(key, sizes["positives"])
                found.append((f"{name}, {what}", len(source.languages) * groups, groups, licence))
        return found
    sides: list[tuple[str, Lines]] = [("", prepared.parallel)] if prepared.parallel else []
    if prepared.retrieval:
        sides += [(", queries", prepared.retrieval.queries), (", passages", prepared.retrieval.passages)]
    for what, side in sides:
        told = side.describe()["sources"]
        stated = licences(recipe.data.sources, told)
        found += [(name + what, sizes["lines"], sizes["groups"], stated[name]) for name, sizes in told.items()]
    return found


def _models(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the models that are not here; one that cannot be, here or on the hub, is refused."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    from mimo_eval.models.loading import HUB_ID, MODELS
    from mimo_eval.models.sources import check_folder

    names = []
    if recipe.teacher:
        encoder_of(recipe.teacher)
        name = recipe.teacher.model.partition("(")[0]
        names += [name] if name not in MODELS and (HUB_ID.fullmatch(name) or Path(name).is_dir()) else []
    names += [recipe.student.model] if not isinstance(recipe.student, StaticStudent) else []
    found = []
    for name in names:
        if Path(name).is_dir():
            check_folder(Path(name))
            continue
        try:
            here = isinstance(try_to_load_from_cache(name, "config.json"), str)
        except HFValidationError as error:
            raise ConfigError(f"student.model: '{name}' is neither a folder nor a hub id such as org/name") from error
        found += [] if here else [(name, f"hf download {name}")]
    return found


def _memory(
    recipe: Recipe, width: int, texts: int, stages: list[StagePlan], prepared: Prepared, scale: float
) -> dict[str, float]:
    """Return a guess in GiB: weights, gradients, two moments of Adam, all float32; the teacher's vectors; the data."""
    student = recipe.student
    if isinstance(student, StaticStudent):
        weights = student.vocabulary * student.dimension
        copies = 3  # the gradient is sparse
    else:
        files = Path(student.model).glob("**/*.safetensors")  # of float32, as trained
        weights, copies = recipe.expected.student_parameters or sum(file.stat().st_size for file in files) // 4, 4
    sides: list[Any] = [prepared.parallel] + (
        [prepared.retrieval.queries, prepared.retrieval.passages] if prepared.retrieval else []
    )
    held = sum(side.table.nbytes for side in sides if side is not None) * scale
    sizes = {
        "student and optimiser": weights * 4 * copies,
        "teacher's vectors (mapped from disk beyond 8 GiB)": texts * width * 4,
        "texts": held,
    }
    return {name: size / 2**30 for name, size in sizes.items()}
