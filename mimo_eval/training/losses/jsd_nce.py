"""JSD + NCE, the loss of the paper on Max@R: two versions of a passage alike, and both near the English question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimo_eval.training.losses.contrastive import false_negatives, info_nce
from mimo_eval.training.losses.embedding import EmbeddingLoss

SMALLEST = 1e-12
"""A divergence below it counts as it, without gradient: that of the square root is infinite at 0."""


class JsdNce(EmbeddingLoss):
    """L = sqrt(JSD(softmax(z_p) || softmax(z_t))) + InfoNCE(t -> q).

    z_p and z_t are the embeddings of a passage in the anchor language and in another; the softmax is over their dimensions.
    InfoNCE has the other version as the anchor, the query in the anchor language as the positive, and the other queries of
    the batch as negatives. The paper's constant added to the root is left out: it has no gradient.

    Text columns: query, passage, the passage in another language. Labels: those of `InfoNCE`.

    :param model: the student.
    :param scale: 1 / temperature of InfoNCE.
    :param mini_batch_size: as for `EmbeddingLoss`.
    """

    def __init__(self, model: nn.Module, *, scale: float = 20.0, mini_batch_size: int | None = None) -> None:
        super().__init__(model, mini_batch_size)
        self.scale = scale

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the two parts.

        :param embeddings: (B, d) queries, passages, passages in another language.
        :param labels: (B, m) int64.
        :return: `divergence` and `infonce`, scalars.
        """
        queries, passages, others = embeddings
        divergence = jensen_shannon(passages, others).clamp(min=SMALLEST).sqrt().mean()
        left_out = false_negatives(labels).T  # the passage asks here, and the queries are the candidates
        return {"divergence": divergence, "infonce": info_nce(others, [queries], left_out, self.scale)}

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return {"scale": self.scale}


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence between the softmax over dimensions of two vectors.

    :param first: (B, d).
    :param second: (B, d).
    :return: (B,), 0 to log 2, in nats.
    """
    one, two = (nn.functional.log_softmax(vectors, dim=-1) for vectors in (first, second))
    middle = torch.logaddexp(one, two) - math.log(2)
    return ((one.exp() * (one - middle)).sum(-1) + (two.exp() * (two - middle)).sum(-1)) / 2
