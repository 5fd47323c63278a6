"""The rows of docs/reliability.md: what may happen to a run, and that nothing is lost by it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mimo_eval import evaluation
from mimo_eval.benchmark import of_folder
from mimo_eval.cache import verify
from mimo_eval.cli.main import cli
from mimo_eval.embeddings import store
from mimo_eval.search import index_store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, signals and limits are POSIX")
HERE = Path(__file__).parent
MODEL = "rrf(hashing, bm25)"


@pytest.fixture
def data(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    documents = {lang: {f"g{i:02d}": f"{lang} passage {i} about {i * 7 % 5}" for i in range(10)} for lang in ("de", "en")}
    queries = {lang: {f"q{i}": f"{lang} what about {i}" for i in range(4)} for lang in ("de", "en")}
    return folders(tmp_path / "toy", documents, queries, {f"q{i}": {f"g{i:02d}": 1} for i in range(4)})


def broken(what: str, data: Path, work: Path) -> list[dict[str, Any]]:
    """Return what `breaking.py` says."""
    work.mkdir()
    done = subprocess.run(
        [sys.executable, str(HERE / "breaking.py"), what, str(data), str(work)],
        capture_output=True,
        text=True,
        timeout=570,
        env={**os.environ, "TMPDIR": str(work)},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_killed_at_50_points_of_build_encode_index_search_score_and_write(data: Path, tmp_path: Path) -> None:
    found = broken("kill", data, tmp_path / "work")
    assert len(found) == 50
    assert all(line["again"] == 0 and line["same"] for line in found), [line for line in found if not line["same"]]
    assert sum(line["status"] == -signal.SIGKILL for line in found) > 40


@pytest.mark.slow
def test_a_full_disk_at_any_file_is_one_line_and_leaves_nothing_torn(data: Path, tmp_path: Path) -> None:
    found = broken("full", data, tmp_path / "work")
    errors = [line["error"] for line in found if "error" in line]
    tried = [line for line in found if "error" not in line]
    assert len(tried) > 15
    assert all(re.search(r"cannot be (written|stored)", error) for error in errors), errors
    assert len(errors) == len(tried)
    assert all(line["status"] in (2, 3) and line["again"] == 0 and line["same"] and not line["left"] for line in tried), tried


@pytest.mark.slow
def test_a_disk_that_is_too_small_is_one_line_and_leaves_nothing_torn(data: Path, tmp_path: Path) -> None:
    if shutil.which("mount") is None or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path]).returncode:
        pytest.skip("file systems cannot be mounted here")
    subprocess.run(["umount", tmp_path], check=True)
    found = broken("small", data, tmp_path / "work")
    errors = [line["error"] for line in found if "error" in line]
    tried = [line for line in found if "error" not in line]
    assert len(tried) == 12
    assert sum(line["status"] in (2, 3) for line in tried) == len(errors) > 8
    assert all("No space left on device" in error and "cannot be" in error for error in errors), errors
    assert all(line["again"] == 0 and line["same"] and not line["left"] for line in tried), tried


@pytest.mark.slow
def test_a_cache_that_was_copied_in_part_is_completed(data: Path, tmp_path: Path) -> None:
    found = broken("half", data, tmp_path / "work")
    assert len(found) > 15
    assert all(line["again"] == 0 for line in found), [line for line in found if line["again"]]
    assert all(line["same"] for line in found), [line for line in found if not line["same"]]


SLOW = """
import os, time
import numpy as np

class Slow:
    name, calls = "slow", 0

    def fingerprint(self, role):
        return {"model": "slow"}

    def encode(self, texts, *, role, lang):
        Slow.calls += 1
        if Slow.calls > 1 and "QUICK" not in os.environ:
            time.sleep(200)
        return np.random.default_rng(len(texts)).standard_normal((len(texts), 8))
"""


def test_a_run_that_is_terminated_ends_in_order_and_goes_on(data: Path, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "slow_model.py").write_text(SLOW)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "mimo_eval.cli.main", "run", "slow_model:Slow", "-b", str(data), "-o", str(tmp_path / "r")]
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(temporary)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list(cache.glob("vectors/**/*.safetensors")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 143, said
    assert "terminated; what was encoded is kept, run the same command again to go on" in said
    assert list(temporary.iterdir()) == []
    assert len(list(cache.glob("vectors/**/*.safetensors"))) == 1
    done = subprocess.run(command, env={**env, "QUICK": "1"}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(list(cache.glob("vectors/**/*.safetensors"))) == 4


@pytest.mark.parametrize("name", ["result.json", "queries.parquet"])
def test_a_flipped_bit_in_a_result_is_named_and_the_result_alone_made_again(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    first = evaluation.run(MODEL, of_folder(data), output=tmp_path / "results")
    assert first.folder is not None
    assert evaluation.run(MODEL, of_folder(data), output=tmp_path / "results").reused
    victim = first.folder / name
    content = bytearray(victim.read_bytes())
    at = content.index(b'"peak_memory": ') + 16 if name == "result.json" else len(content) // 2
    content[at] ^= 1  # a digit, not the first, becomes another digit: still JSON, still a result
    victim.write_bytes(content)
    second = evaluation.run(MODEL, of_folder(data), output=tmp_path / "results")
    assert f"{victim}: damaged, or changed by hand" in caplog.text
    assert not second.reused
    assert second.result.encoded["encoded"] == 0
    assert second.result.settings == first.result.settings
    assert evaluation.run(MODEL, of_folder(data), output=tmp_path / "results").reused


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user can reach; pytest's own are closed to others than the one who runs it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_team_shares_a_cache_that_nobody_may_write(data: Path, public: Path) -> None:
    shutil.copytree(data, public / "toy")
    code = f"""
    import os
    from pathlib import Path
    from mimo_eval import evaluation
    from mimo_eval.benchmark import of_folder
    from mimo_eval.errors import CacheError
    benchmark = of_folder(Path("{public}/toy"))
    evaluation.run("{MODEL}", benchmark)
    import fsspec.implementations.local, fsspec.implementations.memory  # while this user may read them
    for path in [p for p in Path("{public}").rglob("*") if p.name != "own"]:
        path.chmod(path.stat().st_mode & ~0o222)
    if os.getuid() == 0:  # nothing is read-only to root
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    result = evaluation.run("{MODEL}", benchmark).result
    assert result.encoded["encoded"] == 0, result.encoded
    try:
        evaluation.run("hashing(dim=96)", benchmark)
    except CacheError as error:
        assert "set MIMO_EVAL_CACHE to" in str(error), error
        assert "with MIMO_EVAL_STORE={public}/cache beside it, what lies here is still read" in str(error), error
    os.environ.update(MIMO_EVAL_CACHE="{public}/own", MIMO_EVAL_STORE="{public}/cache")
    assert evaluation.run("hashing", benchmark).result.encoded == {{"encoded": 0, "read": 28}}
    assert evaluation.run("hashing(dim=96)", benchmark).result.encoded == {{"encoded": 28, "read": 0}}
    """
    (public / "own").mkdir()
    (public / "own").chmod(0o777)
    env = {**os.environ, "MIMO_EVAL_CACHE": str(public / "cache")}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"MIMO_EVAL_STORE={public}/cache may only be read ({public}/cache/") == 1


def test_what_an_older_format_left_is_not_read_and_not_touched(
    data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(store, "FORMAT", 0)
        older.setattr(index_store, "FORMAT", 0)
        older.setattr(sys.modules["mimo_eval.collections.build"], "FORMAT", "0")
        evaluation.run(MODEL, of_folder(data))
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file() and path.name != ".used"}
    said = CliRunner().invoke(cli, ["run", MODEL, "-b", str(data), "-o", str(tmp_path / "results")])
    assert "vectors (2), indexes (1), collections (1) in the cache: of another format" in said.stderr
    assert "to remove: mimo-eval cache gc --outdated" in said.stderr
    assert all(path.read_bytes() == content for path, content in before.items())
    assert evaluation.run(MODEL, of_folder(data)).result.encoded["encoded"] == 0
    shown = CliRunner().invoke(cli, ["cache", "ls"], env={"COLUMNS": "200"}).output
    assert shown.count(", another format") == 4
    assert "mimo-eval cache gc --outdated" in shown
    assert not [checked for checked in verify() if checked.damage]
    removed = CliRunner().invoke(cli, ["cache", "gc", "--outdated"]).output
    assert [removed.count(f"removed {what}") for what in ("vectors: hashing", "indexes: bm25", "collections: toy")] == [2, 1, 1]
    assert evaluation.run(MODEL, of_folder(data)).result.encoded["encoded"] == 0
    assert not [path for path in before if path.exists() and path.parts[-2] != ".locks"]
    assert "another format" not in CliRunner().invoke(cli, ["run", MODEL, "-b", str(data), "-o", str(tmp_path)]).stderr


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_jumps_changes_nothing(data: Path, cache: Path, tmp_path: Path, years: int) -> None:
    first = evaluation.run(MODEL, of_folder(data), output=tmp_path / "results")
    then = time.time() + years * 365 * 86_400
    for path in [*cache.rglob("*"), *(tmp_path / "results").rglob("*")]:
        os.utime(path, (then, then))
    assert evaluation.run(MODEL, of_folder(data), output=tmp_path / "results").reused
    again = evaluation.run(MODEL, of_folder(data), output=tmp_path / "results", again=True)
    assert again.result.encoded["encoded"] == 0
    assert again.result.settings == first.result.settings
    assert not [checked for checked in verify() if checked.damage]


def test_the_page_names_tests_that_exist() -> None:
    root = HERE.parent.parent
    page = (root / "docs" / "reliability.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) >= 15
    for file, name in named:
        assert f"def {name}(" in (root / file).read_text("utf-8"), f"{file}::{name}"
