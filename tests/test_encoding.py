from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mimo_eval import evaluation
from mimo_eval.benchmark import of_folder
from mimo_eval.cli.main import cli
from mimo_eval.collections import load
from mimo_eval.embeddings import Share, shards
from mimo_eval.encoding import encode_collection, parse_share, share_of_environment, stored_encoders
from mimo_eval.errors import ConfigError
from mimo_eval.models.loading import load_model


@pytest.fixture
def folder(tmp_path: Path, folders: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of 3 languages with 11, 7 and 2 documents and as many queries, in chunks of 4."""
    monkeypatch.setattr(shards, "CHUNK_ROWS", 4)
    sizes = {"de": 11, "en": 7, "fr": 2}
    documents = {lang: {f"g{i:02d}": f"{lang} passage {i}" for i in range(n)} for lang, n in sizes.items()}
    queries = {lang: {f"q{i:02d}": f"{lang} question {i}" for i in range(n)} for lang, n in sizes.items()}
    return folders(tmp_path / "toy", documents, queries, {f"q{i:02d}": {f"g{i:02d}": 1} for i in range(11)})


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_encode_everything_once_and_a_run_then_encodes_nothing(folder: Path, count: int) -> None:
    collection, model = load(str(folder)), load_model("hashing")
    done = [encode_collection(model, collection, share=Share(i, count)) for i in range(count)]
    assert sum(filled.encoded for filled in done) == 40
    assert all(filled.read == 0 for filled in done)
    result = evaluation.run("hashing", of_folder(folder)).result
    assert result.encoded == {"encoded": 0, "read": 40}


def test_chunks_are_counted_through_the_languages_so_that_small_ones_are_spread(folder: Path) -> None:
    collection, model = load(str(folder)), load_model("hashing")
    done = [encode_collection(model, collection, ["document"], Share(i, 6)).encoded for i in range(6)]
    assert done == [4, 4, 3, 4, 3, 2]  # de has the chunks 0 to 2, en 3 and 4, fr 5


def test_one_role_alone(folder: Path) -> None:
    collection, model = load(str(folder)), load_model("hashing")
    assert encode_collection(model, collection, ["query"]).encoded == 20
    assert encode_collection(model, collection) == (20, 20)


def test_what_models_are_made_of() -> None:
    assert [m.name for m in stored_encoders(load_model("rrf(hashing, bm25)"))] == ["hashing"]
    assert [m.name for m in stored_encoders(load_model("centering(hashing)"))] == ["hashing"]
    with pytest.raises(ConfigError, match="bm25 has no vectors"):
        stored_encoders(load_model("bm25"))


def test_a_model_whose_vectors_are_not_kept_is_refused() -> None:
    class Nameless:
        name = "nameless"

        def encode(self, texts: object, *, role: str, lang: str) -> np.ndarray:
            raise NotImplementedError

    with pytest.raises(ConfigError, match="nameless has no fingerprint"):
        stored_encoders(Nameless())


@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_a_share_is_read_as_it_is_written(pair: tuple[int, int]) -> None:
    assert parse_share(f"{pair[0]}/{pair[1]}") == Share(*pair)


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "0/0", "a/b", "1/2/3", "1.0/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no share"):
        parse_share(text)


ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_COUNT": "4"}


def test_launchers_say_the_share() -> None:
    assert share_of_environment({"RANK": "1", "WORLD_SIZE": "8"}) == Share(1, 8)
    assert share_of_environment(ARRAY) == Share(2, 4)  # the array's numbers are 3, 5, 7, 9
    assert share_of_environment({"RANK": "1"}) is None
    with pytest.raises(ConfigError, match="--shard i/n"):
        share_of_environment({"SLURM_ARRAY_TASK_ID": "1"})
    assert parse_share("auto", ARRAY) == Share(2, 4)
    with pytest.raises(ConfigError, match=r"--shard auto: no launcher has numbered this process: .*; give --shard i/n"):
        parse_share("auto", {"RANK": "1"})


def test_a_launcher_alone_splits_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array may run over checkpoints, each of which encodes everything."""
    for name, value in ARRAY.items():
        monkeypatch.setenv(name, value)
    said = CliRunner().invoke(cli, ["encode", "hashing", "-c", str(folder)], catch_exceptions=False)
    assert "toy: 40 texts encoded, 0 there already" in said.stderr
    assert "every text is encoded here; with --shard auto only the share 2/4" in said.stderr
    said = CliRunner().invoke(cli, ["encode", "hashing(dim=96)", "-c", str(folder), "--shard", "auto"], catch_exceptions=False)
    assert "toy, share 2/4: " in said.stderr
    assert "every text" not in said.stderr


def test_the_command_in_two_processes(folder: Path, cache: Path) -> None:
    base = [sys.executable, "-m", "mimo_eval.cli.main", "encode", "hashing", "-c", str(folder), "--shard", "auto"]
    env = {**os.environ, "MIMO_EVAL_CACHE": str(cache), "WORLD_SIZE": "2"}
    started = [subprocess.Popen(base, env={**env, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True) for rank in range(2)]
    said = [process.communicate(timeout=240)[1] for process in started]  # one may say first that it waits for the other
    assert all(f"share {rank}/2: " in said[rank] for rank in range(2)), said
    assert evaluation.run("hashing", of_folder(folder)).result.encoded["read"] == 40


def test_a_wrong_share_is_one_line(folder: Path) -> None:
    with pytest.raises(ConfigError, match="'2/2' is no share"):
        cli.main(["encode", "hashing", "-c", str(folder), "--shard", "2/2"], standalone_mode=False)
