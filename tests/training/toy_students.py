"""Students small enough for a test: a table of word vectors, and a BERT of two layers."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tiny import save_plain
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

WORDS = [f"{lang}{number}" for lang in ("en", "de", "el", "zh") for number in range(12)]
SENTENCES = ["abc de", "fg", "hijk l m", "no", "pq rst", "uvw x", "y", "z a b c d"]


def static_student(sparse: bool = False, width: int = 6, seed: int = 0) -> SentenceTransformer:
    """Return a table with a vector for each of `WORDS`, and one for other words."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", *WORDS])}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(seed)
    module = StaticEmbedding(tokenizer, embedding_dim=width)
    module.embedding.sparse = sparse
    return SentenceTransformer(modules=[module], device="cpu")


@cache
def bert() -> Transformer:
    with TemporaryDirectory() as folder:
        return Transformer(str(save_plain(Path(folder) / "plain")), max_seq_length=32)


def transformer_student(dropout: float = 0.0) -> SentenceTransformer:
    """Return a BERT with mean pooling, in training mode."""
    module = deepcopy(bert())
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = dropout
    return SentenceTransformer(modules=[module, Pooling(16)], device="cpu").train()


def features(model: SentenceTransformer, *columns: list[str]) -> list[dict[str, Any]]:
    """Return what the collator makes of text columns."""
    return [model.preprocess(column) for column in columns]


def gradients(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the gradients that are there, dense, and clear them."""
    found = {n: p.grad.to_dense().clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    return found
