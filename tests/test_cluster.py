from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest

from mimo_eval import cluster, evaluation
from mimo_eval.benchmark import Benchmark, of_folder
from mimo_eval.cluster import RayEngine
from mimo_eval.collections import load
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.results import read_queries

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SLOW = '''
import os, time
import numpy as np


class Slow:
    """Says what it is asked in a file, and takes its time."""

    name = "slow"
    similarity = "dot"

    def __init__(self, log, pause=0.0, broken=False):
        self.log, self.pause, self.broken = str(log), pause, broken

    def fingerprint(self, role):
        return {"model": "slow"}

    def encode(self, texts, *, role, lang):
        if self.broken:
            raise ValueError("no such luck")
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()} {role} {lang} {len(texts)}\\n")
        time.sleep(self.pause)
        rows = [np.frombuffer(text.encode().ljust(24)[-24:], np.uint8) for text in texts]
        return np.array(rows, np.float32) / 7
'''


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A cluster of two CPUs on this machine, whose processes can import a module of the test's own."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "slow_encoder.py").write_text(SLOW)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    sys.path.insert(0, str(folder))
    try:
        import slow_encoder

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", object_store_memory=10**8)
        yield slow_encoder
    finally:
        ray.shutdown()
        sys.path.remove(str(folder))
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@pytest.fixture
def folder(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    """Two languages of 3 and 2 chunks of documents."""
    sizes = {"de": 5000, "en": 3000}
    documents = {lang: {f"g{i:05d}": f"{lang} {i * 7919 % 10_007}" for i in range(n)} for lang, n in sizes.items()}
    queries = {lang: {f"q{i:02d}": f"{lang} {i * 7919 % 10_007}?" for i in range(20)} for lang in sizes}
    return folders(tmp_path / "toy", documents, queries, {f"q{i:02d}": {f"g{i:05d}": 1} for i in range(20)})


def quick(folder: Path) -> Benchmark:
    return evaluation.changed(of_folder(folder), mixes=["union"], measures=["nDCG@10", "RR@10"])


def vectors(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.glob("vectors/**/*.safetensors"))}


def test_vectors_and_rankings_are_those_of_one_process(
    slow: ModuleType, folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RayEngine() as engine:
        spread = evaluation.run("hashing", quick(folder), output=tmp_path / "spread", engine=engine)
        assert spread.result.encoded == {"encoded": 8040, "read": 0}
        again = evaluation.run("hashing", quick(folder), output=tmp_path / "spread", engine=engine, again=True)
        assert again.result.encoded == {"encoded": 0, "read": 8040}
    found = vectors(cache)
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "alone"))
    alone = evaluation.run("hashing", quick(folder), output=tmp_path / "one")
    assert vectors(tmp_path / "alone") == found
    assert spread.folder is not None and alone.folder is not None
    assert read_queries(spread.folder).equals(read_queries(alone.folder))


def test_every_process_has_a_share(slow: ModuleType, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with RayEngine() as engine:
        evaluation.run(slow.Slow(log, pause=0.2), quick(folder), engine=engine)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len({pid for pid, *_ in lines}) == 2
    assert sum(int(count) for *_, count in lines) == 8040


def test_a_killed_process_loses_nothing(slow: ModuleType, folder: Path, tmp_path: Path, cache: Path) -> None:
    log, outcomes = tmp_path / "log", []
    log.touch()

    def work() -> None:
        with RayEngine() as engine:
            outcomes.append(evaluation.run(slow.Slow(log, pause=1.0), quick(folder), engine=engine))

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.time() + 120
    while " document " not in log.read_text() and time.time() < deadline:
        time.sleep(0.05)
    victim = int(log.read_text().splitlines()[-1].split()[0])
    assert victim != os.getpid()
    os.kill(victim, signal.SIGKILL)
    thread.join(timeout=200)
    assert not thread.is_alive()
    assert not psutil.pid_exists(victim)
    found = vectors(cache)
    asked = sum(int(line.split()[-1]) for line in log.read_text().splitlines())
    assert 8040 < asked <= 8040 + 2048  # the chunk in hand was encoded again
    evaluation.run(slow.Slow(log), quick(folder))
    assert sum(int(line.split()[-1]) for line in log.read_text().splitlines()) == asked
    assert len(found) == 7
    assert len(outcomes) == 1


def test_an_error_of_the_model_is_one_line(slow: ModuleType, folder: Path, tmp_path: Path) -> None:
    with RayEngine() as engine, pytest.raises(ModelError, match=r"^slow: encode failed: ValueError: no such luck$"):
        evaluation.run(slow.Slow(tmp_path / "log", broken=True), quick(folder), engine=engine)


def test_more_processes_than_cpus_start_and_do_not_hang(slow: ModuleType, folder: Path, tmp_path: Path) -> None:
    collection = load(str(folder))
    with RayEngine(workers=3) as engine:
        rows = np.arange(len(collection.queries))
        done: list[int] = []
        assert engine.fill(slow.Slow(tmp_path / "log"), "query", collection.queries, rows, done.append) == 40
        assert sum(done) == 40


def test_nothing_lacking_starts_no_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation.run("hashing", quick(folder))
    monkeypatch.setattr(RayEngine, "_join", lambda self: pytest.fail("a cluster was joined"))
    evaluation.run("hashing", quick(folder), engine=RayEngine())


def test_no_cluster_at_an_address_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        @staticmethod
        def is_initialized() -> bool:
            return False

        @staticmethod
        def init(**options: object) -> None:
            raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr(cluster, "require", lambda module, extra: Elsewhere)
    with pytest.raises(ConfigError, match="--address nowhere:1: no Ray cluster can be reached"):
        evaluation.run("hashing", quick(folder), engine=RayEngine("nowhere:1"))
