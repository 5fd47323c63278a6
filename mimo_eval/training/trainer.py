"""sentence-transformers' trainer for one stage: our batches, sparse gradients, and a loss whose own weights are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import set_seed

from mimo_eval.errors import ConfigError
from mimo_eval.training.batches import Batches, Collate
from mimo_eval.training.optimizer import LazyAdam, clip
from mimo_eval.training.settings import StageSettings

HEAD = "loss.safetensors"
"""In a checkpoint: what belongs to the loss and not to the student, such as the projection and running means."""
OWN = r"^(?!model\.)"
"""Parameters of a loss that are not the student's, which it keeps as `model`."""


@dataclass(frozen=True)
class Report:
    """How far a stage is."""

    stage: str
    step: int
    steps: int
    parts: dict[str, float]
    """The loss, the parts of it, and after validation its measure."""
    rate: float
    """Rows per second over all processes since the last report."""
    left: float
    """Seconds until the stage ends at this rate."""


class Watcher:
    """Told how training goes; this one keeps silent."""

    def report(self, report: Report) -> None:
        """Show a report."""

    def note(self, text: str) -> None:
        """Show a line, such as what is done next."""


class StageTrainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """Trains a student on the rows of one stage.

    :param student: the model.
    :param loss: the stage's, made for the student.
    :param args: sentence-transformers' settings.
    :param batches: which rows when.
    :param collate: makes tensors of row numbers.
    :param settings: the recipe's.
    :param options: further arguments of SentenceTransformerTrainer.
    """

    def __init__(
        self,
        student: SentenceTransformer,
        loss: nn.Module,
        args: SentenceTransformerTrainingArguments,
        batches: Batches,
        collate: Collate,
        settings: StageSettings,
        **options: Any,
    ) -> None:
        self.batches, self.collate, self.settings = batches, collate, settings
        self.optimizer: torch.optim.Optimizer | None = None
        super().__init__(model=student, args=args, loss=loss, **options)
        self.remove_callback(PrinterCallback)
        # NCCL cannot add up sparse gradients over devices
        self.sparse = args.world_size == 1 or args.device.type == "cpu"
        self.tables = [module.embedding for module in student.modules() if isinstance(module, StaticEmbedding)]
        for table in self.tables:
            table.sparse = self.sparse
        if self.tables and self.sparse:
            self.accelerator.clip_grad_norm_ = lambda parameters, most, *_: clip(parameters, most)

    @property
    def own(self) -> dict[str, nn.Parameter]:
        """The loss's own parameters by name; the student's are not among them."""
        return {name: p for name, p in self.loss.named_parameters() if not name.startswith("model.")}

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of this process; accelerate need not share them out."""
        return DataLoader(
            range(self.batches.rows),  # type: ignore[arg-type]  # a dataset is what has items and a length
            batch_sampler=self.batches,
            collate_fn=self.collate,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave the model card to `mimo_eval.training.card`."""

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return AdamW as the trainer makes it, or LazyAdam where a table has sparse gradients."""
        if self.optimizer is None and self.tables and self.sparse:
            rate, own = self.settings.lr, list(self.own.values())
            student = [p for p in self.model.parameters() if p.requires_grad]
            groups = [{"params": student, "lr": rate}, {"params": own, "lr": self.settings.head_lr or rate}]
            self.optimizer = LazyAdam([g for g in groups if g["params"]], rate, weight_decay=self.settings.weight_decay)
        return super().create_optimizer()

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Run one batch; gradients of what belongs to the loss, which DDP does not see, are averaged over processes."""
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if self.args.world_size > 1 and self.accelerator.sync_gradients:
            for parameter in self.own.values():
                if parameter.requires_grad:
                    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                    distributed.all_reduce(gradient)
                    parameter.grad = gradient / self.args.world_size
        return loss

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(str(folder), create_model_card=False)
        save_own(self.loss, folder / HEAD)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        load_student(self.model, Path(checkpoint_path))
        load_own(self.loss, Path(checkpoint_path) / HEAD)


def save_own(loss: nn.Module, path: Path) -> None:
    """Write what belongs to a loss and not to the student.

    :param loss: keeps the student as `model`.
    :param path: a safetensors file.
    """
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in loss.state_dict().items() if not name.startswith("model.")}
    save_file(state, str(path))


def load_own(loss: nn.Module, path: Path) -> None:
    """Read what `save_own` wrote, into a loss of the same kind."""
    from safetensors.torch import load_file

    loss.load_state_dict(load_file(str(path)), strict=False)


def load_student(student: SentenceTransformer, folder: Path) -> None:
    """Set a student's weights to those of one saved.

    :param student: changed in place.
    :param folder: of a model of the same shape.
    """
    saved = SentenceTransformer(str(folder), device="cpu", trust_remote_code=student.trust_remote_code)
    student.load_state_dict(saved.state_dict())


class Watching(TrainerCallback):  # type: ignore[misc]
    """Turns the trainer's log into reports.

    :param stage: its name.
    :param rows: per step, over all processes.
    :param watcher: told.
    """

    def __init__(self, stage: str, rows: int, watcher: Watcher) -> None:
        self.stage, self.rows, self.watcher = stage, rows, watcher
        self.since, self.step, self.rate = perf_counter(), 0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock; a resumed stage does not begin at step 0."""
        self.since, self.step = perf_counter(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Report a log entry; the summary at the end of the stage is none."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        now = perf_counter()
        if "loss" in logs and state.global_step > self.step:
            self.rate = (state.global_step - self.step) * self.rows / (now - self.since)
            self.since, self.step = now, state.global_step
        left = (state.max_steps - state.global_step) * self.rows / self.rate if self.rate else 0.0
        hidden = ("epoch", "grad_norm", "learning_rate")
        parts = {
            name.removeprefix("eval_"): float(value)
            for name, value in logs.items()
            if name not in hidden and not name.endswith(("_runtime", "_per_second"))
        }
        self.watcher.report(Report(self.stage, state.global_step, state.max_steps, parts, self.rate, left))

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave validation out of the rate."""
        self.since = perf_counter()


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that is whole: its state, written last, can be read.

    :param folder: of a stage.
    :return: its folder, or None.
    """
    found = []
    for path in folder.glob("checkpoint-*"):
        try:
            found.append((int(json.loads((path / "trainer_state.json").read_text("utf-8"))["global_step"]), path))
        except (OSError, ValueError, KeyError):
            continue
    return max(found, default=(0, None))[1]


def prepare_loss(
    make: Callable[[SentenceTransformer], nn.Module], student: Any, settings: StageSettings, seed: int
) -> nn.Module:
    """Make a stage's loss, with gradient caching if the settings ask for it.

    :param make: the stage's.
    :param student: the model.
    :param settings: the stage's.
    :param seed: of first weights.
    :return: the loss.
    :raises ConfigError: if gradient caching is asked of a loss that has none.
    """
    set_seed(seed)
    loss = make(student)
    if settings.mini_batch_size is not None:
        if not hasattr(loss, "mini_batch_size"):
            raise ConfigError(f"mini_batch_size: {type(loss).__name__} has no gradient caching; leave it out")
        loss.mini_batch_size = settings.mini_batch_size
    return loss
