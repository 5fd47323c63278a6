"""How much the contrastive part weighs: a constant, or a share that follows the two losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn

from mimo_eval.errors import ConfigError

RULES = ("constant", "gradient", "uncertainty")
KEPT = 0.9
"""Of the running mean of the two losses' sizes, at each step."""


class Balance(nn.Module):  # type: ignore[misc]
    """The weight lambda of the contrastive loss L_c, 1 - lambda being that of the distillation L_d.

    `constant`: lambda = share. `gradient`: lambda ||dL_c/dE|| : (1 - lambda) ||dL_d/dE|| = share : (1 - share) with E the
    student's embeddings of the batch, so that neither loss drowns the other (the aim of GradNorm, Chen et al. 2018).
    `uncertainty`: homoscedastic uncertainty (Kendall et al. 2018) with the variances at their optimum instead of learnt.
    L / (2 s^2) + log s has its minimum over s at s^2 = L, and L / s^2 + log s at s^2 = 2 L; either way L weighs 1 / (2 L), so
    lambda : (1 - lambda) = share / L_c : (1 - share) / L_d. Learnt variances would move with the learning rate of the student,
    which for a transformer is too small to move them in a few hundred steps. Sizes are running means over steps, over all
    devices, and part of the state that a checkpoint keeps.

    :param share: 0 to 1.
    :param rule: one of `RULES`.
    """

    average: Tensor
    """(2,) running means of the contrastive and the distillation loss's size; NaN before the first step."""

    def __init__(self, share: float = 0.2, rule: str = "constant") -> None:
        super().__init__()
        if rule not in RULES:
            raise ConfigError(f"unknown rule '{rule}' to balance losses; known: {', '.join(RULES)}")
        if not 0 <= share <= 1:
            raise ConfigError(f"the weight of the contrastive loss must be from 0 to 1, not {share:g}")
        self.share, self.rule = share, rule
        self.register_buffer("average", torch.full((2,), torch.nan))

    def forward(self, contrastive: Tensor, distillation: Tensor, embeddings: Sequence[Tensor]) -> Tensor | float:
        """Return lambda, without gradient.

        :param contrastive: L_c, a scalar.
        :param distillation: L_d, a scalar.
        :param embeddings: those of which both are functions.
        :return: 0 to 1.
        """
        if self.rule == "constant":
            return self.share
        if torch.is_grad_enabled():  # evaluation uses the weight of the last step
            self._update(torch.stack([self._size(loss, embeddings) for loss in (contrastive, distillation)]))
        contrastive_size, distillation_size = self.average
        ours, theirs = self.share * distillation_size, (1 - self.share) * contrastive_size
        return torch.nan_to_num(ours / (ours + theirs), nan=self.share)

    def _size(self, loss: Tensor, embeddings: Sequence[Tensor]) -> Tensor:
        if self.rule == "uncertainty":
            return loss.detach()
        gradients = torch.autograd.grad(loss, list(embeddings), retain_graph=True, allow_unused=True)
        return torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt()

    def _update(self, sizes: Tensor) -> None:
        sizes = sizes.to(self.average)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sizes)
            sizes /= distributed.get_world_size()
        kept = torch.lerp(sizes, self.average, KEPT)
        self.average.copy_(torch.where(self.average.isnan(), sizes, kept))
