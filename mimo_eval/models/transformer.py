"""What models have in common that a class of sentence-transformers loads: dense, sparse, late interaction, re-rankers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, TypeVar

from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.models import kernels, prompts, unloaded
from mimo_eval.models.backends import BACKENDS, PACKAGES, check_backend
from mimo_eval.models.kernels import ATTENTIONS, LinearLayers
from mimo_eval.models.prompts import Prompt
from mimo_eval.models.sources import (
    ModelFiles,
    at_least_one,
    check_device,
    check_device_name,
    dimension,
    first_line,
    shown_name,
)
from mimo_eval.models.weights import check_weights
from mimo_eval.protocols import Role

DTYPES = ("float32", "float16", "bfloat16")
USUAL_BATCH = 32
"""Texts per batch where sentence-transformers makes the batches, and the user says nothing."""
T = TypeVar("T")


@dataclass(eq=False)
class TransformerModel:
    """A model that sentence-transformers loads, from the hub or a folder, when it is first needed.

    :param model: hub id or folder.
    :param revision: branch, tag or commit on the hub.
    :param device: such as `cpu` or `cuda:0`; chosen by torch if None.
    :param dtype: of the weights: float32, float16 or bfloat16.
    :param backend: what runs it: torch, onnx or openvino.
    :param attention: what computes attention: eager, sdpa, flex_attention, flash_attention_2 or flash_attention_3;
        transformers' own choice if None.
    :param compile: let torch compile the model when it is first used; if it cannot, the model runs as it is.
    :param batch_size: texts per batch, or per batch of the longest texts where batches are made by the number of tokens.
    :param max_length: most tokens of a text; the model's own if None.
    :param trust_remote_code: run Python code that comes with the model. Off unless asked for.
    :param allow_pickled_weights: load weights that are no safetensors. Off unless asked for.
    """

    model: str
    _: KW_ONLY
    revision: str | None = None
    device: str | None = None
    dtype: str = "float32"
    backend: str = "torch"
    attention: str | None = None
    compile: bool = False
    batch_size: int | None = None
    max_length: int | None = None
    trust_remote_code: bool = False
    allow_pickled_weights: bool = False

    KIND: ClassVar[str]
    """First word of the name."""
    NAMED: ClassVar[tuple[str, ...]] = ("max_length", "dtype", "backend")
    """Settings that change a score: they stand in the name where they are not the usual ones."""
    HALF_NAMED: ClassVar[tuple[str, ...]] = ("attention", "compile")
    """Settings that do so in half precision alone: in float32 kernels agree to about 1e-6, and rounding decides no score."""
    LOADED: ClassVar[tuple[str, ...]] = ("encoder", "layers")
    """What is made when it is first needed, and is not sent to other processes."""

    def __post_init__(self) -> None:
        self.model = str(self.model)
        choices = ("dtype", self.dtype, DTYPES), ("backend", self.backend, BACKENDS), ("attention", self.attention, ATTENTIONS)
        for what, value, known in choices:
            if value is not None and value not in known:
                raise ConfigError(f"unknown {what} '{value}'; choose {', '.join(known)}")
        if self.backend != "torch" and (self.attention or self.compile):
            raise ConfigError(f"{self.typed}: --attention and --compile are of the backend torch, not of {self.backend}")
        kernels.check_attention(self.typed, self.attention, self.dtype)
        check_device_name(self.typed, self.device)
        at_least_one({"batch size": self.batch_size, "max length": self.max_length})
        self.files = ModelFiles(self.model, self.revision, self.backend)
        self.name = self.shown()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights behind when a model is sent to another process, which loads them itself."""
        return {name: value for name, value in self.__dict__.items() if name not in self.LOADED}

    def settings(self) -> dict[str, tuple[Any, Any]]:
        """Return what may stand in the name: setting to (value, usual value)."""
        names = self.NAMED + (self.HALF_NAMED if self.dtype != "float32" else ())
        given = {name: (getattr(self, name), getattr(type(self), name)) for name in names}
        return {"revision": (self.files.revision, None), **given}

    def shown(self) -> str:
        """Return the name in tables."""
        return shown_name(self.KIND, self.settings(), self.files.label)

    @property
    def typed(self) -> str:
        """What the user typed, for messages."""
        return self.model

    def known(self) -> dict[str, Any]:
        """Return what files and settings say that changes a score, whatever the kind."""
        saved = self.saved_dtype() if self.dtype == "float32" and self.backend == "torch" else "float32"
        return {
            "model": self.files.bare,
            "kind": self.KIND,
            "identity": self.files.identity,
            "max_length": self.max_length,
            "dtype": self.dtype,
            **({"saved": saved} if saved != "float32" else {}),  # once they were computed in that type under the same key
            "backend": self.backend,
            "versions": versions(self.backend),
            **({name: getattr(self, name) for name in self.HALF_NAMED if getattr(self, name) and self.dtype != "float32"}),
        }

    def saved_dtype(self) -> str:
        """Return float16 or bfloat16 if the model's files say that its weights were saved so, else float32."""
        config = self.files.json("config.json") or {}
        saved = str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")
        return saved if saved in DTYPES else "float32"

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model, and what ran it if its weights were loaded."""
        return {
            "kind": self.KIND,
            "source": "folder" if self.files.local else self.model,
            "revision": self.files.identity,
            "dtype": self.dtype,
            "backend": self.backend,
            **({"attention": self.attention} if self.attention else {}),
            "batch_size": self.batch_size,
            "trust_remote_code": self.trust_remote_code,
            "allow_pickled_weights": self.allow_pickled_weights,
            **{name: value for name, value in self.facts().items() if value is not None},
            **(self.ran_on() if self.is_loaded else {}),
        }

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return "encoder" in self.__dict__

    def facts(self) -> dict[str, Any]:
        """Return what the model's files say of it, and what they do not say, as the loaded model has it.

        Files come first, so that a result says the same whether anything was left to be encoded or not.
        """
        loaded = self.loaded() if self.is_loaded else {}
        return {**loaded, **{name: value for name, value in self.said().items() if value is not None}}

    def said(self) -> dict[str, Any]:
        """Return what files and settings say of the model's size; None for what they do not."""
        return {"parameters": unloaded.parameters(self.files), "max_length": self.max_length}

    def loaded(self) -> dict[str, Any]:
        """Return what the loaded model says of its size; None for what it does not, as other backends than torch."""
        return {
            "parameters": sum(parameter.numel() for parameter in self.encoder.parameters()) or None,
            "max_length": unloaded.finite(self.encoder.max_seq_length),
        }

    def ran_on(self) -> dict[str, Any]:
        """Return where the loaded model runs, and whether compiling it succeeded."""
        compiled = {"compiled": self.encoder._compiled_call_impl is not None} if self.compile else {}
        return {"device": str(self.encoder.device), **compiled}

    @cached_property
    def encoder(self) -> Any:
        """The loaded model."""
        from transformers.utils import logging as transformers_logging

        check_device(self.typed, self.device)
        self.check_kind()
        load = self.encoder_class()
        check_backend(self.typed, self.backend)
        kernels.check_package(self.typed, self.attention)
        check_weights(self.files, self.typed, self.backend, allowed=self.allow_pickled_weights)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            encoder = load(
                self.model,
                revision=self.files.commit,
                device=self.device,
                backend=self.backend,
                trust_remote_code=self.trust_remote_code,
                model_kwargs=self.loading_options(),
            )
        except Exception as error:
            raise ModelError(f"the model '{self.typed}' cannot be loaded: {first_line(error)}") from error
        self.prepare(encoder)
        return encoder

    @cached_property
    def layers(self) -> LinearLayers:
        """The linear layers of the loaded model."""
        return LinearLayers(self.encoder)

    def loading_options(self) -> dict[str, Any]:
        """Return what transformers, or what stands for it, is told when it loads the model."""
        if self.backend != "torch":
            return {} if self.dtype == "float32" else {"dtype": self.dtype}
        return {
            "dtype": self.dtype,  # also float32: left to itself, transformers takes the type that the weights were saved in
            **({"attn_implementation": self.attention} if self.attention else {}),
            **({} if self.allow_pickled_weights else {"use_safetensors": True}),
        }

    def encoder_class(self) -> Any:
        """Return the class of sentence-transformers that loads the model."""
        raise NotImplementedError

    def check_kind(self) -> None:
        """Refuse a model of another kind, which sentence-transformers would complete with random weights.

        :raises ModelError: naming the model.
        """

    def prepare(self, encoder: Any) -> None:
        """Change a loaded model as the settings say."""
        encoder.eval()
        if self.max_length is not None:
            self.limit(encoder, self.max_length)
        if self.compile:
            encoder.compile(dynamic=True)

    def limit(self, encoder: Any, length: int) -> None:
        """Set the most tokens of a text."""
        encoder.max_seq_length = length

    def asked(self, method: str, items: Sequence[Any], verb: str, **options: Any) -> Any:
        """Call a method of the loaded model.

        :param method: its name.
        :param items: what it is given.
        :param verb: what it does, for messages.
        :param options: further arguments.
        :return: what it returns.
        :raises ModelError: if it fails.
        """
        ask = getattr(self.encoder, method)
        size = self.batch_size or USUAL_BATCH
        return self.computed(lambda: ask(list(items), batch_size=size, show_progress_bar=False, **options), verb)

    def computed(self, call: Callable[[], T], verb: str) -> T:
        """Call what uses the loaded model, with the fastest arithmetic that this machine has for it.

        :param call: what to call.
        :param verb: what it does, for messages.
        :return: what it returns.
        :raises ModelError: if it fails.
        """
        try:
            with nullcontext() if self.compile else self.layers.fast():  # the compiler does not know the layers of oneDNN
                try:
                    return call()
                except RuntimeError as error:
                    if not kernels.uncompile(self.encoder, error, self.name):
                        raise
                return call()
        except (RuntimeError, IndexError, ValueError) as error:  # out of memory, longer than the model's positions
            raise ModelError(
                f"{self.name}: cannot {verb}: {first_line(error)}; a smaller --batch-size or --max-length may help"
            ) from error


@dataclass(eq=False, kw_only=True)
class PromptedModel(TransformerModel):
    """A model with a prompt for queries and one for documents.

    :param query_prompt: put before queries, instead of what the model's files or its family say; an empty one is none.
    :param document_prompt: put before documents; likewise.
    """

    query_prompt: str | None = None
    document_prompt: str | None = None

    NAMED: ClassVar[tuple[str, ...]] = (*TransformerModel.NAMED, "query_prompt", "document_prompt")

    def found(self, role: Role) -> Prompt:
        """Return the prompt of a role and its source, as settings and files have them.

        :param role: `query` or `document`.
        :return: the prompt.
        """
        given: str | None = getattr(self, f"{role}_prompt")
        if given is not None:
            return Prompt(given, prompts.GIVEN)
        return prompts.find(self.model, self.files.config, role)

    def prompt(self, role: Role) -> str:
        """Return the text put before queries or documents.

        :param role: `query` or `document`.
        :return: the prompt, empty if there is none.
        """
        found = self.found(role)
        if found.source == prompts.NONE and self.is_loaded:  # other formats' settings become prompts on loading
            return prompts.own(self.encoder.prompts, None, role)
        return found.text

    def sent(self, role: Role) -> str | None:
        """Return the prompt that sentence-transformers is told; None leaves it to what it made of the model's files."""
        found = self.found(role)
        return None if found.source == prompts.NONE else found.text

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model, prompts and their sources included."""
        roles: tuple[Role, Role] = ("query", "document")
        return {
            **super().describe(),
            "prompts": {role: self.prompt(role) for role in roles},
            "prompt_sources": {role: self.found(role).source for role in roles},
        }

    def loaded(self) -> dict[str, Any]:
        """Return what the loaded model says of its size and its vectors."""
        return {
            **super().loaded(),
            "dimension": dimension(self.encoder),
            "similarity": self.encoder.similarity_fn_name,
        }

    def vectors(self, texts: Sequence[str], role: Role, **options: Any) -> Any:
        """Encode texts as sentence-transformers does.

        :param texts: n texts.
        :param role: chooses method and prompt.
        :param options: further arguments of the method.
        :return: what the method returns.
        :raises ModelError: if the model fails.
        """
        return self.asked(f"encode_{role}", texts, "encode", prompt=self.sent(role), **options)


def versions(backend: str = "torch") -> dict[str, str]:
    """Return the versions of what turns texts into vectors, to the second number.

    :param backend: torch, onnx or openvino.
    :return: package to version.
    """
    found = {}
    for package in ("sentence-transformers", "transformers", *PACKAGES[backend]):
        try:
            found[package] = ".".join(version(package).split(".")[:2])
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
