"""What a training method is: stages in turn, each rows of text and a loss. The trainer is sentence-transformers'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import datasets
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.data import Parallel, Retrieval
    from mimo_eval.training.teacher import Teacher


@dataclass(frozen=True)
class Stage:
    """One pass over rows under one loss."""

    name: str
    """As the recipe's settings and the log name it, such as `distillation` or `joint`."""
    rows: datasets.Dataset
    """Text columns in the order in which the loss takes them, then `label`: a list of int64 per row, whose meaning the loss
    documents (rows of the teacher's vectors, the passage's group for masking). Labels are numbers, never vectors. Columns whose
    names begin with `query` get the student's prompt of queries, the others that of documents."""
    loss: Callable[[SentenceTransformer], nn.Module]
    """Makes the loss for a student. Its `forward(features, labels)` returns a dict of parts, which are summed and logged."""
    shuffle: bool = True
    """False where the order of rows is the method's own (round robin over language pairs, batches of one kind)."""


@dataclass(frozen=True)
class Material:
    """What a recipe offers to a method. What a method needs and does not find is a ConfigError that names the recipe's key."""

    parallel: Parallel | None
    retrieval: Retrieval | None
    teacher: Teacher | None
    languages: tuple[str, ...]
    seed: int
    batch_size: Mapping[str, int] = field(default_factory=dict)
    """Rows per batch and device by stage's name, for methods whose rows come in batches of their own."""


@runtime_checkable
class Method(Protocol):
    """A training method: one module each, found by the entry points `mimo_eval.trainers`. Options are its constructor's."""

    name: str

    def stages(self, material: Material) -> Sequence[Stage]:
        """Return the stages in order; the student goes from one to the next, and so does a projection head that they share.

        :param material: data, teacher, languages, seed.
        :return: at least one stage.
        """

    def describe(self) -> dict[str, Any]:
        """Return everything that changes what is learnt, for the model card and the fingerprint of a run; it fits into JSON."""
