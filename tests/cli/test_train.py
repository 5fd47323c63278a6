"""`mimo-eval train`: from a file to a model, plans, resuming, errors without a traceback."""

import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError, DataError, MissingExtraError

sys.path.insert(0, str(Path(__file__).parent.parent / "training"))
from small_recipe import content, write_data


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_data(tmp_path / "data")
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content(data)), "utf-8")
    return path


def call(*arguments):
    return CliRunner().invoke(cli, ["train", *map(str, arguments)], catch_exceptions=False)


def test_a_plan_trains_nothing(recipe, tmp_path):
    done = call(recipe, "--data", "data", "--dry-run", "--set", "stages.joint.steps=12")
    assert done.exit_code == 0, done.output
    for told in ("toy", "CC0, invented", "distillation", "joint", "12", "teacher texts to encode", "memory guess", "kB"):
        assert told in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["cache", "data"]


def test_a_recipe_becomes_a_model_that_run_loads(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("MIMO_EVAL_DATA", str(tmp_path / "data"))
    done = call(recipe, "-o", "model")
    assert done.exit_code == 0, done.output
    assert "joint: 8 steps" in done.stdout and "try: mimo-eval run" in done.stdout
    assert "rows/s" in done.stderr and "left" in done.stderr
    ran = CliRunner().invoke(cli, ["run", "model", "--languages", "en,de", "--mix", "parallel"], catch_exceptions=False)
    assert ran.exit_code == 0 and "mini · mlir" in ran.stdout
    # a model of ours is replaced as a whole
    assert call(recipe, "-o", "model", "--set", "stages.joint.steps=1").exit_code == 0
    assert "steps: 1" in Path("model/recipe.yaml").read_text("utf-8")


def test_a_run_that_was_broken_off_is_neither_lost_nor_mixed_with_another(recipe, tmp_path, monkeypatch):
    from mimo_eval.training import fit

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fit, "_run", fail)
        call(recipe, "-o", "model", "--data", "data")
    assert Path("model.partial/state.json").exists() and not Path("model").exists()
    with pytest.raises(ConfigError, match="--resume"):
        call(recipe, "-o", "model", "--data", "data")
    with pytest.raises(ConfigError, match=r"stages\.joint\.lr: 0\.01 then, 0\.5 now"):
        call(recipe, "-o", "model", "--data", "data", "--resume", "--set", "stages.joint.lr=0.5")
    pack = Path("data/parallel/toy.jsonl")
    before = pack.read_text("utf-8")
    pack.write_text(before.replace("water", "waters"), "utf-8")
    with pytest.raises(DataError, match="data have changed"):
        call(recipe, "-o", "model", "--data", "data", "--resume")
    pack.write_text(before, "utf-8")
    assert call(recipe, "-o", "model", "--data", "data", "--resume", "--set", "title=new").exit_code == 0
    assert not Path("model.partial").exists()


def test_missing_data_and_packages_are_named_with_the_remedy(recipe, monkeypatch):
    with pytest.raises(DataError, match=r"--data FOLDER or set MIMO_EVAL_DATA"):
        call(recipe, "-o", "model")
    assert not Path("model.partial").exists()  # nothing to resume or to remove
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mimo-eval\[train\]'"):
        call(recipe, "-o", "model", "--data", "data")
