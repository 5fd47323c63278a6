"""Hybrid batches: each batch is of pairs within one language, or of pairs across two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mimo_eval.training.data.pairing import hybrid
from mimo_eval.training.methods.contrastive import Pairs
from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import needed
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from mimo_eval.training.losses import SharedProjection


@dataclass(frozen=True)
class Hybrid(Pairs):
    """InfoNCE over batches of one kind, drawn by weight."""

    method: ClassVar[str] = "hybrid"
    mono: float = option(0.5, "share of batches within one language", low=0, high=1)

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the stage, whose rows keep their order.

        :param material: with retrieval pairs, and the batch size of the stage `hybrid`.
        :param projection: not used.
        :return: the stage `hybrid`.
        """
        retrieval = self.retrieval(material)
        size = needed(material.batch_size.get(self.method), "stages.hybrid.batch_size", self.method)
        rows = hybrid(retrieval, batch_size=size, seed=material.seed, rows=self.count(retrieval), mono=self.mono)
        return self.pairs_stage(material, rows, shuffle=False)
