"""The stages of a method in turn, each with checkpoints from which a killed run goes on bit by bit."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from mimo_eval.errors import ConfigError, require
from mimo_eval.files import read_json, write_json
from mimo_eval.training.settings import Rhythm, StageSettings, interval
from mimo_eval.training.stage import Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.trainer import StageTrainer, Watcher
    from mimo_eval.training.validation import Validation

LOG = "log.json"
"""In a finished stage's folder, written last."""


@dataclass(frozen=True)
class StageLog:
    """What a stage did."""

    name: str
    rows: int
    """Rows it had."""
    seen: int
    """Rows trained on: steps times the rows of a step, over all processes."""
    steps: int
    planned: int
    """Steps it would have had without early stopping."""
    seconds: float
    """Of training, the time before a resumed run was killed not counted."""
    rate: float
    """Rows per second, validation and checkpoints included."""
    last: dict[str, float]
    """The last loss and its parts."""
    validation: list[dict[str, float]] = field(default_factory=list)
    """`step` and the measure, in order."""
    best: dict[str, float] | None = None
    """The step whose weights were kept, if there was validation."""


def fit(
    student: SentenceTransformer,
    stages: Sequence[Stage],
    settings: Mapping[str, StageSettings] | StageSettings | None = None,
    folder: Path | None = None,
    *,
    seed: int = 0,
    rhythm: Rhythm | None = None,
    validation: Validation | None = None,
    watcher: Watcher | None = None,
) -> list[StageLog]:
    """Train a student through the stages of a method; what is in the folder already is not done again.

    :param student: changed in place.
    :param stages: what `Method.stages` returned.
    :param settings: of each stage by name, or one for all.
    :param folder: for checkpoints and logs; without one nothing is kept.
    :param seed: of the order of rows and of everything drawn.
    :param rhythm: when to save and log, and which trackers to tell.
    :param validation: decides which weights of a stage are kept, and may stop it early.
    :param watcher: told how it goes.
    :return: a log per stage.
    :raises ConfigError: if settings name no stage, or a stage cannot be trained so.
    :raises MissingExtraError: if accelerate is not installed.
    """
    require("accelerate", "train")
    from mimo_eval.training.trainer import HEAD, Watcher, load_own, load_student, prepare_loss

    if folder is None:
        with TemporaryDirectory(prefix="mimo-eval-training-") as temporary:
            quiet = (rhythm or Rhythm()).model_copy(update={"checkpoints": sys.maxsize})
            return fit(
                student, stages, settings, Path(temporary), seed=seed, rhythm=quiet, validation=validation, watcher=watcher
            )
    chosen = settings_of(stages, settings)
    logs, watcher = [], watcher or Watcher()
    for number, stage in enumerate(stages):
        here = folder / f"{number + 1}-{stage.name}"
        loss = prepare_loss(stage.loss, student, chosen[number], seed + number)
        if (here / LOG).exists():
            watcher.note(f"{stage.name}: done before")
            load_student(student, here / "final")
            load_own(loss, here / "final" / HEAD)
            logs.append(StageLog(**read_json(here / LOG)))
            continue
        trainer = _trainer(student, stage, loss, chosen[number], here, seed + number, rhythm or Rhythm(), validation, watcher)
        logs.append(_run(trainer, stage, here, rhythm or Rhythm()))
    return logs


def settings_of(stages: Sequence[Stage], settings: Mapping[str, StageSettings] | StageSettings | None) -> list[StageSettings]:
    """Return each stage's settings.

    :param stages: the stages.
    :param settings: by the stage's name, or one for all.
    :return: in the order of the stages.
    :raises ConfigError: if a name belongs to no stage.
    """
    if settings is None or isinstance(settings, StageSettings):
        return [settings or StageSettings()] * len(stages)
    names = [stage.name for stage in stages]
    unknown = set(settings) - set(names)
    if unknown:
        raise ConfigError(f"stages.{min(unknown)}: the method has no such stage; it has {', '.join(names)}")
    return [settings.get(name, StageSettings()) for name in names]


def _trainer(
    student: SentenceTransformer,
    stage: Stage,
    loss: nn.Module,
    settings: StageSettings,
    folder: Path,
    seed: int,
    rhythm: Rhythm,
    validation: Validation | None,
    watcher: Watcher,
) -> StageTrainer:
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import EarlyStoppingCallback

    from mimo_eval.training import batches
    from mimo_eval.training.trainer import OWN, StageTrainer, Watching

    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    steps = batches.steps_of(len(stage.rows), settings.batch_size, settings.epochs, settings.steps, ranks)
    plan = batches.Batches(len(stage.rows), settings.batch_size, steps, seed, stage.shuffle, rank, ranks)
    every = min(interval(validation.every, steps), steps) if validation else interval(rhythm.checkpoints, steps)
    device = student.device.type
    own = any(not name.startswith("model.") for name, _ in loss.named_parameters())
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=1,  # one epoch of the trainer is the whole stage: our batches make the passes
        per_device_train_batch_size=plan.batch,
        learning_rate=settings.lr,
        learning_rate_mapping={OWN: settings.head_lr} if settings.head_lr and own else {},
        warmup_steps=round(settings.warmup * steps),
        lr_scheduler_type=settings.scheduler,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.bf16,
        logging_steps=interval(rhythm.log, steps),
        logging_nan_inf_filter=False,
        save_strategy="steps" if every <= steps else "no",
        save_steps=every,
        save_total_limit=1,
        eval_strategy="steps" if validation else "no",
        eval_steps=every,
        load_best_model_at_end=validation is not None,
        metric_for_best_model=validation.key if validation else None,
        greater_is_better=True if validation else None,
        restore_callback_states_from_checkpoint=validation is not None,  # how long early stopping has waited
        report_to=list(rhythm.report_to) or "none",
        run_name=f"{folder.parent.name}/{folder.name}",
        disable_tqdm=True,
        use_cpu=device == "cpu",
        dataloader_num_workers=settings.workers,
        dataloader_pin_memory=device == "cuda",
        remove_unused_columns=False,
        seed=seed,
    )
    patience = validation.patience if validation else None
    if settings.max_length is not None:
        with suppress(AttributeError):  # a static student has no limit of its own; its tokens are cut by the batches
            student.max_seq_length = settings.max_length
    return StageTrainer(
        student,
        loss,
        arguments,
        plan,
        batches.collate_for(student, stage.rows, settings.max_length),
        settings,
        train_dataset=stage.rows,
        evaluator=validation,
        callbacks=[
            Watching(stage.name, plan.batch * ranks, watcher),
            *([EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []),
        ],
    )


def _run(trainer: StageTrainer, stage: Stage, folder: Path, rhythm: Rhythm) -> StageLog:
    from mimo_eval.training.trainer import last_checkpoint

    start, checkpoint = perf_counter(), last_checkpoint(folder / "checkpoints")
    logging_folder = {"TENSORBOARD_LOGGING_DIR": str(folder / "tensorboard")} if "tensorboard" in rhythm.report_to else {}
    os.environ.update(logging_folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = perf_counter() - start
    history, done = trainer.state.log_history, trainer.state.global_step
    entries = [entry for entry in history if "loss" in entry]
    hidden = ("epoch", "step", "grad_norm", "learning_rate")
    validation = trainer.evaluator
    scores = [{"step": e["step"], validation.name: e[validation.key]} for e in history if validation and validation.key in e]
    before = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    size = trainer.batches.batch * trainer.args.world_size
    log = StageLog(
        name=stage.name,
        rows=len(stage.rows),
        seen=done * size,
        steps=done,
        planned=len(trainer.batches),
        seconds=round(seconds, 3),
        rate=round((done - before) * size / max(seconds, 1e-9), 1),
        last={k: v for k, v in (entries[-1] if entries else {}).items() if k not in hidden},
        validation=scores,
        best=max(scores, key=lambda score: score[validation.name]) if scores else None,
    )
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        trainer._save(str(folder / "final"))
        write_json(folder / LOG, asdict(log))
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return log
