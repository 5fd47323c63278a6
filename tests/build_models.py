"""Small random models in the real libraries' formats, for tests and for trying out commands.

`python -m tests.build_models tests-cross-encoder` writes a folder of that name into the current one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST = 96
"""Tokens of a text or pair, which are bytes."""


def byte_tokenizer() -> Any:
    """Return a tokenizer whose tokens are bytes, so that it knows every script; of a word it keeps the start, to be quick."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: i for i, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace(Regex(r"(?<=\w\w)\w+\s*|\s+"), "")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    types = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LONGEST, model_input_names=types, **names)


def save_cross_encoder(folder: Path, *, seed: int = 0, labels: int = 1, spread: float = 0.5, **config: Any) -> Path:
    """Save a random one-layer BERT that scores pairs by their first bytes.

    :param folder: where to.
    :param seed: another seed gives other weights.
    :param labels: numbers per pair.
    :param spread: standard deviation of the weights; BERT's own 0.02 would score all pairs nearly alike.
    :param config: for BertConfig.
    :return: the folder.
    """
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    tokenizer = byte_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": LONGEST, "pad_token_id": 0, **sizes, **config}
    with tempfile.TemporaryDirectory() as plain:
        tokenizer.save_pretrained(plain)
        model = BertForSequenceClassification(BertConfig(initializer_range=spread, num_labels=labels, **settings))
        model.save_pretrained(plain)
        CrossEncoder(plain, device="cpu").save_pretrained(str(folder))
    return folder


MODELS: dict[str, Callable[[Path], Path]] = {"tests-cross-encoder": save_cross_encoder}
"""Folder name to what writes it."""


def main(names: list[str]) -> int:
    """Write models into the current folder; none named are all."""
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(unknown)}; known: {', '.join(MODELS)}\n")
        return 2
    for name in names or MODELS:
        sys.stdout.write(f"{MODELS[name](Path(name))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
