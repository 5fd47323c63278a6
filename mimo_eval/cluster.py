"""Encoding and searching by the processes of a Ray cluster: each has its share of the chunks of a store that all of them see.

A process encodes as `mimo-eval encode --shard i/n` does, so fingerprint, layout and vectors are those of one machine. A chunk
is written whole or not at all, and a share can be filled again at no cost but that of the chunk in hand: when a process or its
machine dies, Ray starts another, which goes on. Of large collections each process then searches the chunks of its share, see
`search.spread`; one that dies is asked again.

These are plain actors and no Ray Data pipeline. A pipeline hands rows around: it loses their order unless told not to, hangs
where its actors leave no CPU to the tasks that read, and carries vectors through the object store to be written by somebody
else. Here a process reads its texts from the collection's Arrow file and owns its chunks from text to search, so there is
nothing to order, to wait for or to carry. Processes are given at most one CPU each, and no more of them are made than there are
CPUs (or GPUs), so none waits for another.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from mimo_eval import locks
from mimo_eval.collections import Rows, Texts
from mimo_eval.collections.kept import fetched
from mimo_eval.embeddings import Share, VectorStore, shards
from mimo_eval.errors import ConfigError, DataError, MimoEvalError, ModelError, require
from mimo_eval.files import cache_dir
from mimo_eval.joining import join
from mimo_eval.models.loading import model_name
from mimo_eval.protocols import Encoder, Role
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.spread import ANSWERS, SpreadScorer
from mimo_eval.shared import VARIABLE, shared_store
from mimo_eval.systems import Advance, Need, Progress, Work, encode, vector_store

RETRIES = 5
"""Times that a process is started again, and its share begun again."""
PATIENCE = 120.0
"""Seconds for which processes may take to start, or may lack room in the cluster; they are not waited for any longer."""
POLL = 2.0
"""Seconds between two looks at what is done."""
SPREAD = 2**20
"""Documents of a collection from which on the cluster searches too; fewer are searched sooner than processes are asked."""
LARGE = 100_000
"""Bytes from which on an array goes through Ray's object store, once for all processes."""


Given = Callable[[], Encoder]
"""What gets the model in a process, once for all its tasks."""


class RayEngine:
    """Encodes and searches on a Ray cluster; used as a context manager. The cluster is joined, or started, when it is needed.

    While it is joined, in the main thread, Ctrl-C and SIGTERM are held back: an exception in the midst of it makes Ray abort
    the process. Afterwards the caller's own handlers are in place again, and are told.

    :param address: of the cluster; without one, `$RAY_ADDRESS`, or a cluster on this machine.
    :param workers: number of processes; one per GPU, or per CPU where there are no GPUs, if None.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self.address, self.workers = address, workers
        self._ray: Any = None
        self._joined = False
        self._session: Path | None = None
        self._model: Encoder | None = None
        self._given: Given | None = None
        self._processes: list[Any] = []
        self._size: dict[str, float] = {}

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._joined:
            self._ray.shutdown()  # ends the processes too; were they killed first, Ray would print that tasks failed
            self._processes = []
        self._end()
        if self._session is not None and not isinstance(error, Exception):  # an error may be looked for in what it logged
            shutil.rmtree(self._session, ignore_errors=True)

    def fill(self, model: Encoder, needs: Sequence[Need], advance: Advance) -> list[int]:
        """Encode what is lacking; see `systems.Engine`.

        :raises ConfigError: if there is no such cluster, or no room in it.
        :raises ModelError: if the model fails, or processes die again and again.
        :raises DataError: if a process does not see the cache folder.
        """
        stores = [vector_store(model, need.role, need.texts, _unkept) for need in needs]
        large = any(self.keeps(need.role, need.texts) for need in needs)
        lacking = sum(store.lacking(need.rows, look_inside=not large) for store, need in zip(stores, needs, strict=True))
        advance(sum(need.size for need in needs) - lacking)
        if not lacking and not large:
            return [0] * len(needs)
        ray = self._join()
        processes = self._processes_of(model)
        places = [_place(need.role, need.texts) for need in needs]
        rows = [None if need.size == len(need.texts) else ray.put(need.rows) for need in needs]
        before = sum(map(_chunks, stores))
        jobs = [
            process.fill.remote(self._given, places, Share(number, len(processes)), not large, *rows)
            for number, process in enumerate(processes)
        ]
        shown = 0
        for ended in _ended(ray, jobs, self._needed()):
            with _failures(ray, model_name(model), "encode"):
                ray.get(ended)  # an error is raised at once, not when the others are done
            done = min((sum(map(_chunks, stores)) - before) * shards.CHUNK_ROWS, lacking)
            advance(max(done - shown, 0))
            shown = max(done, shown)
        advance(lacking - shown)
        encoded = np.sum(ray.get(jobs), axis=0)
        if (shared := shared_store()).url is not None:
            shared.refresh()
            for store, need in zip(stores, needs, strict=True):
                if not self.keeps(need.role, need.texts):
                    store.join(need.rows)
        return [int(count) for count in encoded]

    def keeps(self, role: Role, texts: Texts) -> bool:
        """Say whether vectors stay with the processes; see `systems.Engine`."""
        return role == "document" and len(texts) >= SPREAD

    def scorer(self, model: Encoder, queries: VectorStore, documents: VectorStore) -> DenseScorer:
        """Return what searches where the vectors lie; see `systems.Engine`."""
        self._join()
        processes = self._processes_of(model)
        where = _place("query", queries.texts), _place("document", documents.texts)
        parts = _Parts(self._ray, model_name(model), processes, (self._given, where), self._needed())
        return SpreadScorer(queries, documents, parts=parts)

    def _join(self) -> Any:
        """Return Ray, connected to the cluster."""
        self._ray = require("ray", "ray")
        if not self._ray.is_initialized():
            self._joined = True
            self._session = join(self.address)
        return self._ray

    def _processes_of(self, model: Encoder) -> list[Any]:
        """Return the processes that hold a model; those of another one are ended."""
        if self._model is not model:
            self._end()
            self._model, self._processes = model, self._start(model)
        return self._processes

    def _start(self, model: Encoder) -> list[Any]:
        ray, there = self._ray, self._ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 1))
        count = self.workers or gpus or max(cpus, 1)
        size = {"num_cpus": _each(cpus, count), "num_gpus": 1 / ceil(count / gpus) if gpus else 0}
        self._size = {"CPU": size["num_cpus"], "GPU": size["num_gpus"]}
        process = ray.remote(max_restarts=RETRIES, max_task_retries=RETRIES, **size)(_Process)
        self._given = partial(ray.get, ray.put(model))  # with each task, so that a process that is started again has it too
        where = str(cache_dir().resolve()), shared_store().url
        made = [process.remote(*where) for _ in range(count)]
        signs = {actor.sign.remote(): actor for actor in made}
        ready, late = ray.wait(list(signs), num_returns=count, timeout=PATIENCE)
        for sign in late:
            ray.kill(signs[sign])
        if not ready:
            raise ConfigError(f"no process of the Ray cluster started within {PATIENCE:.0f} s: it has {there}, all in use?")
        return [signs[sign] for sign in ready]

    def _needed(self) -> dict[str, float]:
        """Return what the processes need of the cluster."""
        return {kind: len(self._processes) * each for kind, each in self._size.items()}

    def _end(self) -> None:
        for process in self._processes:
            self._ray.kill(process)
        self._model, self._given, self._processes = None, None, []


def _each(cpus: int, count: int) -> float:
    """Return the CPUs that each of some processes can have, at most one, in the ten-thousandths that Ray counts in."""
    return min(10_000, 10_000 * cpus // count) / 10_000


class _Place(NamedTuple):
    """Where a process finds texts."""

    role: Role
    file: str
    """Arrow file in the cache."""
    languages: dict[str, str]


class _Parts:
    """The processes of one model as parts of a search; see `search.spread.Parts`."""

    def __init__(self, ray: Any, name: str, processes: list[Any], first: tuple[Any, ...], needed: dict[str, float]) -> None:
        self._ray, self._name, self._processes, self._first, self._needed = ray, name, processes, first, needed
        self.count = len(processes)

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...] | None]) -> Iterator[tuple[int, Any]]:
        """Have processes answer at the same time; one that dies is started and asked again."""
        sent: dict[int, Any] = {}
        for value in (value for asked in arguments for value in asked or ()):
            if isinstance(value, np.ndarray) and value.nbytes >= LARGE and id(value) not in sent:
                sent[id(value)] = self._ray.put(value)
        jobs = {
            process.answer.remote(*self._first, method, Share(number, self.count), *(sent.get(id(v), v) for v in asked)): number
            for number, (process, asked) in enumerate(zip(self._processes, arguments, strict=True))
            if asked is not None
        }
        for ended in _ended(self._ray, list(jobs), self._needed):
            while ended:  # Ray forgets an answer when nothing refers to it any more
                job = ended.pop()
                number = jobs.pop(job)
                with _failures(self._ray, self._name, "search"):
                    answer = self._ray.get(job)
                del job
                yield number, answer


class _Process:
    """What runs in a process of the cluster."""

    def __init__(self, cache: str, store: str | None) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"  # for what is imported from now on
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        os.environ["MIMO_EVAL_CACHE"] = cache
        os.environ.pop(VARIABLE, None)
        if store:
            os.environ[VARIABLE] = store
        self._model: Encoder | None = None
        self._texts: dict[str, Texts] = {}
        self._scorer: tuple[tuple[_Place, _Place], DenseScorer] | None = None

    def sign(self) -> bool:
        """Give a sign of life."""
        return True

    def fill(self, given: Given, places: Sequence[_Place], share: Share, helpful: bool, *rows: Rows | None) -> list[int]:
        """Fill a share of the chunks of some texts.

        :param given: the model.
        :param places: the texts.
        :param share: which chunks.
        :param helpful: then take over what of other shares nobody has begun; for this all chunks are looked at.
        :param rows: rows of each, None for all.
        :return: number of texts encoded, of each.
        """
        model = self._model = self._model or given()
        encoded = [0] * len(places)
        for i in reversed(range(len(places))):  # documents first, as they take longer; queries from the other end
            mine = Share(*share) if places[i].role == "document" else Share(share.of - 1 - share.number, share.of)
            encoded[i] += self._fill(model, places[i], rows[i], mine)
        shared = shared_store()
        if helpful and shared.url is None and locks.work(cache_dir()):
            for i, place in enumerate(places):
                encoded[i] += self._fill(model, place, rows[i], None)
        shared.settle(needed=False)  # what is not there, is made again by whoever needs it
        shared.refresh()
        return encoded

    def _fill(self, model: Encoder, place: _Place, rows: Rows | None, share: Share | None) -> int:
        texts = self._open(place)
        work = Work(Progress(), Path(place.file).parent, depth=1)
        encode(model, place.role, texts, texts.by_language() if rows is None else rows, work, share=share)
        return work.encoded["encoded"]

    def answer(self, given: Given, where: tuple[_Place, _Place], method: str, share: Share, *arguments: Any) -> Any:
        """Search a share of the chunks of a collection."""
        model = self._model = self._model or given()
        if self._scorer is None or self._scorer[0] != where:
            queries, documents = (vector_store(model, place.role, self._open(place), _unkept) for place in where)
            self._scorer = where, DenseScorer(queries, documents)
        return ANSWERS[method](self._scorer[1], Share(*share), *arguments)

    def _open(self, place: _Place) -> Texts:
        path = Path(place.file)
        if not path.is_file():
            fetched(shared_store(path), path.parent)
        if not path.is_file():
            raise DataError(
                f"{path}: not seen by a machine of the cluster; all must share the folder that MIMO_EVAL_CACHE names, "
                f"or a store that {VARIABLE} names"
            )
        if place.file not in self._texts:
            self._texts[place.file] = Texts.open(path, place.languages)
        return self._texts[place.file]


def _ended(ray: Any, jobs: Sequence[Any], needed: dict[str, float]) -> Iterator[list[Any]]:
    """Yield the jobs that have ended since the last time, at least every POLL seconds, until all have.

    :param needed: what the processes need of the cluster. If it has less, some wait for a machine, and may do so for ever.
    :raises ModelError: if it has had less for PATIENCE seconds.
    """
    waiting, enough = list(jobs), time.monotonic()
    del jobs  # Ray keeps what is referred to
    while waiting:
        ended, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=POLL)
        yield ended
        there = ray.cluster_resources()
        if all(there.get(kind, 0.0) > amount - 0.01 for kind, amount in needed.items()):
            enough = time.monotonic()
        elif waiting and time.monotonic() - enough > PATIENCE:
            lost = ", ".join(f"{there.get(kind, 0.0):g} of {amount:g} {kind}s" for kind, amount in needed.items() if amount)
            raise ModelError(
                f"a machine of the cluster is gone (for {PATIENCE:.0f} s there were {lost}); "
                "what was encoded is kept, run the same command again to go on"
            )


@contextmanager
def _failures(ray: Any, name: str, method: str) -> Iterator[None]:
    """Raise what was raised in a process, without the cluster's traceback."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MimoEvalError):
            raise type(error.cause)(str(error.cause)) from None
        raise ModelError(f"{name}: {method} failed in a process of the cluster: {error.cause!r}") from error
    except ray.exceptions.RayError as error:
        said = re.sub(r"\x1b\[\d+m", "", str(error))
        lacking = re.search(r"ModuleNotFoundError: .*", said)
        why = lacking[0] if lacking else said.splitlines()[0]
        if lacking or isinstance(error, ray.exceptions.RuntimeEnvSetupError):
            raise ModelError(f"{name}: {why}, on a machine of the cluster; install there what is installed here") from error
        raise ModelError(
            f"{name}: the processes of the cluster died {RETRIES + 1} times (out of memory?): {why}; "
            "what was encoded is kept, run the same command again to go on"
        ) from error


def _chunks(store: VectorStore) -> int:
    return sum(len(shard.numbers()) for shard in store.shards.values())


def _place(role: Role, texts: Texts) -> _Place:
    return _Place(role, str(Path(texts.dataset.cache_files[0]["filename"]).resolve()), texts.shards)


def _unkept(model: Any) -> Path:
    raise ConfigError(f"{model_name(model)} has no fingerprint, so its vectors are kept for one run only")
