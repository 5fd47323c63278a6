"""InfoNCE over the batch: the loss of InfoNCE, XLCO and hybrid batches, which differ in the languages of their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimo_eval.training.losses.embedding import EmbeddingLoss, unit


class InfoNCE(EmbeddingLoss):
    """Each query's passage against the other passages of the batch, in the student's space, from query to passage only.

    L = -mean_i log [ exp(s cos(q_i, p_i)) / sum_j exp(s cos(q_i, p_j)) ], at least 0, log B at chance. Called XLCO where query
    and passage are never in one language. Candidates that are relevant too are left out of the sum (`false_negatives`).

    Text columns: query, passage, then negatives. Labels: the groups of passage and negatives, then the query's other relevant
    groups, -1 where there are no more.

    :param model: the student.
    :param scale: 1 / temperature.
    :param negatives: text columns after the passage.
    :param name: of the part in the log.
    :param mini_batch_size: as for `EmbeddingLoss`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        scale: float = 20.0,
        negatives: int = 0,
        name: str = "infonce",
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, mini_batch_size)
        self.scale, self.negatives, self.name = scale, negatives, name

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the one part.

        :param embeddings: (B, d) per text column.
        :param labels: (B, m) int64.
        :return: name to scalar.
        """
        queries, *candidates = embeddings
        return {self.name: info_nce(queries, candidates, false_negatives(labels, len(candidates)), self.scale)}

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return {"scale": self.scale, "negatives": self.negatives}


def info_nce(queries: Tensor, candidates: Sequence[Tensor], left_out: Tensor, scale: float) -> Tensor:
    """Return InfoNCE over the candidates of the whole batch.

    :param queries: (B, d).
    :param candidates: the positives, then the negatives, (B, d) each.
    :param left_out: (B, columns * B) bool: candidates that are no negatives of a query, never its own positive.
    :param scale: 1 / temperature.
    :return: a scalar, at least 0.
    """
    scores = scale * unit(queries) @ unit(torch.cat(list(candidates))).T
    scores = scores.masked_fill(left_out, -torch.inf)
    return nn.functional.cross_entropy(scores, torch.arange(len(queries), device=scores.device))


def false_negatives(groups: Tensor, columns: int = 1) -> Tensor:
    """Say which candidates of the batch are relevant to a query beside its own passage, and so are no negatives.

    They are those of the same group (the same passage, in any language, or a second time) and those of other groups that the
    query is known to be answered by.

    :param groups: (B, m) int64: the groups of a row's candidates, one per column, the positive first; then other groups
        relevant to the row's query. Below 0 stands for none.
    :param columns: candidates of a row, at least 1.
    :return: (B, columns * B) bool; candidates by column, then by row.
    """
    relevant = torch.cat([groups[:, :1], groups[:, columns:]], dim=1)
    candidates = groups[:, :columns].T.reshape(-1)
    found = torch.zeros(len(groups), len(candidates), dtype=torch.bool, device=groups.device)
    for column in relevant.unbind(1):
        found |= (column[:, None] == candidates) & (column[:, None] >= 0)
    return found.fill_diagonal_(False)
