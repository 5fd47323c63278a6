"""Pairs of languages: what every row must hold, and how often each pair comes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.training.data import Lines, Parallel, Retrieval
from mimo_eval.training.data.meta_tasks import meta_tasks
from mimo_eval.training.data.pairing import (
    hybrid,
    non_parallel,
    ordered_pairs,
    same_language,
    translations,
    two_queries,
    with_target,
)

LANGS = ("de", "en", "fr", "zh")


def retrieval(queries, passages, positives):
    """Make data of `{group: languages}` twice and pairs of names; each text says what it is."""
    sides = [
        Lines.of([(group, lang, f"{what} {group} {lang}") for group, langs in side.items() for lang in langs])
        for what, side in (("q", queries), ("p", passages))
    ]
    return Retrieval.of(*sides, positives)


def parallel(size, langs=LANGS):
    return retrieval(
        {f"{i}": langs for i in range(size)}, {f"{i}": langs for i in range(size)}, [(f"{i}",) * 2 for i in range(size)]
    )


def check_rows(data, rows, query="query", passage="passage"):
    """Every text is in the language that the row says, and of a positive pair."""
    positives = set(map(tuple, data.positives.tolist()))
    for row in rows:
        q, p = (
            data.queries.group_names(np.array([row["query_group"]]))[0],
            data.passages.group_names(np.array([row["passage_group"]]))[0],
        )
        assert (row["query_group"], row["passage_group"]) in positives
        assert row[query] == f"q {q} {row[f'{query}_lang']}"
        assert row[passage] == f"p {p} {row[f'{passage}_lang']}"
        if "query_anchor" in row:
            assert (row["query_anchor"], row["passage_anchor"]) == (f"q {q} en", f"p {p} en")


def test_each_ordered_pair_comes_once_in_each_round():
    data = parallel(30)
    rows = ordered_pairs(data, seed=1, rows=60, anchor="en")
    check_rows(data, rows)
    rounds = np.array(list(zip(rows["query_lang"], rows["passage_lang"], strict=True))).reshape(5, 12, 2)
    for one in rounds:
        assert len({tuple(pair) for pair in one}) == 12
    assert len({str(one) for one in rounds}) == 5  # another order in each
    assert all(q != p for one in rounds for q, p in one)
    assert Counter(rows["query_group"]) == dict.fromkeys(range(30), 2)
    assert rows.column_names[:2] == ["query", "passage"]


def test_one_language_in_round_robin():
    data = parallel(8)
    rows = same_language(data, seed=1)
    check_rows(data, rows)
    assert rows["query_lang"] == rows["passage_lang"]
    assert Counter(rows["query_lang"]) == dict.fromkeys(LANGS, 2)


@pytest.mark.parametrize("sample", [ordered_pairs, same_language, two_queries])
def test_equal_seeds_give_equal_rows(sample):
    data = parallel(20)
    first, again, other = (sample(data, seed=seed, rows=50) for seed in (3, 3, 4))
    assert first.to_dict() == again.to_dict() != other.to_dict()
    assert first._fingerprint == again._fingerprint != other._fingerprint


GROUPS = st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from(LANGS), min_size=1), min_size=1)


@settings(max_examples=60, deadline=None)
@given(GROUPS, GROUPS, st.data())
def test_only_languages_that_a_group_has_are_used(queries, passages, draw):
    pairs = [(q, p) for q in sorted(queries) for p in sorted(passages)]
    chosen = draw.draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    data = retrieval({g: sorted(v) for g, v in queries.items()}, {g: sorted(v) for g, v in passages.items()}, chosen)
    fits = {
        ordered_pairs: [pair for pair in chosen if len(queries[pair[0]] | passages[pair[1]]) > 1],
        same_language: [pair for pair in chosen if queries[pair[0]] & passages[pair[1]]],
    }
    for sample, expected in fits.items():
        if not expected:
            with pytest.raises(DataError, match="none of"):
                sample(data, seed=0)
            continue
        rows = sample(data, seed=0)
        check_rows(data, rows)
        assert len(rows) == len(expected)
        assert all((q == p) == (sample is same_language) for q, p in zip(rows["query_lang"], rows["passage_lang"], strict=True))


def test_positives_without_the_anchor_are_left_out(caplog):
    data = retrieval({"a": ["de", "en"], "b": ["de"]}, {"a": ["de", "en"], "b": ["de", "en"]}, [("a", "a"), ("b", "b")])
    rows = ordered_pairs(data, seed=0, anchor="en")
    assert rows["query_group"] == [0]
    assert "1 of 2 positive pairs are left out: no texts in 'en'" in caplog.text
    with pytest.raises(DataError, match="no text in 'fr'; there are de, en"):
        ordered_pairs(data, seed=0, anchor="fr")


def test_two_queries_are_never_in_one_language_and_uniform():
    data = parallel(50, ("de", "en", "fr"))
    rows = two_queries(data, seed=0, rows=3000, anchor="en")
    check_rows(data, rows, "query_a")
    check_rows(data, rows, "query_b")
    counts = Counter(zip(rows["query_a_lang"], rows["query_b_lang"], strict=True))
    assert len(counts) == 6
    assert all(400 < n < 600 for n in counts.values())  # 500 expected, standard deviation 20
    assert all(900 < n < 1100 for n in Counter(rows["passage_lang"]).values())


def test_batches_are_of_one_kind():
    data = parallel(40)
    rows = hybrid(data, batch_size=8, seed=5, rows=1595)
    check_rows(data, rows)
    same = (np.array(rows["query_lang"]) == np.array(rows["passage_lang"])).reshape(-1, 8)
    assert same.shape == (200, 8)
    assert (same.all(axis=1) | ~same.any(axis=1)).all()
    assert 70 < same.all(axis=1).sum() < 130
    assert (
        np.array(hybrid(data, batch_size=8, seed=5, mono=1)["query_lang"]).tolist()
        == hybrid(data, batch_size=8, seed=5, mono=1)["passage_lang"]
    )
    with pytest.raises(ConfigError, match="a probability"):
        hybrid(data, batch_size=8, seed=5, mono=1.5)


def test_targets_are_in_another_language_than_the_anchor():
    data = parallel(9)
    rows = with_target(data, seed=0)
    check_rows(data, rows)
    check_rows(data, rows, "query", "target")
    assert set(rows["query_lang"]) == set(rows["passage_lang"]) == {"en"}
    assert Counter(rows["target_lang"]) == {"de": 3, "fr": 3, "zh": 3}


def test_translations_stand_side_by_side():
    lines = Parallel.of(
        [(g, lang, f"{g} {lang}") for g, langs in {"a": "de en fr", "b": "de fr", "c": "en"}.items() for lang in langs.split()]
    )
    rows = translations(lines, seed=0, rows=10)
    assert set(rows["sentence"]) == {"a en"}
    assert set(rows["translation"]) == {"a de", "a fr"}
    rows = translations(lines, seed=0, rows=100, anchor=None)
    assert {(r["sentence_lang"], r["translation_lang"]) for r in rows if r["group"] == 1} == {("de", "fr"), ("fr", "de")}
    assert all(r["sentence_lang"] != r["translation_lang"] and r["sentence"][0] == r["translation"][0] for r in rows)
    with pytest.raises(DataError, match="no translations of texts in 'en'"):
        translations(Parallel.of([("a", "en", "x"), ("b", "de", "y")]), seed=0)


def test_non_parallel_texts_are_of_different_groups():
    lines = Parallel.of([(f"{i}", lang, f"{i} {lang}") for i in range(20) for lang in LANGS])
    rows = non_parallel(lines, seed=0)
    assert sorted(rows["group"]) == list(range(20))
    assert len(set(rows["text_lang"])) == 4


def test_one_of_several_texts_of_a_language_is_drawn_and_the_first_is_the_anchor():
    lines = Lines.of([("a", "en", "1"), ("a", "en", "2"), ("a", "de", "3")])
    data = Retrieval.of(lines, lines, [("a", "a")])
    rows = ordered_pairs(data, seed=0, rows=50, anchor="en")
    assert set(rows["query"]) == {"1", "2", "3"}
    assert set(rows["query_anchor"]) == {"1"}


@pytest.mark.parametrize("translated", [True, False])
def test_meta_tasks_are_laid_out_as_the_method_says(translated):
    data = parallel(30)
    found = meta_tasks(data, tasks=20, seed=0, support=4, query=2, languages=3, translated=translated)
    assert found.size == 4 + 2 + 2 * 3
    rows = found.rows
    assert rows.column_names[:3] == ["query", "positive", "negative"]
    assert len(rows) == 20 * found.size
    check_rows(data, rows, "query", "positive")
    assert all(row["negative"].split()[1] != row["positive"].split()[1] for row in rows)
    assert rows["negative_lang"] == rows["positive_lang"]
    for task in range(20):
        mine = rows.select(range(task * found.size, (task + 1) * found.size))
        assert set(mine["task"]) == {task}
        assert mine["part"] == [0] * 4 + [1] * 2 + [2] * 6
        (a,) = set(mine["query_lang"])
        assert set(mine["positive_lang"][:4]) == {a}
        (b,) = set(mine["positive_lang"][4:6])
        assert b != a
        assert mine["query_group"][4:6] == mine["query_group"][6::3]
        for question in (mine.select(range(6, 9)), mine.select(range(9, 12))):
            assert len(set(question["positive_lang"])) == 3
            assert {a, b} < set(question["positive_lang"])
        support, asked = set(mine["query_group"][:4]), set(mine["query_group"][4:6])
        assert len(support) == 4
        assert asked <= support if translated else not asked & support


def test_meta_tasks_that_data_cannot_give():
    with pytest.raises(DataError, match="no 8 questions have passages in the same 3 languages"):
        meta_tasks(parallel(5), tasks=1, seed=0)
    with pytest.raises(DataError, match="same 3 languages"):
        meta_tasks(parallel(20, ("de", "en")), tasks=1, seed=0)
    with pytest.raises(ConfigError, match="languages=1"):
        meta_tasks(parallel(20), tasks=1, seed=0, languages=1)
    one = retrieval({f"{i}": LANGS for i in range(9)}, {"p": LANGS}, [(f"{i}", "p") for i in range(9)])
    with pytest.raises(DataError, match=r"no passage in .* could be drawn as a negative"):
        meta_tasks(one, tasks=1, seed=0)
