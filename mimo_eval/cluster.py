"""Encoding by the processes of a Ray cluster: each fills its share of the chunks of a store that all of them see.

A process does what `mimo-eval encode --shard i/n` does, so fingerprint, layout and vectors are those of one machine. A chunk is
written whole or not at all, and a share can be filled again at no cost but that of the chunk in hand: when a process or its
machine dies, Ray starts another, which goes on. What is lacking in the end is encoded by the process that asked.

Processes are given at most one CPU each, and no more of them are made than there are CPUs (or GPUs), so none waits for another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mimo_eval.collections import Texts
from mimo_eval.embeddings import Share, VectorStore, shards
from mimo_eval.errors import ConfigError, DataError, MimoEvalError, ModelError, require
from mimo_eval.files import cache_dir
from mimo_eval.models.loading import model_name
from mimo_eval.protocols import Encoder, Role
from mimo_eval.systems import Advance, Progress, Work, encode, vector_store

RETRIES = 5
"""Times that a process is started again, and its share begun again."""
PATIENCE = 120.0
"""Seconds for which processes may take to start; those that have not by then are not waited for."""
POLL = 2.0
"""Seconds between two looks at what is done."""


class RayEngine:
    """Encodes on a Ray cluster; used as a context manager. It is joined, or started, when something is to be encoded.

    :param address: of the cluster; without one, `$RAY_ADDRESS`, or a cluster on this machine.
    :param workers: number of processes; one per GPU, or per CPU where there are no GPUs, if None.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self.address, self.workers = address, workers
        self._ray: Any = None
        self._joined = False
        self._model: Encoder | None = None
        self._sent: Any = None
        self._processes: list[Any] = []

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        if self._joined:
            self._ray.shutdown()

    def fill(self, model: Encoder, role: Role, texts: Texts, rows: np.ndarray, advance: Advance) -> int:
        """Encode what is lacking; see `systems.Engine`.

        :raises ConfigError: if there is no such cluster, or no room in it.
        :raises ModelError: if the model fails, or processes die again and again.
        :raises DataError: if a process does not see the cache folder.
        """
        store = vector_store(model, role, texts, _unkept)
        lacking = _lacking(store, texts, rows)
        advance(len(rows) - lacking)
        if not lacking:
            return 0
        ray = self._join()
        processes = self._processes_of(model)
        wanted = None if len(rows) == len(texts) else ray.put(rows)
        where, before = _file(texts), _chunks(store)
        jobs = [
            process.fill.remote(role, str(where), texts.shards, wanted, Share(number, len(processes)))
            for number, process in enumerate(processes)
        ]
        shown, waiting = 0, jobs
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=POLL)
            done = min((_chunks(store) - before) * shards.CHUNK_ROWS, lacking)
            advance(max(done - shown, 0))
            shown = max(done, shown)
        advance(lacking - shown)
        with _failures(ray, model_name(model)):
            return int(sum(ray.get(jobs)))

    def _join(self) -> Any:
        """Return Ray, connected to the cluster."""
        self._ray = require("ray", "ray")
        if not self._ray.is_initialized():
            try:
                self._ray.init(
                    address=self.address,
                    include_dashboard=None if self.address else False,
                    log_to_driver=False,
                    logging_level="error",
                )
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                raise ConfigError(f"--address {self.address}: no Ray cluster can be reached ({error})") from error
            self._joined = True
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
        size = {"num_cpus": min(1.0, cpus / count), "num_gpus": min(1.0, gpus / count) if gpus else 0}
        process = ray.remote(max_restarts=RETRIES, max_task_retries=RETRIES, **size)(_Process)
        self._sent = ray.put(model)  # held for processes that are started again
        made = [process.remote(self._sent, str(cache_dir().resolve())) for _ in range(count)]
        signs = {actor.sign.remote(): actor for actor in made}
        ready, late = ray.wait(list(signs), num_returns=count, timeout=PATIENCE)
        for sign in late:
            ray.kill(signs[sign])
        if not ready:
            raise ConfigError(f"no process of the Ray cluster started within {PATIENCE:.0f} s: it has {there}, all in use?")
        return [signs[sign] for sign in ready]

    def _end(self) -> None:
        for process in self._processes:
            self._ray.kill(process)
        self._model, self._sent, self._processes = None, None, []


class _Process:
    """What runs in a process of the cluster."""

    def __init__(self, model: Encoder, cache: str) -> None:
        import torch

        torch.set_num_threads(1)
        os.environ["MIMO_EVAL_CACHE"] = cache
        self.model = model

    def sign(self) -> bool:
        """Give a sign of life."""
        return True

    def fill(self, role: Role, file: str, languages: dict[str, str], rows: np.ndarray | None, share: Share) -> int:
        """Fill a share of the chunks of a collection; return the number of texts encoded."""
        from datasets import Dataset

        if not Path(file).is_file():
            raise DataError(
                f"{file}: not seen by a machine of the cluster; all must share the folder that MIMO_EVAL_CACHE names"
            )
        texts = Texts(Dataset.from_file(file), languages)
        work = Work(Progress(), Path(file).parent, depth=1)
        encode(self.model, role, texts, np.arange(len(texts)) if rows is None else rows, work, share=Share(*share))
        return work.encoded["encoded"]


@contextmanager
def _failures(ray: Any, name: str) -> Iterator[None]:
    """Raise what was raised in a process, without the cluster's traceback."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MimoEvalError):
            raise type(error.cause)(str(error.cause)) from None
        raise ModelError(f"{name}: encode failed in a process of the cluster: {error.cause!r}") from error
    except ray.exceptions.RayError as error:
        why = re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()[0]
        raise ModelError(
            f"{name}: the processes of the cluster died {RETRIES + 1} times (out of memory?): {why}; "
            "what was encoded is kept, run the same command again to go on"
        ) from error


def _lacking(store: VectorStore, texts: Texts, rows: np.ndarray) -> int:
    """Return the number of texts that are still to be encoded."""
    total = 0
    for lang, shard in store.shards.items():
        mine = texts.rows(lang)
        positions = np.flatnonzero(np.isin(mine, rows, assume_unique=True))
        total += sum(map(len, shard.missing(positions).values()))
    return total


def _chunks(store: VectorStore) -> int:
    return sum(1 for shard in store.shards.values() for _ in shard.folder.glob("*.safetensors"))


def _file(texts: Texts) -> Path:
    """Return the Arrow file of some texts."""
    return Path(texts.dataset.cache_files[0]["filename"]).resolve()


def _unkept(model: Any) -> Path:
    raise ConfigError(f"{model_name(model)} has no fingerprint, so its vectors are kept for one run only")
