"""A teacher's vectors: encoded once, found again by whoever needs them, whatever else was asked for."""

import numpy as np
import pytest

from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.files import cache_dir
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.training import teacher as module
from mimo_eval.training.teacher import Teacher


class Counting(HashingEncoder):
    """Remembers what it was asked."""

    def __init__(self, dim=16, **options):
        super().__init__(dim, **options)
        self.asked = []

    def encode(self, texts, *, role, lang):
        self.asked.append((list(texts), role, lang))
        return super().encode(texts, role=role, lang=lang)

    @property
    def texts(self):
        return [text for texts, _, _ in self.asked for text in texts]


def test_rows_point_to_the_vectors_of_the_texts():
    model = Counting()
    teacher = Teacher(model)
    rows = teacher.rows(["one", "two", "one", "three"])
    assert rows.tolist() == [0, 1, 0, 2]
    assert rows.dtype == np.int64
    expected = HashingEncoder(16).encode(["one", "two", "three"], role="document", lang="en")
    np.testing.assert_allclose(teacher.vectors, expected, atol=1e-7)
    assert sorted(model.texts) == ["one", "three", "two"]
    assert teacher.encoded == 3
    assert teacher.width == 16


def test_rows_stay_valid_when_texts_are_added():
    teacher = Teacher(Counting())
    first = teacher.rows(["one", "two"])
    before = teacher.vectors[first].copy()
    more = teacher.rows(["three", "two"])
    assert more.tolist() == [2, 1]
    np.testing.assert_array_equal(teacher.vectors[first], before)
    assert teacher.vectors.shape == (3, 16)
    assert teacher.vectors.dtype == np.float32


def test_stored_vectors_serve_any_other_set_of_texts():
    """Another run, with other texts in another order, encodes only what is new; nothing is stored twice."""
    Teacher(Counting()).rows([f"text {i}" for i in range(20)])
    model = Counting()
    teacher = Teacher(model)
    rows = teacher.rows(["new", "text 7", "text 3", "newer still"])
    assert model.texts == ["newer still", "new"]  # longest first
    expected = HashingEncoder(16).encode(["new", "text 7", "text 3", "newer still"], role="document", lang="en")
    np.testing.assert_allclose(teacher.vectors[rows], expected, atol=1e-7)
    again = Counting()
    Teacher(again).rows(["text 7", "new"])
    assert again.asked == []
    stored = [module.read_chunk(path).rows.size for path in (cache_dir() / "vectors").rglob("*.safetensors")]
    assert sum(stored) == 22


def test_a_killed_run_goes_on_where_it_was(monkeypatch):
    """Chunks that were finished stay; the vectors are those of a run that was not interrupted."""
    monkeypatch.setattr("mimo_eval.embeddings.shards.CHUNK_ROWS", 4)

    class Dying(Counting):
        def encode(self, texts, *, role, lang):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().encode(texts, role=role, lang=lang)

    texts = [f"text {'x' * i}" for i in range(14)]
    with pytest.raises(KeyboardInterrupt):
        Teacher(Dying()).rows(texts)
    model = Counting()
    teacher = Teacher(model)
    rows = teacher.rows(texts)
    assert len(model.texts) == 6
    assert [len(asked[0]) for asked in model.asked] == [4, 2]  # the chunks that an uninterrupted run would have made
    expected = HashingEncoder(16).encode(texts, role="document", lang="en")
    np.testing.assert_allclose(teacher.vectors[rows], expected, atol=1e-7)


def test_a_damaged_chunk_is_encoded_again():
    Teacher(Counting()).rows(["one", "two"])
    (path,) = (cache_dir() / "vectors").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    model = Counting()
    Teacher(model).rows(["one", "two"])
    assert sorted(model.texts) == ["one", "two"]


def test_queries_take_an_instruction_which_is_part_of_the_fingerprint():
    model = Counting()
    teacher = Teacher(model, query_prompt="Instruct: find\nQuery: ")
    query, document = teacher.rows(["text"], role="query"), teacher.rows(["text"])
    assert (query.tolist(), document.tolist()) == ([0], [1])
    assert model.asked == [(["Instruct: find\nQuery: text"], "document", "en"), (["text"], "document", "en")]
    described = teacher.describe()["fingerprint"]
    assert described["query"]["instruction"] == "Instruct: find\nQuery: "
    assert "instruction" not in described["document"]
    other = Counting()
    Teacher(other, query_prompt="Other: ").rows(["text"], role="query")
    assert other.texts == ["Other: text"]
    plain = Counting()
    Teacher(plain).rows(["text"], role="query")
    assert plain.asked == [(["text"], "query", "en")]


def test_an_instruction_beside_a_prompt_for_documents_is_refused():
    class Prompted(Counting):
        def prompt(self, role):
            return "passage: "

    with pytest.raises(ConfigError, match="'passage: ' before documents"):
        Teacher(Prompted(), query_prompt="query: ")


def test_the_anchor_language_is_a_parameter():
    model = Counting()
    Teacher(model, anchor="deu_Latn").rows(["Text"])
    assert model.asked == [(["Text"], "document", "de")]
    assert (next((cache_dir() / "vectors").iterdir()) / "de").is_dir()


def test_an_encoder_without_a_fingerprint_is_not_stored():
    class Plain:
        name = "plain"

        def encode(self, texts, *, role, lang):
            return np.array([[len(text), 1] for text in texts], np.float32)

    teacher = Teacher(Plain())
    rows = teacher.rows(["a", "bb"])
    np.testing.assert_allclose(teacher.vectors[rows], [[0.7071, 0.7071], [0.8944, 0.4472]], atol=1e-4)
    assert not (cache_dir() / "vectors").exists()
    assert teacher.describe()["fingerprint"] is None


def test_vectors_too_large_for_memory_lie_in_a_file(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    teacher = Teacher(Counting())
    rows = teacher.rows(["one", "two", "three"])
    teacher.rows(["four"])
    assert isinstance(teacher.vectors, np.memmap)
    expected = HashingEncoder(16).encode(["one", "two", "three"], role="document", lang="en")
    np.testing.assert_allclose(teacher.vectors[rows], expected, atol=1e-7)
    assert [path.name for path in cache_dir().iterdir()] == ["vectors"]


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_vectors_are_read_as_the_store_keeps_them(storage):
    class Stored(Counting):
        def fingerprint(self, role):
            return {**super().fingerprint(role), "storage": storage}

    texts, exact = ["one", "two", "three"], HashingEncoder(16).encode(["one", "two", "three"], role="document", lang="en")
    first, second = Teacher(Stored()), Teacher(Stored())
    fresh = first.rows(texts)
    found = second.rows(texts[::-1])[::-1]
    np.testing.assert_array_equal(first.vectors[fresh], second.vectors[found])
    np.testing.assert_allclose(first.vectors[fresh], exact, atol=0.01)
    assert second.encoded == 0


def test_leading_dimensions_have_length_one_again():
    class Shortened(Counting):
        def fingerprint(self, role):
            return {**super().fingerprint(role), "reading": {"truncate_dim": 4}}

    teacher = Teacher(Shortened())
    rows = teacher.rows(["a text", "another"])
    whole = HashingEncoder(16).encode(["a text", "another"], role="document", lang="en")[:, :4]
    np.testing.assert_allclose(teacher.vectors[rows], whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6)
    assert teacher.width == 4
    plain = Counting()
    Teacher(plain).rows(["a text"])
    assert plain.asked == []  # stored whole


def test_names_are_loaded_and_only_encoders_teach():
    teacher = Teacher("hashing(dim=8)")
    assert (teacher.width, teacher.encoded) == (0, 0)  # nothing is encoded to know it
    teacher.rows(["a text"])
    assert (teacher.width, teacher.encoded) == (8, 1)
    with pytest.raises(ConfigError, match="'bm25' cannot teach"):
        Teacher("bm25")


def test_an_encoder_that_fails_is_named():
    class Broken(Counting):
        def encode(self, texts, *, role, lang):
            return np.full((len(texts), 2), np.nan)

    with pytest.raises(ModelError, match="NaN or infinity in the vector of text 'something'"):
        Teacher(Broken()).rows(["something"])


def test_no_texts_no_rows():
    teacher = Teacher(Counting())
    assert teacher.rows([]).tolist() == []
    assert teacher.vectors.shape == (0, 0)
