from __future__ import annotations

import importlib.metadata
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import faiss
import numpy as np
import pytest
import torch

from mimo_eval.collections import Collection
from mimo_eval.errors import ConfigError
from mimo_eval.search import flat, keys
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.flat import Faiss, engine


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    engine.cache_clear()
    yield
    engine.cache_clear()


@pytest.mark.parametrize("name", ["numpy", "faiss"])
@pytest.mark.parametrize(("queries", "documents", "k"), [(1, 1, 1), (1, 9, 9), (300, 40, 7), (2, 5000, 3)])
def test_an_engine_finds_the_best_documents(name: str, queries: int, documents: int, k: int) -> None:
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(n, 16)).astype(np.float32) for n in (queries, documents))
    scores, positions = engine(name).top(left, right, k)
    assert scores.shape == positions.shape == (queries, k)
    exact = left.astype(float) @ right.T.astype(float)
    assert np.sort(scores, axis=1) == pytest.approx(np.sort(exact, axis=1)[:, -k:], abs=1e-5)
    assert np.take_along_axis(exact, positions, 1) == pytest.approx(scores, abs=1e-5)


def test_faiss_is_taken_where_it_is_installed() -> None:
    assert engine().name == engine("faiss").name == "faiss"


def test_numpy_stands_in_for_a_missing_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert engine().name == "numpy"
    with pytest.raises(ConfigError, match=r"install exactly one of: pip install 'mimo-eval\[cpu\]' or 'mimo-eval\[gpu\]'"):
        engine("faiss")


def test_numpy_stands_in_for_the_empty_module_that_two_faiss_packages_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))
    assert engine().name == "numpy"


def test_two_faiss_packages_in_one_folder_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"faiss-cpu": "1.15.1", "faiss-gpu": "1.7.2"}

    def version(name: str) -> str:
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.warns(UserWarning, match="faiss-cpu and faiss-gpu own the same folder"):
        assert isinstance(engine(), flat.Faiss)


class Gpus:
    """FAISS with GPUs that are not there: what is asked of them is noted and answered by the CPU."""

    METRIC_INNER_PRODUCT, StandardGpuResources, knn = faiss.METRIC_INNER_PRODUCT, object, staticmethod(faiss.knn)

    def __init__(self, count: int) -> None:
        self.count = count
        self.busy: Counter[Any] = Counter()
        self.asked: Counter[int] = Counter()
        self.first = threading.Barrier(max(count, 1), timeout=240)

    def get_num_gpus(self) -> int:
        return self.count

    def knn_gpu(self, resources: Any, queries: Any, documents: Any, k: int, *, metric: int, device: int) -> Any:
        assert (
            k <= 2048 and metric == faiss.METRIC_INNER_PRODUCT and queries.flags.c_contiguous and documents.flags.c_contiguous
        )
        self.busy[resources] += 1
        assert self.busy[resources] == 1, "resources serve one thread at a time"
        self.asked[device] += 1
        if self.asked[device] == 1:
            self.first.wait()  # comes back only when every GPU is at work
        found = faiss.knn(queries, documents, k, metric=metric)
        self.busy[resources] -= 1
        return found


@pytest.mark.parametrize("count", [1, 3])
def test_tiles_are_spread_over_all_gpus(three: Collection, scorer: Callable[..., DenseScorer], count: int) -> None:
    rng = np.random.default_rng(0)
    queries, documents = rng.normal(size=(12, 8)), rng.normal(size=(38, 8))
    gpus, rows = Gpus(count), three.documents.rows("en")
    made = scorer(three, queries, documents, tile=1)
    wanted = made.top("en", rows, np.arange(12), 5)
    made.search = Faiss(gpus)
    assert made.search.lanes == count
    found = made.top("en", rows, np.arange(12), 5)
    assert keys.places(found).tolist() == keys.places(wanted).tolist()
    assert sum(gpus.asked.values()) == len(rows) and set(gpus.asked) == set(range(count))


def test_what_is_deeper_than_a_gpu_searches_is_searched_on_the_cpu() -> None:
    gpus, rng = Gpus(2), np.random.default_rng(0)
    queries, documents = (rng.normal(size=(n, 4)).astype(np.float32) for n in (2, 3000))
    scores, positions = Faiss(gpus).top(queries, documents, 2049)
    assert scores.shape == positions.shape == (2, 2049) and not gpus.asked


def test_a_gpu_without_room_is_tried_again_without_torchs_cache_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus, left, emptied = Gpus(1), [1], list[int]()
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))

    def knn_gpu(*arguments: Any, **options: Any) -> Any:
        if left and left.pop():
            raise RuntimeError("Error in alloc: cudaMalloc error out of memory\nat line 1")
        return faiss.knn(*arguments[1:], metric=options["metric"])

    monkeypatch.setattr(gpus, "knn_gpu", knn_gpu)
    vectors = np.eye(3, dtype=np.float32)
    assert Faiss(gpus).top(vectors, vectors, 1)[1].tolist() == [[0], [1], [2]] and emptied == [1]
    left[:] = [1, 1]
    with pytest.raises(ConfigError, match=r"^GPU 0: FAISS cannot search there \(Error in alloc: .* memory\); .*CUDA_VISIBLE"):
        Faiss(gpus).top(vectors, vectors, 1)


def test_without_gpus_tiles_are_searched_one_after_the_other() -> None:
    assert Faiss(Gpus(0)).lanes == engine("numpy").lanes == engine("faiss").lanes == 0
