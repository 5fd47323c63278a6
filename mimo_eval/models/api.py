"""Embeddings from a server: any endpoint that speaks OpenAI's `POST /embeddings`.

What was paid for once is in the vector store; a run that was cut off goes on at the chunk of texts that was in flight. The key
is nowhere kept: not in the model, its fingerprint, a log or a message.
"""

from __future__ import annotations

import base64
import binascii
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from mimo_eval.embeddings import STORAGES
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.models.endpoint import Client
from mimo_eval.models.loading import ModelOptions
from mimo_eval.models.sources import shown_name
from mimo_eval.protocols import Role
from mimo_eval.specs import arguments, refuse_unknown

logger = logging.getLogger(__name__)

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
CHOICES = {"encoding": ("float", "base64"), "similarity": ("cosine", "dot"), "storage": tuple(STORAGES)}


class ApiEncoder:
    """An OpenAI-compatible embeddings endpoint as an encoder.

    :param url: the API's address, to which `/embeddings` is added, such as https://api.openai.com/v1.
    :param model: the model's name there.
    :param dim: width to ask for (`dimensions`) and to insist on; the server's own if None.
    :param key_env: environment variable that holds the key; without it requests carry none, as local servers like it.
    :param batch_size: most texts in one request.
    :param batch_bytes: most bytes of text in one request; a token has at least one, so this bounds tokens. A longer text goes
        alone.
    :param max_chars: cut texts after this many characters, for servers that refuse long ones; None cuts nothing.
    :param rpm: most requests in a minute.
    :param price: of a million tokens, in any currency; the cost of the run stands in the result.
    :param retries: further attempts after a failure that may pass.
    :param timeout: seconds to wait for an answer.
    :param encoding: how vectors travel: float or base64; both are understood in answers.
    :param similarity: cosine or dot.
    :param query_prompt: put before queries.
    :param document_prompt: put before documents.
    :param storage: how documents' vectors are stored: float32, float16, int8 or binary; queries are always float32.
    :param truncate_dim: keep this many leading dimensions when stored vectors are read; `dim` asks the server for fewer.
    :param options: options of the command line, none of which concerns a server.
    """

    def __init__(
        self,
        *url: str,  # any number and any options, as a message of Python's own might show a key that was put there
        model: str | int = "",
        dim: int | None = None,
        key_env: str = "OPENAI_API_KEY",
        batch_size: int = 64,
        batch_bytes: int = 250_000,
        max_chars: int | None = None,
        rpm: float | None = None,
        price: float | None = None,
        retries: int = 6,
        timeout: float = 120,
        encoding: str = "float",
        similarity: str = "cosine",
        query_prompt: str = "",
        document_prompt: str = "",
        storage: str = "float32",
        truncate_dim: int | None = None,
        **options: Any,
    ) -> None:
        _refuse_unknown(options)
        if len(url) != 1 or not str(model):
            raise ConfigError("api takes one address and a model, such as api(https://api.openai.com/v1, model=NAME)")
        whole = {
            "dim": dim,
            "truncate_dim": truncate_dim,
            "batch_size": batch_size,
            "batch_bytes": batch_bytes,
            "max_chars": max_chars,
        }
        _check_numbers(whole, {"rpm": rpm, "timeout": timeout}, {"retries": retries, "price": price})
        for what, chosen in (("encoding", encoding), ("similarity", similarity), ("storage", storage)):
            if chosen not in CHOICES[what]:
                raise ConfigError(f"api({what}={chosen}): choose {' or '.join(CHOICES[what])}")
        if not isinstance(key_env, str) or not VARIABLE.fullmatch(key_env):  # not shown: it may be the key itself
            raise ConfigError("api: key_env is the name of an environment variable, in capitals, never the key itself")
        self.url = _checked_url(url[0])
        self.model, self.dim, self.encoding, self.similarity = str(model), dim, encoding, similarity
        self.width = dim
        self.batch_size, self.batch_bytes, self.max_chars, self.price = batch_size, batch_bytes, max_chars, price
        self.storage, self.truncate_dim = storage, truncate_dim
        self.prompts = {"query": query_prompt, "document": document_prompt}
        self.name = shown_name(
            "api",
            {
                "dim": (dim, None),
                "max_chars": (max_chars, None),
                "similarity": (similarity, "cosine"),
                "truncate_dim": (truncate_dim, None),
                "storage": (storage, "float32"),
                "query_prompt": (query_prompt, ""),
                "document_prompt": (document_prompt, ""),
            },
            self.model,
        )
        self.client = Client(f"{self.url}/embeddings", key_env, rpm, retries, timeout)
        self.used = {"texts": 0, "tokens": 0, "answers without a token count": 0}
        if self.url.startswith("http:") and not _is_local(self.url) and os.environ.get(key_env):
            logger.warning("%s: the key will travel unencrypted; use https if the server has it", self.url)

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector, as far as it can be known of a server."""
        return {
            "model": self.model,
            "url": self.url,
            "dim": self.dim,
            "encoding": self.encoding,
            "max_chars": self.max_chars,
            "prompt": self.prompts[role],
            "similarity": self.similarity,
            **({"storage": self.storage} if role == "document" else {}),
            "reading": {"truncate_dim": self.truncate_dim},
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model, and what the run cost."""
        cost = None if self.price is None else self.used["tokens"] * self.price / 1e6
        return {
            "kind": "api",
            "source": self.url,
            "model": self.model,
            "dimension": self.dim,
            "encoding": self.encoding,
            "max_chars": self.max_chars,
            "prompts": dict(self.prompts),
            "similarity": self.similarity,
            "storage": self.storage,
            "truncate_dim": self.truncate_dim,
            "batch_size": self.batch_size,
            "usage": {**self.client.counts, **self.used, "price of a million tokens": self.price, "cost": cost},
        }

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts, one request after another.

        :param texts: n texts.
        :param role: chooses the prompt.
        :param lang: not used: one model for all languages.
        :return: (n, d) float32.
        :raises ModelError: if the server cannot be reached, refuses, or answers something unusable.
        """
        sent = [self.prompts[role] + text[: self.max_chars] for text in texts]
        vectors = [vector for batch in _batches(sent, self.batch_size, self.batch_bytes) for vector in self._vectors(batch)]
        width = self.dim or (len(vectors[0]) if vectors else 0)
        for vector, text in zip(vectors, sent, strict=True):
            if len(vector) != width:
                raise self._unusable(f"{len(vector)} numbers for the text '{text[:60]}', not {width} as asked or as before")
        return np.stack(vectors) if vectors else np.empty((0, width), np.float32)

    def _unusable(self, what: str) -> ModelError:
        return ModelError(f"{self.name}: {self.client.endpoint} answers {what}")

    def _vectors(self, texts: list[str]) -> list[np.ndarray]:
        content: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": self.encoding}
        answer = self.client.post(content if self.dim is None else {**content, "dimensions": self.dim})
        usage = answer.get("usage")
        tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
        known = type(tokens) is int and tokens >= 0
        self.used["tokens"] += tokens if known else 0  # type: ignore[operator]
        self.used["answers without a token count"] += not known
        vectors = self._in_order(answer["data"], texts)
        self.used["texts"] += len(texts)
        return vectors

    def _in_order(self, data: list[Any], texts: list[str]) -> list[np.ndarray]:
        """Return the vectors of an answer in the order of the texts, which is not always the answer's."""
        first = f"(first text: '{texts[0][:60]}')"
        if len(data) != len(texts):
            raise self._unusable(f"{len(data)} vectors for {len(texts)} texts {first}")
        if not all(isinstance(item, dict) and "embedding" in item for item in data):
            raise self._unusable(f"items without an embedding {first}; is it OpenAI-compatible?")
        places = [item.get("index", i) for i, item in enumerate(data)]
        if sorted(place for place in places if type(place) is int) != list(range(len(texts))):
            raise self._unusable(f"indexes that are not 0 to {len(texts) - 1}, each once {first}")
        found = dict(zip(places, data, strict=True))
        return [self._vector(found[place]["embedding"], text) for place, text in enumerate(texts)]

    def _vector(self, value: Any, text: str) -> np.ndarray:
        try:
            if isinstance(value, str):
                vector = np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
            else:
                vector = np.asarray(value, np.float32)
        except (TypeError, ValueError, OverflowError, binascii.Error) as error:
            raise self._unusable(f"no vector of numbers for the text '{text[:60]}' ({type(error).__name__})") from None
        if vector.ndim != 1 or not len(vector):
            raise self._unusable(f"no vector of numbers for the text '{text[:60]}' (shape {vector.shape})")
        if not np.isfinite(vector).all():
            raise self._unusable(f"NaN or infinity in the vector of the text '{text[:60]}'")
        return vector


def _refuse_unknown(options: dict[str, Any]) -> None:
    """Warn of options of the command line, refuse others by their names alone: a value may be a key."""
    known = {f.name for f in fields(ModelOptions)}
    for name in sorted(known & set(options)):
        logger.warning("api does not take --%s; it is ignored", name.replace("_", "-"))
    refuse_unknown("api", sorted(set(options) - known), arguments(ApiEncoder))


def _check_numbers(whole: dict[str, Any], above: dict[str, Any], least: dict[str, Any]) -> None:
    """Refuse what is not a whole number of at least 1, a number above 0, a number of at least 0; None is left out."""
    kinds = ((whole, "a whole number of at least 1"), (above, "a number above 0"), (least, "a number of at least 0"))
    for values, kind in kinds:
        for what, value in values.items():
            types = (int,) if values is whole or what == "retries" else (int, float)
            number = isinstance(value, types) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not (number and (value >= 0 if values is least else value > 0)):
                raise ConfigError(f"api({what}={value}): {what} must be {kind}")


def _checked_url(text: str) -> str:
    """Return an address without its last slash; what is wrong is not shown where it may hold a password."""
    try:
        parts = urlsplit(str(text))
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isascii():
        raise ConfigError("api: the first argument is the API's address, such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            "api: an address without user, password or '?' is needed; a key is taken from the variable that key_env names"
        )
    return text.rstrip("/").removesuffix("/embeddings")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _batches(texts: list[str], count: int, size: int) -> Iterator[list[str]]:
    """Cut texts into runs of at most so many texts and bytes; a longer text is a run of its own."""
    batch: list[str] = []
    filled = 0
    for text in texts:
        length = len(text.encode("utf-8", "surrogatepass"))
        if batch and (len(batch) == count or filled + length > size):
            yield batch
            batch, filled = [], 0
        batch.append(text)
        filled += length
    if batch:
        yield batch
