"""The Collection record: rows, languages, groups and judgements as numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset

from mimo_eval.collections import load, numbers
from mimo_eval.collections.collection import Collection, Texts
from mimo_eval.errors import DataError


@pytest.fixture
def tea(tmp_path, beir):
    return load(str(beir(tmp_path / "tea")))


def test_languages_are_numbers_into_sorted_names(tea):
    assert tea.documents.languages == ("de", "en")
    assert tea.documents.language.tolist() == [1, 0, 1]
    assert tea.documents.rows("en").tolist() == [0, 2]
    assert tea.documents.rows("fr").tolist() == []


def test_groups_are_equal_for_translations(tea):
    group = tea.documents.group
    assert group[0] == group[1] != group[2]
    assert tea.documents.group_numbers(["bridge", "none"]).tolist() == [group[2], -1]


def test_without_translations_every_text_is_a_group_of_its_own(tmp_path, beir):
    corpus = [{"_id": name, "text": "x", "lang": "en"} for name in ("c", "a", "b")]
    found = load(str(beir(tmp_path / "own", corpus, [{"_id": "q", "text": "?", "lang": "en"}], "q\ta\t1\n"))).documents
    assert sorted(found.group.tolist()) == [0, 1, 2] and found.groups == 3
    c, _, b = found.group.tolist()
    assert found.group_numbers(["en:b", "en:z", "en:c", "en:b"]).tolist() == [b, -1, c, b]


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_groups_of_many_batches_are_those_of_a_plain_count(monkeypatch, piece):
    monkeypatch.setattr(numbers, "PIECE", piece)
    names = [f"g{n * 7 % 5}" for n in range(23)]
    columns = {"id": [f"i{n}" for n in range(23)], "group": names}
    batches = [pa.table({name: values[start : start + 4] for name, values in columns.items()}) for start in range(0, 23, 4)]
    texts = Texts(Dataset(pa.concat_tables(batches)), {"en": "0"})
    assert len(texts.column("group").chunks) == 6
    assert [[group == other for other in texts.group] for group in texts.group] == [[a == b for b in names] for a in names]
    assert texts.groups == 5
    number = dict(zip(names, texts.group.tolist(), strict=True))
    assert texts.group_numbers(["g3", "none", "g0"]).tolist() == [number["g3"], -1, number["g0"]]
    assert texts.group_numbers([]).tolist() == []


def test_the_rows_of_a_language_are_not_to_be_written_to(tea):
    with pytest.raises(ValueError, match="read-only"):
        tea.documents.rows("en")[0] = 1


def test_the_title_stands_before_the_text_where_there_is_one(tea):
    assert tea.documents.read([2, 1]) == ["A bridge crosses a river.", "Tee Tee ist ein Getränk."]
    assert tea.queries.read([1]) == ["Welches Getränk?"]


def test_ids_are_ordered_by_utf8_bytes(tmp_path, beir):
    names = ["é", "z", "a", "Z", "\U0001f600", "\uffff", "10", "9"]
    corpus = [{"_id": name, "text": "x", "lang": "en"} for name in names]
    found = load(str(beir(tmp_path / "order", corpus, [{"_id": "q", "text": "?", "lang": "en"}], "q\ta\t1\n")))
    order = [name.removeprefix("en:") for name in found.documents.ids(found.documents.row_at)]
    assert order == sorted(names, key=str.encode) == ["10", "9", "Z", "a", "z", "é", "\uffff", "\U0001f600"]
    assert np.array_equal(found.documents.row_at[found.documents.id_order], np.arange(8))


def test_judgements_are_numbers_of_groups(tea):
    query, document, relevance = tea.judgements
    assert query.tolist() == [tea.queries.group[0]]
    assert document.tolist() == [tea.documents.group[0]]
    assert relevance.tolist() == [1]


def test_a_description_carries_licence_revision_and_counts(tea):
    described = tea.describe()
    assert described["licence"] == "unknown"
    assert len(described["revision"]) == 64
    assert described["counts"]["judgements"] == 1


def test_a_folder_that_holds_no_collection_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        Collection.open(tmp_path)
    (tmp_path / "collection.json").write_text("[]")
    with pytest.raises(DataError, match="not a complete collection"):
        Collection.open(tmp_path)


def test_an_id_that_names_its_language_keeps_it(tmp_path, beir):
    corpus = [{"_id": "en:1", "text": "x", "lang": "en"}, {"_id": "de:1", "text": "y", "lang": "en"}]
    found = load(str(beir(tmp_path / "n", corpus, [{"_id": "q", "text": "?", "lang": "en"}], "q\ten:1\t1\nq\tde:1\t2\n")))
    assert found.documents.ids() == ["en:1", "en:de:1"]
    assert found.qrels["doc_group"].tolist() == ["en:1", "en:de:1"]


def test_spellings_of_one_language_are_one_language(tmp_path, beir):
    corpus = [{"_id": code, "text": "x", "lang": code} for code in ("deu", "de-AT", "DE", "deu_Latn")]
    found = load(str(beir(tmp_path / "s", corpus, [{"_id": "q", "text": "?", "lang": "ger"}], "q\tDE\t1\n")))
    assert found.languages == ("de",)


def test_mini_is_parallel_in_ten_languages():
    found = load("mini")
    counts = found.counts()
    assert found.problems == {}
    assert len(set(counts["documents"].values())) == 1
    assert set(counts["documents"]) == {"ar", "de", "en", "es", "fr", "hi", "id", "ja", "ru", "zh"}
    assert load("mini", languages=("de", "en")).languages == ("de", "en")
    with pytest.raises(DataError, match="no texts"):
        load("mini", languages=("sw",))
