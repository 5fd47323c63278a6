"""Approximate search: a FAISS index per language, its lists scored again by the stored vectors, its recall measured.

What an index finds is ordered by the same scores as in exact search, so a list is wrong only by what is missing from it. How
much that is, is measured: a sample of each block's queries is searched exactly too, and relevant documents that score above
the end of a list without being in it are counted, of all queries. Ranks are known in lists only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.embeddings import VectorStore
from mimo_eval.environment import available_memory
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.mixing import Pool
from mimo_eval.search import keys
from mimo_eval.search.block_search import longest_norm
from mimo_eval.search.dense import SPARE, DenseScorer
from mimo_eval.search.flat import faiss_module
from mimo_eval.search.index_spec import IndexSpec, centroids, said
from mimo_eval.search.index_store import IndexStore
from mimo_eval.search.onepass import PoolRanking

logger = logging.getLogger(__name__)
PER_CENTROID = 39
"""Fewest vectors per centroid that FAISS asks for to train a clustering; a language with fewer is searched exactly."""
MOST_PER_CENTROID = 256
"""FAISS trains a clustering on no more than these."""
SAMPLE = 65_536
"""Fewest vectors that an index is trained on, where there are as many and memory has room for them."""
TRAINING = 2
"""Bytes of memory for each byte of them: FAISS makes copies."""
BATCH = 1024
RESCORE = 2**16
"""Pairs that are scored again at a time."""
RECALL_QUERIES = 100
"""Queries of a block that are searched exactly too."""
SHORT = 10
"""The shorter depth at which recall is measured."""
FILE = "index.faiss"


class ApproximateScorer:
    """Searches languages by an index of their documents; languages too small to train it, exactly.

    :param dense: scores by stored vectors.
    :param spec: the index.
    :param pools: the corpora; an index holds the documents of a language that they need.
    :param root: folder of indexes; None for the cache's.
    """

    def __init__(self, dense: DenseScorer, spec: IndexSpec, pools: Sequence[Pool], root: Path | None = None) -> None:
        self.dense, self.spec, self.documents = dense, spec, dense.documents
        self.store = IndexStore(_Kept(spec, dense.documents), root)
        self.exact: dict[str, str] = {}
        """Languages that are searched exactly, at least in part, and why."""
        self.relevant = self.missed = 0
        self._shares: dict[str, list[np.ndarray]] = {}
        self._index: tuple[str, Any] = "", None
        needed = PER_CENTROID * centroids(spec.make(self.documents.width or 1))
        self.rows = {lang: rows for lang, rows in _documents(pools).items() if len(rows) >= max(needed, 1)}
        for lang, rows in _documents(pools).items():
            if lang not in self.rows:
                self.exact[lang] = f"{len(rows):,} vectors are too few to train the index, which needs {needed:,}"

    @property
    def engines(self) -> set[str]:
        """What has ranked documents so far: FAISS, if an index did, and what searched exactly."""
        return self.dense.engines | ({"faiss"} if self._shares else set())

    def top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        """Return keys of what the index found, scored by the stored vectors."""
        if lang not in self.rows or not len(query_rows):
            return self.dense.top(lang, rows, query_rows, k)
        index = self._of_language(lang)
        wanted = min(k + SPARE, len(rows))
        try:
            parameters = self._parameters(index, lang, rows)
            parts = [
                self._search(index, lang, query_rows[start : start + BATCH], wanted, parameters)
                for start in range(0, len(query_rows), BATCH)
            ]
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, MemoryError) or len(rows) == len(self.rows[lang]):
                raise ConfigError(f"the index '{self.spec}' cannot be searched: {said(error)}") from error
            self.exact[lang] = "corpora that take a part of it: this index cannot search a part"
            return self.dense.top(lang, rows, query_rows, k)
        found = np.concatenate(parts)
        self._measure(lang, rows, query_rows, found, k)
        return found

    def settle(self, best: np.ndarray, query_rows: np.ndarray, keep: int) -> np.ndarray:
        """Return the best `keep` of merged lists, in canonical order."""
        return self.dense.settle(best, query_rows, keep)

    def _of_language(self, lang: str) -> Any:
        """Return the index of a language, from disk if it is there; one is held at a time."""
        if self._index[0] != lang:
            self._index = "", None
            rows = self.rows[lang]
            index = self.store.get(lang, self.documents.texts, rows, lambda: self._build(lang, rows)).index
            self.spec.set_parameters(index)
            self._index = lang, index
        return self._index[1]

    def _build(self, lang: str, rows: np.ndarray) -> Any:
        index = self.spec.make(self.documents.width or 1)
        try:
            if not index.is_trained:
                sample = np.random.default_rng(0).choice(rows, self._sample_size(index, len(rows)), replace=False)
                index.train(self.documents.gather(np.sort(sample)))
            for _, vectors in self.documents.tiles(lang, rows, self.dense.tile):
                index.add(vectors)
        except (RuntimeError, AssertionError, MemoryError) as error:
            raise ConfigError(
                f"the index '{self.spec}' of {len(rows):,} vectors ({lang}) cannot be built: {said(error)}; choose another, or "
                f"leave {lang} out"
            ) from error
        return index

    def _sample_size(self, index: Any, count: int) -> int:
        """Return on how many of some vectors an index is trained: as many as help, if there is memory for them."""
        least, each = PER_CENTROID * centroids(index), 4 * index.d
        free = available_memory()
        wanted = min(count, max(SAMPLE, MOST_PER_CENTROID * centroids(index)))
        size: int = min(wanted, free // (TRAINING * each))
        if size < max(least, 1):
            raise ConfigError(
                f"the index '{self.spec}' must be trained on {least:,} vectors of {index.d:,} numbers, which takes "
                f"{TRAINING * least * each / 2**30:,.1f} GiB of memory; {free / 2**30:,.1f} GiB are free: choose a smaller one"
            )
        if size < wanted:
            logger.warning("%s: trained on %s vectors of %s, for which there is memory", self.spec, f"{size:,}", f"{wanted:,}")
        return size

    def _parameters(self, index: Any, lang: str, rows: np.ndarray) -> Any:
        """Return what limits a search to some of the language's documents; None for all of them."""
        everything = self.rows[lang]
        if len(rows) == len(everything):
            return None
        mask = np.zeros(len(everything), bool)
        mask[np.searchsorted(everything, rows)] = True
        selector = faiss_module().IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        return search_parameters(index, selector)

    def _search(self, index: Any, lang: str, query_rows: np.ndarray, k: int, parameters: Any) -> np.ndarray:
        queries = self.dense.queries.gather(query_rows)
        _, found = index.search(queries, k, params=parameters)
        rows = np.where(found < 0, -1, self.rows[lang][found.clip(min=0)])
        step = max(1, RESCORE // k)
        parts = [self._rescored(queries[n : n + step], rows[n : n + step]) for n in range(0, len(rows), step)]
        return keys.largest(np.concatenate(parts), k)

    def _rescored(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return keys of found documents by their stored vectors; (q, d) queries, (q, k) rows, -1 for none."""
        filled = rows >= 0
        distinct, which = np.unique(np.where(filled, rows, rows.max()), return_inverse=True)
        if distinct[0] < 0:
            return np.full(rows.shape, keys.EMPTY)
        vectors = self.documents.gather(distinct)
        self.dense.saw(longest_norm(vectors))
        scores, places = np.empty(rows.shape, np.float32), which.reshape(rows.shape)
        for query, mine, out in zip(queries, places, scores, strict=True):  # one query's documents fit into the cache
            np.dot(vectors[mine], query, out=out)
        return np.where(filled, keys.encode(scores, self.dense.place[np.where(filled, rows, 0)]), keys.EMPTY)

    def _measure(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, found: np.ndarray, k: int) -> None:
        """Search some of the queries exactly too, and note which share of the exact lists was found."""
        size = min(RECALL_QUERIES, len(query_rows))
        chosen = np.sort(np.random.default_rng(len(query_rows)).choice(len(query_rows), size, replace=False))
        asked = query_rows[chosen]
        exact = keys.places(self.dense.settle(self.dense.top(lang, rows, asked, k), asked, k))
        settled = self.dense.settle(found[chosen], asked, k)
        mine = np.where(settled == keys.EMPTY, -1, keys.places(settled))
        shares = np.empty((size, 2))
        for i in range(size):
            shares[i] = [np.isin(exact[i, :cut], mine[i, :cut]).mean() for cut in (SHORT, k)]
        self._shares.setdefault(lang, []).append(shares)

    def watched(self, rankings: Iterator[PoolRanking]) -> Iterator[PoolRanking]:
        """Pass rankings on, and count the relevant documents that an index has missed: those above the end of a list.

        :param rankings: of corpora, by this scorer.
        """
        for ranking in rankings:
            pool = ranking.pool
            relevant = pool.judged_gain > 0
            self.relevant += int(relevant.sum())
            lost = np.flatnonzero(relevant & np.isnan(ranking.judged_rank))
            query, document = pool.judged_query[lost], pool.judged_document[lost]
            exact = keys.encode(self.dense.exact(pool.queries[query], document), self.dense.place[document])
            self.missed += int((exact > ranking.lists[query, -1]).sum())
            yield ranking

    def report(self) -> dict[str, Any]:
        """Return how well the index searched, missed documents as far as `watched` has come; empty if it was never asked.

        :return: `recall` of each language and `overall`, as {queries, at_10, at_depth}; `exact`, languages searched exactly,
            and why; `relevant` documents judged, over all corpora, and how many of them the index `missed`.
        """
        if not self._shares:
            return {}
        return {
            "recall": {lang: _recall(parts) for lang, parts in sorted(self._shares.items())},
            "overall": _recall([part for parts in self._shares.values() for part in parts]),
            "exact": dict(sorted(self.exact.items())),
            "relevant": self.relevant,
            "missed": self.missed,
        }


def _recall(parts: list[np.ndarray]) -> dict[str, float]:
    shares = np.concatenate(parts)
    short, deep = shares.mean(axis=0).round(6).tolist()
    return {"queries": len(shares), "at_10": short, "at_depth": deep}


def _documents(pools: Sequence[Pool]) -> dict[str, np.ndarray]:
    """Return the documents of each language that some corpora need, ascending."""
    parts: dict[str, list[np.ndarray]] = {}
    for pool in pools:
        for lang, rows in pool.documents.items():
            if len(rows):
                parts.setdefault(lang, []).append(rows)
    return {lang: np.unique(np.concatenate(rows)) for lang, rows in parts.items()}


def search_parameters(index: Any, selector: Any) -> Any:
    """Return parameters that limit a search to selected vectors and leave all else as the index has it.

    :param index: a FAISS index; what it is made of is looked through.
    :param selector: a FAISS IDSelector.
    :return: parameters for `search`; an index that cannot take them refuses them there.
    """
    faiss = faiss_module()
    found = faiss.downcast_index(index)
    if isinstance(found, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=search_parameters(found.index, selector))
    if isinstance(found, faiss.IndexRefine):
        inner = search_parameters(found.base_index, selector)
        return faiss.IndexRefineSearchParameters(k_factor=found.k_factor, base_index_params=inner)
    if isinstance(found, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=found.nprobe, max_codes=found.max_codes)
    if isinstance(found, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, efSearch=found.hnsw.efSearch)
    return faiss.SearchParameters(sel=selector)


class _Kept:
    """How an index is kept: what changes it, and its file.

    :param spec: the index.
    :param vectors: what it holds.
    """

    def __init__(self, spec: IndexSpec, vectors: VectorStore) -> None:
        self.spec, self.vectors = spec, vectors
        self.name = f"{vectors.fingerprint.get('model', 'encoder')} {spec.factory}"

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes the index."""
        changing = {"model": self.name, "factory": self.spec.factory, **self.spec.building}
        return {**changing, "vectors": {"cosine": self.vectors.cosine, **self.vectors.fingerprint}}

    def save(self, index: Any, folder: Path) -> None:
        """Write an index."""
        try:
            faiss_module().write_index(index, str(folder / FILE))
        except RuntimeError as error:
            raise OSError(said(error)) from error

    def load(self, folder: Path) -> Any:
        """Map an index whose checksum is right."""
        faiss = faiss_module()
        try:
            return faiss.read_index(str(folder / FILE), getattr(faiss, "IO_FLAG_MMAP_IFC", 0))
        except RuntimeError as error:
            raise DataError(said(error)) from error
