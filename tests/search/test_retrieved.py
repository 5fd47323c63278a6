from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mimo_eval.collections import Collection
from mimo_eval.errors import ModelError
from mimo_eval.mixing import Mix, pools
from mimo_eval.search import keys
from mimo_eval.search.onepass import CompleteScorer, OnePass, ranking_of
from mimo_eval.search.retrieved import RetrieverScorer


class Lengths:
    """Scores a document by its length, whatever the query; returns at most k, worst first, with room at the end."""

    name = "lengths"

    def __init__(self, spoil: Callable[[Any, Any], Any] = lambda d, s: (d, s)) -> None:
        self.spoil = spoil
        self.indexed: list[tuple[str, int]] = []

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        self.indexed.append((langs[0], len(texts)))
        return [len(text) for text in texts]

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Any:
        lengths = np.array(index)
        best = np.argsort(lengths, kind="stable")[-k:]
        documents = np.tile(np.append(best, -1), (len(queries), 1))
        return self.spoil(documents, np.where(documents >= 0, lengths[documents], np.nan).astype(float))


@pytest.fixture
def two(collect: Callable[..., Collection]) -> Collection:
    documents = {"en": {"a": "x", "b": "xxx", "c": "xx"}, "de": {"a": "yy", "b": "y", "c": "yyyy"}}
    return collect(documents, {"en": {"q": "?"}}, {"q": {"a": 1, "b": 1}})


def found_by(retriever: Any, collection: Collection, mix: str = "parallel", depth: int = 4) -> list[str]:
    one_pass = OnePass(collection, pools(collection, Mix.parse(mix)), RetrieverScorer(retriever, collection), depth)
    one_pass.search()
    lists = next(one_pass.rankings()).lists[0]
    return collection.documents.ids(collection.documents.row_at[keys.places(lists[lists != keys.EMPTY])])


def test_languages_are_merged_by_raw_score_and_ties_by_id(two: Collection) -> None:
    retriever = Lengths()
    assert found_by(retriever, two) == ["de:c", "en:b", "en:c", "de:a"]
    assert sorted(retriever.indexed) == [("de", 3), ("en", 3)]
    assert found_by(Lengths(), two, depth=1) == ["de:c"]
    assert found_by(Lengths(), two, depth=100) == ["de:c", "en:b", "en:c", "de:a", "en:a", "de:b"]


def test_ranks_are_known_only_for_what_was_found(two: Collection) -> None:
    scorer = RetrieverScorer(Lengths(), two)
    assert not isinstance(scorer, CompleteScorer)
    one_pass = OnePass(two, pools(two, Mix.parse("parallel")), scorer, 4)
    one_pass.search()
    found = next(one_pass.rankings())
    ids = two.documents.ids(found.pool.judged_document)
    ranks = dict(zip(ids, found.judged_rank.tolist(), strict=True))
    assert ranks == pytest.approx({"en:a": np.nan, "en:b": 2, "de:a": 4, "de:b": np.nan}, nan_ok=True)
    assert not ranking_of(two, found).full


def test_a_retriever_that_finds_nothing_gives_empty_lists(two: Collection) -> None:
    assert found_by(Lengths(lambda d, s: (np.full_like(d, -1), s)), two) == []
    assert found_by(Lengths(lambda d, s: (d[:, :0], s[:, :0])), two) == []


BAD = {
    "fewer queries": (lambda d, s: (d[:0], s[:0]), r"documents \(0, 4\) and scores \(0, 4\) for 1 queries"),
    "shapes differ": (lambda d, s: (d, s[:, 1:]), r"documents \(1, 4\) and scores \(1, 3\)"),
    "number too large": (lambda d, s: (d + 1, s), "returned document number 3, but the index holds 3"),
    "number too small": (lambda d, s: (d - 1, s), "returned document number -2"),
    "not whole numbers": (lambda d, s: (d / 2, s), "documents must be whole numbers, positions in the index, not float64"),
    "ids": (lambda d, s: (np.full(d.shape, "en:a"), s), "documents must be whole numbers"),
    "ragged": (lambda d, s: ([[1], [1, 2]], s), "expected an array of documents and one of scores"),
    "nothing": (lambda d, s: None, "expected an array of documents and one of scores"),
    "nan": (lambda d, s: (d, s * np.nan), "NaN or infinity among the scores"),
    "infinity": (lambda d, s: (d, s * np.inf), "NaN or infinity among the scores"),
    "twice": (lambda d, s: (np.zeros_like(d), np.zeros_like(s)), "the same document twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_hits_name_the_retriever_and_a_query(two: Collection, name: str) -> None:
    spoil, message = BAD[name]
    with pytest.raises(ModelError, match=rf"^lengths \((first query of the batch: en:q|query 'en:q')\): .*{message}"):
        found_by(Lengths(spoil), two)


@pytest.mark.parametrize("name", ["number too large", "number too small", "nan", "twice"])
def test_the_query_is_named_whose_answer_is_wrong(collect: Callable[..., Collection], name: str) -> None:
    documents = {"en": {"a": "x", "b": "xxx", "c": "xx"}}
    three = collect(documents, {"en": {"p": "?", "q": "!", "r": "."}}, {query: {"a": 1} for query in "pqr"})
    spoil, message = BAD[name]

    def from_the_second_on(d: Any, s: Any) -> Any:
        changed = spoil(d, s)
        return tuple(np.concatenate([before[:1], after[1:]]) for before, after in zip((d, s), changed, strict=True))

    with pytest.raises(ModelError, match=rf"^lengths \(query 'en:q'\): .*{message}"):
        found_by(Lengths(from_the_second_on), three)
