"""Exact search of one tile: FAISS where it is installed, numpy otherwise."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, Protocol

import numpy as np

from mimo_eval.errors import ConfigError


class Engine(Protocol):
    """Finds the best documents of a tile by inner product."""

    name: str

    def top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, positions), each (q, k), in any order; ties at the cut may fall either way."""


class Numpy:
    """Matrix product and partial sort: for machines without FAISS."""

    name = "numpy"

    def top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, positions), each (q, k)."""
        parts = [self._top(queries[start : start + 256], documents, k) for start in range(0, len(queries), 256)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ documents.T
        best = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, -k:]
        return np.take_along_axis(scores, best, 1), best


class Faiss:
    """FAISS's exact search, on a GPU if there is one."""

    name = "faiss"

    def __init__(self, faiss: Any) -> None:
        self.faiss = faiss
        self.gpu = faiss.StandardGpuResources() if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() else None

    def top(self, queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, positions), each (q, k)."""
        metric = self.faiss.METRIC_INNER_PRODUCT
        if self.gpu is not None and k <= 2048:
            return self.faiss.knn_gpu(self.gpu, queries, documents, k, metric=metric)  # type: ignore[no-any-return]
        return self.faiss.knn(queries, documents, k, metric=metric)  # type: ignore[no-any-return]


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
        import faiss

        faiss.knn  # noqa: B018  # two FAISS packages in one folder leave an empty module behind
    except (ImportError, RuntimeError, AttributeError) as error:
        if name == "auto":
            return Numpy()
        raise ConfigError(
            f"FAISS cannot be used ({error}); install exactly one of: pip install 'mimo-eval[cpu]' or 'mimo-eval[gpu]'"
        ) from error
    _warn_of_two_packages()
    return Faiss(faiss)


def _warn_of_two_packages() -> None:
    from importlib.metadata import packages_distributions

    owners = sorted(set(packages_distributions().get("faiss", [])))
    if len(owners) > 1:
        warnings.warn(
            f"{' and '.join(owners)} own the same folder and break each other; uninstall both, then install one",
            stacklevel=2,
        )
