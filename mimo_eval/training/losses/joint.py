"""MIMO's second stage: contrast between languages and distillation at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mimo_eval.training.losses.balance import Balance
from mimo_eval.training.losses.contrastive import false_negatives, info_nce
from mimo_eval.training.losses.distillation import check, distil
from mimo_eval.training.losses.embedding import EmbeddingLoss


class Joint(EmbeddingLoss):
    """L = lambda XLCO + (1 - lambda) distillation, the latter half on queries and half on passages.

    XLCO is in the student's space, distillation through the projection. Lambda 1 is XLCO exactly; lambda 0 leaves no
    contrastive gradient.

    Text columns: query, passage. Labels: the teacher's rows of query and passage, then those of `InfoNCE`: the passage's group,
    the query's other relevant groups.

    :param model: the student.
    :param projection: as for `Distillation`.
    :param targets: as for `Distillation`.
    :param balance: gives lambda.
    :param scale: 1 / temperature of XLCO.
    :param distance: as for `Distillation`.
    :param mini_batch_size: as for `EmbeddingLoss`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        projection: nn.Linear,
        targets: Tensor,
        balance: Balance,
        scale: float = 20.0,
        distance: str = "cosine",
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, mini_batch_size)
        self.projection, self.targets, self.balance = projection, targets, balance
        self.scale, self.distance = scale, distance
        check(projection, targets, distance)

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the two parts, weighted.

        :param embeddings: (B, d_s) queries and passages.
        :param labels: (B, 3 or more) int64.
        :return: `xlco` and `distillation`, scalars.
        """
        queries, passages = embeddings
        contrastive = info_nce(queries, [passages], false_negatives(labels[:, 2:]), self.scale)
        distillation = distil(embeddings, labels[:, :2], self.projection, self.targets, self.distance)
        weight = self.balance(contrastive, distillation, embeddings)
        return {"xlco": weight * contrastive, "distillation": (1 - weight) * distillation}

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "lambda": self.balance.share,
            "balance": self.balance.rule,
            "scale": self.scale,
            "distance": self.distance,
            "teacher_width": self.targets.shape[1],
        }
