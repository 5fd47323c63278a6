"""What the files of a sentence-transformers model say without its weights: the width of its vectors, the tokens of a text."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimo_eval.models.sources import ModelFiles, first_line

logger = logging.getLogger(__name__)

MODULES = "modules.json"
AS_WIDE = {"Normalize", "Dropout", "LayerNorm"}
"""Modules whose vectors are as wide as those that they are given."""


@dataclass(frozen=True)
class Tokenizer:
    """What makes tokens of texts."""

    tokenizer: Any
    """As transformers has it."""
    limit: int | None
    """Most tokens of a text, special ones included; None for any number."""

    def count(self, texts: list[str]) -> list[int]:
        """Return the number of tokens of each text."""
        found = self.tokenizer(texts, add_special_tokens=True, verbose=False)["input_ids"]
        return [min(len(ids), self.limit or len(ids)) for ids in found]


def width(files: ModelFiles, trust_remote_code: bool = False) -> int | None:
    """Return the width of a model's vectors.

    :param files: the model's files.
    :param trust_remote_code: run Python code that comes with the model.
    :return: the width; None if the files do not say it in a way that is known here.
    """
    modules = files.json(MODULES, list)
    if modules is None:  # sentence-transformers puts mean pooling behind such a model
        return _whole(getattr(_text_config(files, "", trust_remote_code), "hidden_size", None))
    for module in reversed(modules):
        kind, folder = _kind_and_folder(module)
        if kind not in AS_WIDE:
            return _width_of(kind, files, folder)
    return None


def _width_of(kind: str, files: ModelFiles, folder: str) -> int | None:
    """Return the width of what one module makes."""
    if kind == "StaticEmbedding" and files.local:
        return _columns(Path(files.model) / folder / "model.safetensors")
    if kind not in ("Dense", "Pooling"):
        return None
    settings = files.json(_inside(folder, "config.json")) or {}
    if kind == "Dense":
        return _whole(settings.get("out_features"))
    own = _whole(settings.get("embedding_dimension", settings.get("word_embedding_dimension")))
    modes = settings.get("pooling_mode", [name for name, on in settings.items() if name.startswith("pooling_mode_") and on])
    return None if own is None else own * (len(modes) if isinstance(modes, list) else 1)


def tokenizer(files: ModelFiles, trust_remote_code: bool = False) -> Tokenizer | None:
    """Return what makes tokens of a model's texts.

    :param files: the model's files.
    :param trust_remote_code: run Python code that comes with the model.
    :return: the tokeniser; None if transformers has none for this model.
    """
    from transformers import AutoTokenizer

    modules = files.json(MODULES, list)
    kind, folder = _kind_and_folder(modules[0]) if modules else ("Transformer", "")
    if kind != "Transformer":
        return None
    try:
        found = AutoTokenizer.from_pretrained(
            files.model, revision=files.commit, subfolder=folder, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # of any kind: the code is a stranger's
        logger.debug("%s: no tokeniser without the model: %s", files.label, first_line(error))
        return None
    settings = files.json(_inside(folder, "sentence_bert_config.json")) or {}
    positions = _whole(getattr(_text_config(files, folder, trust_remote_code), "max_position_embeddings", None))
    own = int(found.model_max_length)
    return Tokenizer(found, _whole(settings.get("max_seq_length")) or min(own, positions or own))


def _kind_and_folder(module: Any) -> tuple[str, str]:
    """Return the name of a module's class, and its folder, of an entry of `modules.json`."""
    said = module if isinstance(module, dict) else {}
    return str(said.get("type")).rpartition(".")[2], str(said.get("path") or "")


def _inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text_config(files: ModelFiles, folder: str, trust_remote_code: bool) -> Any:
    """Return transformers' settings of the part of a model that reads text; None if it knows none."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            files.model, revision=files.commit, subfolder=folder, trust_remote_code=trust_remote_code
        ).get_text_config()
    except Exception as error:
        logger.debug("%s: settings not known to transformers: %s", files.label, first_line(error))
        return None


def _columns(path: Path) -> int | None:
    """Return the width of the only matrix in a file, from its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    wide = [shape[1] for shape in shapes if len(shape) == 2]
    return wide[0] if len(wide) == 1 else None
