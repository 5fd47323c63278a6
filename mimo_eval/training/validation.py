"""Validation on a mixed corpus while a student is trained: any collection, any mix, any measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator

from mimo_eval import evaluation
from mimo_eval.benchmark import Benchmark, Task, changed
from mimo_eval.errors import ConfigError
from mimo_eval.protocols import Role
from mimo_eval.training.batches import prompt_of


class Student:
    """A model in training as an encoder; it has no fingerprint, so its vectors are kept for one evaluation only.

    :param model: the model.
    :param batch_size: texts per batch.
    """

    name = "student"

    def __init__(self, model: Any, batch_size: int = 128) -> None:
        self.model, self.batch_size = model, batch_size

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts with the prompts with which they are trained."""
        vectors = self.model.encode(
            list(texts),
            prompt=prompt_of(self.model, role),
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, np.float32)


class Validation(BaseEvaluator):  # type: ignore[misc]
    """Scores a student on one collection under one mix.

    :param collection: as in a benchmark.
    :param mix: as in a benchmark.
    :param measure: one measure, larger is better.
    :param every: steps between evaluations; below 1 a share of the stage.
    :param patience: evaluations without a new best after which a stage ends; None never.
    :param languages: to read; all if None.
    :param data: folder of the collection's files; else `$MIMO_EVAL_DATA`.
    :raises ConfigError: if the mix or the measure is unknown.
    """

    def __init__(
        self,
        collection: str = "mini",
        mix: str = "parallel",
        measure: str = "nDCG@20",
        *,
        every: float = 0.1,
        patience: int | None = None,
        languages: tuple[str, ...] | None = None,
        data: Path | None = None,
    ) -> None:
        super().__init__()
        task = Task(collection=collection, languages=languages, mixes=(mix,))
        self.benchmark = changed(Benchmark(name="validation", tasks=(task,)), measures=measure)
        if len(self.benchmark.measures) != 1:
            raise ConfigError(f"validation.measure: '{measure}' is more than one measure")
        self.every, self.patience, self.data = every, patience, data
        self.measure = self.benchmark.measures[0]
        self.name = f"{self.measure} on {collection} ({self.benchmark.tasks[0].mixes[0]})"
        self.key = self.primary_metric = "eval_validation"

    def __call__(self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1) -> dict[str, float]:
        """Evaluate; no result is written.

        :param model: the student.
        :return: one score.
        :raises ConfigError: if the measure has no value on this corpus.
        """
        training = model.training
        outcome = evaluation.run(Student(model.eval()), self.benchmark, data=self.data)
        model.train(training)
        score = outcome.result.settings[0].scores.get(self.measure)
        if score is None:
            reason = outcome.result.settings[0].left_out.get(self.measure, "it has no value for any query")
            raise ConfigError(f"validation.measure: {self.measure}: {reason}")
        return {self.key: float(score)}
