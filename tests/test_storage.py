"""Coded vectors: by hand, by property, and against sentence-transformers' own quantisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimo_eval.benchmark import load_benchmark
from mimo_eval.collections import Collection
from mimo_eval.embeddings import STORAGES, Filled, VectorStore, shards
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import changed, run
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.flat import Numpy

CODED = ["float16", "int8", "binary"]
FINITE = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def through(name: str, vectors: Any) -> np.ndarray:
    storage = STORAGES[name]
    rows = storage.encode(np.asarray(vectors, np.float32))
    assert storage.width(rows.shape[1]) == np.shape(vectors)[1]
    return storage.decode(rows)


def test_codes_by_hand() -> None:
    vector = [[3.0, -4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    rows = STORAGES["int8"].encode(np.float32(vector))
    assert rows.shape == (1, 12) and rows[0, :8].view(np.int8).tolist() == [95, -127, 0, 0, 0, 0, 0, 0]
    length = 5 / np.hypot(95, 127)
    assert through("int8", vector)[0, :2] == pytest.approx(np.array([95 * length, -127 * length]), rel=1e-6)
    assert STORAGES["binary"].encode(np.float32(vector)).shape == (1, 5)
    assert through("binary", vector)[0] == pytest.approx(np.array([1] + [-1] * 7) * 5 / np.sqrt(8), rel=1e-6)


@given(arrays(np.float32, (5, 16), elements=FINITE))
def test_a_coded_vector_keeps_its_length_and_is_near_in_direction(vectors: np.ndarray) -> None:
    norms = np.linalg.norm(vectors.astype(float), axis=1)
    for name in ("int8", "binary"):
        assert np.linalg.norm(through(name, vectors).astype(float), axis=1) == pytest.approx(norms, rel=1e-5, abs=1e-30)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    assert (np.abs(through("int8", vectors) - vectors) <= largest * 0.02 + 1e-30).all()
    known = vectors != 0
    assert (np.sign(through("binary", vectors))[known] == np.sign(vectors)[known]).all()


@given(arrays(np.float32, (5, 16), elements=FINITE))
def test_a_row_does_not_depend_on_the_rows_beside_it(vectors: np.ndarray) -> None:
    for name in STORAGES:
        whole = through(name, np.clip(vectors, -6e4, 6e4))
        alone = np.concatenate([through(name, np.clip(vector[None], -6e4, 6e4)) for vector in vectors])
        assert whole.tobytes() == alone.tobytes()


def test_binary_scores_are_those_of_rescoring_by_sentence_transformers() -> None:
    from sentence_transformers.util.quantization import semantic_search_faiss

    rng = np.random.default_rng(0)
    documents, queries = rng.normal(size=(50, 64)).astype(np.float32), rng.normal(size=(7, 64)).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    bits = np.packbits(documents > 0, axis=1)
    wanted, _ = semantic_search_faiss(queries, corpus_embeddings=bits, corpus_precision="ubinary", top_k=50, rescore=True)
    mine = queries @ through("binary", documents).T
    for line, hits in zip(mine, wanted, strict=True):
        order = np.argsort(-line)
        assert [hit["corpus_id"] for hit in hits] == order.tolist()


def test_a_storage_that_there_is_not_is_named(ten: Collection) -> None:
    with pytest.raises(ConfigError, match="toy: its fingerprint says storage 'int4'; choose float32, float16, int8, binary"):
        store(ten, "int4").fill("en", np.arange(1), Random())


def test_what_cannot_be_coded_is_refused() -> None:
    with pytest.raises(ModelError, match="too large for float16; choose another --storage"):
        through("float16", [[1e5]])
    with pytest.raises(ConfigError, match="a multiple of 8 dimensions, not 12"):
        through("binary", np.ones((1, 12)))


# ---------------------------------------------------------------- in the store


class Random:
    """Random vectors by text, and how many it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, texts: Any, lang: str) -> np.ndarray:
        self.asked += len(texts)
        return np.array([np.random.default_rng(len(t) + 7 * sum(map(ord, t))).normal(size=16) for t in texts], np.float32)


def store(collection: Collection, storage: str, **reading: Any) -> VectorStore:
    return VectorStore({"model": "toy", "storage": storage, "reading": reading}, "document", collection.documents)


@pytest.fixture
def ten(collect: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.setattr(shards, "CHUNK_ROWS", 4)
    texts = {f"g{i}": f"text number {i % 8}" for i in range(10)}  # two stand twice
    return collect({"en": texts}, {"en": {"q": "?"}}, {"q": {"g0": 1}})


@pytest.mark.parametrize("storage", CODED)
def test_codes_are_made_of_stored_vectors_or_of_fresh_ones_alike(ten: Collection, cache: Path, storage: str) -> None:
    rows, encoder = np.arange(10), Random()
    coded = store(ten, storage)
    assert coded.fill("en", rows, encoder) == Filled(8, 2) and encoder.asked == 8
    alone = coded.gather(rows)
    for file in coded.folder.rglob("*.safetensors"):
        file.unlink()
    whole = store(ten, "float32")
    whole.fill("en", rows[:6], encoder)
    again = store(ten, storage)
    assert again.fill("en", rows, encoder) == Filled(2, 8)
    assert again.gather(rows).tobytes() == alone.tobytes()
    assert whole.folder != again.folder
    assert alone == pytest.approx(STORAGES[storage].decode(STORAGES[storage].encode(_unit(ten))), abs=1e-6)


def _unit(collection: Collection) -> np.ndarray:
    vectors = Random()(collection.documents.read(np.arange(10)), "en")
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_a_store_is_read_at_any_width(ten: Collection) -> None:
    rows = np.arange(10)
    store(ten, "int8").fill("en", rows, Random())
    whole, cut = store(ten, "int8"), store(ten, "int8", truncate_dim=5)
    assert (whole.width, cut.width, cut.folder) == (16, 5, whole.folder)
    vectors = whole.gather(rows)[:, :5]
    assert cut.gather(rows) == pytest.approx(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), abs=1e-6)
    assert np.concatenate([part for _, part in cut.tiles("en", rows, 3)]).tobytes() == cut.gather(rows).tobytes()
    with pytest.raises(ConfigError, match="toy: --truncate-dim 17, but the model's vectors have 16 dimensions"):
        store(ten, "int8", truncate_dim=17).gather(rows)


def test_a_vector_of_which_truncation_leaves_nothing_is_named(ten: Collection) -> None:
    def encode(texts: Any, lang: str) -> np.ndarray:
        return np.array([[0, 0, 1, int(text[-1])] if text.endswith("3") else [1, 0, 0, 1] for text in texts], np.float32)

    cut = store(ten, "float32", truncate_dim=2)
    cut.fill("en", np.arange(10), encode)
    with pytest.raises(ModelError, match="the first 2 numbers of the vector of text 'en:g3' and 0 more are 0"):
        cut.gather(np.arange(10))


@pytest.mark.parametrize("storage", CODED)
def test_ranks_are_exact_for_the_coded_vectors(ten: Collection, storage: str) -> None:
    """Scores of the scorer are float64 dot products of float32 queries and decoded documents, rounded."""
    rows = np.arange(10)
    documents = store(ten, storage)
    documents.fill("en", rows, Random())
    queries = VectorStore({"model": "toy"}, "query", ten.queries)
    queries.fill("en", np.arange(1), Random())
    scorer = DenseScorer(queries, documents, Numpy())
    wanted = (queries.gather(np.arange(1)).astype(float) @ documents.gather(rows).astype(float).T).astype(np.float32)
    assert scorer.exact(np.zeros(10, np.int64), rows).tolist() == wanted[0].tolist()


class Coded(HashingEncoder):
    """An encoder of one's own whose documents are stored as codes."""

    storage = "int8"

    def fingerprint(self, role: Any) -> dict[str, Any]:
        return {**super().fingerprint(role), **({"storage": self.storage} if role == "document" else {})}


def test_any_encoder_has_its_documents_coded_and_its_queries_whole(cache: Path) -> None:
    mini = changed(load_benchmark("mini"), mixes="parallel", measures="nDCG@20")
    scores = {}
    for storage in STORAGES:
        model = Coded(dim=64)
        model.storage = storage
        scores[storage] = run(model, mini).result.settings[0].scores["nDCG@20"]
    assert scores["int8"] == pytest.approx(scores["float32"], abs=0.01)
    assert scores["binary"] != scores["float32"]
    folders = sorted((cache / "vectors").iterdir())
    assert len(folders) == 1 + len(STORAGES)  # the queries' and four times the documents'
