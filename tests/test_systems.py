"""Models that others wrote: each has its own vectors, its own result, and a message when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.embeddings import check_vectors
from mimo_eval.errors import ModelError
from mimo_eval.evaluation import run
from mimo_eval.search import block_search
from mimo_eval.search.arithmetic import Processor, Torch

DOCUMENTS = {"en": {"a": "x", "b": "xxx"}, "de": {"a": "yy", "b": "yyyy"}}


def encoder(longest_first: bool) -> type:
    class Enc:
        def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
            if role == "query":
                return np.tile([0.0, 1.0], (len(texts), 1))
            return np.array([[1.0, len(text)] if longest_first else [len(text), 1.0] for text in texts])

    return Enc


@pytest.fixture
def toy(tmp_path: Path, folders: Callable[..., Path]) -> Benchmark:
    data = folders(tmp_path / "toy", DOCUMENTS, {"en": {"q": "?"}}, {"q": {"b": 1}})
    return Benchmark(name="toy", tasks=(Task(collection=str(data), mixes=("parallel",)),), measures=("RR@10",))


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, longest_first in (("ma", True), ("mb", False)):
        module: Any = ModuleType(name)
        module.Enc = encoder(longest_first)
        monkeypatch.setitem(sys.modules, name, module)


def score(model: Any, toy: Benchmark, **options: Any) -> float | None:
    return run(model, toy, **options).result.settings[0].scores["RR@10"]


def test_models_of_one_class_name_do_not_share_vectors(toy: Benchmark, two: None) -> None:
    assert score("ma:Enc", toy) != score("mb:Enc", toy)
    assert run("rrf(ma:Enc, mb:Enc)", toy).result.encoded == {"encoded": 10, "read": 0}
    assert score("fuse(ma:Enc, mb:Enc, weights=1+0)", toy) == score("ma:Enc", toy)
    assert score("fuse(ma:Enc, mb:Enc, weights=0+1)", toy) == score("mb:Enc", toy)


def test_their_results_lie_apart_under_the_names_typed(toy: Benchmark, two: None, tmp_path: Path) -> None:
    found = [run(name, toy, output=tmp_path / "out") for name in ("ma:Enc", "mb:Enc", "rrf(ma:Enc, mb:Enc)")]
    assert [outcome.result.model["name"] for outcome in found] == ["ma:Enc", "mb:Enc", "rrf(ma:Enc, mb:Enc)"]
    assert len({outcome.folder for outcome in found}) == 3


def test_classes_of_one_name_have_keys_of_their_own(toy: Benchmark) -> None:
    one, other = encoder(True), encoder(False)
    other.__module__ = "elsewhere"
    assert run(one(), toy).result.key != run(other(), toy).result.key


@pytest.mark.parametrize(
    ("model", "index", "place", "named"),
    [
        ("hashing(dim=8)", None, Processor(), "faiss, numpy"),
        ("hashing(dim=8)", None, Torch("cpu"), "faiss, torch"),
        ("shift(hashing(dim=8), sample=SAMPLE)", None, Processor(), "faiss, numpy"),
        ("rrf(bm25, hashing(dim=8))", None, Torch("cpu"), "bm25, faiss, torch"),
        ("hashing(dim=8)", "HNSW4", Torch("cpu"), "faiss"),
    ],
)
def test_a_result_names_what_ranked_its_documents(
    tmp_path: Path,
    folders: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    index: str | None,
    place: Any,
    named: str,
) -> None:
    """Few documents of a language are ranked by FAISS, many by the product from which ranks come too."""
    monkeypatch.setattr(block_search, "arithmetics", lambda work: [place])
    documents = {"en": {str(i): f"tea {i}" for i in range(60)}, "de": {"1": "Tee", "2": "Milch"}}
    data = folders(tmp_path / "toy", documents, {"en": {"q": "tea"}}, {"q": {"1": 1}})
    sample = tmp_path / "sample.jsonl"
    sample.write_text('{"text": "water", "lang": "en"}\n{"text": "Wasser", "lang": "de"}\n')
    benchmark = Benchmark(name="toy", tasks=(Task(collection=str(data), mixes=("parallel",)),), measures=("RR@10",), depth=10)
    assert run(model.replace("SAMPLE", str(sample)), benchmark, index=index).result.search == named


class Plugin:
    """An encoder with one thing wrong."""

    name = "mine"

    def __init__(self, vectors: Any = None, **attributes: Any) -> None:
        self.vectors = vectors
        self.__dict__.update(attributes)

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> Any:
        return self.vectors(texts)


class NoRole:
    name = "mine"

    def encode(self, texts: Sequence[str]) -> Any:
        return np.ones((len(texts), 2))


class Broken:
    name = "mine"

    def __init__(self, fails: str) -> None:
        self.fails = fails

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        return 1 / int(self.fails != "index")

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Any:
        return {}["gone"]


def numpy_values(*role: str) -> dict[str, Any]:
    return {"weight": np.float32(1)}


MISTAKES = {
    "no role": (NoRole(), r"encode failed: TypeError: .*'role'.*; it is called as encode\(texts, role=…, lang=…\)", TypeError),
    "raises": (Plugin(lambda texts: 1 / 0), "encode failed: ZeroDivisionError: division by zero", ZeroDivisionError),
    "index": (Broken("index"), "index failed: ZeroDivisionError: division by zero", ZeroDivisionError),
    "search": (Broken("search"), "search failed: KeyError: 'gone'", KeyError),
    "numpy": (
        Plugin(fingerprint=numpy_values),
        r"fingerprint\(\) must fit into JSON: Object of type float32 is not JSON serializable",
        TypeError,
    ),
    "no dict": (Plugin(fingerprint=lambda role: "v1"), r"fingerprint\(\) must return a dict, not str", type(None)),
    "fingerprint raises": (Plugin(fingerprint=lambda role: 1 / 0), "fingerprint failed: ZeroDivisionError", ZeroDivisionError),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_model_names_it_and_the_cause(toy: Benchmark, name: str) -> None:
    model, message, cause = MISTAKES[name]
    with pytest.raises(ModelError, match=f"^mine: {message}") as caught:
        run(model, toy)
    assert isinstance(caught.value.__cause__, cause)
    assert "\n" not in str(caught.value)


def test_the_traceback_is_there_for_who_asks(toy: Benchmark, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="mimo_eval"), pytest.raises(ModelError):
        run(MISTAKES["raises"][0], toy)
    assert "mine: encode failed" in caplog.text and "Traceback" in caplog.text


@pytest.mark.parametrize("kind", ["gradient", "bfloat16", "list", "float16"])
def test_tensors_of_torch_are_vectors(kind: str) -> None:
    import torch

    tensor = torch.tensor([[3.0, 4.0], [6.0, 8.0]], requires_grad=kind in ("gradient", "list"))
    given = {"bfloat16": tensor.bfloat16(), "float16": tensor.half(), "list": list(tensor)}.get(kind, tensor)
    checked = check_vectors(given, ["a", "b"], "mine", cosine=True)
    assert checked == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8]]), abs=1e-3)
    assert checked.dtype == (np.float16 if kind == "float16" else np.float32)


MODULE = """
import numpy as np

class MyEncoder:
    def encode(self, texts, *, role, lang):
        return np.array([[len(text), 1.0] for text in texts])
"""


@pytest.mark.parametrize("model", ["my_module:MyEncoder", "rrf(bm25, my_module:MyEncoder)"])
def test_the_installed_command_finds_modules_of_the_present_folder(tmp_path: Path, cache: Path, model: str) -> None:
    script = Path(sys.executable).with_name("mimo-eval")
    if not script.exists():
        pytest.skip("mimo-eval is not installed as a command")
    (tmp_path / "my_module.py").write_text(MODULE)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"MIMO_EVAL_CACHE": str(cache)}
    command = [str(script), "run", model, "--languages", "en,de", "--mix", "parallel", "--measures", "RR@10"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{model}: written to" in " ".join(done.stderr.split())
