"""What the losses share: from features to embeddings, with gradient caching, and safe division by the length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import _create_minibatch, _minibatch_ranges
from sentence_transformers.base.losses.merged_forward import embed_columns
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Features = dict[str, Any]
"""What a model's `preprocess` makes of the texts of one column."""


class EmbeddingLoss(nn.Module, ABC):  # type: ignore[misc]
    """A loss that is a function of the embeddings of its text columns and of the labels.

    :param model: the student.
    :param mini_batch_size: texts embedded at a time with gradient caching; None embeds the whole batch at once.
    """

    def __init__(self, model: nn.Module, mini_batch_size: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.mini_batch_size = mini_batch_size

    def forward(self, features: Sequence[Features], labels: Tensor) -> dict[str, Tensor]:
        """Embed the text columns and return the parts of the loss, which the trainer adds.

        The arithmetic after the model is in float32 or better, also where the model runs in half precision.

        :param features: one per text column.
        :param labels: (B, m) int64, as the class says.
        :return: name to scalar.
        """
        embeddings = embed(self.model, list(features), self.mini_batch_size)
        with torch.autocast(embeddings[0].device.type, enabled=False):
            return self.compute_loss_from_embeddings([full_precision(vectors) for vectors in embeddings], labels)

    @abstractmethod
    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the parts of the loss.

        :param embeddings: (B, d) per text column, as the model gives them, not of length 1.
        :param labels: (B, m) int64, as the class says.
        :return: name to scalar; the loss is their sum.
        """

    @abstractmethod
    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, for the model card."""


def embed(model: nn.Module, features: list[Features], mini_batch_size: int | None = None) -> list[Tensor]:
    """Embed text columns, at most so many texts at a time if gradients are to be cached.

    Gradient caching (GradCache, Gao et al. 2021) embeds without keeping activations, takes the loss's gradient at the
    embeddings, and embeds again, one mini-batch after the other, to carry it on. That is activation checkpointing with the
    mini-batch as the segment, and so it is written: torch replays the random state (dropout) and the autocast state, and
    parameters of the loss, accumulated gradients and scaled losses need nothing special. Inputs of static embeddings, which
    keep no activations worth saving, are embedded at once.

    :param model: the student, perhaps wrapped for several devices.
    :param features: one per text column.
    :param mini_batch_size: texts at a time, at least 1; None for all.
    :return: (B, d) embeddings per column.
    """
    if mini_batch_size is None or "offsets" in features[0]:
        columns: list[Tensor] = embed_columns(model, features)
        return columns
    # the widths are the batch's before a module changes features in place
    ranges = [_minibatch_ranges(column, mini_batch_size) for column in features]
    return [
        torch.cat([_embed_again_in_backward(model, _create_minibatch(column, *limits)) for limits in spans])
        for column, spans in zip(features, ranges, strict=True)
    ]


def _embed_again_in_backward(model: nn.Module, features: Features) -> Tensor:
    first = True

    def run(batch: Features) -> Tensor:
        nonlocal first
        # a forward of DistributedDataParallel resets its books and broadcasts buffers, and the backward pass is under way
        used, first = (model if first else unwrap(model)), False
        return used(dict(batch))["sentence_embedding"]

    return checkpoint(run, features, use_reentrant=False, preserve_rng_state=True)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the student itself.

    :param model: the student, or `DistributedDataParallel` around it.
    :return: the student.
    """
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def rows(features: Features, begin: int, end: int) -> Features:
    """Return the features of some rows of a column.

    :param features: padded tokens, tokens in one row with their lengths, or those of a static embedding.
    :param begin: the first row.
    :param end: one after the last row.
    :return: the same keys for rows `begin` to `end`.
    """
    if "offsets" not in features:
        part: Features = _create_minibatch(features, begin, end)
        return part
    offsets = features["offsets"]
    first = int(offsets[begin])
    last = int(offsets[end]) if end < len(offsets) else len(features["input_ids"])
    return {**features, "input_ids": features["input_ids"][first:last], "offsets": offsets[begin:end] - first}


def full_precision(vectors: Tensor) -> Tensor:
    """Return vectors in float32, or in float64 if they are.

    :param vectors: any shape, any float type.
    :return: the same shape.
    """
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))


def unit(vectors: Tensor) -> Tensor:
    """Divide vectors by their length; a zero vector stays zero, and its gradient is finite.

    :param vectors: (…, d).
    :return: (…, d), of length 1 or 0.
    """
    lengths = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / lengths.masked_fill(lengths == 0, 1)
