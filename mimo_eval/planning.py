"""What an evaluation will cost before it is run: texts, tokens, bytes of vectors, hours and money.

Counts come from the collection if it is here, else from its publication. Tokens and speed are measured on a sample: of the
collection's own texts if they are here, else of the texts in the package, in those of the collection's languages that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from mimo_eval.asking import asking
from mimo_eval.benchmark import Benchmark, Task, data_folder
from mimo_eval.collections import Collection, load, source_for
from mimo_eval.collections.build import built
from mimo_eval.collections.overview import overview
from mimo_eval.embeddings import check_vectors
from mimo_eval.encoding import stored_encoders
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.models.loading import Model, model_name
from mimo_eval.protocols import Encoder, Role
from mimo_eval.shared import shared_store
from mimo_eval.systems import ROLES, vector_store

SAMPLE = 96
"""Texts of a role that are tokenised and encoded."""
ROW_BYTES = 16 + 4
"""On disk per vector beside itself: hash of its text, and row."""


@dataclass(frozen=True)
class Need:
    """What one encoder needs for the queries or documents of one collection."""

    model: str
    collection: str
    role: Role
    texts: int | None
    """None if nobody has counted them."""
    stored: int | None
    """Of them, vectors that are in the store; None if the texts are not here to be compared."""
    tokens_per_text: float | None
    """None for a model without a tokeniser."""
    bytes_per_text: float
    rate: float
    """Texts per second on one device."""
    sampled: str
    """The collection whose texts were measured."""
    counted: str
    """Where the number of texts comes from."""

    @property
    def lacking(self) -> int:
        """Texts that would be encoded."""
        return (self.texts or 0) - (self.stored or 0)

    @property
    def tokens(self) -> float | None:
        """Tokens that would be encoded."""
        return None if self.tokens_per_text is None else self.lacking * self.tokens_per_text

    @property
    def size(self) -> float:
        """Bytes of all the vectors on disk, those that are there included."""
        return (self.texts or 0) * self.bytes_per_text

    @property
    def seconds(self) -> float:
        """On one device."""
        return self.lacking / self.rate


@dataclass(frozen=True)
class Trial:
    """What was measured on a sample."""

    tokens: float | None
    """Per text."""
    bytes: float
    """Per text, on disk."""
    rate: float
    """Texts per second."""


def plan(
    model: Model,
    benchmark: Benchmark,
    data: Path | None = None,
    rate: float | None = None,
    tokens_per_text: float | None = None,
) -> list[Need]:
    """Say what an evaluation needs.

    :param model: an encoder with a fingerprint, or what is made of such.
    :param benchmark: what it would be evaluated on.
    :param data: folder of the collections' files.
    :param rate: documents per second and device, as measured elsewhere, instead of a trial; queries are taken to be as fast per
        token.
    :param tokens_per_text: tokens of a document, instead of a sample's.
    :return: a need per encoder, collection and role.
    :raises ConfigError: if the model has no vectors that are kept.
    """
    needs = []
    tasks = {(task.collection, task.languages): task for task in benchmark.tasks}.values()
    for task in tasks:
        folder = data_folder(task, data, len(benchmark.tasks))
        seen = overview(task.collection, folder, task.languages)
        here = _here(task, folder)
        sample = here or _stand_in(seen.languages)
        for encoder in stored_encoders(model):
            measured: dict[Role, Trial] = {role: trial(encoder, role, sample) for role in ROLES}
            longer = tokens_per_text / measured["document"].tokens if tokens_per_text and measured["document"].tokens else 1.0
            faster = rate / (measured["document"].rate / longer) if rate else 1.0
            for role in ROLES:
                found, factor = measured[role], longer if role == "document" else 1.0
                counts = seen.queries if role == "query" else seen.documents
                needs.append(
                    Need(
                        model=model_name(encoder),
                        collection=task.collection,
                        role=role,
                        texts=sum(counts.values()) if counts else None,
                        stored=stored(encoder, role, here) if here else None,
                        tokens_per_text=None if found.tokens is None else found.tokens * factor,
                        bytes_per_text=found.bytes,
                        rate=found.rate / factor * faster,
                        sampled=sample.name,
                        counted=seen.counted,
                    )
                )
    return needs


def _here(task: Task, data: Path | None) -> Collection | None:
    """Return a collection that is built, so that looking at it costs nothing."""
    try:
        return built(*source_for(task.collection, data, task.languages)) if data or not _remote(task) else None
    except DataError:
        return None


def _remote(task: Task) -> bool:
    """Say whether asking for a collection would download it."""
    from mimo_eval.collections import downloads, local_folder, remote_of

    remote = remote_of(task.collection, task.languages)
    local = local_folder(task.collection.partition("(")[0])
    return bool(remote is not None and remote.repos and not local and downloads.state(remote) != "here")


def _stand_in(languages: Sequence[str]) -> Collection:
    """Return the texts in the package, in some languages as far as it has them."""
    known = load("mini")
    common = tuple(sorted(set(languages) & set(known.languages)))
    return load("mini", languages=common) if common else known


def trial(model: Encoder, role: Role, collection: Collection) -> Trial:
    """Measure an encoder on a sample of texts, evenly spread over a collection.

    :param model: the encoder.
    :param role: `query` or `document`.
    :param collection: where the texts come from.
    :return: tokens, bytes and speed.
    """
    texts = collection.queries if role == "query" else collection.documents
    rows = np.unique(np.linspace(0, len(texts) - 1, min(SAMPLE, len(texts))).astype(np.int64))
    name, sample = model_name(model), texts.read(rows)
    lang = texts.languages[int(texts.language[rows[0]])]
    with asking(name, "encode"):
        model.encode(sample[:4], role=role, lang=lang)  # loads the weights
        start = perf_counter()
        vectors: Any = model.encode(sample, role=role, lang=lang)
        seconds = perf_counter() - start
    checked = check_vectors(vectors, texts.ids(rows), name, cosine=getattr(model, "similarity", "cosine") == "cosine")
    coded = vector_store(model, role, texts, _unkept).storage.encode(checked)
    count = token_counter(model, role)
    tokens = float(np.mean(count(sample))) if count else None
    return Trial(tokens, coded.shape[1] * coded.itemsize + ROW_BYTES, len(sample) / max(seconds, 1e-9))


def token_counter(model: Any, role: Role) -> Callable[[list[str]], list[int]] | None:
    """Return what counts the tokens of texts as an encoder sees them, prompt and cut included; None without a tokeniser.

    :param model: the encoder.
    :param role: whose prompt is put before them.
    """
    encoder = getattr(model, "encoder", None)
    tokenizer, limit = getattr(encoder, "tokenizer", None), getattr(encoder, "max_seq_length", None)
    if not callable(tokenizer):
        return None
    prompt = model.prompt(role) if hasattr(model, "prompt") else ""

    def count(texts: list[str]) -> list[int]:
        found = tokenizer([prompt + text for text in texts], add_special_tokens=True, verbose=False)["input_ids"]
        return [min(len(ids), limit or len(ids)) for ids in found]

    return count


def stored(model: Encoder, role: Role, collection: Collection) -> int:
    """Return how many texts of a collection have their vector in the store.

    :param model: the encoder.
    :param role: `query` or `document`.
    :param collection: the texts.
    """
    texts = collection.queries if role == "query" else collection.documents
    store = vector_store(model, role, texts, _unkept)
    lacking = store.lacking(np.arange(len(texts)), look_inside=shared_store(store.folder) is None)  # nothing is fetched
    return len(texts) - lacking


def _unkept(model: Any) -> Path:
    raise ConfigError(f"{model_name(model)} has no fingerprint, so its vectors are kept for one run only")
