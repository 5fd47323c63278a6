"""MIMO's first stage: every text into the teacher's space of the anchor language. Alone, it is control run B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mimo_eval.training.methods.options import Options, option
from mimo_eval.training.methods.rows import labelled, needed, texts
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.losses import SharedProjection

DISTANCES = ("cosine", "mse", "l2")


@dataclass(frozen=True)
class Distilling(Options):
    """Options of whatever learns from a teacher on parallel text."""

    distance: str = option("cosine", "distance to the teacher's vectors", choices=DISTANCES)
    identity: bool = option(True, "teach texts of the anchor language too, each as its own translation")

    def warm_up(self, material: Material, projection: SharedProjection) -> Stage:
        """Return stage 1. The teacher gets its texts as documents, without an instruction.

        :param material: with parallel text and a teacher.
        :param projection: the head that later stages may go on with.
        :return: the stage `distillation`.
        """
        parallel = needed(material.parallel, "data.parallel", self.method)
        teacher = needed(material.teacher, "teacher", self.method)
        rows = parallel.anchored(teacher.anchor, identity=self.identity)
        label = teacher.rows(texts(rows, "anchor"))[:, None]

        def loss(model: SentenceTransformer) -> nn.Module:
            import torch

            from mimo_eval.training.losses import Distillation

            targets = torch.from_numpy(teacher.vectors)
            return Distillation(model, projection=projection(model, targets), targets=targets, distance=self.distance)

        return Stage("distillation", labelled(rows, ["text"], label), loss)

    def projection(self, material: Material) -> SharedProjection:
        """Return the head, one for all stages of a run.

        :param material: with a teacher.
        :return: what makes it when student and vectors are known.
        """
        from mimo_eval.training.losses import SharedProjection

        needed(material.teacher, "teacher", self.method)
        return SharedProjection(material.seed)


@dataclass(frozen=True)
class Distill(Distilling):
    """Stage 1 alone."""

    method: ClassVar[str] = "distill"

    def stages(self, material: Material) -> Sequence[Stage]:
        """Return the one stage.

        :param material: with parallel text and a teacher.
        :return: the stage `distillation`.
        """
        return [self.warm_up(material, self.projection(material))]
