"""XLCO: InfoNCE with query and passage never in one language. With `warmup=true` it is control run C, without it A."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mimo_eval.training.data.pairing import ordered_pairs
from mimo_eval.training.methods.contrastive import Pairs
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from mimo_eval.training.losses import SharedProjection


@dataclass(frozen=True)
class Xlco(Pairs):
    """InfoNCE across languages, every ordered pair of them in turn."""

    method: ClassVar[str] = "xlco"

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the stage.

        :param material: with retrieval pairs.
        :param projection: not used.
        :return: the stage `xlco`.
        """
        retrieval = self.retrieval(material)
        return self.pairs_stage(material, ordered_pairs(retrieval, seed=material.seed, rows=self.count(retrieval)))
