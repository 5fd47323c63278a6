"""What scores pairs of texts: sentence-transformers' CrossEncoder, or anything with `predict(pairs)`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.models import unloaded
from mimo_eval.models.loading import HUB_ID, MODULE, import_typed
from mimo_eval.models.sources import shown_name
from mimo_eval.models.transformer import TransformerModel

HEADS = ("ForSequenceClassification", "ForCausalLM")


@runtime_checkable
class Scorer(Protocol):
    """Scores pairs of texts. Used where they exist: `name`, `fingerprint() -> dict`, `describe() -> dict`."""

    def predict(self, pairs: Any) -> Any:
        """Score pairs.

        :param pairs: n (query, document).
        :return: n finite numbers, larger is better.
        """


@dataclass(eq=False, kw_only=True)
class CrossEncoderScorer(TransformerModel):
    """A sentence-transformers CrossEncoder."""

    KIND: ClassVar[str] = "cross-encoder"

    def shown(self) -> str:
        """Return the name in tables."""
        return shown_name(self.files.label, self.settings())

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score."""
        return self.known()

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {"name": self.name, **super().describe()}

    def said(self) -> dict[str, Any]:
        """Return what files and settings say of the model's size; None for what they do not."""
        length = self.max_length or unloaded.max_length(self.files, self.trust_remote_code)
        return {**super().said(), "max_length": length}

    def check_kind(self) -> None:
        """Refuse a model without a head that scores pairs: a random one would be put in its place without a word."""
        kinds = (self.files.json("config.json") or {}).get("architectures") or [HEADS[0]]
        saved_as = self.files.config.get("model_type")
        if saved_as == "CrossEncoder" or self.trust_remote_code or kinds[0].endswith(HEADS):
            return
        raise ModelError(
            f"the model '{self.model}' is no re-ranker: {kinds[0]} has nothing that scores a pair; choose a cross-encoder, "
            "such as BAAI/bge-reranker-v2-m3"
        )

    def encoder_class(self) -> Any:
        """Return sentence-transformers' CrossEncoder."""
        from sentence_transformers import CrossEncoder

        return CrossEncoder

    def predict(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """Score pairs.

        :param pairs: n (query, document).
        :return: (n,) floats; (n, labels) if the model tells more than one number.
        :raises ModelError: if the model fails.
        """
        return self.asked("predict", pairs, "score")


def load_scorer(model: str | Scorer, **options: Any) -> Scorer:
    """Return a re-ranker.

    :param model: a folder, a hub id, `module:attribute` (an object with `predict`, or what makes one), or such an object.
    :param options: for a CrossEncoder.
    :return: the re-ranker.
    :raises ConfigError: if it is none of them.
    """
    value: Any = model
    if isinstance(model, str):
        if Path(model).is_dir() or HUB_ID.fullmatch(model):
            return CrossEncoderScorer(model, **options)
        if not MODULE.fullmatch(model):
            raise ConfigError(
                f"rerank: there is no folder '{model}' here; a re-ranker is a folder, a hub id such as "
                "BAAI/bge-reranker-v2-m3, or module:attribute"
            )
        value = import_typed(model)
        if inspect.isclass(value) or (callable(value) and not isinstance(value, Scorer)):
            try:
                value = value()
            except TypeError as error:
                raise ConfigError(f"'{model}' cannot be called without arguments: {error}") from error
    if not isinstance(value, Scorer):
        raise ConfigError(f"rerank: '{model}' has no predict(pairs); a re-ranker scores a list of (query, document)")
    return value
