"""Where scores are computed and compared: all places give the same answers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from mimo_eval.errors import ConfigError
from mimo_eval.search import arithmetic
from mimo_eval.search.arithmetic import Processor, Torch, _linear, arithmetics, full_precision, with_room

PLACES = [Processor(), Processor(_linear), Torch("cpu")]


@pytest.mark.parametrize("place", PLACES)
def test_scores_are_inner_products(place: Any) -> None:
    left, right = np.float32([[1, 2], [0, -1], [3, 0]]), np.float32([[1, 1], [2, 0]])
    assert np.asarray(place.scores(place.put(left), place.put(right))).tolist() == [[3, 2], [-1, 0], [3, 6]]


@pytest.mark.parametrize("place", PLACES)
def test_a_score_at_the_floor_reaches_it(place: Any) -> None:
    scores = place.put(np.float32([[1, 2, 3], [5, 4, 6]]))
    found = place.reaching(scores, np.float32([2, -np.inf]))
    assert [part.tolist() for part in found] == [[2, 3], [1, 2, 0, 1, 2], [2, 3, 5, 4, 6]]
    assert [part.tolist() for part in place.reaching(scores, np.float32([9, 9]))] == [[0, 0], [], []]


@pytest.mark.parametrize("place", PLACES)
def test_the_nth_largest_score_of_each_query(place: Any) -> None:
    scores = place.put(np.float32([[1, 2, 3], [5, 4, 5]]))
    assert [place.nth(scores, n).tolist() for n in (1, 2, 3)] == [[3, 5], [2, 5], [1, 4]]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("width", [1, 7, 8, 16, 2040, 2048, 4096])
def test_scores_above_and_between_are_counted(place: Any, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "CACHED", 2 * width)  # two given documents at a time
    rng = np.random.default_rng(width)
    scores = rng.integers(0, 4, (3, width)).astype(np.float32)
    scores[1] = 9  # all of them above: nothing overflows
    at, low, high = np.array([0, 1, 1, 2, 2]), np.float32([1, 9, 2, 3, 0]), np.float32([2, 9, 3, 3, 3])
    there = place.put(scores)
    sure, reach = place.count(there, at, low, high)
    assert sure.tolist() == [int((scores[q] > bound).sum()) for q, bound in zip(at, high, strict=True)]
    assert reach.tolist() == [int((scores[q] >= bound).sum()) for q, bound in zip(at, low, strict=True)]
    index, column = place.between(there, at, low, high)
    wanted = [(i, c) for i, q in enumerate(at) for c in range(width) if low[i] <= scores[q, c] <= high[i]]
    assert list(zip(index.tolist(), column.tolist(), strict=True)) == wanted


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_counted_for_nothing(place: Any) -> None:
    none, bounds = np.zeros(0, np.int64), np.zeros(0, np.float32)
    scores = place.put(np.ones((2, 8), np.float32))
    for found in (place.count, place.between):
        assert [len(part) for part in found(scores, none, bounds, bounds)] == [0, 0]


def test_torch_is_not_imported_for_little_work() -> None:
    code = (
        "import sys; from mimo_eval.search.arithmetic import WORTH, arithmetics\n"
        "assert arithmetics(WORTH - 1)[0].linear is None and 'torch' not in sys.modules\n"
        "arithmetics(WORTH); assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_gpu_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch, "ones", lambda *size, device: None)
    assert [str(place.device) for place in arithmetics(1)] == ["cuda:0", "cuda:1", "cuda:2"]


def test_a_gpu_that_cannot_be_used_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*size: int, device: object) -> None:
        raise RuntimeError("CUDA error: out of memory\nmore")

    monkeypatch.setattr(torch, "ones", full)
    with pytest.raises(ConfigError, match=r"^cuda:1 cannot be searched on \(CUDA error: out of memory\); .*CUDA_VIS"):
        Torch("cuda:1")


def test_too_little_memory_of_a_gpu_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^CUDA out of memory\. Tried; .*CUDA_VISIBLE_DEVICES, empty for none$"), with_room():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")
    with pytest.raises(RuntimeError, match=r"^other$"), with_room():
        raise RuntimeError("other")


def test_shares_of_the_processor_have_all_its_threads_and_give_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    with full_precision():
        torch.set_num_threads(9)
        assert [place.threads for place in arithmetics(1)] == [2, 2, 2, 2]
        torch.set_num_threads(1)
        assert [place.threads for place in arithmetics(1)] == [1]
        arithmetics(1)[0].scores(np.ones((1, 8), np.float32), np.ones((1, 8), np.float32))
    assert torch.get_num_threads() == before


def test_without_onednn_numpy_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "has_onednn", lambda: False)
    (place,) = arithmetics(1)
    assert isinstance(place, Processor) and place.linear is None


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_products_are_of_whole_numbers_whatever_torch_is_set_to(precision: str) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with full_precision():
            assert torch.backends.cuda.matmul.fp32_precision == torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_older_torch_is_set_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_has_precision", lambda torch, backend: False)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
