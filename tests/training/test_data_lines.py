"""Lines in groups, anchored pairs, retrieval data, filters."""

import numpy as np
import pytest

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.training.data import Lines, Parallel, Retrieval
from mimo_eval.training.data.filters import Filters

ROWS = [
    ("a", "en", "a en"),
    ("a", "de", "a de"),
    ("b", "de", "b de"),
    ("c", "zh", "c zh"),
    ("c", "en", "c en"),
    ("c", "en", "c en again"),
    ("a", "fra", "a fr"),
]


def test_numbers_of_groups_and_languages():
    lines = Parallel.of(ROWS, "pack")
    assert lines.languages == ("de", "en", "fr", "zh")
    assert lines.group.tolist() == [0, 0, 1, 2, 2, 2, 0]
    assert lines.language.tolist() == [1, 0, 0, 3, 1, 1, 2]
    assert lines.group_names() == ["a", "b", "c"]
    assert lines.counts() == {"en": 3, "de": 2, "fr": 1, "zh": 1}
    assert lines.has.tolist() == [[True, True, True, False], [True, False, False, False], [False, True, False, True]]
    assert lines.pick(np.array([0, 2]), np.array([2, 1])).tolist() == [6, 4]
    with pytest.raises(IndexError):
        lines.pick(np.array([1]), np.array([1]))


def test_retrieval_data_are_joined_by_source_and_name():
    """Group p1 of source one is another than that of source two; a source that comes twice is one."""

    def data(source, pairs, negatives=()):
        sides = [Lines.of([(name, "en", f"{name} {source}") for name in names], source) for names in zip(*pairs, strict=True)]
        return Retrieval.of(*sides, pairs, negatives)

    one, two = data("one", [("q1", "p1"), ("q2", "p2")], [("q1", "p2")]), data("two", [("q1", "p1")])
    more = data("one", [("q3", "p1"), ("q2", "p2")])
    found = Retrieval.concat([one, two, more])
    names = [lines.group_names() for lines in (found.queries, found.passages)]
    sources = [[lines.sources[i] for i in lines.source[lines.first]] for lines in (found.queries, found.passages)]
    named = [tuple((sources[i][g], names[i][g]) for i, g in enumerate(pair)) for pair in found.positives]
    assert named == [
        (("one", "q1"), ("one", "p1")),
        (("one", "q2"), ("one", "p2")),
        (("two", "q1"), ("two", "p1")),
        (("one", "q3"), ("one", "p1")),
    ]
    assert found.negatives.tolist() == [[0, 1]]
    assert Retrieval.concat([one]).positives.tolist() == one.positives.tolist()


def test_every_text_is_paired_with_its_anchor():
    rows = Parallel.of(ROWS).anchored("en")
    assert rows.column_names == ["text", "anchor", "lang", "group"]
    assert list(zip(rows["text"], rows["anchor"], rows["lang"], strict=True)) == [
        ("a en", "a en", "en"),
        ("a de", "a en", "de"),
        ("c zh", "c en", "zh"),
        ("c en", "c en", "en"),
        ("c en again", "c en again", "en"),
        ("a fr", "a en", "fr"),
    ]
    assert rows["group"] == [0, 0, 2, 2, 2, 0]
    assert Parallel.of(ROWS).anchored("en", identity=False)["text"] == ["a de", "c zh", "a fr"]
    assert Parallel.of(ROWS).anchored("de")["anchor"] == ["a de", "a de", "b de", "a de"]
    with pytest.raises(DataError, match="no text in 'ja'; there are de, en, fr, zh"):
        Parallel.of(ROWS).anchored("ja")


def test_groups_of_two_sources_stay_apart():
    joined = Parallel.concat([Parallel.of([("a", "en", "one")], "x"), Parallel.of([("a", "de", "eins")], "y")])
    assert joined.groups == 2
    assert joined.anchored("en")["text"] == ["one"]
    described = joined.describe()
    assert described["sources"] == {"x": {"lines": 1, "groups": 1}, "y": {"lines": 1, "groups": 1}}
    assert described["lines"] == 2


def test_the_revision_is_of_the_content():
    first, again = Parallel.of(ROWS), Parallel.of(ROWS)
    assert first.revision == again.revision
    changed = [*ROWS[:-1], ("a", "fr", "other")]
    assert len({first.revision, Parallel.of(changed).revision, Parallel.of(ROWS[::-1]).revision}) == 3
    assert first.anchored()._fingerprint == again.anchored()._fingerprint != first.anchored(identity=False)._fingerprint


def test_select_counts_groups_anew_and_remembers_the_step():
    left = Parallel.of(ROWS).select(np.array([False, False, True, True, False, False, False]), {"step": "test"})
    assert isinstance(left, Parallel)
    assert left.group.tolist() == [0, 1]
    assert left.history == ({"step": "test"},)


def test_empty_lines_are_lines():
    empty = Lines.of([])
    assert (len(empty), empty.groups, empty.languages, empty.counts()) == (0, 0, (), {})


def test_retrieval_of_a_collection(collect):
    collection = collect(
        {"en": {"d": "text", "e": "more"}, "de": {"d": "Text"}},
        {"en": {"q": "query", "r": "what"}, "de": {"q": "Frage"}},
        {"q": {"d": 2, "e": 0}, "r": {"e": 1}},
    )
    data = Retrieval.from_collection(collection)
    names = [(data.queries.group_names()[q], data.passages.group_names()[p]) for q, p in data.positives]
    assert sorted(names) == [("q", "d"), ("r", "e")]
    assert [(data.queries.group_names()[q], data.passages.group_names()[p]) for q, p in data.negatives] == [("q", "e")]
    assert data.counts() == {"query_groups": 2, "passage_groups": 2, "positives": 2, "negatives": 1}
    assert data.languages == ("de", "en")
    fold = Retrieval.from_collection(collection, query_groups={"r"}, passage_groups={"e"})
    assert (fold.queries.texts(), fold.passages.texts(), fold.positives.tolist()) == (["what"], ["more"], [[0, 0]])
    assert len(Retrieval.from_collection(collection, least=2).positives) == 1
    with pytest.raises(DataError, match="no group 'x' and 0 more"):
        Retrieval.from_collection(collection, query_groups={"q", "x"})
    with pytest.raises(DataError, match="toy: no query has a passage"):
        Retrieval.from_collection(collection, query_groups={"r"}, passage_groups={"d"})


def test_selecting_texts_keeps_the_pairs_of_what_is_left():
    queries = Lines.of([("p", "en", "1"), ("q", "en", "2"), ("q", "de", "3")])
    passages = Lines.of([("a", "en", "4"), ("b", "en", "5")])
    data = Retrieval.of(queries, passages, [("p", "a"), ("q", "b"), ("q", "b"), ("q", "gone")], [("q", "a")])
    assert data.positives.tolist() == [[0, 0], [1, 1]]
    left = data.select(np.array([False, False, True]), np.array([True, True]))
    assert (left.positives.tolist(), left.negatives.tolist()) == ([[0, 1]], [[0, 0]])
    with pytest.raises(DataError, match="no query has a passage"):
        data.select(np.array([True, False, False]), np.array([False, True]))


def en(length, letter="e"):
    return letter * length


def test_filters_count_what_they_take():
    """Worked out by hand: each group is there for one rule."""
    lines = Parallel.of(
        [
            *[("kept", "en", en(20)), ("kept", "de", en(60, "d"))],
            *[("ratio", "en", en(20, "r")), ("ratio", "de", en(61, "d")), ("ratio", "fr", en(6, "f"))],  # fr: too short as well
            *[("short", "en", en(9)), ("short", "de", en(12, "d"))],  # both go: the second has lost its translation
            *[("long", "en", en(512, "l")), ("long", "de", en(513, "d"))],
            *[("again", "en", en(20)), ("again", "fr", en(20, "f"))],
            *[("alone", "de", en(20, "d"))],
        ]
    )
    left = Filters().apply(lines)
    assert left.history[-1]["removed"] == {"no translation": 1, "length": 4, "ratio": 1, "repeated": 2}
    assert [(row["group"], row["lang"]) for row in left.table.to_pylist()] == [
        ("kept", "en"),
        ("kept", "de"),
        ("ratio", "en"),
        ("long", "en"),
    ]
    assert left.history[-1]["lines"] == 4
    assert len(Filters(distinct=False).apply(lines)) == 6


def test_the_first_of_equal_texts_must_pass_the_other_filters():
    lines = Parallel.of([("a", "en", en(20)), ("a", "de", en(5)), ("b", "en", en(20)), ("b", "de", en(20, "d"))])
    assert Filters().apply(lines).table.column("group").to_pylist() == ["a"]  # its text of the anchor passed, so it is first


def test_length_is_counted_in_characters():
    lines = Parallel.of([("a", "en", en(12)), ("a", "zh", "今天天气很好我们走吧")])  # 10 characters, 30 bytes
    assert len(Filters().apply(lines)) == 2
    assert len(Filters(shortest=11).apply(lines)) == 1


def test_languages_are_capped_by_lot():
    rows = [(f"{i}", lang, f"{i:020} {lang}") for i in range(50) for lang in ("en", "de") + (("fr",) if i < 3 else ())]
    first, again, other = (Filters(per_language=5).apply(Parallel.of(rows), seed=seed) for seed in (1, 1, 2))
    assert first.counts()["de"] == 5
    assert first.counts()["fr"] == 3
    assert first.counts()["en"] == len({*first.table.column("group").to_pylist()})  # those that nothing is left to teach go
    assert first.revision == again.revision != other.revision
    assert first.history[-1]["removed"]["cap"] == len(rows) - len(first)
    assert first.history[-1]["per_language"] == 5


def test_a_lexicon_is_exempt():
    words = Parallel.of([("s", "en", "bank"), ("s", "de", "Bank"), ("t", "en", "bank"), ("t", "de", "Ufer")], "words")
    left = Filters(exempt=("words",)).apply(Parallel.concat([Parallel.of([("a", "en", "x")], "other"), words]))
    assert left.texts() == ["bank", "Bank", "bank", "Ufer"]
    with pytest.raises(ConfigError, match="no source 'x'; there are words"):
        Filters(exempt=("x",)).apply(words)


def test_filters_that_make_no_sense_or_leave_nothing():
    with pytest.raises(ConfigError, match="out of range"):
        Filters(shortest=20, longest=10)
    with pytest.raises(DataError, match="'length' took the last 2"):
        Filters().apply(Parallel.of([("a", "en", "x"), ("a", "de", "y")]))
