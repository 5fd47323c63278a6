"""From a model of any kind to the rankings of corpora: encoders, retrievers, and what is made of several models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import xxhash

from mimo_eval.asking import asking, fingerprint
from mimo_eval.collections import Collection, Texts
from mimo_eval.embeddings import Share, VectorStore
from mimo_eval.errors import ModelError
from mimo_eval.mixing import Pool
from mimo_eval.models.loading import Model, model_name
from mimo_eval.protocols import Combination, Derived, Encoder, Hits, Retriever, Role
from mimo_eval.search import keys
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.flat import engine
from mimo_eval.search.onepass import OnePass, PoolRanking, Scorer, ranks_in_lists
from mimo_eval.search.retrieved import RetrieverScorer

Advance = Callable[[int], None]
ROLES: tuple[Role, Role] = ("query", "document")


class Progress:
    """Told what goes on; this one keeps silent."""

    def phase(self, name: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Open a phase; the value of the `with` block is called with the number of units done, in steps."""
        return nullcontext(lambda n: None)


class Engine(Protocol):
    """Encodes on other machines or in other processes, into the same store."""

    def fill(self, model: Encoder, role: Role, texts: Texts, rows: np.ndarray, advance: Advance) -> int:
        """Encode what is lacking.

        :param model: an encoder with a fingerprint.
        :param role: `query` or `document`.
        :param texts: all the texts.
        :param rows: which of them, ascending.
        :param advance: told the number of texts done.
        :return: number of texts encoded.
        """


@dataclass
class Work:
    """The circumstances of one model's evaluation, and what accumulates in it."""

    progress: Progress
    temporary: Path
    """For vectors of models without a fingerprint, which are kept for one run only."""
    depth: int
    encoded: dict[str, int] = field(default_factory=lambda: {"encoded": 0, "read": 0})
    timings: dict[str, float] = field(default_factory=dict)
    engines: list[str] = field(default_factory=list)
    engine: Engine | None = None
    """What encodes; None for this process."""
    _folders: dict[int, tuple[Any, Path]] = field(default_factory=dict, repr=False)

    def folder_of(self, model: Any) -> Path:
        """Return a temporary folder of one model's own; the model is held, so that its number stays its own."""
        if id(model) not in self._folders:
            self.temporary.mkdir(parents=True, exist_ok=True)
            self._folders[id(model)] = model, Path(mkdtemp(dir=self.temporary))
        return self._folders[id(model)][1]

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the seconds of the `with` block to a phase."""
        start = perf_counter()
        try:
            yield
        finally:
            self.timings[phase] = self.timings.get(phase, 0.0) + perf_counter() - start


def rankings(model: Model, collection: Collection, pools: Sequence[Pool], work: Work) -> Iterator[PoolRanking]:
    """Rank every corpus by a model; encoding and searching are done before the first ranking is returned.

    :param model: an encoder, a retriever, or a combination of models.
    :param collection: the texts.
    :param pools: the corpora.
    :param work: circumstances; counts and timings are added to it.
    :return: an iterator over the rankings, in the order of the corpora.
    """
    if isinstance(model, Combination):
        parts = [rankings(base, collection, pools, work) for base in model.bases]
        return (_combined(model, collection, found, work) for found in zip(*parts, strict=True))
    scorer = _scorer(model, collection, pools, work)
    one_pass = OnePass(collection, pools, scorer, work.depth)
    name = f"search {collection.name}"
    with work.timed("search"), work.progress.phase(name, one_pass.work, "scores") as advance:
        one_pass.search(advance)
    if isinstance(scorer, RetrieverScorer):
        work.encoded["encoded"] += scorer.indexed
        work.encoded["read"] += scorer.read
    return one_pass.rankings()


def _scorer(model: Model, collection: Collection, pools: Sequence[Pool], work: Work) -> Scorer:
    if isinstance(model, Derived):
        stores = encode_pools(model.base, collection, pools, work)
        work.engines.append(engine().name)
        scorer: Scorer = model.scorer(
            stores["query"], stores["document"], lambda texts: _encode_sample(model.base, texts, work)
        )
        return scorer
    if isinstance(model, Encoder):
        stores = encode_pools(model, collection, pools, work)
        work.engines.append(engine().name)
        return DenseScorer(stores["query"], stores["document"])
    if not isinstance(model, Retriever):
        raise TypeError(f"{model_name(model)} is no model")
    work.engines.append(model_name(model))
    return RetrieverScorer(model, collection)


def encode_pools(model: Encoder, collection: Collection, pools: Sequence[Pool], work: Work) -> dict[Role, VectorStore]:
    """Encode the texts that some corpora need, each once.

    :param model: the encoder.
    :param collection: the texts.
    :param pools: the corpora.
    :param work: circumstances.
    :return: vectors of queries and of documents.
    """
    documents = np.unique(np.concatenate([rows for pool in pools for rows in pool.documents.values()]))
    queries = np.unique(np.concatenate([pool.queries for pool in pools]))
    name, total = f"encode {collection.name}", len(queries) + len(documents)
    with work.timed("encode"), work.progress.phase(name, total, "texts") as advance:
        return {
            "query": encode(model, "query", collection.queries, queries, work, advance),
            "document": encode(model, "document", collection.documents, documents, work, advance),
        }


def encode(
    model: Encoder,
    role: Role,
    texts: Texts,
    rows: np.ndarray,
    work: Work,
    advance: Advance = lambda n: None,
    share: Share | None = None,
) -> VectorStore:
    """Encode some texts in one role; vectors that are stored already are not made again.

    :param model: the encoder.
    :param role: `query` or `document`.
    :param texts: all the texts.
    :param rows: which of them, ascending.
    :param work: circumstances.
    :param advance: told the number of texts done.
    :param share: fill the chunks of this share only.
    :return: their vectors.
    """
    name = model_name(model)

    def ask(batch: Sequence[str], lang: str) -> np.ndarray:
        with asking(name, "encode"):
            return model.encode(batch, role=role, lang=lang)

    if work.engine is not None and hasattr(model, "fingerprint") and share is None:
        elsewhere = work.engine.fill(model, role, texts, rows, advance)
        work.encoded["encoded"] += elsewhere
        work.encoded["read"] -= elsewhere  # below, they are found
        advance = lambda n: None  # noqa: E731
    store = vector_store(model, role, texts, work.folder_of)
    for lang in texts.languages:
        mine = texts.rows(lang)
        filled = store.fill(lang, mine[np.isin(mine, rows)], ask, advance, share)
        work.encoded["encoded"] += filled.encoded
        work.encoded["read"] += filled.read
    return store


def vector_store(model: Encoder, role: Role, texts: Texts, temporary: Callable[[Any], Path]) -> VectorStore:
    """Return where an encoder's vectors of some texts are kept.

    :param model: the encoder.
    :param role: `query` or `document`.
    :param texts: the texts.
    :param temporary: gives the folder for a model without a fingerprint.
    :return: the store; nothing is encoded.
    """
    known, name = hasattr(model, "fingerprint"), model_name(model)
    return VectorStore(
        fingerprint=fingerprint(model, name, role) if known else {"model": name},
        role=role,
        texts=texts,
        cosine=getattr(model, "similarity", "cosine") == "cosine",
        **({} if known else {"root": temporary(model)}),
    )


def _encode_sample(model: Encoder, texts: Texts, work: Work) -> VectorStore:
    """Encode texts from which a derived model takes its statistics."""
    with work.timed("encode"), work.progress.phase("encode sample", len(texts), "texts") as advance:
        return encode(model, "document", texts, np.arange(len(texts)), work, advance)


class PoolTexts:
    """What a combination may look at: the texts and languages of one corpus."""

    def __init__(self, collection: Collection, pool: Pool, progress: Progress | None = None) -> None:
        self.collection, self.pool = collection, pool
        self.phase = (progress or Progress()).phase
        order = np.ascontiguousarray(collection.documents.id_order)  # equal revisions may have their rows in another order
        self.revision = f"{collection.revision}-{xxhash.xxh3_128_hexdigest(order.data)}"

    def queries(self) -> list[str]:
        """Return the texts of the queries."""
        return self.collection.queries.read(self.pool.queries)

    def documents(self, rows: np.ndarray) -> list[str]:
        """Return the texts of some documents."""
        return self.collection.documents.read(rows)

    def languages(self, rows: np.ndarray) -> np.ndarray:
        """Return a number per document that says its language."""
        return np.asarray(self.collection.documents.language[rows])

    def query_ids(self) -> list[str]:
        """Return ids of the queries; with a document's row they name a pair whatever the corpus."""
        return self.collection.queries.ids(self.pool.queries)


def _combined(model: Combination, collection: Collection, found: Sequence[PoolRanking], work: Work) -> PoolRanking:
    pool, documents = found[0].pool, collection.documents
    hits = []
    for part in found:
        filled = part.lists != keys.EMPTY
        rows = np.where(filled, documents.row_at[np.where(filled, keys.places(part.lists), 0)], -1)
        hits.append(Hits(rows, keys.scores(part.lists)))
    with work.timed("combine"), asking(model_name(model), "combine"):
        rows, scores = model.combine(hits, texts=PoolTexts(collection, pool, work.progress))
    filled = rows >= 0
    if not np.isfinite(scores[filled]).all():
        raise ModelError(f"{model_name(model)}: NaN or infinity among the combined scores")
    made = keys.encode(np.where(filled, scores, 0).astype(np.float32), documents.id_order[np.where(filled, rows, 0)])
    lists = keys.largest(np.where(filled, made, keys.EMPTY), work.depth)
    return PoolRanking(pool, lists, ranks_in_lists(pool, lists, documents.id_order))
