"""How a model's arithmetic is carried out: matrix products on CPUs, attention, compilation, half precision.

What is chosen here changes how fast vectors are made. In float32 they agree to about 1e-6 whatever is chosen; in half precision
each kernel rounds in its own places, to about 1e-3, so there the choice is part of a fingerprint.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

from mimo_eval.environment import available_memory, has_onednn
from mimo_eval.errors import ConfigError, MissingExtraError
from mimo_eval.models.sources import first_line

logger = logging.getLogger(__name__)

PACKAGES = {
    "eager": None,
    "sdpa": None,
    "flex_attention": None,
    "flash_attention_2": ("flash_attn", "pip install flash-attn --no-build-isolation"),
    "flash_attention_3": ("flash_attn_interface", "pip install flash-attn-3 --no-build-isolation"),
}
"""Attention of transformers to the module that it needs and the line that installs it."""
ATTENTIONS = tuple(PACKAGES)
SPARE = 4
"""Weights are packed if a copy takes at most this part of the memory that is free."""


def check_attention(model: str, attention: str | None, dtype: str) -> None:
    """Refuse an attention that does not compute in a type.

    :param model: the model, as typed.
    :param attention: one of ATTENTIONS; None leaves it to transformers.
    :param dtype: float32, float16 or bfloat16.
    :raises ConfigError: if flash attention is to compute in float32.
    """
    if attention and PACKAGES[attention] and dtype == "float32":
        raise ConfigError(f"{model}: --attention {attention} computes in half precision only; add --dtype bfloat16")


def check_package(model: str, attention: str | None) -> None:
    """Refuse an attention whose package is missing.

    :param model: the model, as typed.
    :param attention: one of ATTENTIONS; None leaves it to transformers.
    :raises MissingExtraError: with the install line.
    """
    needed = PACKAGES[attention] if attention else None
    if needed and find_spec(needed[0]) is None:
        raise MissingExtraError(f"{model}: --attention {attention} needs a package; install it with: {needed[1]}")


class Packed(NamedTuple):
    """What computes a linear layer with oneDNN."""

    layer: Any
    version: tuple[int, int]
    """Where the weights were when they were packed, and how often they had been changed."""
    weight: Any
    """In the layout of oneDNN."""

    def __call__(self, x: Any) -> Any:
        """Return what the layer makes of some rows."""
        import torch

        if x.dtype != torch.float32 or x.ndim < 2 or not x.numel():
            return torch.nn.functional.linear(x, self.layer.weight, self.layer.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.layer.bias, "none", [], "")


class LinearLayers:
    """The linear layers of a model, computed by oneDNN for as long as `fast` says, in float32 on x86 CPUs.

    torch multiplies float32 matrices with MKL, which keeps to AVX2 on AMD's processors: on an EPYC with AVX-512 oneDNN, with
    weights in its own layout, is 2.3 times as fast. Afterwards the model is as it was, and weights that have changed are packed
    anew, so that a model can be trained in between.

    :param model: a torch module; anything else has none.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._packed: dict[int, Packed] = {}

    @contextmanager
    def fast(self) -> Iterator[None]:
        """Let the layers be computed by oneDNN inside `with`; those that already are, by another thread, are left to it."""
        import torch

        fits = isinstance(self.model, torch.nn.Module) and has_onednn()
        layers = list(filter(packable, self.model.modules())) if fits else []
        lacking = [layer for layer in layers if not self._current(layer)]
        size = sum(layer.weight.numel() * layer.weight.element_size() for layer in lacking)
        if size * SPARE > available_memory():
            layers = lacking = []
        for layer in lacking:
            self._packed[id(layer)] = pack(layer)
        try:
            for layer in layers:
                layer.forward = self._packed[id(layer)]
            yield
        finally:
            for layer in layers:
                layer.__dict__.pop("forward", None)

    def _current(self, layer: Any) -> bool:
        known = self._packed.get(id(layer))
        return known is not None and known.layer is layer and known.version == version(layer)


def version(layer: Any) -> tuple[int, int]:
    """Return where the weights of a layer are, and how often they were changed."""
    return layer.weight.data_ptr(), layer.weight._version


def packable(layer: Any) -> bool:
    """Say whether a module is a linear layer, and nothing else, in float32 on the CPU."""
    import torch

    return (
        type(layer) is torch.nn.Linear
        and "forward" not in layer.__dict__  # of accelerate, which moves weights
        and layer.weight.dtype == torch.float32
        and layer.weight.device.type == "cpu"
        and not layer.weight.is_inference()
    )


def pack(layer: Any) -> Packed:
    """Bring the weights of a linear layer into the layout of oneDNN."""
    import torch

    with torch.no_grad():
        return Packed(layer, version(layer), torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None))


def in_float32(model: Any) -> None:
    """Let what follows a transformer that runs in half precision, such as pooling and normalising, run in float32.

    :param model: a SentenceTransformer, changed in place.
    """
    first, *others = model
    for module in others:
        module.float()
    first.register_forward_hook(lambda module, inputs, features: {name: _float(value) for name, value in features.items()})


def _float(value: Any) -> Any:
    return value.float() if hasattr(value, "is_floating_point") and value.is_floating_point() else value


def compiling_failed(model: Any, error: Exception) -> bool:
    """Say whether an error is torch's that it cannot compile a model."""
    if getattr(model, "_compiled_call_impl", None) is None:
        return False
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException)


def uncompile(model: Any, error: Exception, name: str) -> bool:
    """Go back to a model as it was before `compile`, if that failed: it would only have made it faster.

    :param model: a torch module, changed in place.
    :param error: what it raised.
    :param name: the model's, for the log.
    :return: whether it is to be asked again.
    """
    if not compiling_failed(model, error):
        return False
    logger.warning("%s: torch cannot compile it (%s); going on without --compile", name, first_line(error))
    model._compiled_call_impl = None
    return True


def out_of_memory(error: Exception) -> bool:
    """Say whether an error of torch means that a smaller batch might pass."""
    import torch

    return isinstance(error, torch.cuda.OutOfMemoryError) or "can't allocate memory" in str(error)
