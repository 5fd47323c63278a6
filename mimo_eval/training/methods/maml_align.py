"""MAML-Align: meta-tasks that go from one language to two for the teacher, from two to many for the student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mimo_eval.errors import ConfigError
from mimo_eval.training.data.meta_tasks import meta_tasks
from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import labelled, needed, numbers
from mimo_eval.training.methods.staged import Staged
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.losses import SharedProjection


@dataclass(frozen=True)
class MamlAlign(Staged):
    """First-order MAML-Align; the teacher is the student itself after some steps, so the recipe's is only for `warmup`."""

    method: ClassVar[str] = "maml-align"
    tasks: int = option(7000, "meta-tasks", low=1)
    support: int = option(8, "questions of a support set", low=1)
    query: int = option(4, "questions of a query set", low=1)
    languages: int = option(3, "languages of a multilingual set", low=2)
    steps: int = option(5, "of the teacher in each task", low=1)
    rate: float = option(1e-3, "learning rate of those steps", low=0)
    margin: float = option(1.0, "of the triplets", low=0)
    distillation: float = option(0.5, "weight of the difference between teacher and student", low=0)

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the stage, whose rows keep their order.

        :param material: with retrieval pairs.
        :param projection: not used.
        :return: the stage `maml-align`.
        :raises ConfigError: if the batch size of the stage is not that of whole tasks.
        """
        drawn = meta_tasks(
            self.retrieval(material),
            tasks=self.tasks,
            seed=material.seed,
            support=self.support,
            query=self.query,
            languages=self.languages,
        )
        batch = needed(material.batch_size.get(self.method), "stages.maml-align.batch_size", self.method)
        if batch % drawn.size:
            raise ConfigError(
                f"{self.method}: a meta-task is {drawn.size} rows, so the batch size must be a multiple of it, not {batch}"
            )
        sizes = (self.support, self.query, self.query * self.languages)

        def loss(model: SentenceTransformer) -> nn.Module:
            from mimo_eval.training import losses

            return losses.MamlAlign(
                model, sizes=sizes, steps=self.steps, rate=self.rate, margin=self.margin, distillation=self.distillation
            )

        label = numbers(drawn.rows, "task")[:, None]
        return Stage(self.method, labelled(drawn.rows, ["query", "positive", "negative"], label), loss, shuffle=False)
