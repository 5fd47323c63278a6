"""The scorer of dense vectors: how far engines may err, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mimo_eval.collections import Collection
from mimo_eval.errors import ModelError
from mimo_eval.search import keys
from mimo_eval.search.arithmetic import Processor, Torch, _linear
from mimo_eval.search.block_search import longest_norm, search_block
from mimo_eval.search.dense import DenseScorer, error_bound
from mimo_eval.search.flat import engine


def hard_vectors(d: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Queries and documents whose sums round badly."""
    rng = np.random.default_rng(d)
    x, y = rng.normal(size=(40, d)), rng.normal(size=(300, d))
    yield "random", x, y
    yield "positive", np.abs(x), np.abs(y)
    yield "constant", np.ones_like(x) * rng.random((40, 1)), np.ones_like(y) * rng.random((300, 1))
    yield "nearly constant", 1 + 0.01 * np.abs(x), 1 + 0.01 * np.abs(y)
    yield "two values", np.sign(x), np.where(y > 0, 1.0, 0.3)
    yield "few values", np.round(np.abs(x), 1), np.round(np.abs(y), 1)
    yield "sparse", x * (rng.random(x.shape) < 0.1), y
    yield "cancelling", x, y - np.outer(y @ x[0], x[0]) / (x[0] @ x[0])
    yield "first half against second", np.ones_like(x), np.where(np.arange(d) < d // 2, 1.0, -1.0) * rng.random((300, 1))
    yield "one large, then many small", np.ones_like(x), np.where(np.arange(d) == 0, 1000 * rng.random((300, 1)), 1.0)
    yield "descending", np.ones_like(x), -np.sort(-np.abs(y), axis=1)
    yield "outlier dimensions", x * np.where(np.arange(d) % 37, 1, 50), y * np.where(np.arange(d) % 37, 1, 50)
    yield "norms far apart", x * 10.0 ** rng.integers(-6, 6, (40, 1)), y * 10.0 ** rng.integers(-6, 6, (300, 1))


@pytest.mark.parametrize("d", [1, 2, 3, 8, 31, 100, 384, 768, 1024, 4096])
def test_no_engine_errs_by_half_the_bound(d: int) -> None:
    for name, left, right in hard_vectors(d):
        for count in (1, 40):
            queries, documents = (np.ascontiguousarray(v, np.float32) for v in (left[:count], right))
            exact = (queries.astype(np.float64) @ documents.T.astype(np.float64)).astype(np.float32).astype(np.float64)
            eps = error_bound(queries, longest_norm(documents))[:, None]
            for search in ("faiss", "numpy"):
                scores, at = engine(search).top(queries, documents, len(documents))
                error = np.abs(scores - np.take_along_axis(exact, at, 1))
                assert (error < eps / 2).all(), (name, search, (error / eps).max())
            for place in (Processor(), Processor(_linear), Torch("cpu")):
                error = np.abs(np.asarray(place.scores(place.put(queries), place.put(documents))) - exact)
                assert (error < eps / 2).all(), (name, place, (error / eps).max())
            for i, query in enumerate(queries):
                assert (np.abs(documents @ query - exact[i]) < eps[i] / 2).all(), (name, "one query")


def test_the_bound_is_tight_enough_to_be_of_use() -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert error_bound(vectors, 1.0).max() < 1e-5


def test_the_bound_of_a_zero_query_is_next_to_nothing() -> None:
    assert 0 < error_bound(np.zeros((1, 4), np.float32), 1.0)[0] < 1e-30


def test_roles_of_different_width_are_refused(three: Collection, scorer: Callable[..., DenseScorer]) -> None:
    with pytest.raises(ModelError, match="queries have 3 dimensions, those of documents 2"):
        scorer(three, np.ones((12, 3)), np.ones((38, 2)))


def test_scores_of_pairs_are_rounded_once(three: Collection, scorer: Callable[..., DenseScorer]) -> None:
    queries = np.tile(np.float32([1, 1, 1]), (12, 1))
    documents = np.tile(np.float32([1e8, 1, -1e8]), (38, 1))  # in float32 the 1 would be lost
    found = scorer(three, queries, documents).exact(np.array([0, 11]), np.array([37, 0]))
    assert found.dtype == np.float32 and found.tolist() == [1, 1]


def test_more_ties_at_the_cut_than_are_fetched_are_seen(
    three: Collection, scorer: Callable[..., DenseScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimo_eval.search.dense.SPARE", 1)
    rows = three.documents.rows("en")
    found = scorer(three, np.ones((12, 2)), np.ones((38, 2)), tile=3).top("en", rows, np.array([0]), 2)
    ids = [three.documents.ids()[three.documents.row_at[p]] for p in keys.places(found[0])]
    assert ids == ["en:g12", "en:g11", "en:g10"]


def test_documents_above_given_ones_are_counted_in_lists_and_below_them(
    three: Collection, scorer: Callable[..., DenseScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = three.documents.rows("en")
    documents = np.zeros((38, 1))
    documents[rows, 0] = np.arange(13)  # row n of the language scores n
    made, query = scorer(three, np.ones((12, 1)), documents), np.array([0])
    given = keys.encode(np.float32([12, 7, 0]), three.documents.id_order[rows[[12, 7, 0]]])
    monkeypatch.setattr("mimo_eval.search.dense.SPARE", 0)
    for k in (13, 4, 1):
        assert made.find("en", rows, query, k, np.zeros(3, np.int64), given).above.tolist() == [0, 5, 12]


class Asked:
    """A store of vectors that notes which rows are asked for at a time."""

    def __init__(self, store: object) -> None:
        self.store, self.rows = store, list[list[int]]()

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        self.rows.append(rows.tolist())
        return self.store.gather(rows)  # type: ignore[attr-defined, no-any-return]


def test_a_table_reads_a_tile_of_documents_at_a_time(three: Collection, scorer: Callable[..., DenseScorer]) -> None:
    queries, documents = np.arange(12.0)[:, None], np.arange(38.0)[:, None]
    made = scorer(three, queries, documents, tile=5)
    made.documents = asked = Asked(made.documents)  # type: ignore[assignment]
    assert made.table(np.array([2, 3]), np.array([7, 1, 9, 4, 5, 6, 8])).tolist() == [
        [14, 2, 18, 8, 10, 12, 16],
        [21, 3, 27, 12, 15, 18, 24],
    ]
    assert [len(rows) for rows in asked.rows] == [5, 2]


def test_documents_of_pairs_are_read_once(
    three: Collection, scorer: Callable[..., DenseScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimo_eval.search.dense.TILE_ROWS", 2)
    made = scorer(three, np.arange(12.0)[:, None], np.arange(38.0)[:, None])
    made.documents = asked = Asked(made.documents)  # type: ignore[assignment]
    assert made.exact(np.array([1, 2, 3, 4]), np.array([9, 5, 9, 5])).tolist() == [9, 10, 27, 20]
    assert asked.rows == [[5], [9]]


def test_documents_in_hand_are_not_read_again_for_near_ties(three: Collection, scorer: Callable[..., DenseScorer]) -> None:
    queries, documents = np.ones((12, 2)), np.ones((38, 2))
    rows = three.documents.rows("en")
    documents[rows[:5]] = 2  # the list, which the others do not reach
    made = scorer(three, queries, documents, tile=5)
    made.documents = asked = Asked(made.documents)  # type: ignore[assignment]
    last = rows[5:][np.argmin(made.place[rows[5:]])]
    key = keys.encode(np.float32([2.0]), made.place[[last]])
    found = search_block(made, "en", rows, np.arange(12), 5, np.array([3]), key)
    assert found.above.tolist() == [len(rows) - 1] and not asked.rows
