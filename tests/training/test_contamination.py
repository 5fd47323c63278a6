"""The check for leaks: what it must find, what it must not, and that its hashes agree with a slow count."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.errors import DataError
from mimo_eval.training.data import Parallel, Retrieval
from mimo_eval.training.data.contamination import Evaluation, check
from mimo_eval.training.data.ngrams import hash_texts, length_of, normal, tokens

TEN = "one two three four five six seven eight nine ten"


@pytest.fixture
def evaluation(collect):
    return collect(
        {"en": {"d": TEN, "e": "Another passage, short."}, "zh": {"d": "今天下午我们一起去北京的图书馆看书"}},
        {"en": {"q": "What is the Answer?", "r": "Where?"}},
        {"q": {"d": 1}, "r": {"e": 1}},
    )


def lines(*texts, lang="en"):
    return Parallel.of([(f"g{i}", lang, text) for i, text in enumerate(texts)], "pack")


@pytest.mark.parametrize(
    ("text", "lang", "kinds"),
    [
        ("what is the ANSWER", "en", {"exact": 1, "8-gram": 0}),
        ("Ｗｈａｔ  is—the an\u00adswer!", "en", {"exact": 1, "8-gram": 0}),
        ("zero one two three fo\u00adur five six seven eight", "en", {"exact": 0, "8-gram": 1}),
        ("zero one two three four five six seven eight and more", "en", {"exact": 0, "8-gram": 1}),
        ("zero one two three four five six seven and more", "en", {"exact": 0, "8-gram": 0}),
        ("ONE, two: three-four five six seven (eight)", "de", {"exact": 0, "8-gram": 1}),
        ("他说今天下午，我们一起去北京的图", "zh", {"exact": 0, "8-gram": 1}),  # 13 characters of the passage
        ("他说今天下午，我们一起去北京的", "zh", {"exact": 0, "8-gram": 0}),  # 12
        ("?!", "en", {"exact": 0, "8-gram": 0}),
    ],
)
def test_a_line_matches_by_its_letters(evaluation, text, lang, kinds):
    found = check([lines("nothing of the kind", text, lang=lang)], [evaluation], allow=True)
    assert found.found == {"toy": kinds}
    assert found.flagged[0].tolist() == [False, any(kinds.values())]


def test_an_error_names_both_sides_and_the_text(evaluation):
    with pytest.raises(DataError, match=r"1 of 2 lines.*\n.*pack g1 \(en\) and toy query en:q share 'what is the answer'"):
        check([lines("nothing", "What is the answer?")], [evaluation])


def test_a_match_shows_the_shared_words(evaluation):
    found = check([lines(f"zero {TEN} eleven")], [evaluation], allow=True)
    assert found.matches == (("8-gram", "pack g0 (en)", "toy passage en:d", "one two three four five six seven eight"),)
    assert found.describe()["examples"][0]["evaluation"] == "toy passage en:d"
    assert found.describe()["evaluation_texts"] == {"toy": 5}


def test_matching_lines_can_be_left_out(evaluation):
    parallel, clean = lines("nothing", f"zero {TEN}"), lines("fine", "also fine")
    retrieval = Retrieval.of(lines("Where?", "why not"), lines("a", "b"), [("g0", "g0"), ("g1", "g1")])
    data = [parallel, clean, retrieval]
    found = check(data, [evaluation], allow=True)
    left = found.without(data)
    assert left[0].texts() == ["nothing"]
    assert left[0].history[-1] == {"step": "contamination", "removed": 1, "of": ["toy"]}
    assert left[1] is clean
    assert left[2].queries.texts() == ["why not"]
    assert left[2].positives.tolist() == [[0, 1]]
    assert not check(left, [evaluation]).matches


def test_a_fold_of_an_evaluation_is_checked_alone(evaluation):
    data = [lines("What is the answer?", "Another passage short")]
    part = Evaluation(evaluation, query_groups={"r"}, passage_groups={"d"})
    assert not check(data, [part]).matches
    assert check(data, [part]).evaluations == {"toy": 3}
    assert check(data, [part._replace(query_groups={"q"})], allow=True).matches


def test_counts_of_many_matches_stay_exact(evaluation):
    found = check([lines(*["What is the answer"] * 50)], [evaluation], allow=True)
    assert found.found["toy"]["exact"] == 50
    assert len(found.matches) == 20


CHARACTERS = st.sampled_from([*"abA1 .-\u0301\u00adßﬁÅ", "今", "日", "カ", "ย", "ิ", "\n", "𝒜", "\u3000", "\ud800"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(CHARACTERS, max_size=30), min_size=1, max_size=6), st.sampled_from(["en", "zh"]))
def test_hashes_agree_with_slow_counting(texts, lang):
    """Equal letters and equal runs of tokens have equal hashes, others have not."""
    hashes, n = hash_texts(texts, lang), length_of(lang)
    split = [tokens(text) for text in texts]
    expected = [(i, p, tuple(words[p : p + n])) for i, words in enumerate(split) for p in range(len(words) - n + 1)]
    assert list(zip(hashes.text.tolist(), hashes.place.tolist(), strict=True)) == [(i, p) for i, p, _ in expected]
    assert same_partition(hashes.grams.tolist(), [gram for _, _, gram in expected])
    assert same_partition(hashes.whole.tolist(), ["".join(words) for words in split])
    assert [h == 0 for h in hashes.whole.tolist()] == [not words for words in split]


def same_partition(left, right):
    return len(set(left)) == len(set(right)) == len(set(zip(left, right, strict=True)))


@given(st.text(max_size=40))
def test_tokens_of_latin_text_are_runs_of_letters_and_digits(text):
    """An independent definition, by a regular expression, for scripts with spaces."""
    text = "".join(c for c in text if ord(c) < 0x500)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    expected = re.findall(r"[^\W_]+", "".join(c if unicodedata.category(c)[0] != "M" else "a" for c in normal(text)))
    assert [len(word) for word in tokens(text)] == [len(word) for word in expected]


def test_blocks_do_not_change_hashes(monkeypatch):
    texts = [f"{TEN} {i}" for i in range(20)]
    whole = hash_texts(texts, "en")
    monkeypatch.setattr("mimo_eval.training.data.ngrams.CHARACTERS", 100)
    for one, other in zip(whole, hash_texts(texts, "en"), strict=True):
        assert np.array_equal(one, other)


def test_nothing_to_compare_is_clean(evaluation):
    assert not check([], [evaluation]).matches
    assert not check([lines("x")], []).matches
    assert hash_texts([], "en").grams.size == 0
