"""LaKDA: two versions of a query, of which one finds the passage and both are to have the same neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mimo_eval.training.data.pairing import two_queries
from mimo_eval.training.methods.contrastive import Contrastive
from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import labelled, relevant
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.losses import SharedProjection


@dataclass(frozen=True)
class LaKda(Contrastive):
    """InfoNCE and a divergence between the neighbours of two versions of a query."""

    method: ClassVar[str] = "lakda"
    alpha: float = option(0.5, "weight of the divergence; InfoNCE has the rest", low=0, high=1)

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the stage.

        :param material: with retrieval pairs.
        :param projection: not used.
        :return: the stage `lakda`.
        """
        retrieval = self.retrieval(material)
        rows = two_queries(retrieval, seed=material.seed, rows=self.count(retrieval))
        label = np.concatenate(relevant(retrieval, rows), axis=1)

        def loss(model: SentenceTransformer) -> nn.Module:
            from mimo_eval.training.losses import LaKDA

            return LaKDA(model, alpha=self.alpha, scale=self.scale)

        return Stage(self.method, labelled(rows, ["query_a", "query_b", "passage"], label), loss)
