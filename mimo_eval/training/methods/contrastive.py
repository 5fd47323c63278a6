"""What the contrastive methods share: how many rows, at which temperature, and InfoNCE over pairs."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import labelled, negatives, relevant
from mimo_eval.training.methods.staged import Staged
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    import datasets
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.data import Retrieval


@dataclass(frozen=True)
class Contrastive(Staged, ABC):
    """Retrieval pairs under a contrastive loss."""

    passes: int = option(1, "times that each positive pair is used, each time in other languages", low=1)
    scale: float = option(20.0, "1 / temperature", low=0.01)

    def count(self, retrieval: Retrieval) -> int:
        """Return the number of rows.

        :param retrieval: the pairs.
        :return: pairs times passes.
        """
        return len(retrieval.positives) * self.passes


@dataclass(frozen=True)
class Pairs(Contrastive, ABC):
    """InfoNCE over (query, passage), with negatives if wanted; the methods differ in the languages."""

    negatives: int = option(0, "negatives drawn for each pair, beside those of the batch", low=0, high=16)

    def pairs_stage(self, material: Material, rows: datasets.Dataset, shuffle: bool = True) -> Stage:
        """Return a stage under InfoNCE.

        :param material: what the recipe offers.
        :param rows: query, passage, their groups, the passage's language.
        :param shuffle: whether the trainer may reorder rows.
        :return: the stage, named as the method.
        """
        retrieval = self.retrieval(material)
        more, wrong = negatives(retrieval, rows, self.negatives, material.seed)
        passage, others = relevant(retrieval, rows)

        def loss(model: SentenceTransformer) -> nn.Module:
            from mimo_eval.training.losses import InfoNCE

            return InfoNCE(model, scale=self.scale, negatives=self.negatives, name=self.method)

        label = np.concatenate([passage, wrong, others], axis=1)
        return Stage(self.method, labelled(rows, ["query", "passage"], label, **more), loss, shuffle)
