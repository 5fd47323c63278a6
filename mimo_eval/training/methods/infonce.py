"""InfoNCE with query and passage in one language, another for each row in turn: a published baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mimo_eval.training.data.pairing import same_language
from mimo_eval.training.methods.contrastive import Pairs
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from mimo_eval.training.losses import SharedProjection


@dataclass(frozen=True)
class InfoNce(Pairs):
    """InfoNCE within a language; batches mix the languages."""

    method: ClassVar[str] = "infonce"

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the stage.

        :param material: with retrieval pairs.
        :param projection: not used.
        :return: the stage `infonce`.
        """
        retrieval = self.retrieval(material)
        return self.pairs_stage(material, same_language(retrieval, seed=material.seed, rows=self.count(retrieval)))
