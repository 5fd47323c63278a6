"""The trainer: batches, resuming after SIGKILL bit by bit, sparse gradients, validation, several processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from small_recipe import content, sentences, write_data
from torch import nn

from mimo_eval.errors import ConfigError
from mimo_eval.training.batches import Batches, collate_for, steps_of
from mimo_eval.training.data import Parallel
from mimo_eval.training.fit import fit
from mimo_eval.training.recipe import parse_recipe
from mimo_eval.training.settings import Rhythm, StageSettings
from mimo_eval.training.stage import Stage
from mimo_eval.training.students import StaticStudent
from mimo_eval.training.train import train
from mimo_eval.training.trainer import Watcher
from mimo_eval.training.validation import Validation

HERE = Path(__file__).parent
CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from small_recipe import content
from mimo_eval.training.recipe import parse_recipe
from mimo_eval.training.train import train
from mimo_eval.training.trainer import Watcher
data, folder, stage, step = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
class Killer(Watcher):
    def report(self, report):
        if (report.stage, report.step) == (stage, step):
            os.kill(os.getpid(), signal.SIGKILL)
train(parse_recipe(content(data)), folder, data=data, watcher=Killer())
"""


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 20), st.integers(1, 3), st.booleans())
def test_batches_share_out_every_row_once_per_pass(rows, batch, steps, ranks, shuffle):
    shared = [list(Batches(rows, batch, steps, 1, shuffle, rank, ranks)) for rank in range(ranks)]
    assert all(len(mine) == steps for mine in shared)
    size = max(1, min(batch, rows // ranks))
    assert {len(b) for mine in shared for b in mine} == {size}
    per_pass = max(1, rows // (size * ranks))
    for start in range(0, steps - per_pass + 1, per_pass):
        seen = [row for mine in shared for b in mine[start : start + per_pass] for row in b]
        assert max(seen) < rows
        if rows >= ranks:
            assert len(seen) == len(set(seen))


def test_rows_in_an_order_of_their_own_keep_it():
    assert list(Batches(7, 3, 3, 0, shuffle=False)) == [[0, 1, 2], [3, 4, 5], [0, 1, 2]]
    first, second = (list(Batches(50, 10, 10, 0)) for _ in range(2))
    assert first == second
    assert first[:5] != first[5:]


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "steps", "ranks", "wanted"),
    [
        (100, 10, 1, None, 1, 10),
        (105, 10, 2, None, 1, 20),
        (5, 10, 3, None, 1, 3),
        (100, 10, 1, 7, 1, 7),
        (100, 10, 1, None, 2, 5),
    ],
)
def test_steps(rows, batch, epochs, steps, ranks, wanted):
    assert steps_of(rows, batch, epochs, steps, ranks) == wanted


@pytest.fixture(scope="module")
def student_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    lines = Parallel.of([(f"g{i}", lang, text) for lang in ("en", "de") for i, text in enumerate(sentences(lang))])
    StaticStudent(vocabulary=400, dimension=8).build(lines, None, 0).save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture
def student(student_files):
    return SentenceTransformer(str(student_files), device="cpu")


def rows_of(columns, labels):
    return Dataset.from_dict({**columns, "label": labels})


def test_a_batch_is_what_the_model_would_make_of_the_texts(student):
    texts = {"query": ["river stone", "", "Haus"], "passage": ["Wasser", "river stone", "river stone"]}
    rows = rows_of(texts, [[1, 2], [3, 4], [5, 6]])
    batch = collate_for(student, rows, None)([2, 0])
    assert batch["label"].tolist() == [[5, 6], [1, 2]]
    for name, column in texts.items():
        wanted = student.preprocess([column[2], column[0]])
        for key in ("input_ids", "offsets"):
            assert torch.equal(batch[f"{name}_{key}"], wanted[key])
    short = collate_for(student, rows.select([2, 0]), 1)([0, 1])
    assert short["query_offsets"].tolist() == [0, 1]


class Pull(nn.Module):
    """Pulls the two columns together through a head of its own."""

    def __init__(self, model):
        super().__init__()
        self.model, self.head = model, nn.Linear(8, 4)

    def forward(self, features, labels):
        one, two = (self.head(self.model(column)["sentence_embedding"]) for column in features)
        apart = (one - two).pow(2).mean()
        return {"apart": apart, "length": 0.1 * one.pow(2).mean()}


@pytest.fixture
def stage():
    rows = rows_of({"a": sentences("en"), "b": sentences("de")}, [[i] for i in range(48)])
    return Stage("pull", rows, Pull)


class Kept(Watcher):
    def __init__(self):
        self.reports = []

    def report(self, report):
        self.reports.append(report)


def test_a_step_costs_the_tokens_of_the_batch(student, stage):
    """Rows of tokens that no batch holds do not move, and no dense gradient of the table is ever made."""
    before = student[0].embedding.weight.detach().clone()
    watcher = Kept()
    logs = fit(student, [stage], StageSettings(batch_size=8, steps=6, lr=0.1), rhythm=Rhythm(log=1), watcher=watcher)
    used = np.unique(student.preprocess(sentences("en") + sentences("de"))["input_ids"])
    moved = (student[0].embedding.weight != before).any(dim=1).nonzero()[:, 0].numpy()
    assert set(moved) <= set(used) and len(moved) > 20
    assert student[0].embedding.weight.grad is None or student[0].embedding.weight.grad.is_sparse
    assert [r.step for r in watcher.reports] == [1, 2, 3, 4, 5, 6]
    last = watcher.reports[-1]
    assert set(last.parts) == {"loss", "apart", "length"}
    assert last.parts["loss"] == pytest.approx(last.parts["apart"] + last.parts["length"], abs=2e-4)
    assert last.rate > 0 and last.left == 0
    assert (logs[0].rows, logs[0].seen, logs[0].steps) == (48, 48, 6)
    assert watcher.reports[0].parts["loss"] > last.parts["loss"]


def test_settings_that_fit_no_stage_or_loss_are_refused(student, stage):
    with pytest.raises(ConfigError, match=r"stages\.push: the method has no such stage; it has pull"):
        fit(student, [stage], {"push": StageSettings()})
    with pytest.raises(ConfigError, match="Pull has no gradient caching"):
        fit(student, [stage], StageSettings(mini_batch_size=2))


def test_the_head_has_a_rate_of_its_own(student, stage):
    heads = []

    def make(model):
        heads.append(Pull(model))
        return heads[-1]

    slow = Stage("pull", stage.rows, make)
    torch.manual_seed(0)
    fit(student, [slow], StageSettings(batch_size=8, steps=2, lr=0.1, head_lr=1e-12, warmup=0))
    torch.manual_seed(0)
    from transformers import set_seed

    set_seed(0)
    assert torch.allclose(heads[0].head.weight, Pull(student).head.weight, atol=1e-9)


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def weights(folder):
    return load_file(folder / "model.safetensors")["embedding.weight"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Data, and a run on them that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    data = write_data(folder / "data")
    return data, train(parse_recipe(content(data)), folder / "model", data=data)


class Interrupting(Kept):
    """Ends the run at a step, as Ctrl+C does."""

    def __init__(self, stage, step):
        super().__init__()
        self.at = stage, step

    def report(self, report):
        super().report(report)
        if (report.stage, report.step) == self.at:
            raise KeyboardInterrupt


def test_a_killed_run_goes_on_bit_by_bit(whole, tmp_path, cache):
    """Killed in a stage, interrupted just after it ended and in the next one, a run ends in the same weights."""
    data, undisturbed = whole
    folder = tmp_path / "killed"
    arguments = [sys.executable, "-c", CHILD.format(here=str(HERE)), str(data), str(folder), "distillation", "8"]
    child = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, "MIMO_EVAL_CACHE": str(cache)})
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert not folder.exists() and (tmp_path / "killed.partial").is_dir()
    begun = []
    for watcher in (Interrupting("joint", 1), Interrupting("joint", 7)):
        with pytest.raises(KeyboardInterrupt):
            train(parse_recipe(content(data)), folder, data=data, resume=True, watcher=watcher)
        begun.append((watcher.reports[0].stage, watcher.reports[0].step))
    watcher = Kept()
    train(parse_recipe(content(data)), folder, data=data, resume=True, watcher=watcher)
    begun.append((watcher.reports[0].stage, watcher.reports[0].step))
    assert begun == [("distillation", 6), ("joint", 1), ("joint", 6)]  # checkpoints are made every 5 steps
    assert torch.equal(weights(folder), weights(undisturbed.folder))
    assert not (tmp_path / "killed.partial").exists()
    done = json.loads((folder / "training.json").read_text("utf-8"))
    assert [log["steps"] for log in done["stages"]] == [log.steps for log in undisturbed.stages] == [24, 8]


def test_validation_keeps_the_best_weights_and_stops_early(data, student, stage):
    validation = Validation(str(data / "asked"), measure="nDCG@10", every=1, patience=2)
    watcher, seen = Kept(), []

    class Spoilt(Pull):
        """Ruins the table from the third step on."""

        def forward(self, features, labels):
            seen.append(1)
            if len(seen) > 2:
                with torch.no_grad():
                    self.model[0].embedding.weight.mul_(0)
            return super().forward(features, labels)

    logs = fit(
        student,
        [Stage("pull", stage.rows, Spoilt)],
        StageSettings(batch_size=8, steps=20, lr=1e-3),
        rhythm=Rhythm(log=1),
        validation=validation,
        watcher=watcher,
    )
    scores = [r.parts["validation"] for r in watcher.reports if "validation" in r.parts]
    assert logs[0].best["step"] <= 2 and logs[0].steps == logs[0].best["step"] + 2
    assert max(scores) > scores[-1]
    assert validation(student)["eval_validation"] == pytest.approx(max(scores))


def test_a_stage_shorter_than_the_rhythm_of_validation_is_validated_at_its_end(data, student, stage):
    validation = Validation(str(data / "asked"), measure="nDCG@10", every=1000)
    (log,) = fit(student, [stage], StageSettings(batch_size=8, steps=3), validation=validation)
    assert [score["step"] for score in log.validation] == [3]


def test_early_stopping_waits_no_longer_because_a_run_was_broken_off(data, student_files, stage, tmp_path):
    """With a rate of nearly nothing the first evaluation stays the best, so three more end the stage at step 4."""

    class Broken(Watcher):
        def report(self, report):
            if "loss" in report.parts and report.step == 4:
                raise KeyboardInterrupt

    def run(folder, watcher=None):
        student = SentenceTransformer(str(student_files), device="cpu")
        validation = Validation(str(data / "asked"), measure="nDCG@10", every=1, patience=3)
        settings = StageSettings(batch_size=8, steps=9, lr=1e-12)
        return fit(student, [stage], settings, folder, rhythm=Rhythm(log=1), validation=validation, watcher=watcher)[0]

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", Broken())
    assert run(tmp_path / "run").steps == run(tmp_path / "other").steps == 4


def test_validation_is_one_known_measure(data):
    with pytest.raises(ConfigError, match="more than one measure"):
        Validation(measure="nDCG@10 R@100")
    with pytest.raises(ConfigError):
        Validation(mix="paralel")


LAUNCHED = """
import json, sys
from pathlib import Path
from mimo_eval.training.recipe import parse_recipe
from mimo_eval.training.train import train
data, folder, recipe = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
train(parse_recipe(recipe), folder, data=data)
"""


@pytest.mark.slow
def test_two_processes_train_one_model(data, tmp_path, cache):
    """Half the batch on each of two processes is the same step as the whole batch on one, projection head included."""

    def distilled(batch):
        stages = {"distillation": {"batch_size": batch, "epochs": 2, "lr": 0.02}}
        return content(data, method="distill", stages=stages)

    train(parse_recipe(distilled(16)), tmp_path / "one", data=data)
    script = tmp_path / "launched.py"
    script.write_text(LAUNCHED, "utf-8")
    here = ["--standalone", "--local-addr", "127.0.0.1"]  # the launcher finds a port and keeps it
    command = [sys.executable, "-m", "torch.distributed.run", *here, "--nproc-per-node", "2"]
    arguments = [str(script), str(data), str(tmp_path / "two"), json.dumps(distilled(8))]
    environment = {**os.environ, "MIMO_EVAL_CACHE": str(cache), "ACCELERATE_USE_CPU": "1"}
    child = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        errors = child.communicate(timeout=200)[1]
    finally:
        child.terminate()  # the launcher ends its processes before itself
        child.wait(60)
    assert child.returncode == 0, errors[-4000:]
    logs = [json.loads((tmp_path / name / "training.json").read_text("utf-8"))["stages"][0] for name in ("one", "two")]
    assert [(log["steps"], log["seen"]) for log in logs] == [(12, 192)] * 2
    assert torch.allclose(weights(tmp_path / "two"), weights(tmp_path / "one"), atol=1e-5)
