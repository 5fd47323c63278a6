"""Tiny sparse and late interaction models, saved as real ones are; their weights are the same wherever they are made."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefghijklmnopqrstuvwxyz:.,!?",
    *(f"##{c}" for c in "abcdefghijklm"),
]
PYLATE_CONFIG = {
    "model_type": "ColBERT",
    "__version__": {"sentence_transformers": "5.3.0", "transformers": "5.3.0", "pytorch": "2.13.0"},
    "prompts": {"query": "", "document": ""},
    "default_prompt_name": None,
    "similarity_fn_name": "MaxSim",
    "query_prefix": "[Q] ",
    "document_prefix": "[D] ",
    "query_length": 12,
    "document_length": 40,
    "attend_to_expansion_tokens": False,
    "skiplist_words": list(string.punctuation),
    "do_query_expansion": True,
}
PYLATE_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
]
PYLATE_DENSE = {
    "in_features": 16,
    "out_features": 8,
    "bias": False,
    "activation_function": "torch.nn.modules.linear.Identity",
    "use_residual": False,
}


def fill(model: Any, scale: float = 0.5) -> Any:
    """Set every weight of a torch module to the sine of a square: rough, and the same everywhere."""
    import torch

    with torch.no_grad():
        for number, (name, weights) in enumerate(model.named_parameters(), start=1):
            if "LayerNorm" not in name:
                places = torch.arange(weights.numel(), dtype=torch.float64) + 1
                weights.copy_((scale * torch.sin(places**2 * (number + 0.7))).reshape(weights.shape))
    return model


def bert_config() -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
    )


def save_plain(folder: Path, kind: str = "BertModel", **changes: Any) -> Path:
    """Save a transformers model; of a masked language model, the bias leaves few dimensions active."""
    import transformers

    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"))
    model = getattr(transformers, kind)(bert_config())
    if changes.get("markers"):
        tokenizer.add_tokens(["[Q] ", "[D] "])
        tokenizer.pad_token = tokenizer.mask_token
        model.resize_token_embeddings(len(tokenizer))
    fill(model)
    if kind == "BertForMaskedLM":
        model.cls.predictions.bias.data[:] = -2
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def save_splade(folder: Path, **config: Any) -> Path:
    """Save a SPLADE model; `config` goes to SparseEncoder (prompts, similarity_fn_name, max_active_dims)."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling

    plain = save_plain(folder.parent / f"{folder.name}-plain", "BertForMaskedLM")
    modules = [MLMTransformer(str(plain), max_seq_length=32), SpladePooling("max")]
    SparseEncoder(modules=modules, device="cpu", **config).save(str(folder))
    return folder


def save_multi_vector(folder: Path, **config: Any) -> Path:
    """Save a model in the format of sentence-transformers' own; `config` goes to MultiVectorEncoder."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from torch.nn import Identity

    plain = save_plain(folder.parent / f"{folder.name}-plain")
    dense = Dense(16, 8, bias=False, activation_function=Identity(), module_input_name="token_embeddings")
    modules = [
        Transformer(str(plain), max_seq_length=32),
        fill(dense),
        MultiVectorMask(skiplist_words=[".", ",", "!", "?"]),
        Normalize(module_input_name="token_embeddings"),
    ]
    MultiVectorEncoder(modules=modules, device="cpu", **config).save(str(folder))
    return folder


def save_pylate(folder: Path, **changes: Any) -> Path:
    """Save a model as PyLate 1.6.0 does: markers, a projection in `1_Dense/`, no module for mask and length."""
    import torch
    from safetensors.torch import save_file

    save_plain(folder, markers=True)
    (folder / "1_Dense").mkdir()
    save_file({"linear.weight": fill(torch.nn.Linear(16, 8, bias=False)).weight.detach()}, folder / "1_Dense/model.safetensors")
    for name, content in (
        ("config_sentence_transformers.json", {**PYLATE_CONFIG, **changes}),
        ("modules.json", PYLATE_MODULES),
        ("sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False}),
        ("1_Dense/config.json", PYLATE_DENSE),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder
