"""From a recipe to what a method is given: data read, filtered and checked, and a teacher."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mimo_eval import measures
from mimo_eval.benchmark import Task, data_folder
from mimo_eval.collections import SOURCES, load
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.mixing import Mix
from mimo_eval.models.loading import ModelOptions
from mimo_eval.specs import parse_spec
from mimo_eval.systems import Progress
from mimo_eval.training.data import Lines, Parallel, Retrieval
from mimo_eval.training.data.contamination import Contamination, check
from mimo_eval.training.data.readers import read
from mimo_eval.training.recipe import Recipe, Source, TeacherSettings

if TYPE_CHECKING:
    from mimo_eval.collections import Collection
    from mimo_eval.protocols import Encoder
    from mimo_eval.training.teacher import Teacher

PATHS = ("path", "data", "lexicon", "source", "target")
"""Options of readers that are looked for in the folder of data."""


@dataclass(frozen=True)
class Prepared:
    """Data that may be trained on."""

    parallel: Parallel | None
    retrieval: Retrieval | None
    contamination: Contamination | None
    """What the check found; None if the recipe names nothing to check against."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language, sorted."""
        return tuple(sorted({lang for part in (self.parallel, self.retrieval) if part for lang in part.languages}))

    @property
    def revision(self) -> list[str]:
        """Hashes of the data: with the recipe they decide what is learnt."""
        sides: list[Lines | None] = [self.parallel]
        if self.retrieval is not None:
            sides += [self.retrieval.queries, self.retrieval.passages]
        return [side.revision for side in sides if side is not None]

    def describe(self) -> dict[str, Any]:
        """Return what the model card and the training record say."""
        parts = {"parallel": self.parallel, "retrieval": self.retrieval, "contamination": self.contamination}
        return {name: part.describe() for name, part in parts.items() if part is not None}


def data_root(recipe: Recipe, given: Path | None) -> Path | None:
    """Return the folder of data: what was given, `$MIMO_EVAL_DATA`, or the first of the recipe's folders that exists.

    :param recipe: the recipe.
    :param given: `--data`.
    :return: the folder; None if there is none.
    """
    if given is not None:
        return given
    if os.environ.get("MIMO_EVAL_DATA"):
        return Path(os.environ["MIMO_EVAL_DATA"])
    return next((Path(folder) for folder in recipe.data.folders if Path(folder).is_dir()), None)


def resolved(source: Source, root: Path | None) -> dict[str, Any]:
    """Return a reader's options with the paths of files that are there.

    :param source: as in the recipe.
    :param root: folder of data.
    :return: options to call the reader with.
    :raises DataError: if a file is not there; the message says how to get it.
    """
    options = dict(source.options)
    for name in PATHS:
        value = options.get(name)
        if not isinstance(value, str):
            continue
        places = [Path(value)] if Path(value).is_absolute() or root is None else [root / value, Path(value)]
        found = next((place for place in places if place.exists()), None)
        if found is None:
            where = f"not in {root}" if root else "and no folder of data is given"
            hint = f". To get it: {source.download}" if source.download else ""
            raise DataError(
                f"data of the recipe are missing: no {value}, {where}; give --data FOLDER or set MIMO_EVAL_DATA{hint}"
            )
        options[name] = str(found)
    if source.reader == "collection" and "name" in options:  # may be a folder of data, as elsewhere
        options["name"] = collection_name(str(options["name"]), root)
    return options


def read_source(source: Source, root: Path | None, kind: type[Parallel | Retrieval], key: str) -> Any:
    """Read one source.

    :param source: as in the recipe.
    :param root: folder of data.
    :param kind: what it must be.
    :param key: of the recipe, for messages.
    :return: the data.
    :raises ConfigError: for an unknown reader, a wrong option, or a reader of something else.
    """
    try:
        found = read(source.reader, **resolved(source, root))
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
    if not isinstance(found, kind):
        raise ConfigError(f"{key}: reader '{source.reader}' reads {type(found).__name__}, and this must be {kind.__name__}")
    return found


def check_validation(recipe: Recipe, root: Path | None) -> None:
    """Find out before the work whether the student can be validated as the recipe says.

    :param recipe: the recipe.
    :param root: folder of data.
    :raises ConfigError: if there is no such measure, mix or collection.
    :raises DataError: if the collection is not here, or lacks a language.
    """
    settings = recipe.validation
    if settings is None:
        return
    try:
        Mix.parse(settings.mix)
        measures.parse(settings.measure)
        name, data = collection_name(settings.collection, root), collection_folder(settings.collection, root)
        load(name, data=data, languages=settings.languages)
    except (ConfigError, DataError) as error:
        raise type(error)(f"validation: {error}") from error


def prepare(recipe: Recipe, root: Path | None) -> Prepared:
    """Read, filter and check the data of a recipe.

    :param recipe: the recipe.
    :param root: folder of data.
    :return: what may be trained on.
    :raises DataError: if files are missing or wrong, or evaluation text is in them and is not allowed.
    """
    check_validation(recipe, root)
    parallel = retrieval = None
    if recipe.data.parallel:
        parts = [read_source(s, root, Parallel, f"data.parallel.{i}") for i, s in enumerate(recipe.data.parallel)]
        parallel = Parallel.concat(parts)
    if recipe.data.retrieval:
        sides = [read_source(s, root, Retrieval, f"data.retrieval.{i}") for i, s in enumerate(recipe.data.retrieval)]
        retrieval = Retrieval.concat(sides)
    parallel, retrieval = _in_languages(recipe, parallel, retrieval)
    if parallel is not None and recipe.data.filters is not None:
        anchor = recipe.teacher.language if recipe.teacher else "en"
        parallel = recipe.data.filters.build().apply(parallel, anchor=anchor, seed=recipe.seed)
    if parallel is None and retrieval is None:
        raise ConfigError("data: neither parallel nor retrieval data; there is nothing to train on")
    return _checked(recipe, root, parallel, retrieval)


def _in_languages(
    recipe: Recipe, parallel: Parallel | None, retrieval: Retrieval | None
) -> tuple[Parallel | None, Retrieval | None]:
    if recipe.languages is None:
        return parallel, retrieval
    step = {"step": "languages", "kept": list(recipe.languages)}

    def mask(lines: Lines) -> np.ndarray:
        return np.isin(lines.language, [i for i, lang in enumerate(lines.languages) if lang in (recipe.languages or ())])

    if parallel is not None:
        parallel = cast(Parallel, parallel.select(mask(parallel), step))
    if retrieval is not None:
        retrieval = retrieval.select(mask(retrieval.queries), mask(retrieval.passages), step)
    return parallel, retrieval


def _checked(recipe: Recipe, root: Path | None, parallel: Parallel | None, retrieval: Retrieval | None) -> Prepared:
    settings = recipe.contamination
    if not settings.against:
        return Prepared(parallel, retrieval, None)
    training = [part for part in (parallel, retrieval) if part is not None]
    against = [evaluation_data(name, root) for name in settings.against]
    try:
        found = check(training, against, allow=settings.allow or settings.remove)
    except DataError as error:
        raise DataError(f"{error} (contamination.remove: true, or contamination.allow: true)") from error
    if settings.remove:
        clean = iter(found.without(training))
        parallel = cast("Parallel | None", next(clean) if parallel is not None else None)
        retrieval = cast("Retrieval | None", next(clean) if retrieval is not None else None)
    return Prepared(parallel, retrieval, found)


def evaluation_data(name: str, root: Path | None) -> Collection:
    """Load a collection that lies in the folder of data, or brings its own texts.

    :param name: as in a benchmark.
    :param root: folder of data.
    :return: the collection.
    """
    return load(collection_name(name, root), data=collection_folder(name, root))


def collection_name(name: str, root: Path | None) -> str:
    """Return a collection's name as `load` takes it: a folder in the folder of data, if no collection has the name."""
    inside = root / name if root else None
    return str(inside) if inside and inside.is_dir() and name not in SOURCES else name


def collection_folder(name: str, root: Path | None) -> Path | None:
    """Return where the files of a collection with a name lie; None for one that brings its own, or is a folder."""
    return data_folder(Task(collection=name), root, 2) if parse_spec(name).name in SOURCES else None


def teacher_of(settings: TeacherSettings | None, progress: Progress | None = None) -> Teacher | None:
    """Return the teacher of a recipe.

    :param settings: the recipe's.
    :param progress: told how encoding goes.
    :return: the teacher, its weights not loaded yet; None if the recipe has none.
    """
    if settings is None:
        return None
    from mimo_eval.training.teacher import Teacher

    return Teacher(encoder_of(settings), anchor=settings.language, query_prompt=settings.prompt, progress=progress)


def encoder_of(settings: TeacherSettings) -> Encoder:
    """Return the encoder of a recipe's teacher; nothing of it is loaded or downloaded.

    :param settings: the recipe's.
    :raises ConfigError: if nothing answers to its name, or what answers is no encoder.
    """
    from mimo_eval.training.teacher import encoder

    options = ModelOptions(
        device=settings.device, dtype=settings.dtype, batch_size=settings.batch_size, max_length=settings.max_length
    )
    try:
        return encoder(settings.model, options)
    except ConfigError as error:
        raise type(error)(f"teacher.model: {error}") from error


def licences(sources: Iterable[Source], names: Iterable[str]) -> dict[str, str]:
    """Return the licence of each source of lines.

    :param sources: of the recipe.
    :param names: of the lines' sources.
    :return: name to licence and attribution, empty where none is given.
    """
    found = {}
    for name in names:
        stated = [source.licence if isinstance(source.licence, str) else source.licence.get(name, "") for source in sources]
        found[name] = next((text for text in stated if text), "")
    return found
