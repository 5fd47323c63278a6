"""LaKDA: InfoNCE within one version of the query, and agreement of its neighbours with another version's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mimo_eval.training.losses.contrastive import false_negatives, info_nce
from mimo_eval.training.losses.embedding import EmbeddingLoss, unit


class LaKDA(EmbeddingLoss):
    """L = (1 - alpha) InfoNCE(q_a, p) + alpha KL(p_b || p_a), p_x(j) = softmax_j cos(q_x, p_j) over the batch's passages.

    The cosines of the divergence are not scaled, and all three towers get gradient. Only InfoNCE leaves out false negatives:
    the divergence compares two queries over the same passages, where a repeated one does no harm.

    Text columns: two versions of the query, passage. Labels: those of `InfoNCE`.

    :param model: the student.
    :param alpha: 0 to 1.
    :param scale: 1 / temperature of InfoNCE.
    :param mini_batch_size: as for `EmbeddingLoss`.
    """

    def __init__(
        self, model: nn.Module, *, alpha: float = 0.5, scale: float = 20.0, mini_batch_size: int | None = None
    ) -> None:
        super().__init__(model, mini_batch_size)
        self.alpha, self.scale = alpha, scale

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the two parts, weighted.

        :param embeddings: (B, d) of the queries' two versions and the passages.
        :param labels: (B, m) int64.
        :return: `infonce` and `divergence`, scalars.
        """
        first, second, passages = embeddings
        contrastive = info_nce(first, [passages], false_negatives(labels), self.scale)
        return {
            "infonce": (1 - self.alpha) * contrastive,
            "divergence": self.alpha * neighbour_divergence(first, second, passages),
        }

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return {"alpha": self.alpha, "scale": self.scale}


def neighbour_divergence(first: Tensor, second: Tensor, passages: Tensor) -> Tensor:
    """Return KL(p_b || p_a), the mean over queries, with the softmax of plain cosines.

    :param first: (B, d) queries, version a.
    :param second: (B, d) queries, version b.
    :param passages: (n, d).
    :return: a scalar, at least 0, in nats.
    """
    candidates = unit(passages).T
    log_a, log_b = (nn.functional.log_softmax(unit(queries) @ candidates, dim=-1) for queries in (first, second))
    return nn.functional.kl_div(log_a, log_b, log_target=True, reduction="batchmean")
