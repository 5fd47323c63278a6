"""What an evaluation will cost before it is run: texts, tokens, bytes of vectors, hours and money.

Counts come from the collection if it is here, or small and in the store that machines share, else from its publication.
Tokens and speed are measured on a sample: of the collection's own texts if they are here, else of the texts in the package, in
those of the collection's languages that it has. Where the speed is given nothing is encoded, and of a model only its settings
and its tokeniser are loaded, if it can do without its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from mimo_eval.asking import asking
from mimo_eval.benchmark import Benchmark, Task, data_folder
from mimo_eval.collections import Collection, Texts, from_store, load, source_for
from mimo_eval.collections.build import built
from mimo_eval.collections.overview import SMALL, Overview, overview
from mimo_eval.embeddings import check_vectors
from mimo_eval.embeddings.shards import CHUNK_ROWS
from mimo_eval.encoding import stored_encoders
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.models.loading import Model, model_name
from mimo_eval.protocols import Encoder, Role
from mimo_eval.shared import shared_store
from mimo_eval.systems import ROLES, vector_store

SAMPLE = 96
"""Texts of a role that are tokenised, and encoded at first."""
ENOUGH = 2.0
"""Seconds that a trial takes at least, with twice the texts each time, unless the collection has no more."""
ROW_BYTES = 16 + 4
"""On disk per vector beside itself: hash of its text, and row."""


@dataclass(frozen=True)
class Estimate:
    """What it takes to encode the queries or documents of one collection by one encoder."""

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
class Sampled:
    """What is known of a sample."""

    tokens: float | None
    """Per text; None for a model without a tokeniser."""
    characters: float
    """Per text."""
    bytes: float
    """Per text, on disk."""
    rate: float = 0.0
    """Texts per second; 0 where it was not measured."""

    @property
    def length(self) -> float:
        """Per text, above 0: tokens, or characters for a model without a tokeniser."""
        return max(self.characters if self.tokens is None else self.tokens, 1e-9)


def plan(
    model: Model,
    benchmark: Benchmark,
    data: Path | None = None,
    rate: float | None = None,
    tokens_per_text: float | None = None,
) -> list[Estimate]:
    """Say what an evaluation needs.

    :param model: an encoder with a fingerprint, or what is made of such.
    :param benchmark: what it would be evaluated on.
    :param data: folder of the collections' files.
    :param rate: documents per second and device, as measured elsewhere, instead of a trial; queries are taken to be as fast per
        token, or per character where the model has no tokeniser.
    :param tokens_per_text: tokens of a document, instead of a sample's.
    :return: an estimate per encoder, collection and role.
    :raises ConfigError: if the model has no vectors that are kept.
    """
    estimates = []
    tasks = {(task.collection, task.languages): task for task in benchmark.tasks}.values()
    for task in tasks:
        folder = data_folder(task, data, len(benchmark.tasks))
        here = _of_store(task, folder)
        seen = _seen(task, here) if here else overview(task.collection, folder, task.languages)
        here = here or _here(task, folder)
        sample = here or _stand_in(seen.languages)
        for encoder in stored_encoders(model):
            measured: dict[Role, Sampled] = {role: trial(encoder, role, sample, timed=rate is None) for role in ROLES}
            known = measured["document"].tokens
            longer = tokens_per_text / known if tokens_per_text and known else 1.0
            rates = _rates(measured["query"], measured["document"], longer, rate)
            for role in ROLES:
                found, factor = measured[role], longer if role == "document" else 1.0
                counts = seen.queries if role == "query" else seen.documents
                estimates.append(
                    Estimate(
                        model=model_name(encoder),
                        collection=task.collection,
                        role=role,
                        texts=sum(counts.values()) if counts else None,
                        stored=stored(encoder, role, here) if here else None,
                        tokens_per_text=None if found.tokens is None else found.tokens * factor,
                        bytes_per_text=found.bytes,
                        rate=rates[role],
                        sampled=sample.name,
                        counted=seen.counted,
                    )
                )
    return estimates


def _rates(query: Sampled, document: Sampled, longer: float, given: float | None) -> dict[Role, float]:
    """Return the texts per second of each role.

    :param query: a sample of queries.
    :param document: a sample of documents.
    :param longer: how many times longer documents are than those of the sample.
    :param given: documents per second; None for what was measured.
    """
    if given is None:
        return {"query": query.rate, "document": document.rate / longer}
    return {"query": given * document.length * longer / query.length, "document": given}


def _of_store(task: Task, data: Path | None) -> Collection | None:
    """Return a collection of the store that machines share, as a run would; a large one only if it was fetched before."""
    try:
        return from_store(task.collection, data, task.languages, at_most=SMALL)
    except DataError:
        return None


def _seen(task: Task, collection: Collection) -> Overview:
    """Return what is known of a collection that is here."""
    counts = collection.counts()
    return Overview(task.collection, "here", counts["documents"], counts["queries"], counted="counted")


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


def trial(model: Encoder, role: Role, collection: Collection, timed: bool = True) -> Sampled:
    """Look at a sample of texts, evenly spread over a collection, and measure how fast an encoder is.

    :param model: the encoder.
    :param role: `query` or `document`.
    :param collection: where the texts come from.
    :param timed: whether the speed is measured; if not, the model is not loaded, unless only its vectors tell their width.
    :return: tokens, bytes and speed.
    """
    texts = collection.queries if role == "query" else collection.documents
    rows = _spread(texts, SAMPLE)
    sample, width = texts.read(rows), getattr(model, "width", None)
    some = np.zeros((1, width), np.float32) if width and not timed else _encoded(model, role, texts, rows[:4])  # loads weights
    coded = vector_store(model, role, texts, _unkept).storage.encode(some)
    rate = _rate(model, role, texts) if timed else 0.0
    found = model.count_tokens(sample, role) if hasattr(model, "count_tokens") else None
    tokens = None if found is None else float(np.mean(found))
    return Sampled(tokens, float(np.mean(list(map(len, sample)))), coded.shape[1] * coded.itemsize + ROW_BYTES, rate)


def _spread(texts: Texts, count: int) -> np.ndarray:
    """Return so many rows, or all if there are no more, evenly spread."""
    return np.unique(np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(np.int64))


def _rate(model: Encoder, role: Role, texts: Texts) -> float:
    """Return texts per second, of a sample that grows until a fast device is busy for long enough."""
    count = SAMPLE
    while True:
        rows = _spread(texts, count)
        start = perf_counter()
        for first in range(0, len(rows), CHUNK_ROWS):  # as many at once as in a run
            _encoded(model, role, texts, rows[first : first + CHUNK_ROWS])
        seconds = perf_counter() - start
        if seconds >= ENOUGH or len(rows) == len(texts):
            return len(rows) / max(seconds, 1e-9)
        count *= 2


def _encoded(model: Encoder, role: Role, texts: Texts, rows: np.ndarray) -> np.ndarray:
    """Return the vectors of some texts, checked as in a run."""
    name, lang = model_name(model), texts.languages[int(texts.language[rows[0]])]
    with asking(name, "encode"):
        vectors: Any = model.encode(texts.read(rows), role=role, lang=lang)
    return check_vectors(vectors, texts.ids(rows), name, cosine=getattr(model, "similarity", "cosine") == "cosine")


def stored(model: Encoder, role: Role, collection: Collection) -> int:
    """Return how many texts of a collection have their vector in the store.

    :param model: the encoder.
    :param role: `query` or `document`.
    :param collection: the texts.
    """
    texts = collection.queries if role == "query" else collection.documents
    store = vector_store(model, role, texts, _unkept)
    lacking = store.lacking(texts.by_language(), look_inside=shared_store(store.folder).url is None)  # nothing is fetched
    return len(texts) - lacking


def _unkept(model: Any) -> Path:
    raise ConfigError(f"{model_name(model)} has no fingerprint, so its vectors are kept for one run only")
