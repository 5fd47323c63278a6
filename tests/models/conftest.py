"""Tiny random sentence-transformers models, saved to disk as real ones are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefghijklmnopqrstuvwxyz:",
    *(f"##{c}" for c in "abcdefghijklm"),
]


def save_bert(folder: Path, seed: int = 0, **config: Any) -> Path:
    """Save a two-layer BERT with mean pooling; `config` goes to SentenceTransformer (prompts, similarity_fn_name)."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    torch.manual_seed(seed)
    plain = folder.parent / f"{folder.name}-plain"
    plain.mkdir(parents=True)
    (plain / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    BertTokenizer(str(plain / "vocab.txt")).save_pretrained(plain)
    BertModel(
        BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=40,
        )
    ).save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=32)
    SentenceTransformer(modules=[transformer, Pooling(16)], device="cpu", **config).save(str(folder))
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a model folder; one made before with the same settings is given again."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def make(name: str = "tiny-bert", seed: int = 0, **config: Any) -> Path:
        key = f"{name}-{seed}-{config}"
        if key not in made:
            made[key] = save_bert(root / str(len(made)) / name, seed, **config)
        return made[key]

    return make
