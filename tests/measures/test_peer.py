"""PEER, ours and as published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kruskal

from mimo_eval import measures
from mimo_eval.errors import ConfigError
from mimo_eval.measures.peer import PEER

NONE = None


def pool(make, groups, cutoff, depth=60):
    """One query, with the relevant documents of each language at the given ranks; None is not retrieved."""
    documents, qrels, order = {}, {}, [f"x{i}" for i in range(1, depth + 1)]
    documents.update(dict.fromkeys(order, "A"))
    for language, ranks in groups.items():
        for i, rank in enumerate(ranks):
            name = f"{language}{i}"
            documents[name], qrels[name] = language, 1
            if rank is not None:
                order[rank - 1] = name
    return make({"q": order}, {"q": qrels}, documents, {"q": "A"}, depth=cutoff)


@pytest.mark.parametrize(
    ("first", "second", "published", "ours"),
    [
        ([1, 3], [2, 4], 0.438578, 0.438578),
        ([1, 2], [3, 4], 0.121335, 0.121335),
        ([1, 2, 3], [4, 5, 6], 0.049535, 0.049535),
        ([1, 2], [NONE, NONE], 0.088082, 0.102470),
        ([1, NONE], [2, NONE], 0.831170, 0.683091),
        ([18, 19], [NONE, NONE], 0.083721, 0.102470),
    ],
)
def test_vectors(make, first, second, published, ours):
    ranking = pool(make, {"A": first, "B": second}, None)
    assert (PEER @ 20).values(ranking) == pytest.approx([ours], abs=5e-7)
    assert PEER(compat=True, cutoff=20).values(ranking) == pytest.approx([published], abs=5e-7)


def test_gaps_do_not_count_for_us(make):
    ranking = pool(make, {"A": [1, 50], "B": [2, 3]}, None)
    assert (PEER @ 60).values(ranking) == pytest.approx([1.0])
    assert PEER(compat=True, cutoff=60).values(ranking) == pytest.approx([0.338174], abs=5e-7)


@pytest.mark.parametrize(("languages", "constant"), [(3, 0.367879), (7, 0.423190), (8, 0.428880), (14, 0.447812)])
def test_parallel_pool_says_nothing(make, languages, constant):
    """One relevant document per language: the published number is a constant, ours is left out with a reason."""
    ranking = pool(make, {f"L{i}": [2 * i + 1] for i in range(languages)}, None)
    assert PEER(compat=True, cutoff=40).values(ranking) == pytest.approx([constant], abs=5e-7)
    assert np.isnan((PEER @ 40).values(ranking)).all()
    reason = measures.applicable(PEER @ 40, ranking)
    assert "carries no information; use LPR or RankDistance instead" in reason


@pytest.mark.parametrize("compat", [False, True])
def test_nothing_retrieved(make, compat):
    ranking = pool(make, {"A": [NONE, NONE], "B": [NONE]}, None)
    assert PEER(compat=compat, cutoff=20).values(ranking) == [1]


def test_one_language_has_nothing_to_be_compared_with(make):
    ranking = pool(make, {"A": [1, 2]}, None)
    assert np.isnan((PEER @ 20).values(ranking)).all()
    assert PEER(compat=True, cutoff=20).values(ranking) == [1]


def test_missing_query(make):
    """The published package leaves it to ir-measures, which gives 0."""
    documents = {"a": "A", "b": "A", "c": "B"}
    ranking = make({}, {"q": {"a": 1, "b": 1, "c": 1}}, documents, {"q": "A"})
    assert PEER(compat=True, cutoff=20).values(ranking) == [0]
    assert (PEER @ 20).values(ranking) == [1]


def test_weights_by_level(make):
    """Level 3 has one language: ours leaves it out, the published gives p = 1; a level without documents gives 0."""
    documents = dict.fromkeys("ab", "A") | dict.fromkeys("cd", "B") | dict.fromkeys("ef", "A")
    qrels = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 3, "f": 3}
    ranking = make({"q": list("abcdef")}, {"q": qrels}, documents, {"q": "A"})
    p = kruskal([1, 2], [3, 4]).pvalue
    assert PEER(weights={1: 0.5, 3: 0.5}, cutoff=20).values(ranking) == pytest.approx([p])
    assert PEER(weights={1: 0.5, 3: 0.5}, compat=True, cutoff=20).values(ranking) == pytest.approx([(p + 1) / 2])
    assert PEER(weights={1: 0.5, 2: 0.5}, compat=True, cutoff=20).values(ranking) == pytest.approx([p / 2])


def test_level_zero_holds_what_is_retrieved_and_not_relevant(make):
    documents = dict.fromkeys("abx", "A") | dict.fromkeys("cdy", "B")
    ranking = make({"q": list("abcd")}, {"q": {"a": 0, "x": 0, "y": 1}}, documents, {"q": "A"})
    measure = PEER(weights={0: 1.0}, cutoff=20)
    assert measures.applicable(measure, ranking) is None
    assert measure.values(ranking) == pytest.approx([kruskal([1, 2], [3, 4]).pvalue])


def best_first(scores):
    return sorted(scores, key=lambda name: -scores[name])


def published(run, qrels, documents, weights, cutoff):
    """One query of hltcoe/peer_measure 0.0.1, retold from its code; unjudged documents are given as judged 0."""
    levels = {rel: {lang: [] for lang in set(documents.values())} for rel in qrels.values()}
    for i, name in enumerate(run[:cutoff]):
        levels[qrels.get(name, 0)][documents[name]].append(i + 1)
    for name, rel in qrels.items():
        if rel > 0 and name not in run[:cutoff]:
            levels[rel][documents[name]].append(np.nan)
    return sum(_published_p(list(groups.values())) * weights.get(rel, 0) for rel, groups in levels.items())


def _published_p(samples):
    from scipy.stats import chi2

    together = np.concatenate(samples)
    if np.isnan(together).all():
        return 1.0
    lost = int(np.isnan(together).sum())
    tail = (2 * len(together) + lost + 1) / 2
    samples = [np.where(np.isnan(s), tail, s) for s in samples if len(s)]
    if len(samples) < 2:
        return 1.0
    ranks = np.concatenate(samples)
    between = sum(len(s) * (s.mean() - ranks.mean()) ** 2 for s in samples)
    spread = ((ranks - ranks.mean()) ** 2).sum()
    return chi2.sf((len(ranks) - 1) * between / spread, len(samples) - 1) if spread else np.nan


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.integers(1, 30))
def test_compat_equals_the_published_code(make, table, seed, cutoff):
    raw = table(seed, ties=False, lowest=0)
    raw["qrels"] = {q: {**{d: 0 for d in raw["run"].get(q, {})}, **row} for q, row in raw["qrels"].items()}
    ranking = make(**raw)
    weights = {0: 0.25, 1: 0.25, 2: 0.25, 3: 0.25}
    values = PEER(weights=weights, compat=True, cutoff=cutoff).values(ranking)
    for q, value in zip(ranking.query_ids, values, strict=True):
        order = best_first(raw["run"].get(q, {}))
        expected = published(order, raw["qrels"][q], raw["documents"], weights, cutoff) if order else 0.0
        assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cutoff=st.integers(1, 30))
def test_ours_equals_scipy(make, table, seed, cutoff):
    raw = table(seed, ties=False)
    ranking = make(**raw)
    for q, value in zip(ranking.query_ids, (PEER @ cutoff).values(ranking), strict=True):
        order = best_first(raw["run"].get(q, {}))[:cutoff]
        groups = {}
        for name in (d for d, gain in raw["qrels"][q].items() if gain > 0):
            rank = order.index(name) + 1 if name in order else cutoff + 1
            groups.setdefault(raw["documents"][name], []).append(rank)
        if len(groups) < 2 or max(map(len, groups.values())) < 2:
            assert np.isnan(value)
        elif len({r for g in groups.values() for r in g}) == 1:
            assert value == 1
        else:
            assert value == pytest.approx(kruskal(*groups.values()).pvalue, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "PEER",
        "PEER@0",
        "PEER(lang_mapping={})@5",
        "PEER(weights=1)@5",
        "PEER(weights={})@5",
        "PEER(weights={1: 0.5})@5",
        "PEER(weights={1: 'a'})@5",
        "PEER(compat=1)@5",
    ],
)
def test_bad_parameters(text):
    with pytest.raises(ConfigError, match="PEER"):
        measures.parse(text)
