"""Where the scores of a block of documents are computed and compared: the processor, or GPUs by torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from mimo_eval.environment import has_onednn
from mimo_eval.errors import ConfigError
from mimo_eval.search.flat import WITHOUT

Array = Any
"""An array of NumPy, or a tensor of torch on a GPU."""
CACHED = 2**18
"""Scores that are compared at a time; they stay in a core's cache."""
NONE = np.empty(0, np.int64)
WORTH = 2**37
"""Floating-point operations from which on it is worth a second or two to import torch for its products."""

PAIRS = 1024
"""Pairs of vectors that are there in float64 at a time; they stay in the processor's cache."""
SHARES = 4
"""Threads that search at the same time on the processor, since scores are compared by one thread each."""


class Arithmetic(Protocol):
    """Computes and compares scores; what it returns but for scores and what it puts is NumPy's."""

    name: str
    """The library that multiplies."""
    queries_at_once: int
    scores_at_once: int
    worth_own_queries: int
    """Queries for each place from which on it has its own; with fewer, it has its own documents."""

    def put(self, vectors: np.ndarray) -> Array:
        """Bring (n, d) float32 vectors to where they are needed."""

    def scores(self, queries: Array, documents: Array) -> Array:
        """Return (q, m) float32 inner products."""

    def nth(self, scores: Array, n: int) -> np.ndarray:
        """Return the n-th largest score of each query, (q,) float32."""

    def reaching(self, scores: Array, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the scores not below their query's floor, (q,) float32: how many of each query, and (document, score)."""

    def count(self, scores: Array, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many scores of query `at[i]` are above `high[i]`, and how many not below `low[i]`; (n,) int64 each."""

    def between(self, scores: Array, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (i, document) of all scores of query `at[i]` from `low[i]` to `high[i]`."""


class Processor:
    """NumPy, with the products of oneDNN where torch has them.

    :param linear: returns the inner products of two matrices; None takes NumPy's.
    :param threads: in which torch multiplies for the thread that asks; None leaves it as it is.
    """

    queries_at_once = 1024
    scores_at_once = 2**20
    worth_own_queries = 128

    def __init__(self, linear: Any = None, threads: int | None = None) -> None:
        self.linear, self.threads = linear, threads
        self.name = "numpy" if linear is None else "torch"

    def put(self, vectors: np.ndarray) -> np.ndarray:
        """Return the vectors."""
        return vectors

    def scores(self, queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Return (q, m) float32 inner products."""
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        return np.asarray(queries @ documents.T if self.linear is None else self.linear(queries, documents))

    def nth(self, scores: np.ndarray, n: int) -> np.ndarray:
        """Return the n-th largest score of each query."""
        return np.asarray(np.partition(scores, -n, axis=1)[:, -n])

    def reaching(self, scores: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the scores not below their query's floor: how many of each query, and (document, score)."""
        flags = scores >= floor[:, None]
        found = np.flatnonzero(flags)
        return _trues(flags), found % scores.shape[1], scores.reshape(-1)[found]

    def count(self, scores: np.ndarray, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many scores are above `high` and not below `low`."""
        sure, reach = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
        step = max(1, CACHED // scores.shape[1])
        for start in range(0, len(at), step):
            part = slice(start, start + step)
            mine = scores[at[part]]
            sure[part] = _trues(mine > high[part, None])
            reach[part] = _trues(mine >= low[part, None])
        return sure, reach

    def between(self, scores: np.ndarray, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (i, document) of all scores from `low` to `high`."""
        index, column, step = [NONE], [NONE], max(1, CACHED // scores.shape[1])
        for start in range(0, len(at), step):
            part = slice(start, start + step)
            mine = scores[at[part]]
            found = np.nonzero((mine >= low[part, None]) & (mine <= high[part, None]))
            index.append(found[0] + start)
            column.append(found[1])
        return np.concatenate(index), np.concatenate(column)


def _trues(flags: np.ndarray) -> np.ndarray:
    """Count the trues of each row: eight bytes are added at once, as words, which 255 of them cannot overflow."""
    if flags.shape[1] % 8:
        return np.asarray(np.count_nonzero(flags, axis=1))
    words = flags.view(np.uint64)
    bytes_ = np.add.reduceat(words, np.arange(0, words.shape[1], 255), axis=1).view(np.uint8)
    return np.asarray(bytes_.sum(axis=1, dtype=np.int64))


class Torch:
    """Tensors of torch on a GPU.

    :param device: such as `cuda:1`.
    :raises ConfigError: if it cannot be used.
    """

    name = "torch"
    queries_at_once = 16_384
    scores_at_once = 2**27
    worth_own_queries = sys.maxsize  # documents are to be brought to one GPU only

    def __init__(self, device: str) -> None:
        import torch

        self.torch, self.device = torch, torch.device(device)
        try:
            torch.ones(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            why = str(error).splitlines()[0]
            raise ConfigError(f"{device} cannot be searched on ({why}); {WITHOUT}") from error

    def put(self, vectors: np.ndarray) -> Array:
        """Copy vectors to the device."""
        return self.torch.from_numpy(np.ascontiguousarray(vectors)).to(self.device)

    def scores(self, queries: Array, documents: Array) -> Array:
        """Return (q, m) float32 inner products."""
        return queries @ documents.T

    def nth(self, scores: Array, n: int) -> np.ndarray:
        """Return the n-th largest score of each query."""
        return np.asarray(self.torch.topk(scores, n, dim=1).values[:, -1].cpu().numpy())

    def reaching(self, scores: Array, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the scores not below their query's floor: how many of each query, and (document, score)."""
        flags = scores >= self.put(floor)[:, None]
        column = flags.nonzero(as_tuple=True)[1]
        return flags.sum(1).cpu().numpy(), column.cpu().numpy(), scores[flags].cpu().numpy()

    def count(self, scores: Array, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many scores are above `high` and not below `low`."""
        step = max(1, self.scores_at_once // scores.shape[1])
        sure, reach = [], []
        for start in range(0, max(len(at), 1), step):
            part = slice(start, start + step)
            mine = scores[self.put(at[part])]
            sure.append((mine > self.put(high[part])[:, None]).sum(1))
            reach.append((mine >= self.put(low[part])[:, None]).sum(1))
        return self.torch.cat(sure).cpu().numpy(), self.torch.cat(reach).cpu().numpy()

    def between(self, scores: Array, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (i, document) of all scores from `low` to `high`."""
        index, column, step = [NONE], [NONE], max(1, self.scores_at_once // scores.shape[1])
        for start in range(0, len(at), step):
            part = slice(start, start + step)
            mine = scores[self.put(at[part])]
            found = (mine >= self.put(low[part])[:, None]) & (mine <= self.put(high[part])[:, None])
            of, document = (each.cpu().numpy() for each in found.nonzero(as_tuple=True))
            index.append(of + start)
            column.append(document)
        return np.concatenate(index), np.concatenate(column)


def arithmetics(work: int) -> list[Arithmetic]:
    """Return where scores can be computed at the same time: every GPU that torch has, or a few shares of the processor.

    :param work: floating-point operations to be done.
    """
    if "torch" not in sys.modules and work < WORTH:
        return [Processor()]
    import torch

    if torch.cuda.is_available():
        return [Torch(f"cuda:{number}") for number in range(torch.cuda.device_count())]
    if not has_onednn():
        return [Processor()]  # whose products have all cores, whoever asks
    threads = torch.get_num_threads()
    return [Processor(_linear, threads // min(threads, SHARES)) for _ in range(min(threads, SHARES))]


def exact_products(left: np.ndarray, left_at: np.ndarray, right: np.ndarray, right_at: np.ndarray) -> np.ndarray:
    """Return the inner products of pairs of vectors, computed in float64.

    :param left: (a, d) float32.
    :param left_at: (n,) which of them.
    :param right: (b, d) float32.
    :param right_at: (n,) which of them.
    :return: (n,) float32.
    """
    out = np.empty(len(left_at))
    for start in range(0, len(out), PAIRS):
        part = slice(start, start + PAIRS)
        pairs = (side[which[part]].astype(np.float64) for side, which in ((left, left_at), (right, right_at)))
        np.einsum("nd,nd->n", *pairs, out=out[part])
    return out.astype(np.float32)


@contextmanager
def with_room() -> Iterator[None]:
    """Say in one line what to do where a GPU has too little memory.

    :raises ConfigError: then.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise ConfigError(f"{str(error).splitlines()[0]}; of the GPU that is searched on, {WITHOUT}") from error


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep torch from rounding float32 numbers to TensorFloat-32 or bfloat16 before it multiplies them.

    Afterwards its settings are as they were, the number of threads too.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    matmuls = [getattr(torch.backends, name).matmul for name in ("cuda", "mkldnn") if _has_precision(torch, name)]
    before, old = [matmul.fp32_precision for matmul in matmuls], None if matmuls else torch.get_float32_matmul_precision()
    threads = torch.get_num_threads()
    try:
        if old:
            torch.set_float32_matmul_precision("highest")
        for matmul in matmuls:
            matmul.fp32_precision = "ieee"
        yield
    finally:
        torch.set_num_threads(threads)
        if old:
            torch.set_float32_matmul_precision(old)
        for matmul, precision in zip(matmuls, before, strict=True):
            matmul.fp32_precision = precision


def _has_precision(torch: Any, backend: str) -> bool:
    """Say whether products of a backend have a precision of their own, as from torch 2.9 on."""
    return hasattr(getattr(getattr(torch.backends, backend), "matmul", None), "fp32_precision")


def _linear(queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Return the inner products of two matrices by oneDNN, which has AVX-512 where the libraries of NumPy and FAISS do not."""
    import torch

    left, right = torch.from_numpy(queries), torch.from_numpy(np.ascontiguousarray(documents))
    with torch.inference_mode():
        return np.asarray(torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "").numpy())
