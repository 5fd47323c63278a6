"""Hu et al. 2023: retrieval, with semantic and language contrast on the side. There is no code of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimo_eval.training.losses.contrastive import false_negatives, info_nce
from mimo_eval.training.losses.embedding import EmbeddingLoss, unit


class Hu2023Loss(EmbeddingLoss):
    """L = L_IR + w_s L_sema + w_l L_lang.

    L_IR is InfoNCE with given negatives and those of the batch, L_sema `nt_xent` over translation pairs, L_lang
    `language_contrast` between translation pairs and sentences that are no part of one.

    Text columns: query, passage, negatives, sentence, its translation, a third sentence. Labels: the groups of the passage and
    of the negatives, the pair's group, the third sentence's group, then the query's other relevant passages.

    :param model: the student.
    :param negatives: text columns of negatives.
    :param semantic: w_s.
    :param language: w_l.
    :param scale: 1 / temperature of L_IR.
    :param temperature: of L_sema and L_lang.
    :param mini_batch_size: as for `EmbeddingLoss`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        negatives: int = 0,
        semantic: float = 0.01,
        language: float = 0.001,
        scale: float = 20.0,
        temperature: float = 0.1,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, mini_batch_size)
        self.negatives, self.semantic, self.language = negatives, semantic, language
        self.scale, self.temperature = scale, temperature

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the three parts, weighted.

        :param embeddings: (B, d) per text column.
        :param labels: (B, negatives + 3 or more) int64.
        :return: `retrieval`, `semantic`, `language`, scalars.
        """
        queries, *candidates, left, right, third = embeddings
        count = len(candidates)
        pair, single = labels[:, count], labels[:, count + 1]
        groups = torch.cat([labels[:, :count], labels[:, count + 2 :]], dim=1)
        return {
            "retrieval": info_nce(queries, candidates, false_negatives(groups, count), self.scale),
            "semantic": self.semantic * nt_xent(left, right, pair, self.temperature),
            "language": self.language * language_contrast(left, right, third, pair, single, self.temperature),
        }

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings."""
        names = ("negatives", "semantic", "language", "scale", "temperature")
        return {name: getattr(self, name) for name in names}


def nt_xent(left: Tensor, right: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Return the normalised, temperature-scaled cross entropy over the 2N sentences of N pairs, in both directions.

    -log [ exp(cos(z_i, z_j) / T) / sum_{k != i} exp(cos(z_i, z_k) / T) ], the mean over all 2N sentences.

    :param left: (N, d) one side of the pairs.
    :param right: (N, d) their translations.
    :param groups: (N,) int64; other pairs of the same group are no negatives.
    :param temperature: above 0.
    :return: a scalar, at least 0.
    """
    count = len(left)
    sentences = unit(torch.cat([left, right]))
    scores = sentences @ sentences.T / temperature
    translation = torch.arange(2 * count, device=scores.device).roll(count)
    same = (groups.repeat(2)[:, None] == groups.repeat(2)).scatter(1, translation[:, None], False)
    return nn.functional.cross_entropy(scores.masked_fill(same, -torch.inf), translation)


def language_contrast(left: Tensor, right: Tensor, third: Tensor, pairs: Tensor, singles: Tensor, temperature: float) -> Tensor:
    """Return how well third sentences tell the two languages of translation pairs apart.

    -1/2 [ log(e^{s_ik} / (e^{s_ik} + e^{s_jk})) + log(e^{s_jk} / (e^{s_ik} + e^{s_jk})) ] with s = cos / T, the mean over all
    pairs (i, j) and all third sentences k of other groups.

    :param left: (N, d) one side of the pairs.
    :param right: (N, d) their translations.
    :param third: (M, d) sentences in any language.
    :param pairs: (N,) int64 groups.
    :param singles: (M,) int64 groups.
    :param temperature: above 0.
    :return: a scalar, at least log 2, where no sentence prefers a language; 0 if every k belongs to every pair.
    """
    difference = (unit(left) - unit(right)) @ unit(third).T / temperature
    loss = (nn.functional.softplus(difference) + nn.functional.softplus(-difference)) / 2
    other = pairs[:, None] != singles
    return (loss * other).sum() / other.sum().clamp(min=1)
