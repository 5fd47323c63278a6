"""What a model's files say without its weights is what the loaded model says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimo_eval.models.dense import SentenceTransformerEncoder
from mimo_eval.models.sources import ModelFiles, dimension
from mimo_eval.models.unloaded import width

Bert = Callable[..., Path]
TEXTS = ["a", "", "bad cab " * 30, "deaf: fade"]


def saved(folder: Path, modules: list[Any]) -> Path:
    """Save a SentenceTransformer of some modules."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def behind(bert: Path, make: Callable[..., list[Any]]) -> list[Any]:
    """Return a transformer with other modules behind it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    return [SentenceTransformer(str(bert), device="cpu")[0], *make(modules)]


@pytest.mark.parametrize(
    ("make", "wide"),
    [
        (lambda m: [m.Pooling(16)], 16),
        (lambda m: [m.Pooling(16, ("mean", "max")), m.Normalize()], 32),
        (lambda m: [m.Pooling(16, "cls"), m.Dense(16, 24), m.LayerNorm(24), m.Dropout(0.1), m.Normalize()], 24),
    ],
)
def test_the_width_is_that_of_the_loaded_model(bert: Bert, tmp_path: Path, make: Any, wide: int) -> None:
    encoder = SentenceTransformerEncoder(str(saved(tmp_path / "model", behind(bert(), make))), device="cpu")
    assert encoder.width == wide and "encoder" not in vars(encoder)
    assert dimension(encoder.encoder) == wide == encoder.width


def test_the_width_of_a_static_model_stands_in_the_head_of_its_weights(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    made = StaticEmbedding(Tokenizer(WordLevel({"a": 0, "b": 1}, "a")), embedding_dim=7)
    encoder = SentenceTransformerEncoder(str(saved(tmp_path / "static", [made])), device="cpu")
    assert encoder.width == 7 and encoder.count_tokens(TEXTS, "query") is None
    assert dimension(encoder.encoder) == 7 and encoder.count_tokens(TEXTS, "query") is None


def test_older_files_say_the_width_in_other_words(bert: Bert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "old"))
    settings = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({**settings, "pooling_mode_mean_tokens": False}))
    encoder = SentenceTransformerEncoder(str(folder), device="cpu")
    assert encoder.width == 32
    assert dimension(encoder.encoder) == 32


def test_a_model_of_transformers_alone_is_as_wide_as_its_states(bert: Bert) -> None:
    plain = bert().parent / "tiny-bert-plain"
    encoder = SentenceTransformerEncoder(str(plain), device="cpu")
    counted = encoder.count_tokens(TEXTS, "document")
    assert encoder.width == 16 and "encoder" not in vars(encoder)
    other = SentenceTransformerEncoder(str(plain), device="cpu")
    assert dimension(other.encoder) == 16 and other.count_tokens(TEXTS, "document") == counted
    assert max(counted or []) == 40  # positions of the model


@pytest.mark.parametrize("text", ["[{}]", '[{"type": 3}]', '[{"type": "x.CNN", "path": "1"}]', "[7]", "[]"])
def test_what_is_not_known_is_none(bert: Bert, tmp_path: Path, text: str) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "odd"))
    (folder / "modules.json").write_text(text)
    assert width(ModelFiles(str(folder))) is None


def test_a_width_that_is_no_number_is_none(bert: Bert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "odd"))
    for settings in ({"embedding_dimension": "wide"}, {"embedding_dimension": -3}, {}):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
        assert width(ModelFiles(str(folder))) is None


def test_tokens_are_counted_with_prompt_and_cut_as_by_the_loaded_model(bert: Bert) -> None:
    folder = str(bert(prompts={"query": "b: ", "document": ""}))
    for options in ({}, {"max_length": 9}):
        encoder = SentenceTransformerEncoder(folder, device="cpu", **options)
        counted = {role: encoder.count_tokens(TEXTS, role) for role in ("query", "document")}
        assert "encoder" not in vars(encoder)
        loaded = SentenceTransformerEncoder(folder, device="cpu", **options)
        asked = loaded.encoder.preprocess
        for role, prompt in (("query", "b: "), ("document", "")):
            alone = [int(asked([prompt + text])["attention_mask"].sum()) for text in TEXTS]
            assert counted[role] == loaded.count_tokens(TEXTS, role) == alone  # type: ignore[arg-type]
