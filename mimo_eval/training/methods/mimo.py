"""MIMO: distillation on parallel text, then contrast between languages and distillation at once.

`warmup=false` is control run D, the joint loss from the student as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mimo_eval.training.data.pairing import ordered_pairs
from mimo_eval.training.methods.contrastive import Contrastive
from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import labelled, needed, relevant, texts
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.losses import SharedProjection

RULES = ("constant", "gradient", "uncertainty")


@dataclass(frozen=True)
class Mimo(Contrastive):
    """Both stages; the second on every ordered pair of languages in turn, never the same language twice."""

    method: ClassVar[str] = "mimo"
    warmup: bool = option(True, "begin with stage 1, distillation on parallel text")
    lambda_: float = option(0.2, "weight of the contrastive loss; with another balance, its share", low=0, high=1)
    balance: str = option("constant", "what lambda is a share of: losses, gradients, losses by uncertainty", choices=RULES)

    @property
    def taught(self) -> bool:
        """Whether a teacher is needed: always."""
        return True

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return stage 2. The teacher gets queries with its instruction, passages without.

        :param material: with retrieval pairs and a teacher; pairs without a version in the teacher's language are left out.
        :param projection: the head, as stage 1 left it.
        :return: the stage `joint`.
        """
        retrieval, teacher = self.retrieval(material), needed(material.teacher, "teacher", self.method)
        head = needed(projection, "teacher", self.method)
        rows = ordered_pairs(retrieval, seed=material.seed, rows=self.count(retrieval), anchor=teacher.anchor)
        taught = (teacher.rows(texts(rows, "query_anchor"), role="query"), teacher.rows(texts(rows, "passage_anchor")))
        label = np.concatenate([np.stack(taught, axis=1), *relevant(retrieval, rows)], axis=1)

        def loss(model: SentenceTransformer) -> nn.Module:
            import torch

            from mimo_eval.training.losses import Balance, Joint

            targets = torch.from_numpy(teacher.vectors)
            return Joint(
                model,
                projection=head(model, targets),
                targets=targets,
                balance=Balance(self.lambda_, self.balance),
                scale=self.scale,
                distance=self.distance,
            )

        return Stage("joint", labelled(rows, ["query", "passage"], label), loss)
