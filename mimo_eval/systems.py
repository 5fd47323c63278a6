"""From a model of any kind to the rankings of corpora: encoders, retrievers, and what is made of several models."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
import xxhash

from mimo_eval.asking import asking, fingerprint
from mimo_eval.collections import Collection, Rows, Texts
from mimo_eval.embeddings import Share, VectorStore
from mimo_eval.errors import ModelError
from mimo_eval.mixing import Pool
from mimo_eval.models.loading import Model, model_name
from mimo_eval.protocols import Combination, Derived, Encoder, Hits, Retriever, Role
from mimo_eval.search import keys
from mimo_eval.search.approximate import ApproximateScorer
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.index_spec import IndexSpec
from mimo_eval.search.onepass import OnePass, PoolRanking, Scorer, ranks_in_lists
from mimo_eval.search.retrieved import RetrieverScorer

Advance = Callable[[int], None]
ROLES: tuple[Role, Role] = ("query", "document")


class Progress:
    """Told what goes on; this one keeps silent."""

    def phase(self, name: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Open a phase; the value of the `with` block is called with the number of units done, in steps."""
        return nullcontext(lambda n: None)


class Need(NamedTuple):
    """Texts that are to be encoded in one role."""

    role: Role
    texts: Texts
    """All the texts."""
    rows: Rows
    """Which of them."""

    @property
    def size(self) -> int:
        """Number of texts."""
        return sum(map(len, self.rows.values()))


class Engine(Protocol):
    """Encodes on other machines or in other processes, into the same store, and may search there."""

    def fill(self, model: Encoder, needs: Sequence[Need], advance: Advance) -> list[int]:
        """Encode what is lacking.

        :param model: an encoder with a fingerprint.
        :param needs: the texts.
        :param advance: told the number of texts done.
        :return: number of texts encoded, of each need.
        """

    def keeps(self, role: Role, texts: Texts) -> bool:
        """Say whether the vectors of some texts stay where they were made, and are searched there."""

    def scorer(self, model: Encoder, queries: VectorStore, documents: VectorStore) -> Scorer:
        """Return what searches vectors that stay where they were made."""


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
    """What has ranked documents, by name; see `onepass.Scorer`."""
    engine: Engine | None = None
    """What encodes; None for this process."""
    spread: bool = True
    """Whether the engine may search too. It holds one model at a time, so not for models whose lists are read by turns."""
    index: IndexSpec | None = None
    """By which encoders' vectors are searched; None for exact search."""
    approximate: list[dict[str, Any]] = field(default_factory=list)
    """How well indexes searched: one record per encoder and collection."""
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
    check(model, collection, pools)
    if isinstance(model, Combination):
        parts = [rankings(base, collection, pools, replace(work, spread=False)) for base in model.bases]
        return (_combined(model, collection, found, work) for found in zip(*parts, strict=True))
    scorer = _scorer(model, collection, pools, work)
    one_pass = OnePass(collection, pools, scorer, work.depth)
    name = f"search {collection.name}"
    with work.timed("search"), work.progress.phase(name, one_pass.work, "scores") as advance:
        one_pass.search(advance)
    work.engines += sorted(scorer.engines)
    if isinstance(scorer, RetrieverScorer):
        work.encoded["encoded"] += scorer.indexed
        work.encoded["read"] += scorer.read
    if isinstance(scorer, ApproximateScorer):
        return _watched(scorer, one_pass, {"model": model_name(model), "collection": collection.name}, work)
    return one_pass.rankings()


def check(model: Model, collection: Collection, pools: Sequence[Pool]) -> None:
    """Let derived models, and those in combinations, refuse what they cannot rank before anything is encoded.

    :param model: the model.
    :param collection: what will be evaluated.
    :param pools: the corpora.
    """
    for base in getattr(model, "bases", ()):
        check(base, collection, pools)
    if isinstance(model, Derived) and hasattr(model, "check"):
        model.check(collection, pools)


def _watched(scorer: ApproximateScorer, one_pass: OnePass, what: dict[str, str], work: Work) -> Iterator[PoolRanking]:
    """Yield the rankings of an approximate search, and note how well it searched."""
    record: dict[str, Any] = dict(what)
    if scorer.report():
        work.approximate.append(record)
    for found in scorer.watched(one_pass.rankings()):
        record.update(scorer.report())  # documents missed so far
        yield found


def _scorer(model: Model, collection: Collection, pools: Sequence[Pool], work: Work) -> Scorer:
    if isinstance(model, Derived):
        stores = encode_pools(model.base, collection, pools, work)
        scorer: Scorer = model.scorer(
            stores["query"], stores["document"], lambda texts: _encode_sample(model.base, texts, work)
        )
        return scorer
    if isinstance(model, Encoder):
        stores = encode_pools(model, collection, pools, work)
        cluster = work.engine if work.spread and work.index is None and hasattr(model, "fingerprint") else None
        if cluster is not None and cluster.keeps("document", collection.documents):
            return cluster.scorer(model, stores["query"], stores["document"])
        dense = DenseScorer(stores["query"], stores["document"])
        return dense if work.index is None else _approximate(model, dense, work.index, pools, work)
    if not isinstance(model, Retriever):
        raise TypeError(f"{model_name(model)} is no model")
    return RetrieverScorer(model, collection)


def _approximate(model: Encoder, dense: DenseScorer, index: IndexSpec, pools: Sequence[Pool], work: Work) -> Scorer:
    """Return what searches by an index; exact search if no language has enough documents for it."""
    root = None if hasattr(model, "fingerprint") else work.folder_of(model) / "indexes"
    scorer = ApproximateScorer(dense, index, pools, root)
    if scorer.rows:
        return scorer
    lang, why = next(iter(scorer.exact.items()))
    warnings.warn(f"--index {index}: search is exact; {lang}: {why}, and so in every language", stacklevel=2)
    return dense


def encode_pools(model: Encoder, collection: Collection, pools: Sequence[Pool], work: Work) -> dict[Role, VectorStore]:
    """Encode the texts that some corpora need, each once.

    :param model: the encoder.
    :param collection: the texts.
    :param pools: the corpora.
    :param work: circumstances.
    :return: vectors of queries and of documents.
    """
    documents: Rows = {}
    for lang in collection.documents.languages:
        parts = [pool.documents[lang] for pool in pools if lang in pool.documents]
        every = collection.documents.rows(lang)
        if any(len(part) == len(every) for part in parts):
            documents[lang] = every
        elif parts:
            documents[lang] = np.unique(np.concatenate(parts))
    queries = collection.queries.by_language(np.unique(np.concatenate([pool.queries for pool in pools])))
    needs = Need("query", collection.queries, queries), Need("document", collection.documents, documents)
    name, total = f"encode {collection.name}", sum(need.size for need in needs)
    with work.timed("encode"), work.progress.phase(name, total, "texts") as advance:
        query, document = encode_all(model, needs, work, advance)
    return {"query": query, "document": document}


def encode_all(model: Encoder, needs: Sequence[Need], work: Work, advance: Advance) -> list[VectorStore]:
    """Encode texts in one role or both; by the engine, if there is one, all at once.

    :param model: the encoder.
    :param needs: the texts.
    :param work: circumstances.
    :param advance: told the number of texts done.
    :return: the vectors of each need.
    """
    if work.engine is None or not hasattr(model, "fingerprint"):
        return [encode(model, *need, work, advance) for need in needs]
    stores = []
    for need, encoded in zip(needs, work.engine.fill(model, needs, advance), strict=True):
        work.encoded["encoded"] += encoded
        work.encoded["read"] -= encoded  # they are found
        if work.engine.keeps(need.role, need.texts):
            work.encoded["read"] += need.size
            stores.append(vector_store(model, need.role, need.texts, work.folder_of))
        else:
            stores.append(encode(model, *need, work))
    return stores


def encode(
    model: Encoder,
    role: Role,
    texts: Texts,
    rows: Rows,
    work: Work,
    advance: Advance = lambda n: None,
    share: Share | None = None,
) -> VectorStore:
    """Encode some texts in one role; vectors that are stored already are not made again.

    :param model: the encoder.
    :param role: `query` or `document`.
    :param texts: all the texts.
    :param rows: which of them.
    :param work: circumstances.
    :param advance: told the number of texts done.
    :param share: fill the chunks of this share only.
    :return: their vectors.
    """
    name = model_name(model)

    def ask(batch: Sequence[str], lang: str) -> np.ndarray:
        with asking(name, "encode"):
            return model.encode(batch, role=role, lang=lang)

    store = vector_store(model, role, texts, work.folder_of)
    for lang, mine in rows.items():
        filled = store.fill(lang, mine, ask, advance, share)
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
    """Encode texts from which a derived model takes its statistics; here, as no file holds them that others could read."""
    with work.timed("encode"), work.progress.phase("encode sample", len(texts), "texts") as advance:
        return encode(model, "document", texts, texts.by_language(), work, advance)


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
