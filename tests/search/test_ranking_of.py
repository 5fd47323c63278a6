"""From ranked lists to what measures read: judgements looked up, and scores of documents outside the lists."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.measures.ranking import EMPTY, UNJUDGED
from mimo_eval.search import onepass


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_ranked_document_has_its_own_relevance(seed):
    """In whatever order the judgements come, with lists that are not full and documents below them."""
    rng = np.random.default_rng(seed)
    n, documents, k = rng.integers(1, 9), rng.integers(1, 12), rng.integers(0, 8)
    ranked = np.argsort(rng.random((n, documents)), axis=1)
    length = rng.integers(0, min(k, documents) + 1, n)
    code = rng.permutation(n * documents)[: rng.integers(0, n * documents + 1)]
    gain = rng.integers(0, 4, len(code)).astype(np.int32)
    query, document = np.divmod(code, documents)
    rank = np.argsort(ranked, axis=1)[query, document] + 1.0
    rank[rank > length[query]] = rng.choice([np.nan, k + 1.0])
    found = onepass._gains(SimpleNamespace(judged_query=query, judged_gain=gain), rank, np.arange(k) < length[:, None])
    known = dict(zip(code.tolist(), gain.tolist(), strict=True))
    assert found.tolist() == [
        [known.get(int(q * documents + ranked[q, at]), UNJUDGED) if at < length[q] else EMPTY for at in range(k)]
        for q in range(n)
    ]


@pytest.mark.parametrize(("table", "waste"), [(2**27, 64), (0, 64), (0, 0)])
def test_scores_are_the_same_from_tables_and_from_pairs(monkeypatch, table, waste):
    """The whole table kept, a table of what is asked for, pairs one by one."""
    monkeypatch.setattr(onepass, "TABLE", table)
    monkeypatch.setattr(onepass, "WASTE", waste)
    matrix = np.random.default_rng(0).normal(size=(5, 9)).astype(np.float32)
    scorer = SimpleNamespace(table=lambda q, d: matrix[np.ix_(q, d)], exact=lambda q, d: matrix[q, d])
    pool = SimpleNamespace(queries=np.array([4, 1, 2]), documents={"de": np.array([8, 3]), "en": np.array([0, 5])}, size=4)
    asked, documents = np.array([0, 2, 0]), np.array([[8, 0], [3, 3], [5, 8]])
    shown = onepass._scores(pool, scorer)(asked, documents)
    np.testing.assert_array_equal(shown, np.round(matrix[pool.queries[asked][:, None], documents], 6))
