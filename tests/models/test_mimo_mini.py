from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer, models, pre_tokenizers

from mimo_eval.errors import ModelError
from mimo_eval.evaluation import evaluate
from mimo_eval.models.loading import load_model
from mimo_eval.models.mimo_mini import FOLDER, TOKENIZER, WEIGHTS, StaticTable, Table, quantise, write

WORDS = {"[UNK]": 0, "a": 1, "b": 2, "c": 3}
WEIGHTS_OF_WORDS = np.array([[0, 0], [127, 0], [0, 254], [-1, 1]], np.float32)


@pytest.fixture
def small(tmp_path: Path) -> StaticTable:
    """Four words in two dimensions, written and read."""
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    write(tmp_path / "small", WEIGHTS_OF_WORDS, tokenizer)
    return StaticTable(tmp_path / "small", "small")


def encode(model: StaticTable, *texts: str) -> np.ndarray:
    return model.encode(texts, role="document", lang="en")


def test_a_text_is_the_mean_of_its_tokens_at_length_one(small: StaticTable) -> None:
    found = encode(small, "a", "b", "a b", "c")
    wanted = [[1, 0], [0, 1], np.array([127, 254]) / np.hypot(127, 254), [-np.sqrt(0.5), np.sqrt(0.5)]]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_text_without_a_token_is_zero_and_no_text_is_no_row(small: StaticTable) -> None:
    assert (encode(small, "", "a")[0] == 0).all()
    assert encode(small).shape == (0, 2)


def test_it_says_its_size(small: StaticTable) -> None:
    assert small.describe() | {"parameters": 8, "dimension": 2, "vocabulary": 4} == small.describe()
    assert load_model("mimo-mini").describe()["parameters"] == 39_998 * 256  # type: ignore[union-attr]


def test_a_vector_does_not_depend_on_its_neighbours(small: StaticTable) -> None:
    many = ["a b", *["c " * 50] * 3000, "b c"]
    assert (encode(small, *many)[[0, -1]] == encode(small, "a b", "b c")).all()


def test_quantised_by_hand() -> None:
    table = quantise(np.array([[127.0, -63.4], [0, 0], [-0.5, 0.25]], np.float32))
    assert table.values.tolist() == [[127, -63], [0, 0], [-127, 64]]
    assert table.scale == pytest.approx([1, 0, 0.5 / 127])


@given(arrays(np.float32, (5, 7), elements=st.floats(-1e3, 1e3, width=32)))
def test_rounding_moves_no_element_by_more_than_half_a_step(weights: np.ndarray) -> None:
    table = quantise(weights)
    error = np.abs(table.values * table.scale[:, None].astype(np.float64) - weights)
    assert (error <= table.scale[:, None] * 0.5001 + 1e-30).all()


def test_files_that_are_damaged_or_gone_are_named(small: StaticTable) -> None:
    (small.folder / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be read"):
        encode(StaticTable(small.folder, "small"), "a")
    (small.folder / TOKENIZER).unlink()
    with pytest.raises(ModelError, match="is the model whole"):
        StaticTable(small.folder, "small").fingerprint("query")


def test_other_weights_have_another_fingerprint(small: StaticTable, tmp_path: Path) -> None:
    write(tmp_path / "other", WEIGHTS_OF_WORDS * [[1], [1], [1], [2]] + 1, Tokenizer.from_file(str(small.folder / TOKENIZER)))
    assert small.fingerprint("query") == small.fingerprint("document")
    assert small.fingerprint("query") != StaticTable(tmp_path / "other", "small").fingerprint("query")


def test_the_table_is_two_arrays() -> None:
    assert Table._fields == ("values", "scale")


def test_what_is_shipped_is_small_and_says_whose_data_it_is_made_of() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 12_000_000
    card = (FOLDER / "README.md").read_text("utf-8")
    assert "license: cc-by-sa-4.0" in card
    for source in ("NTREX", "Tatoeba", "TICO-19", "Universal Dependencies", "PAWS-X", "GNOME"):
        assert source in card, source
    assert json.loads((FOLDER / TOKENIZER).read_text("utf-8"))["model"]["type"] == "Unigram"


def test_translations_are_closer_than_other_texts() -> None:
    texts = [
        "The queen lives in a castle.",
        "Die Königin wohnt in einem Schloss.",
        "La reina vive en un castillo.",
        "Wir essen Fisch.",
    ]
    vectors = load_model("mimo-mini").encode(texts, role="document", lang="en")  # type: ignore[union-attr]
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[3] + 0.2
    assert vectors[1] @ vectors[2] > vectors[2] @ vectors[3] + 0.2


def test_it_beats_hashing_and_bm25_on_a_mixed_corpus_by_a_wide_margin() -> None:
    found = evaluate(["mimo-mini", "bm25", "hashing"], "mini", mixes="parallel", measures="nDCG@20").set_index("model")[
        "nDCG@20"
    ]
    assert found["mimo-mini"] > 1.25 * found["bm25"] > 1.25 * found["hashing"]
