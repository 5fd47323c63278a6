"""JSD + NCE: a query and its passage in the anchor language, and the passage in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mimo_eval.training.data.pairing import with_target
from mimo_eval.training.methods.contrastive import Contrastive
from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import labelled, relevant
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.losses import SharedProjection


@dataclass(frozen=True)
class JsdNce(Contrastive):
    """A divergence between two versions of a passage, and InfoNCE from the one to the query."""

    method: ClassVar[str] = "jsd-nce"
    anchor: str = option("en", "language of the queries")

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the stage.

        :param material: with retrieval pairs.
        :param projection: not used.
        :return: the stage `jsd-nce`.
        """
        retrieval = self.retrieval(material)
        rows = with_target(retrieval, anchor=self.anchor, seed=material.seed, rows=self.count(retrieval))
        label = np.concatenate(relevant(retrieval, rows), axis=1)

        def loss(model: SentenceTransformer) -> nn.Module:
            from mimo_eval.training import losses

            return losses.JsdNce(model, scale=self.scale)

        return Stage(self.method, labelled(rows, ["query", "passage", "target"], label), loss)
