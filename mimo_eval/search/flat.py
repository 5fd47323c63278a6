"""Exact search of tiles: FAISS where it is installed, on every GPU if there are any; numpy otherwise."""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from functools import cache
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np

from mimo_eval.errors import ConfigError

WITHOUT = "free its memory, or leave it out by CUDA_VISIBLE_DEVICES, empty for none"
PACKAGES = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12", "faiss-gpu-cu13")
"""All that have the module `faiss`."""
GPU_DEPTH = 2048
"""Largest k of FAISS's search on a GPU."""


class Engine(Protocol):
    """Finds the best documents of a tile by inner product."""

    name: str
    lanes: int
    """Tiles that are searched at the same time by threads while the next one is read; 0 for one after the other."""

    def top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, positions), each (q, k), in any order; ties at the cut may fall either way."""


class Numpy:
    """Matrix product and partial sort: for machines without FAISS."""

    name = "numpy"
    lanes = 0

    def top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, positions), each (q, k)."""
        parts = [self._top(queries[start : start + 256], documents, k) for start in range(0, len(queries), 256)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ documents.T
        best = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, -k:]
        return np.take_along_axis(scores, best, 1), best


class Faiss:
    """FAISS's exact search; on GPUs, if there are any, each of which takes the next tile when it is free.

    :param faiss: the module.
    """

    name = "faiss"

    def __init__(self, faiss: Any) -> None:
        self.faiss = faiss
        self.lanes = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
        self._free: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        for device in range(self.lanes):
            self._free.put((device, faiss.StandardGpuResources()))

    def top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, positions), each (q, k)."""
        if not self.lanes or k > GPU_DEPTH:
            return self.faiss.knn(queries, documents, k, metric=self.faiss.METRIC_INNER_PRODUCT)  # type: ignore[no-any-return]
        device, resources = self._free.get()  # resources serve one thread at a time
        try:
            return self._on_gpu(device, resources, queries, documents, k)
        finally:
            self._free.put((device, resources))

    def _on_gpu(
        self, device: int, resources: Any, queries: np.ndarray, documents: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        options = {"metric": self.faiss.METRIC_INNER_PRODUCT, "device": device}
        try:
            return self.faiss.knn_gpu(resources, queries, documents, k, **options)  # type: ignore[no-any-return]
        except RuntimeError:  # torch keeps what it had for encoding; FAISS cannot ask it for that
            if (torch := sys.modules.get("torch")) is not None:
                torch.cuda.empty_cache()
        try:
            return self.faiss.knn_gpu(resources, queries, documents, k, **options)  # type: ignore[no-any-return]
        except RuntimeError as error:
            raise ConfigError(f"GPU {device}: FAISS cannot search there ({str(error).splitlines()[0]}); {WITHOUT}") from error


@cache
def engine(name: str = "auto") -> Engine:
    """Return a search engine.

    :param name: `faiss`, `numpy`, or `auto` for FAISS where it is installed.
    :return: the engine.
    :raises ConfigError: if FAISS is asked for and broken or missing.
    """
    if name == "numpy":
        return Numpy()
    try:
        faiss = faiss_module()
    except ConfigError:
        if name == "auto":
            return Numpy()
        raise
    _warn_of_two_packages()
    return Faiss(faiss)


def faiss_module() -> Any:
    """Return FAISS.

    :return: the module.
    :raises ConfigError: if it is broken or missing.
    """
    try:
        import faiss

        faiss.knn  # noqa: B018  # two FAISS packages in one folder leave an empty module behind
    except (ImportError, RuntimeError, AttributeError) as error:
        raise ConfigError(
            f"FAISS cannot be used ({error}); install exactly one of: pip install 'mimo-eval[cpu]' or 'mimo-eval[gpu]'"
        ) from error
    return faiss


def _is_installed(package: str) -> bool:
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def _warn_of_two_packages() -> None:
    owners = [name for name in PACKAGES if _is_installed(name)]
    if len(owners) > 1:
        warnings.warn(
            f"{' and '.join(owners)} own the same folder and break each other; uninstall both, then install one",
            stacklevel=2,
        )
