from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mimo_eval import environment
from mimo_eval.environment import has_onednn
from mimo_eval.errors import ConfigError, MissingExtraError, ModelError
from mimo_eval.models import kernels
from mimo_eval.models.dense import SentenceTransformerEncoder
from mimo_eval.models.kernels import ATTENTIONS, LinearLayers
from mimo_eval.models.loading import ModelOptions, load_model

Bert = Callable[..., Path]
TEXTS = ["abc def", "fed cba abc abc", "g"]


def two_layers() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(7, 33), torch.nn.Tanh(), torch.nn.Linear(33, 5, bias=False)).eval()


def test_linear_layers_of_onednn_give_the_same_and_leave_the_model_as_it_was() -> None:
    import torch

    model, x = two_layers(), torch.linspace(-2, 3, 6 * 7).reshape(2, 3, 7)
    expected, before = model(x), {name: set(module.__dict__) for name, module in model.named_modules()}
    layers = LinearLayers(model)
    for _ in range(2):
        with layers.fast(), torch.inference_mode():
            assert [type(module.__dict__.get("forward")) for module in model][::2] == [kernels.Packed] * 2 * has_onednn()
            assert torch.allclose(model(x), expected, atol=1e-5)
        assert {name: set(module.__dict__) for name, module in model.named_modules()} == before
        assert torch.equal(model(x), expected)


@pytest.mark.parametrize("shape", [(7,), (0, 7), (2, 0, 7), (1, 7), (2, 3, 4, 7)])
def test_inputs_of_any_shape_are_computed(shape: tuple[int, ...]) -> None:
    import torch

    model = two_layers()
    x = torch.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    turned = torch.linspace(-1, 1, 21).reshape(7, 3).T
    with torch.inference_mode():
        expected = [model(x), model(turned)]
        with LinearLayers(model).fast():
            found = [model(x), model(turned)]
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and torch.allclose(one, other, atol=1e-5)


def test_two_users_of_one_model_do_not_get_in_each_others_way() -> None:
    import torch

    model, x = two_layers(), torch.ones(1, 7)
    layers, expected = LinearLayers(model), model(x)
    one, other = layers.fast(), layers.fast()
    with torch.inference_mode():
        one.__enter__()
        other.__enter__()
        assert torch.allclose(model(x), expected, atol=1e-5)
        one.__exit__(None, None, None)
        assert torch.allclose(model(x), expected, atol=1e-5)
        other.__exit__(None, None, None)
    assert all("forward" not in module.__dict__ for module in model)


def test_the_model_is_as_it_was_after_an_error() -> None:
    model = two_layers()
    with pytest.raises(KeyError), LinearLayers(model).fast():
        raise KeyError
    assert all("forward" not in module.__dict__ for module in model)


def test_weights_that_have_changed_are_packed_anew() -> None:
    import torch

    model, x = two_layers(), torch.ones(1, 7)
    layers = LinearLayers(model)
    with layers.fast(), torch.no_grad():
        model(x)
    with torch.no_grad():
        model[0].weight.mul_(2)
    model[2].weight = torch.nn.Parameter(model[2].weight.detach() + 1)
    with layers.fast(), torch.no_grad():
        found = model(x)
    assert torch.allclose(found, model(x), atol=1e-5)


def test_layers_that_are_more_or_less_than_linear_are_left_alone() -> None:
    import torch

    class Special(torch.nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x) + 1

    model = torch.nn.Sequential(Special(2, 2), torch.nn.Linear(2, 2).double(), torch.nn.Linear(2, 2).bfloat16())
    model.append(torch.nn.Linear(2, 2))
    model[3].forward = lambda x: x  # as accelerate does, which moves weights
    assert not any(map(kernels.packable, model))


def test_nothing_is_packed_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_layers()
    monkeypatch.setattr(kernels, "SPARE", 2**60)
    with LinearLayers(model).fast():
        assert all("forward" not in module.__dict__ for module in model)


@pytest.mark.parametrize(
    ("limit", "current", "free"),
    [("5000", "2000", 3000), ("5000", "6000", 0), (str(2**62), "1", None), ("max", "2000", None), (None, None, None)],
)
def test_a_container_has_no_more_memory_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, current: str | None, free: int | None
) -> None:
    for name, value in (("max", limit), ("current", current)):
        if value is not None:
            (tmp_path / f"memory.{name}").write_text(f"{value}\n")
    monkeypatch.setattr(environment, "CGROUP", tmp_path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**40))
    assert environment.available_memory() == (2**40 if free is None else free)
    if free == 0:
        model = two_layers()
        with LinearLayers(model).fast():
            assert all("forward" not in module.__dict__ for module in model)


def test_a_model_is_sent_to_other_processes_without_what_was_loaded(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    vectors = model.encode(TEXTS, role="query", lang="en")
    other = pickle.loads(pickle.dumps(model))
    assert not {"encoder", "batches", "layers"} & set(other.__dict__)
    assert other.encode(TEXTS, role="query", lang="en") == pytest.approx(vectors, abs=1e-6)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_what_was_asked_for_and_changes_no_vector(bert: Bert, attention: str) -> None:
    model: Any = load_model(str(bert()), ModelOptions(device="cpu", attention=attention))
    usual = SentenceTransformerEncoder(str(bert()), device="cpu")
    assert model.encode(TEXTS, role="query", lang="en") == pytest.approx(usual.encode(TEXTS, role="query", lang="en"), abs=1e-5)
    assert model.encoder[0].model.config._attn_implementation == attention
    assert model.describe()["attention"] == attention and "attention" not in usual.describe()
    assert (model.name, model.fingerprint("query")) == (usual.name, usual.fingerprint("query"))


def test_kernels_are_part_of_what_a_model_is_in_half_precision(bert: Bert) -> None:
    settings: list[dict[str, Any]] = [{}, {"attention": "eager"}, {"compile": True}, {"attention": "sdpa", "compile": True}]
    models = [SentenceTransformerEncoder(str(bert()), dtype="bfloat16", **each) for each in settings]
    assert len({str(model.fingerprint("query")) for model in models}) == 4
    assert [model.name for model in models[:3]] == [
        "tiny-bert(dtype=bfloat16)",
        "tiny-bert(dtype=bfloat16, attention=eager)",
        "tiny-bert(dtype=bfloat16, compile=True)",
    ]


def test_attention_that_is_not_there_is_refused(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=f"unknown attention 'flash'; choose {', '.join(ATTENTIONS)}"):
        SentenceTransformerEncoder(str(bert()), attention="flash")
    with pytest.raises(ConfigError, match="--attention and --compile are of the backend torch, not of onnx"):
        SentenceTransformerEncoder(str(bert()), attention="sdpa", backend="onnx")
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    for attention, line in (
        ("flash_attention_2", "pip install flash-attn --no-build"),
        ("flash_attention_3", "pip install flash-attn-3"),
    ):
        model = SentenceTransformerEncoder(str(bert()), attention=attention, dtype="bfloat16")
        with pytest.raises(MissingExtraError, match=f"--attention {attention} needs a package; install it with: {line}"):
            model.encode(TEXTS, role="query", lang="en")
    with pytest.raises(ConfigError, match="flash_attention_2 computes in half precision only; add --dtype bfloat16"):
        SentenceTransformerEncoder(str(bert()), attention="flash_attention_2")  # also where a stored result would do


def test_an_attention_that_the_model_lacks_is_one_error(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "check_package", lambda *_: None)
    with pytest.raises(ModelError, match=r"the model '.*tiny-bert' cannot be loaded: ") as caught:
        SentenceTransformerEncoder(str(bert()), attention="flash_attention_2", dtype="bfloat16").encode(
            TEXTS, role="query", lang="en"
        )
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_compiled_runs_as_it_is(
    bert: Bert, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch
    from torch._dynamo.exc import BackendCompilerFailed

    def fails(*_: Any, **__: Any) -> Any:
        raise BackendCompilerFailed(torch.compile, RuntimeError("no C++ compiler"), None)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: setattr(self, "_compiled_call_impl", fails))
    model = SentenceTransformerEncoder(str(bert()), device="cpu", compile=True)
    with caplog.at_level(logging.WARNING):
        vectors = model.encode(TEXTS, role="query", lang="en")
    usual = SentenceTransformerEncoder(str(bert()), device="cpu").encode(TEXTS, role="query", lang="en")
    assert vectors == pytest.approx(usual, abs=1e-6)
    assert all(model.batches._recipes.values())
    assert "tiny-bert: torch cannot compile it (BackendCompilerFailed: " in caplog.text and len(caplog.records) == 1
    assert model.describe()["compiled"] is False


def test_compiling_asks_torch_for_any_length(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    asked: list[dict[str, Any]] = []

    def compiled(self: Any, **options: Any) -> None:
        asked.append(options)
        self._compiled_call_impl = self._call_impl

    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    model = SentenceTransformerEncoder(str(bert()), device="cpu", compile=True)
    model.encode(TEXTS, role="query", lang="en")
    assert asked == [{"dynamic": True}] and model.describe()["compiled"] is True


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_ends_at_the_transformer(bert: Bert, dtype: str) -> None:
    """Mean and length are those of the tokens' vectors in float32: rounded on the way they would be off by 1e-3."""
    import torch

    model = SentenceTransformerEncoder(str(bert()), device="cpu", dtype=dtype)
    found = model.encode(TEXTS, role="document", lang="en")
    with torch.inference_mode():
        features = model.encoder.preprocess(TEXTS)
        tokens = model.encoder[0](features)["token_embeddings"]
    assert tokens.dtype == torch.float32
    own = features["attention_mask"].numpy()[:, :, None]
    assert found == pytest.approx((tokens.numpy() * own).sum(1) / own.sum(1), abs=1e-6)
    assert len(
        {float(number) for number in np.unique(found)}
        - set(torch.from_numpy(found).to(getattr(torch, dtype)).flatten().tolist())
    )
    assert model.fingerprint("document")["pooling"] == "float32"


def test_weights_saved_in_half_precision_compute_in_the_type_that_the_result_names(bert: Bert, tmp_path: Path) -> None:
    import torch

    model = SentenceTransformerEncoder(str(bert()), device="cpu", dtype="bfloat16")
    model.encoder.save(str(tmp_path / "half"))
    usual = SentenceTransformerEncoder(str(tmp_path / "half"), device="cpu")
    assert usual.describe()["dtype"] == "float32"
    assert {parameter.dtype for parameter in usual.encoder.parameters()} == {torch.float32}
