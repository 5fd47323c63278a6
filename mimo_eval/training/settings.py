"""How a stage is trained, as a recipe says it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]


class StageSettings(BaseModel):
    """Settings of one stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: int = Field(default=256, ge=1)
    """Rows per device and step."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the rows."""
    steps: int | None = Field(default=None, ge=1)
    """Steps, instead of passes."""
    lr: float = Field(default=2e-5, gt=0)
    """Highest learning rate. A static student wants about 1e-2, a transformer 2e-5 to 1e-4."""
    head_lr: float | None = Field(default=None, gt=0)
    """Highest learning rate of what belongs to the loss, such as the projection; `lr` if not given."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps in which the rate rises."""
    scheduler: Scheduler = "linear"
    """How it falls afterwards."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled; never on a static student's table."""
    max_grad_norm: float = Field(default=1.0, ge=0)
    """Longest gradient of the student; 0 does not clip."""
    max_length: int | None = Field(default=None, ge=1)
    """Most tokens of a text; the student's own limit if not given."""
    mini_batch_size: int | None = Field(default=None, ge=1)
    """Texts embedded at a time (gradient caching), so that a large batch fits; a static student needs none."""
    bf16: bool = False
    """Compute in bfloat16; weights stay in float32."""
    workers: int = Field(default=0, ge=0)
    """Processes that prepare batches."""


class Rhythm(BaseModel):
    """When a run is saved and who is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoints: float = Field(default=0.1, gt=0)
    """Steps between checkpoints; below 1 a share of the stage. With validation its own rhythm holds."""
    log: float = Field(default=0.02, gt=0)
    """Steps between log entries; below 1 a share of the stage."""
    report_to: tuple[str, ...] = ()
    """Trackers of transformers' trainer, such as `tensorboard` and `wandb`; their packages must be installed."""


def interval(value: float, steps: int) -> int:
    """Return a number of steps.

    :param value: a number of steps, or below 1 a share.
    :param steps: of the stage.
    :return: at least 1.
    """
    return max(1, round(value * steps if value < 1 else value))
