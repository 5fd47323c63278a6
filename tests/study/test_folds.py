"""Folds: whole units, every question tested once, never its passage's neighbour trained on."""

import pytest

from mimo_eval.collections import load
from mimo_eval.errors import ConfigError
from mimo_eval.study.definition import Folds
from mimo_eval.study.folds import divide, write_test

UNIT = r"^(\w+)-"


@pytest.fixture
def collection(collect):
    groups = [f"art{article}-{paragraph}" for article in range(5) for paragraph in range(3)]
    texts = {lang: {group: f"{group} {lang}" for group in groups} for lang in ("en", "de")}
    asked = {lang: {f"q-{group}": f"{group}? {lang}" for group in groups} for lang in ("en", "de")}
    return collect(texts, asked, {f"q-{group}": {group: 1} for group in groups})


def test_every_question_is_held_out_once_with_its_whole_article(collection):
    folds = divide(collection, Folds(count=3, unit=UNIT), seed=1)
    held_out = [query for fold in folds for query in fold.held_out]
    assert sorted(held_out) == sorted(set(collection.queries.column("group").to_pylist()))
    for fold in folds:
        assert not set(fold.held_out) & set(fold.queries)
        trained = {passage.split("-")[0] for passage in fold.passages}
        assert not trained & {query.split("-")[1] for query in fold.held_out}
        assert len(fold.queries) + len(fold.held_out) == 15


def test_folds_depend_on_the_seed_alone(collection):
    same, again, other = (divide(collection, Folds(count=5, unit=UNIT), seed) for seed in (1, 1, 2))
    assert same == again
    assert same != other


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (Folds(count=6, unit=UNIT), "6 folds of 5 units"),
        (Folds(unit=r"^(nothing)"), "finds no unit in the passage group 'art0-0'"),
        (Folds(unit=r"^art"), "finds no unit"),
    ],
)
def test_units_that_cannot_be_divided_are_refused(collection, folds, message):
    with pytest.raises(ConfigError, match=message):
        divide(collection, folds, seed=0)


def test_a_question_with_passages_in_two_folds_is_refused(collect):
    texts = {"en": {"a-1": "one", "b-1": "two"}}
    found = collect(texts, {"en": {"q": "which?"}}, {"q": {"a-1": 1, "b-1": 1}})
    with pytest.raises(ConfigError, match="'q' are of several folds"):
        divide(found, Folds(count=2, unit=UNIT), seed=0)


def test_the_test_of_a_fold_has_all_documents_and_its_own_questions(collection, tmp_path):
    fold = divide(collection, Folds(count=3, unit=UNIT), seed=1)[0]
    folder = write_test(collection, fold, tmp_path / "fold")
    found = load(str(folder))
    assert found.name == collection.name
    assert len(found.documents) == len(collection.documents)
    assert set(found.queries.column("group").to_pylist()) == set(fold.held_out)
    assert set(found.qrels["query_group"]) == set(fold.held_out)
    assert write_test(collection, fold, folder) == folder
