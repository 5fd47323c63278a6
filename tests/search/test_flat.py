from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from mimo_eval.errors import ConfigError
from mimo_eval.search import flat
from mimo_eval.search.flat import engine


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
    owners = {"faiss": ["faiss-cpu", "faiss-gpu", "faiss-cpu"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    with pytest.warns(UserWarning, match="faiss-cpu and faiss-gpu own the same folder"):
        assert isinstance(engine(), flat.Faiss)
