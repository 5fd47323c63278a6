"""What the files of a sentence-transformers model say without its weights: its size, its vectors' width, tokens of texts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from mimo_eval.errors import ModelError
from mimo_eval.models.sources import ModelFiles, first_line
from mimo_eval.models.weights import safetensors

logger = logging.getLogger(__name__)

MODULES = "modules.json"
AS_WIDE = {"Normalize", "Dropout", "LayerNorm"}
"""Modules whose vectors are as wide as those that they are given."""
SETTINGS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
"""`sentence_{}_config.json` holds sentence-transformers' settings of a transformer; it saves under the first name now."""
ENDLESS = 2**31
"""A limit of so many tokens is none: tokenisers write 10**30 where their files name none."""


class Tensor(NamedTuple):
    """One array of a file of safetensors."""

    dtype: str
    """As safetensors calls it: F32, BF16, I64 and so on."""
    shape: list[int]


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
    if kind == "StaticEmbedding":
        wide = [tensor.shape[1] for tensor in _tensors(files, _inside(folder, "model.safetensors")) if len(tensor.shape) == 2]
        return wide[0] if len(wide) == 1 else None
    if kind not in ("Dense", "Pooling"):
        return None
    settings = files.json(_inside(folder, "config.json")) or {}
    if kind == "Dense":
        return _whole(settings.get("out_features"))
    own = _whole(settings.get("embedding_dimension", settings.get("word_embedding_dimension")))
    modes = settings.get("pooling_mode", [name for name, on in settings.items() if name.startswith("pooling_mode_") and on])
    return None if own is None else own * (len(modes) if isinstance(modes, list) else 1)


def parameters(files: ModelFiles) -> int | None:
    """Return the number of a model's parameters: the floating-point numbers in the files of its weights, by their heads.

    :param files: the model's files.
    :return: the number; None where the files do not say it, as pickles do not.
    """
    try:
        names = safetensors(files)
    except ModelError as error:
        logger.debug("%s: files not known: %s", files.label, error)
        return None
    heads = [_tensors(files, name) for name in names]
    return sum(prod(tensor.shape) for head in heads for tensor in head if "F" in tensor.dtype) or None if all(heads) else None


def max_length(files: ModelFiles, trust_remote_code: bool = False) -> int | None:
    """Return the most tokens of a text that a model takes.

    :param files: the model's files.
    :param trust_remote_code: run Python code that comes with the model.
    :return: the number, special tokens included; None for any number, or if the files do not say it in a way known here.
    """
    kind, folder = _first(files)
    if kind != "Transformer":
        return None
    said = _said_length(files, folder)
    if said is None and (found := tokenizer(files, trust_remote_code)):
        said = found.limit
    return finite(said)


def finite(length: Any) -> int | None:
    """Return a most number of tokens; None for one that stands for any."""
    return length if isinstance(length, int) and length < ENDLESS else None


def tokenizer(files: ModelFiles, trust_remote_code: bool = False) -> Tokenizer | None:
    """Return what makes tokens of a model's texts.

    :param files: the model's files.
    :param trust_remote_code: run Python code that comes with the model.
    :return: the tokeniser; None if transformers has none for this model.
    """
    from transformers import AutoTokenizer

    kind, folder = _first(files)
    if kind != "Transformer":
        return None
    try:
        found = AutoTokenizer.from_pretrained(
            files.model, revision=files.commit, subfolder=folder, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # of any kind: the code is a stranger's
        logger.debug("%s: no tokeniser without the model: %s", files.label, first_line(error))
        return None
    said = _said_length(files, folder)
    if said is None:
        positions = _whole(getattr(_text_config(files, folder, trust_remote_code), "max_position_embeddings", None))
        said = min(own := int(found.model_max_length), positions or own)
    return Tokenizer(found, said)


def _said_length(files: ModelFiles, folder: str) -> int | None:
    """Return the most tokens that sentence-transformers' own settings of a transformer name, if it saved the model."""
    names = SETTINGS if files.has(MODULES) else ()
    settings = next(filter(None, (files.json(_inside(folder, f"sentence_{name}_config.json")) for name in names)), {})
    of_tokenizer = settings.get("processor_kwargs") or settings.get("tokenizer_args")
    given = of_tokenizer.get("model_max_length") if isinstance(of_tokenizer, dict) else None
    return _whole(given) or _whole(settings.get("max_seq_length"))


def _first(files: ModelFiles) -> tuple[str, str]:
    """Return the kind and folder of the module that is given texts."""
    modules = files.json(MODULES, list)
    return _kind_and_folder(modules[0]) if modules else ("Transformer", "")


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


def _tensors(files: ModelFiles, name: str) -> list[Tensor]:
    """Return what the head of a file of safetensors lists; none where it cannot be had."""
    try:
        return _local_tensors(Path(files.model) / name) if files.local else _hub_tensors(files.model, name, files.commit)
    except Exception as error:  # of a file that is damaged or not there, of a hub that cannot be asked
        logger.debug("%s: head of %s not known: %s", files.label, name, first_line(error))
        return []


def _local_tensors(path: Path) -> list[Tensor]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        parts = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
        return [Tensor(part.get_dtype(), part.get_shape()) for part in parts]


def _hub_tensors(model: str, name: str, commit: str | None) -> list[Tensor]:
    """Read the head of a file on the hub; of one that is not in its cache nothing else is fetched."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    here = try_to_load_from_cache(model, name, revision=commit)
    if isinstance(here, str):
        return _local_tensors(Path(here))
    head = HfApi().parse_safetensors_file_metadata(model, name, revision=commit)
    return [Tensor(tensor.dtype, tensor.shape) for tensor in head.tensors.values()]
