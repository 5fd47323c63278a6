"""What the runs of a study share: data, folds, teacher, the raw student, and the student after stage 1."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_eval.benchmark import Task, data_folder
from mimo_eval.collections import Collection, load
from mimo_eval.digests import digest
from mimo_eval.errors import ConfigError
from mimo_eval.files import cache_dir
from mimo_eval.locks import Use
from mimo_eval.study.definition import FIRST, Study, Test
from mimo_eval.study.encoding import Tokens
from mimo_eval.study.folds import Fold, divide
from mimo_eval.study.rows import taken
from mimo_eval.training.data import Parallel, Retrieval
from mimo_eval.training.data.contamination import Contamination, check
from mimo_eval.training.fit import StageLog, fit
from mimo_eval.training.material import Prepared, collection_folder, collection_name, data_root, prepare, teacher_of
from mimo_eval.training.methods import load_method
from mimo_eval.training.recipe import UNLIKE
from mimo_eval.training.settings import Rhythm
from mimo_eval.training.stage import Material

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Tell = Callable[[str], None]
BRIEF = Rhythm(checkpoints=sys.maxsize, log=0.1)
"""Runs of a study are short: one that is broken off begins again."""


class Workshop:
    """What the runs of a study share.

    :param study: the study.
    :param data: folder of data; see `mimo_eval.training.material.data_root`.
    :param tell: told how it goes.
    :raises ConfigError: if the recipe has no collection to divide.
    """

    def __init__(self, study: Study, data: Path | None, tell: Tell = lambda text: None) -> None:
        self.study, self.tell = study, tell
        self.recipe = study.base()
        self.root = data_root(self.recipe, data)
        self.tokens = Tokens()
        sources = self.recipe.data.retrieval
        if len(sources) != 1 or sources[0].reader != "collection":
            raise ConfigError(
                "recipe.data.retrieval: a study divides a collection, so there must be one, of the reader 'collection'"
            )
        source = sources[0]
        self.source, self.collection_name = source, str(source.options["name"])

    @cached_property
    def collection(self) -> Collection:
        """The collection that is divided, in the languages of its reader."""
        languages = self.source.options.get("languages")
        folder = self.source.options.get("data")
        data = self.root / str(folder) if self.root and folder else collection_folder(self.collection_name, self.root)
        name = collection_name(self.collection_name, self.root)
        return load(name, data=data, languages=tuple(languages) if isinstance(languages, list) else None)

    @cached_property
    def tests(self) -> list[tuple[Test, Path | None, Collection]]:
        """The other tests, and where their files lie."""
        found = []
        for test in self.study.tests:
            task = Task(collection=test.collection, mixes=test.mixes)
            data = self.root / test.data if self.root and test.data else data_folder(task, self.root, 2)
            found.append((test, data, load(test.collection, data=data)))
        return found

    @cached_property
    def checked(self) -> tuple[Prepared, dict[str, Contamination]]:
        """Data without any line that shares an 8-gram with a test, and what was found, by kind of data.

        Parallel text is compared with every test. The divided collection is compared with the other tests only: its own folds
        are whole units, and the one that is held out is not trained on.
        """
        found, reports = prepare(self.recipe, self.root), dict[str, Contamination]()
        others = [collection for _, _, collection in self.tests]
        parts: list[tuple[str, Parallel | Retrieval | None, list[Collection]]] = [
            ("parallel", found.parallel, [self.collection, *others]),
            ("retrieval", found.retrieval, others),
        ]
        clean: dict[str, Any] = {}
        for name, part, against in parts:
            clean[name] = part
            if part is not None and against:
                reports[name] = check([part], against, allow=True)
                clean[name] = reports[name].without([part])[0]
        return Prepared(clean["parallel"], clean["retrieval"], None), reports

    @property
    def prepared(self) -> Prepared:
        """Data that may be trained on."""
        return self.checked[0]

    @cached_property
    def teacher(self) -> Any:
        """The teacher, with the vectors that it has."""
        return teacher_of(self.recipe.teacher)

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds that are trained."""
        return divide(self.collection, self.study.folds, self.recipe.seed)[: self.study.trained]

    @cached_property
    def shared_key(self) -> str:
        """Hash of all that decides the student after stage 1: what the study says, and the data."""
        recipe = {name: value for name, value in self.study.recipe.items() if name not in UNLIKE}
        recipe["data"] = {name: value for name, value in recipe.get("data", {}).items() if name != "folders"}
        first = self.study.stages[FIRST].model_dump(mode="json", exclude_unset=True)
        return digest(json.dumps([recipe, first], sort_keys=True), *self.prepared.revision)

    @cached_property
    def key(self) -> str:
        """Hash of what decides a row, beside its method and its fold."""
        settings = self.study.model_dump(mode="json", include={"stages", "mixes", "tests"}, exclude_unset=True)
        revisions = [collection.revision for _, _, collection in self.tests]
        return digest(self.shared_key, json.dumps(settings, sort_keys=True), self.collection.revision, *revisions)

    def describe(self) -> dict[str, Any]:
        """Return what was trained and tested on, and which text was in both; it fits into JSON."""
        prepared, reports = self.checked
        tests = [self.collection, *(collection for _, _, collection in self.tests)]
        return {
            "training": prepared.describe(),
            "tests": [collection.describe() for collection in tests],
            "contamination": {name: report.describe() for name, report in reports.items()},
        }

    @cached_property
    def folder(self) -> Path:
        """Where students and folds lie: in the cache, for they can be made again."""
        folder = cache_dir() / "studies" / f"{self.study.name}-{self.shared_key[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        self.use = Use(folder)  # `mimo-eval cache gc` leaves what is held
        return folder

    def material(self, retrieval: Retrieval | None, seed: int) -> Material:
        """Return what methods are given.

        :param retrieval: the training part of a fold.
        :param seed: of everything drawn.
        :return: the material.
        """
        size = self.study.stages["second"].batch_size
        names = {str(load_method(method).describe()["method"]) for method in self.study.runs.values()}
        prepared = self.prepared
        return Material(prepared.parallel, retrieval, self.teacher, prepared.languages, seed, dict.fromkeys(names, size))

    def training_part(self, fold: Fold) -> Retrieval:
        """Return the retrieval data without the fold that is held out.

        :param fold: the fold.
        :return: queries and passages of the other folds.
        """
        data = self.prepared.retrieval
        assert data is not None  # the recipe names it
        sides = ((data.queries, fold.queries), (data.passages, fold.passages))
        queries, passages = (np.isin(side.group_names(), groups)[side.group] for side, groups in sides)
        return data.select(queries, passages, {"step": "fold", "held out": fold.number + 1})

    def student(self) -> SentenceTransformer:
        """Return the raw student, as it is before any training; it is built once."""
        from sentence_transformers import SentenceTransformer

        place = self.folder / "student"
        with taken(self.folder / "student.lock", wait=True):
            if not (place / "modules.json").exists():
                self.tell("build the student")
                made = self.recipe.student.build(self.prepared.parallel, self.teacher, self.recipe.seed)
                fresh = self.folder / "student.new"
                shutil.rmtree(fresh, ignore_errors=True)
                made.save_pretrained(str(fresh), create_model_card=False)
                fresh.rename(place)
        return SentenceTransformer(str(place), device="cpu" if self.recipe.student.kind == "static" else None)

    def first_stage(self) -> tuple[SentenceTransformer, list[StageLog]]:
        """Return the student after stage 1, which is trained if it was not before, and the log of it."""
        student = self.student()
        with taken(self.folder / "stage-1.lock", wait=True):
            self.tell("stage 1")
            stages = load_method("distill").stages(self.material(None, self.recipe.seed))
            settings = {FIRST: self.study.stages[FIRST]}
            logs = fit(student, stages, settings, self.folder / "stage-1", seed=self.recipe.seed, rhythm=BRIEF)
        return student, logs
