"""train(recipe, folder) -> Trained: from a recipe to a model folder, resumable, written as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mimo_eval import environment
from mimo_eval.errors import ConfigError, DataError, require
from mimo_eval.files import atomic_write, read_json, write_json
from mimo_eval.systems import Progress
from mimo_eval.training.fit import StageLog, fit
from mimo_eval.training.material import Prepared, collection_folder, collection_name, data_root, prepare, teacher_of
from mimo_eval.training.methods import load_method
from mimo_eval.training.recipe import Recipe, differing, parse_recipe
from mimo_eval.training.stage import Material

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from mimo_eval.training.trainer import Watcher
    from mimo_eval.training.validation import Validation

RECORD = "training.json"
"""In a finished model's folder: what was done, for programs. It also tells that the folder is ours."""
STATE = "state.json"
"""In the folder of a run that is not finished."""


@dataclass(frozen=True)
class Trained:
    """A finished model."""

    folder: Path
    """What `SentenceTransformer(folder)` and `mimo-eval run folder` load."""
    stages: list[StageLog]
    """What each stage did."""
    record: dict[str, Any]
    """What `training.json` holds."""


def train(
    recipe: Recipe,
    folder: Path | None = None,
    *,
    data: Path | None = None,
    resume: bool = False,
    watcher: Watcher | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a model by a recipe.

    Until it is finished, everything lies in `FOLDER.partial`; then the whole model takes its place in one step.

    :param recipe: what to do.
    :param folder: where the model goes; the recipe's `output` by default.
    :param data: folder of data; see `data_root`.
    :param resume: go on with a run that was broken off; there need be none.
    :param watcher: told how training goes.
    :param progress: told how the teacher's encoding goes.
    :return: the model.
    :raises ConfigError: if the folder holds something else, or a broken-off run of another recipe.
    :raises DataError: if the data are missing, wrong, or hold evaluation text.
    """
    require("accelerate", "train")
    start, folder = perf_counter(), (folder or recipe.folder).absolute()
    work = folder.with_name(f"{folder.name}.partial")
    refuse_foreign(folder)
    main = int(os.environ.get("RANK", "0")) == 0
    state = _begin(recipe, work, resume) if main else {}
    root = data_root(recipe, data)
    with _OneByOne():
        prepared = prepare(recipe, root)
        if main:
            _same_data(work, state, prepared)
        teacher = teacher_of(recipe.teacher, progress)
        material = Material(prepared.parallel, prepared.retrieval, teacher, prepared.languages, recipe.seed, recipe.batch_sizes)
        method = load_method(recipe.method)
        stages = method.stages(material)
        if main:  # not before: what fails for want of data or a teacher leaves nothing that must be resumed or removed
            write_json(work / STATE, state)
        student = _student(recipe, material, work)
    logs = fit(
        student,
        stages,
        recipe.stages,
        work,
        seed=recipe.seed,
        rhythm=recipe.rhythm,
        validation=validation_of(recipe, root),
        watcher=watcher,
    )
    record = {
        "recipe": recipe.model_dump(mode="json"),
        "method": method.describe(),
        "teacher": teacher.describe() if teacher else None,
        "teacher_texts": len(teacher.vectors) if teacher else 0,
        "data": prepared.describe(),
        "languages": list(prepared.languages),
        "student": {"parameters": sum(p.numel() for p in student.parameters()), "dimension": width(student)},
        "stages": [asdict(log) for log in logs],
        "seconds": round(perf_counter() - start, 1),
        "peak_memory": environment.peak_memory(),
        "environment": environment.describe(),
    }
    if main:
        _finish(recipe, student, record, work, folder)
    return Trained(folder, logs, record)


def width(student: SentenceTransformer) -> int:
    """Return the width of a model's embeddings."""
    from mimo_eval.models.sources import dimension

    return int(dimension(student))


def validation_of(recipe: Recipe, root: Path | None) -> Validation | None:
    """Return what a recipe says of validation, ready to be used.

    :param recipe: the recipe.
    :param root: folder of data.
    :return: the evaluator, or None.
    """
    if recipe.validation is None:
        return None
    from mimo_eval.training.validation import Validation

    settings = recipe.validation
    return Validation(
        collection_name(settings.collection, root),
        settings.mix,
        settings.measure,
        every=settings.every,
        patience=settings.patience,
        languages=settings.languages,
        data=collection_folder(settings.collection, root),
    )


def refuse_foreign(folder: Path) -> None:
    """Find out before the work whether the model may be put there.

    :param folder: where it shall go.
    :raises ConfigError: if it is a file, or a folder that holds something else than a model trained here.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; choose another place with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RECORD).exists():
        raise ConfigError(f"{folder} holds something else and is not overwritten; choose another folder with -o")


def _begin(recipe: Recipe, work: Path, resume: bool) -> dict[str, Any]:
    """Return the state of the run that is begun or gone on with, or refuse it."""
    content, state = recipe.model_dump(mode="json"), work / STATE
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if not state.exists():
        if work.exists() and any(work.iterdir()):
            raise ConfigError(f"{work} is in the way and holds something else; move it, or choose another place with -o")
        return {"recipe": content, "processes": processes}
    if not resume:
        raise ConfigError(f"{work} holds a run that was broken off; go on with --resume, or remove the folder")
    before = read_json(state)
    # read again, so that keys and shapes that came with a later version of this package make no difference
    changes = differing(parse_recipe(before["recipe"], str(state)).model_dump(mode="json"), content)
    if before["processes"] != processes:
        changes["number of processes"] = (before["processes"], processes)
    if changes:
        told = "; ".join(f"{key}: {old!r} then, {new!r} now" for key, (old, new) in changes.items())
        raise ConfigError(f"{work}: the recipe has changed since ({told}); undo that, or remove the folder and begin again")
    return dict(before)


def _same_data(work: Path, state: dict[str, Any], prepared: Prepared) -> None:
    """Note the data in the state of the run, or refuse others than those it was begun with."""
    if state.setdefault("data", prepared.revision) != prepared.revision:
        raise DataError(f"{work}: the data have changed since the run was begun; remove the folder and begin again")


def _student(recipe: Recipe, material: Material, work: Path) -> SentenceTransformer:
    """Build the student, or read it as it was built before the run was broken off."""
    from sentence_transformers import SentenceTransformer

    built = work / "student"
    if not (built / "modules.json").exists():
        student = recipe.student.build(material.parallel, material.teacher, recipe.seed)
        fresh = work / "student.new"
        shutil.rmtree(fresh, ignore_errors=True)
        student.save_pretrained(str(fresh), create_model_card=False)
        fresh.rename(built)
    remote = getattr(recipe.student, "trust_remote_code", False)
    student = SentenceTransformer(str(built), trust_remote_code=remote)  # first and resumed runs start from the same files
    if recipe.student.kind == "static" and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        student.to("cpu")  # the way to an accelerator and back takes longer than a step
    return student


class _OneByOne:
    """Lets one of several processes go first, so that the others find vectors and student made."""

    def __init__(self) -> None:
        self.state: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            import torch
            from accelerate import PartialState  # type: ignore[import-untyped]

            # others wait while the first encodes with the teacher, which can take days
            self.state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=14))

    def __enter__(self) -> None:
        if self.state is not None and not self.state.is_main_process:
            self.state.wait_for_everyone()

    def __exit__(self, *_: object) -> None:
        if self.state is not None and self.state.is_main_process:
            self.state.wait_for_everyone()


def _finish(recipe: Recipe, student: SentenceTransformer, record: dict[str, Any], work: Path, folder: Path) -> None:
    """Write the model beside and put it in place in one step."""
    import yaml

    from mimo_eval.training.card import model_card

    fresh = work / "model"
    shutil.rmtree(fresh, ignore_errors=True)
    student.to("cpu").save_pretrained(str(fresh), create_model_card=False)
    with atomic_write(fresh / "README.md", "w") as stream:
        stream.write(model_card(recipe, record))
    with atomic_write(fresh / "recipe.yaml", "w") as stream:
        yaml.safe_dump(recipe.model_dump(mode="json"), stream, sort_keys=False, allow_unicode=True)
    write_json(fresh / RECORD, record)
    for logs in sorted(work.glob("*-*/tensorboard")):
        logs.rename(fresh / f"tensorboard-{logs.parent.name}")
    refuse_foreign(folder)  # it may have come into being meanwhile
    if folder.exists():
        shutil.rmtree(work / "replaced", ignore_errors=True)
        folder.rename(work / "replaced")
    fresh.rename(folder)
    shutil.rmtree(work)
