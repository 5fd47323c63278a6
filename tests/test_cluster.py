from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest

from mimo_eval import cluster, evaluation
from mimo_eval.benchmark import Benchmark, of_folder
from mimo_eval.cluster import RayEngine
from mimo_eval.collections import load
from mimo_eval.embeddings import Share
from mimo_eval.errors import DataError, ModelError
from mimo_eval.models.loading import load_model
from mimo_eval.results import read_queries
from mimo_eval.search import onepass
from mimo_eval.systems import Need

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

SLOW = '''
import os, time
import numpy as np


class Slow:
    """Says in a file what it is asked; what comes after some first calls waits for a file `gate`."""

    name = "slow"
    similarity = "dot"

    def __init__(self, log, gate=None, free=0, broken=False, searching=False, together=0):
        self.log, self.gate, self.free, self.broken, self.searching = str(log), gate, free, broken, searching
        self.together = together
        self.home = os.getpid()

    def asked(self, what):
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()} {what}\\n")
        self.free -= 1
        if self.free < 0 and self.gate is not None:
            self.wait(lambda: os.path.exists(self.gate))

    def wait(self, over):
        end = time.monotonic() + 250
        while not over() and time.monotonic() < end:
            time.sleep(0.02)

    def fingerprint(self, role):
        if self.searching and os.getpid() != self.home:  # in a process of the cluster, searching is noted too, and waits
            from mimo_eval.search.dense import DenseScorer

            DenseScorer.find = self.noted(DenseScorer.find)
            self.searching = False
        return {"model": "slow"}

    def noted(self, search):
        def find(*arguments):
            self.asked(f"search {arguments[1]} {len(arguments[2])}")
            return search(*arguments)

        return find

    def encode(self, texts, *, role, lang):
        if self.broken:
            raise ValueError("no such luck")
        self.asked(f"{role} {lang} {len(texts)}")
        self.wait(lambda: len({line.split()[0] for line in open(self.log)}) >= self.together)
        rows = [np.frombuffer(text.encode().ljust(24)[-24:], np.uint8) for text in texts]
        return np.array(rows, np.float32) / 7


class FirstFails(Slow):
    """Fails in the process that is asked first; the others wait."""

    def encode(self, texts, *, role, lang):
        try:
            open(self.log + ".first", "x").close()
        except FileExistsError:
            return super().encode(texts, role=role, lang=lang)
        raise ValueError("no such luck")


class Elsewhere(Slow):
    """In a process of the cluster, the cache is another folder, as on another machine."""

    def __init__(self, log, cache):
        super().__init__(log)
        self.cache = str(cache)

    def fingerprint(self, role):
        if os.getpid() != self.home:
            os.environ["MIMO_EVAL_CACHE"] = self.cache
        return {"model": "elsewhere"}
'''


def started() -> Any:
    """Start the cluster; Ray gives its processes half a minute, which may be too little for a busy machine."""
    for attempt in range(4):
        try:
            return ray.init(
                num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", object_store_memory=10**8
            )
        except Exception as error:
            ray.shutdown()
            if attempt == 3:
                pytest.fail(f"Ray cannot start a cluster on this machine in time: {error}", pytrace=False)


def held(log: Path, what: str, calls: int, at_work: threading.Thread) -> psutil.Process:
    """Return a process of the cluster that has been asked for something so many times, as soon as there is one."""
    while at_work.is_alive():
        asked = Counter(line.split()[0] for line in log.read_text().splitlines() if line.split()[1] == what)
        for number, count in asked.items():
            if count == calls and int(number) != os.getpid():
                return psutil.Process(int(number))
        time.sleep(0.02)
    pytest.fail("it ended before")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A cluster of two CPUs on this machine, whose processes can import a module of the test's own."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "slow_encoder.py").write_text(SLOW)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    os.environ.setdefault("RAY_worker_niceness", "0")  # as RayEngine does; the tests are quicker beside other work
    sys.path.insert(0, str(folder))
    try:
        import slow_encoder

        context = started()
        yield slow_encoder
        ray.shutdown()
        shutil.rmtree(context.address_info["session_dir"], ignore_errors=True)
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


MIXES = ["union", "bilingual", "partition(de=0.6,en=0.4)", "away(seed=1)", "union(max_documents=3000)"]


def ranked(folder: Path) -> Benchmark:
    """Mixes of whole languages and of some rows; LPR asks for exact ranks of what lies beyond the lists."""
    return evaluation.changed(of_folder(folder), mixes=MIXES, measures=["nDCG@10", "RR", "R@100", "LPR"], depth=100)


def vectors(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.glob("vectors/**/*.safetensors"))}


def test_vectors_and_rankings_are_those_of_one_process(
    slow: ModuleType, folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SPREAD", 1)
    benchmark = evaluation.changed(quick(folder), measures=["nDCG@10", "RR", "MRC@20"])  # MRC looks beyond the lists
    with RayEngine() as engine:
        spread = evaluation.run("hashing(dim=64)", benchmark, output=tmp_path / "spread", engine=engine)
        assert spread.result.encoded == {"encoded": 8040, "read": 0}
        again = evaluation.run("hashing(dim=64)", quick(folder), output=tmp_path / "spread", engine=engine)
        assert again.result.encoded == {"encoded": 0, "read": 8040}
    found = vectors(cache)
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "alone"))
    alone = evaluation.run("hashing(dim=64)", benchmark, output=tmp_path / "one")
    assert vectors(tmp_path / "alone") == found
    assert spread.folder is not None and alone.folder is not None
    assert read_queries(spread.folder).equals(read_queries(alone.folder))


def test_every_process_has_a_share(slow: ModuleType, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with RayEngine() as engine:
        evaluation.run(slow.Slow(log, together=2), quick(folder), engine=engine)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len({pid for pid, *_ in lines}) == 2
    assert sum(int(count) for *_, count in lines) == 8040


def test_a_killed_process_loses_nothing(slow: ModuleType, folder: Path, tmp_path: Path, cache: Path) -> None:
    log, gate, outcomes = tmp_path / "log", tmp_path / "gate", []
    log.touch()

    def work() -> None:
        with RayEngine() as engine:
            outcomes.append(evaluation.run(slow.Slow(log, gate, free=1), quick(folder), engine=engine))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    victim = held(log, "document", 2, thread)
    victim.kill()
    gate.touch()
    thread.join(timeout=200)
    assert not thread.is_alive()
    victim.wait(100)
    found = vectors(cache)
    asked = sum(int(line.split()[-1]) for line in log.read_text().splitlines())
    assert 8040 < asked <= 8040 + 2048  # the chunk in hand was encoded again
    evaluation.run(slow.Slow(log), quick(folder))
    assert sum(int(line.split()[-1]) for line in log.read_text().splitlines()) == asked
    assert len(found) == 7
    assert len(outcomes) == 1


def test_searching_where_the_vectors_lie_gives_the_same_lists_and_ranks(
    slow: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dot products of vectors of few different letters: many ties. Ranks are counted, not read from whole lists."""
    monkeypatch.setattr(cluster, "SPREAD", 1)
    monkeypatch.setattr(onepass, "WHOLE", 0)
    with RayEngine(workers=3) as engine:
        spread = evaluation.run(slow.Slow(tmp_path / "log"), ranked(folder), output=tmp_path, engine=engine, save_runs=True)
    alone = evaluation.run(slow.Slow(tmp_path / "log"), ranked(folder), output=tmp_path / "alone", save_runs=True)
    assert (spread.result.encoded["encoded"], alone.result.encoded["encoded"]) == (8040, 0)
    assert spread.result.settings == alone.result.settings
    assert spread.folder is not None and alone.folder is not None
    assert read_queries(spread.folder).equals(read_queries(alone.folder))
    for path in sorted((alone.folder / "runs").glob("*.trec.gz")):
        lines = [gzip.decompress(one.read_bytes()).split(b"\n") for one in (path, spread.folder / "runs" / path.name)]
        documents = [[line.split(b" ")[:4] for line in found] for found in lines]
        assert documents[0] == documents[1]


def test_a_process_killed_while_it_searches_is_asked_again(
    slow: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, gate, outcomes = tmp_path / "log", tmp_path / "gate", []
    log.touch()
    monkeypatch.setattr(cluster, "SPREAD", 1)

    def work() -> None:
        with RayEngine() as engine:
            model = slow.Slow(log, gate, searching=True)
            outcomes.append(evaluation.run(model, quick(folder), output=tmp_path / "spread", engine=engine))

    evaluation.run(slow.Slow(tmp_path / "first"), quick(folder))  # so that there is nothing to do but to search
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    victim = held(log, "search", 1, thread)
    victim.kill()
    gate.touch()
    thread.join(timeout=200)
    assert not thread.is_alive()
    victim.wait(100)
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 3  # two processes, and one in the victim's place
    alone = evaluation.run(slow.Slow(log), quick(folder), output=tmp_path / "alone")
    assert outcomes[0].folder is not None and alone.folder is not None
    assert read_queries(outcomes[0].folder).equals(read_queries(alone.folder))


@pytest.mark.parametrize("options", [{"model": "rrf(hashing(dim=64), hashing(dim=32))"}, {"index": "HNSW16"}])
def test_what_the_cluster_cannot_search_is_searched_here(
    slow: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    """Lists of a combination's models are read by turns, and the cluster holds one model; an index lies on this machine."""
    monkeypatch.setattr(cluster, "SPREAD", 1)
    monkeypatch.setattr(onepass, "WHOLE", 0)
    model, index, benchmark = options.get("model", "hashing(dim=64)"), options.get("index"), quick(folder)
    benchmark = evaluation.changed(benchmark, mixes=MIXES)
    with RayEngine() as engine:
        made = evaluation.run(model, benchmark, output=tmp_path / "ray", engine=engine, index=index)
    alone = evaluation.run(model, benchmark, output=tmp_path / "alone", index=index)
    assert made.result.encoded["encoded"] == (16_080 if "model" in options else 8040)
    assert alone.result.encoded["encoded"] == 0
    assert made.result.settings == alone.result.settings
    assert bool(made.result.approximate) == ("index" in options)


def test_a_derived_model_takes_its_sample_here(
    slow: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample is of texts in memory, of which no process of the cluster could read anything."""
    model = "lir(hashing(dim=64))"
    with RayEngine() as engine:
        made = evaluation.run(model, quick(folder), output=tmp_path / "ray", engine=engine)
    assert made.result.encoded["encoded"] > 8040
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "alone"))
    alone = evaluation.run(model, quick(folder), output=tmp_path / "alone")
    assert made.result.encoded == alone.result.encoded
    assert made.folder is not None and alone.folder is not None
    assert read_queries(made.folder).equals(read_queries(alone.folder))


def test_an_error_is_raised_while_others_are_at_work(slow: ModuleType, folder: Path, tmp_path: Path, cache: Path) -> None:
    with RayEngine() as engine:
        with pytest.raises(ModelError, match=r"^slow: encode failed: ValueError: no such luck$"):
            evaluation.run(slow.FirstFails(tmp_path / "log", tmp_path / "gate"), quick(folder), engine=engine)
        assert not vectors(cache)  # the other still waits


def test_processes_with_a_cache_of_their_own_and_a_store(
    slow: ModuleType, folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SPREAD", 1)
    model = slow.Elsewhere(tmp_path / "log", tmp_path / "other")
    expected = evaluation.run(model, quick(folder), output=tmp_path / "alone")
    shutil.rmtree(cache / "vectors")
    monkeypatch.setenv("MIMO_EVAL_STORE", str(tmp_path / "store"))
    with RayEngine() as engine:
        outcome = evaluation.run(model, quick(folder), output=tmp_path / "spread", engine=engine)
    assert outcome.result.encoded == {"encoded": 8040, "read": 0}
    assert outcome.folder is not None and expected.folder is not None
    assert read_queries(outcome.folder).equals(read_queries(expected.folder))
    assert len(vectors(tmp_path / "other")) == len(vectors(tmp_path / "store")) == 7
    assert len(vectors(cache)) == 3  # the queries, and a chunk that says how wide documents' vectors are


def test_a_process_without_the_collection_fetches_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = load(str(folder))
    assert collection.folder is not None
    there = tmp_path / "other" / "collections" / collection.folder.name / "documents.arrow"
    place = cluster._Place("document", str(there), collection.documents.shards)
    monkeypatch.setenv("MIMO_EVAL_STORE", "")  # restored, whatever the process sets
    with pytest.raises(DataError, match=r"not seen by a machine of the cluster; .*, or a store that MIMO_EVAL_STORE names"):
        cluster._Process(str(tmp_path / "other"), None).fill(lambda: load_model("hashing"), [place], Share(0, 2), True, None)
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MIMO_EVAL_STORE", str(tmp_path / "store"))
    load(str(folder))
    process = cluster._Process(str(tmp_path / "other"), str(tmp_path / "store"))
    done = process.fill(lambda: load_model("hashing"), [place], Share(0, 2), True, None)
    assert done == [2048 + 904 + 952]  # de has chunks 0 to 2, en 3 and 4
    assert there.is_file()


def test_an_error_of_the_model_is_one_line(slow: ModuleType, folder: Path, tmp_path: Path) -> None:
    with RayEngine() as engine, pytest.raises(ModelError, match=r"^slow: encode failed: ValueError: no such luck$"):
        evaluation.run(slow.Slow(tmp_path / "log", broken=True), quick(folder), engine=engine)


def test_more_processes_than_cpus_start_and_do_not_hang(slow: ModuleType, folder: Path, tmp_path: Path) -> None:
    collection = load(str(folder))
    with RayEngine(workers=3) as engine:
        done: list[int] = []
        needs = [Need("query", collection.queries, collection.queries.by_language())]
        assert engine.fill(slow.Slow(tmp_path / "log"), needs, done.append) == [40]
        assert sum(done) == 40


def test_nothing_lacking_starts_no_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation.run("hashing(dim=64)", quick(folder))
    monkeypatch.setattr(RayEngine, "_join", lambda self: pytest.fail("a cluster was joined"))
    evaluation.run("hashing(dim=64)", quick(folder), engine=RayEngine())


def test_a_cluster_that_was_started_here_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    code = f"""
    import os, sys, psutil
    from pathlib import Path
    from mimo_eval import evaluation
    from mimo_eval.benchmark import of_folder
    from mimo_eval.cluster import RayEngine
    with RayEngine(workers=1) as engine:
        evaluation.run("hashing(dim=64)", of_folder(Path({str(folder)!r})), engine=engine)
        started = psutil.Process().children(recursive=True)
        session = engine._session
        assert started and session is not None and session.is_dir()
    _, alive = psutil.wait_procs(started, timeout=100)
    assert not alive, alive
    assert not session.exists()
    """
    env = {**os.environ, "RAY_ADDRESS": "local"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not RAY_LOG.match(line)] == []


RAY_LOG = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:")
"""How a line of Ray's own log begins, of which some slip out where the machine is busy."""
ENDLESS = """
import time
import numpy as np


class Slow:
    name = "slow"

    def fingerprint(self, role):
        return {"model": "slow"}

    def encode(self, texts, *, role, lang):
        try:
            open(__file__ + ".first", "x").close()
        except FileExistsError:  # one call of all returns
            time.sleep(250)
        return np.random.default_rng(len(texts)).standard_normal((len(texts), 8))
"""


@pytest.mark.parametrize(("number", "code", "said"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")])
def test_a_run_that_is_told_to_end_ends_as_without_a_cluster(
    folder: Path, tmp_path: Path, cache: Path, number: int, code: int, said: str
) -> None:
    """Ray has a handler of its own, lets no exception of a handler but one out of its calls, and says which tasks failed."""
    (tmp_path / "slow_model.py").write_text(ENDLESS)
    command = [sys.executable, "-m", "mimo_eval.cli.main", "run", "slow_model:Slow", "-b", str(folder), "--engine", "ray"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as short:  # Ray's sockets lie there: no long paths
        env = {**os.environ, "PYTHONPATH": str(tmp_path), "RAY_ADDRESS": "local", "RAY_TMPDIR": short}
        process = subprocess.Popen(
            [*command, "-o", str(tmp_path / "r")], env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 200
        while not vectors(cache) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, printed = process.communicate(timeout=100)
        assert process.returncode == code, printed
        assert f"{said}; what was encoded is kept, run the same command again to go on" in printed.splitlines()
        assert "Traceback" not in printed and "(raylet)" not in printed
        _, alive = psutil.wait_procs(started, timeout=100)
        assert started and not alive, alive
        assert not list(Path(short).glob("ray/session_2*"))
    assert len(vectors(cache)) == 1


class Shrunk:
    """Stands in for Ray with a cluster that has lost a machine, or gets it back: its jobs never end, or end then.

    It has a clock of its own, `now`.
    """

    exceptions = ray.exceptions

    def __init__(self, *cpus: float) -> None:
        self.cpus, self.now = list(cpus), 0.0

    def wait(self, jobs: list[str], num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        self.now += timeout
        return (jobs, []) if not self.cpus else ([], jobs)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self.cpus.pop(0) if self.cpus else 4.0}


def test_a_machine_that_is_gone_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*cpus: float) -> list[list[str]]:
        there = Shrunk(*cpus)
        monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: there.now))
        return list(cluster._ended(there, ["job"], {"CPU": 4.0, "GPU": 0}))

    with pytest.raises(ModelError, match=r"a machine of the cluster is gone \(.* 2 of 4 CPUs\); .* run the same command again"):
        ended(*[2.0] * 1000)
    assert ended(*[*[2.0] * 3, 4.0] * 100)[-1] == ["job"]  # never away for long


@pytest.mark.parametrize(("cpus", "count"), [(2, 3), (1, 7), (64, 10), (3, 3)])
def test_the_processes_fit_into_the_cluster(cpus: int, count: int) -> None:
    each = cluster._each(cpus, count)
    assert 0 < each <= 1 and round(each * 10_000) * count <= 10_000 * cpus and round(each * 10_000) == each * 10_000


def test_a_missing_package_is_not_taken_for_a_lack_of_memory() -> None:
    error = ray.exceptions.RaySystemError("it died\nModuleNotFoundError: No module named 'mimo_eval'")
    said = r"^slow: ModuleNotFoundError: No module named 'mimo_eval', on a machine of the cluster; install there"
    with pytest.raises(ModelError, match=said), cluster._failures(ray, "slow", "encode"):
        raise error
