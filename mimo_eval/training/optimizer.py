"""Adam that touches only the rows of a table that a batch has used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LazyAdam(Optimizer):  # type: ignore[misc]
    """AdamW for dense gradients, and the same row by row for sparse ones.

    A row without a gradient keeps its value and its moments, so a step costs the rows in use and not the table. Each row counts
    its own steps for the bias correction: `torch.optim.SparseAdam` counts those of the whole table, and so moves a rare row by
    about three times the learning rate when it is first met. Rows that occur in every step move as under `torch.optim.AdamW`.
    Weight decay applies to dense parameters only.

    :param params: parameters or groups of them.
    :param lr: learning rate.
    :param betas: decay of the two moments.
    :param eps: added to the denominator.
    :param weight_decay: decoupled.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.grad.is_sparse:
                    self._rows(parameter, group)
                else:
                    self._whole(parameter, group)

    def _whole(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self._state(parameter, torch.zeros((), dtype=torch.float32))
        state["count"] += 1
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        first, second = state["first"], state["second"]
        _average(first, second, parameter.grad, group["betas"])
        parameter.sub_(_move(first, second, state["count"], group))

    def _rows(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        state = self._state(parameter, torch.zeros(len(parameter), dtype=torch.float32, device=parameter.device))
        count = state["count"].index_select(0, rows) + 1
        first, second = (state[name].index_select(0, rows) for name in ("first", "second"))
        _average(first, second, values, group["betas"])
        for name, moved in (("count", count), ("first", first), ("second", second)):
            state[name].index_copy_(0, rows, moved)
        parameter.index_add_(0, rows, _move(first, second, count[:, None], group), alpha=-1)

    def _state(self, parameter: Tensor, count: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state.update(count=count, first=torch.zeros_like(parameter), second=torch.zeros_like(parameter))
        return state


def _average(first: Tensor, second: Tensor, gradient: Tensor, betas: tuple[float, float]) -> None:
    first.lerp_(gradient, 1 - betas[0])
    second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])


def _move(first: Tensor, second: Tensor, count: Tensor, group: dict[str, Any]) -> Tensor:
    """Return lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)."""
    faded_first, faded_second = (-torch.expm1(count * math.log(beta)) for beta in group["betas"])
    return second.sqrt().div_(faded_second.sqrt()).add_(group["eps"]).reciprocal_().mul_(first).mul_(group["lr"] / faded_first)


def clip(parameters: Iterable[Tensor], most: float) -> Tensor:
    """Scale gradients, sparse ones too, so that their joint norm is at most `most`, as `clip_grad_norm_` does.

    :param parameters: those whose gradients count.
    :param most: largest norm; infinity only measures.
    :return: the norm before, a scalar.
    """
    values = []
    for parameter in parameters:
        if parameter.grad is not None:
            if parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
                values.append(parameter.grad.values())
            else:
                values.append(parameter.grad)
    if not values:
        return torch.zeros(())
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(value) for value in values]))
    if math.isfinite(most):
        factor = (most / (norm + 1e-6)).clamp(max=1.0)
        for value in values:
            value.mul_(factor)
    return norm
