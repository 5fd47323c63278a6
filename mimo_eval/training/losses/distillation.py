"""Distillation into a frozen teacher's space, through a projection that is thrown away after training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimo_eval.errors import ConfigError
from mimo_eval.training.losses.embedding import EmbeddingLoss


class SharedProjection:
    """Makes one head for all stages of a run: `nn.Linear` with bias from the student's width to the teacher's.

    It belongs to the losses, not to the student, so it is not in the saved model.

    :param seed: of the first weights.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.head: nn.Linear | None = None

    def __call__(self, model: Any, targets: Tensor) -> nn.Linear:
        """Return the head, made at the first call.

        :param model: the student.
        :param targets: (n, d_t) vectors of the teacher.
        :return: the same module each time.
        """
        if self.head is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                self.head = nn.Linear(model.get_embedding_dimension(), targets.shape[1])
        return self.head


class Distillation(EmbeddingLoss):
    """The projected embedding of each text against the teacher's vector of its translation in the anchor language.

    L = mean over columns and rows of distance(W s + b, t); with `cosine`, 1 - cos, from 0 to 2.

    Text columns: any number. Labels: a row of the teacher's vectors for each text column.

    :param model: the student.
    :param projection: d_s to d_t, trained with the student.
    :param targets: (n, d_t) vectors of the teacher; they get no gradient and stay where they are.
    :param distance: `cosine`, `mse` (mean over rows and dimensions of the squared difference) or `l2` (mean length of it).
    :param mini_batch_size: as for `EmbeddingLoss`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        projection: nn.Linear,
        targets: Tensor,
        distance: str = "cosine",
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__(model, mini_batch_size)
        self.projection, self.targets, self.distance = projection, targets, distance
        check(projection, targets, distance)

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the one part.

        :param embeddings: (B, d_s) per text column.
        :param labels: (B, columns) int64 rows of the teacher's vectors.
        :return: `distillation`, a scalar.
        """
        return {"distillation": distil(embeddings, labels, self.projection, self.targets, self.distance)}

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return {"distance": self.distance, "teacher_width": self.targets.shape[1]}


def distil(embeddings: Sequence[Tensor], labels: Tensor, projection: nn.Linear, targets: Tensor, distance: str) -> Tensor:
    """Return the mean distance of projected embeddings to the teacher's vectors.

    :param embeddings: (B, d_s) per text column.
    :param labels: (B, columns) int64 rows of the targets.
    :param projection: d_s to d_t.
    :param targets: (n, d_t), on any device.
    :param distance: a key of `DISTANCES`.
    :return: a scalar, at least 0.
    """
    projected = projection(torch.cat(list(embeddings)))
    wanted = targets[labels.T.reshape(-1).to(targets.device)].detach().to(projected)
    return DISTANCES[distance](projected, wanted)


def check(projection: nn.Linear, targets: Tensor, distance: str) -> None:
    """Refuse what does not fit.

    :param projection: the head.
    :param targets: (n, d_t) vectors of the teacher.
    :param distance: the user's choice.
    :raises ConfigError: if the distance is unknown or the head gives another width than the teacher's.
    """
    if distance not in DISTANCES:
        raise ConfigError(f"unknown distance '{distance}' of distillation; known: {', '.join(DISTANCES)}")
    if projection.out_features != targets.shape[1]:
        raise ConfigError(
            f"the projection gives {projection.out_features} dimensions and the teacher has {targets.shape[1]}; "
            "was it trained with another teacher?"
        )


def _cosine(projected: Tensor, wanted: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(projected, dim=-1) * torch.linalg.vector_norm(wanted, dim=-1)
    products = torch.einsum("bd,bd->b", projected, wanted)
    return (1 - products / lengths.masked_fill(lengths == 0, 1)).mean()


def _mse(projected: Tensor, wanted: Tensor) -> Tensor:
    return (projected - wanted).square().mean()


def _l2(projected: Tensor, wanted: Tensor) -> Tensor:
    return torch.linalg.vector_norm(projected - wanted, dim=-1).mean()


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cosine": _cosine, "mse": _mse, "l2": _l2}
