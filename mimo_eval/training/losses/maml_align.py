"""MAML-Align, first order: a teacher that adapts to one language before it meets two, a student that meets many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mimo_eval.errors import ConfigError
from mimo_eval.training.losses.embedding import Features, full_precision, rows, unit, unwrap

Weights = dict[str, Tensor]


class MamlAlign(nn.Module):  # type: ignore[misc]
    """L = (L_q^T + L_q^S) / (2 tasks) + w (L_q^T - L_s^S)^2, each a sum over the tasks of the batch.

    For each meta-task the teacher starts from the student's parameters theta, takes some gradient steps on the support set, and
    has the loss L_q^T on the bilingual set at phi, where it arrives. The student has L_s^S on the bilingual and L_q^S on the
    multilingual set at theta. First order: the gradient of L_q^T at phi is taken as that at theta, for which the loss is
    computed at theta + (phi - theta) with the difference held constant. As in the released code, the distillation compares two
    sums, and neither side is detached. A set's loss is `TripletMarginLoss` on embeddings of length 1, the mean of its triplets.

    Text columns: query, positive, negative. Labels: ignored, the rows' order says what they are: per task the support,
    the bilingual and the multilingual set. A batch is whole tasks.

    :param model: the student.
    :param sizes: triplets in the support, bilingual and multilingual set of a task.
    :param steps: of the teacher in each task.
    :param rate: of the teacher's steps, plain gradient descent.
    :param margin: of the triplets.
    :param distillation: w.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        sizes: tuple[int, int, int],
        steps: int = 5,
        rate: float = 1e-3,
        margin: float = 1.0,
        distillation: float = 0.5,
    ) -> None:
        super().__init__()
        self.model = model
        self.sizes, self.steps, self.rate, self.margin, self.distillation = sizes, steps, rate, margin, distillation

    def forward(self, features: Sequence[Features], labels: Tensor) -> dict[str, Tensor]:
        """Adapt a teacher to each task and return the parts of the loss.

        :param features: of queries, positives, negatives.
        :param labels: ignored, but for the number of rows.
        :return: `teacher`, `student` and `distillation`, scalars.
        :raises ConfigError: if the batch is not made of whole tasks.
        """
        size = sum(self.sizes)
        if len(labels) % size:
            raise ConfigError(f"a batch of {len(labels)} rows is not whole meta-tasks of {size} rows; change the batch size")
        losses = self._student(list(features), len(labels) // size)
        weights, columns = trained(unwrap(self.model), list(features))
        taught = [
            self._teacher(weights, [rows(column, start, start + size) for column in columns])
            for start in range(0, len(labels), size)
        ]
        return self.combine(torch.stack(taught), *losses)

    def combine(self, teacher: Tensor, support: Tensor, query: Tensor) -> dict[str, Tensor]:
        """Return the parts of the loss, weighted.

        :param teacher: (tasks,) L_q^T, on the bilingual sets.
        :param support: (tasks,) L_s^S of the student, on the same.
        :param query: (tasks,) L_q^S, on the multilingual sets.
        :return: `teacher`, `student` and `distillation`, scalars.
        """
        tasks = len(teacher)
        return {
            "teacher": teacher.sum() / (2 * tasks),
            "student": query.sum() / (2 * tasks),
            "distillation": self.distillation * (teacher.sum() - support.sum()).square(),
        }

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings."""
        return {name: getattr(self, name) for name in ("sizes", "steps", "rate", "margin", "distillation")}

    def _student(self, features: list[Features], tasks: int) -> tuple[Tensor, Tensor]:
        """Return the bilingual and the multilingual loss of each task, from one pass over the batch."""
        # dict(): the teacher's features must not hold what the model adds; its support rows are embedded without need
        embedded = [self.model(dict(column))["sentence_embedding"] for column in features]
        triplets = self._triplets(embedded).reshape(tasks, -1)
        _, bilingual, multilingual = triplets.split(list(self.sizes), dim=1)
        return bilingual.mean(dim=1), multilingual.mean(dim=1)

    def _teacher(self, weights: Weights, task: list[Features]) -> Tensor:
        """Return the bilingual loss after steps on the support set; its gradient goes to the weights it started from."""
        support, bilingual = self.sizes[:2]
        adapted = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
        learning = torch.is_grad_enabled()
        with torch.enable_grad():
            for _ in range(self.steps):
                adapted = self._step(adapted, [rows(column, 0, support) for column in task])
        with torch.set_grad_enabled(learning):
            fast = {name: value + (adapted[name] - value).detach() for name, value in weights.items()}
            return self._loss(fast, [rows(column, support, support + bilingual) for column in task])

    def _step(self, weights: Weights, columns: list[Features]) -> Weights:
        gradients = torch.autograd.grad(self._loss(weights, columns), list(weights.values()), allow_unused=True)
        with torch.no_grad():
            moved = [w if g is None else w.add(g, alpha=-self.rate) for w, g in zip(weights.values(), gradients, strict=True)]
        return {name: value.requires_grad_() for name, value in zip(weights, moved, strict=True)}

    def _loss(self, weights: Weights, columns: list[Features]) -> Tensor:
        model = unwrap(self.model)
        embedded = [functional_call(model, weights, (dict(column),))["sentence_embedding"] for column in columns]
        return self._triplets(embedded).mean()

    def _triplets(self, embedded: list[Tensor]) -> Tensor:
        question, positive, negative = (unit(full_precision(vectors)) for vectors in embedded)
        loss: Tensor = nn.functional.triplet_margin_loss(question, positive, negative, margin=self.margin, reduction="none")
        return loss


class _Dense(torch.autograd.Function):  # type: ignore[misc]
    """The identity, with a dense gradient: a table of a batch's tokens gets a sparse one, which `embedding` cannot take."""

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        return table.view_as(table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.to_dense() if gradient.is_sparse else gradient


class Adaptable(NamedTuple):
    """The weights that a task adapts, by their names in the student, and features that go with them."""

    weights: Weights
    columns: list[Features]


def trained(model: nn.Module, columns: list[Features]) -> Adaptable:
    """Return what is trained of a student; of a table of static embeddings, only the rows of the batch's tokens.

    So a step costs the tokens of the batch and not the vocabulary, and a sparse gradient stays sparse.

    :param model: the student.
    :param columns: features of the batch.
    :return: weights through which gradients reach the model's own, and the features in their numbering.
    """
    weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if "offsets" not in columns[0]:
        return Adaptable(weights, columns)
    ids, numbers = torch.unique(torch.cat([column["input_ids"] for column in columns]), return_inverse=True)
    parts = numbers.split([len(column["input_ids"]) for column in columns])
    for name, module in model.named_modules():
        if isinstance(module, nn.EmbeddingBag) and f"{name}.weight" in weights:
            weights[f"{name}.weight"] = _Dense.apply(nn.functional.embedding(ids, module.weight, sparse=module.sparse))
    return Adaptable(weights, [{**c, "input_ids": part.to(ids.dtype)} for c, part in zip(columns, parts, strict=True)])
