"""Methods of one stage of their own, which start from the student as it is or after MIMO's first stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimo_eval.training.methods.distill import Distilling
from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import needed
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from mimo_eval.training.data import Retrieval
    from mimo_eval.training.losses import SharedProjection


@dataclass(frozen=True)
class Staged(Distilling, ABC):
    """A stage of its own on retrieval pairs, after distillation on parallel text if `warmup` is on."""

    warmup: bool = option(False, "begin with stage 1, distillation on parallel text")

    def stages(self, material: Material) -> Sequence[Stage]:
        """Return stage 1 if it is on, then the method's own.

        :param material: with retrieval pairs; with parallel text and a teacher where the method or stage 1 learns from them.
        :return: one or two stages.
        """
        projection = self.projection(material) if self.taught else None
        before = [self.warm_up(material, projection)] if self.warmup and projection is not None else []
        return [*before, self.main(material, projection)]

    @property
    def taught(self) -> bool:
        """Whether a teacher is needed."""
        return self.warmup

    @abstractmethod
    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the method's own stage.

        :param material: what the recipe offers.
        :param projection: the head of stage 1, where a teacher is needed.
        :return: the stage.
        """

    def retrieval(self, material: Material) -> Retrieval:
        """Return the retrieval pairs.

        :param material: what the recipe offers.
        :return: the pairs.
        """
        return needed(material.retrieval, "data.retrieval", self.method)
