"""Weights come as safetensors, which hold numbers alone; a pickle, which can hold more, is refused unless it is allowed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mimo_eval.errors import DataError, ModelError
from mimo_eval.files import inside
from mimo_eval.models.sources import ModelFiles

PICKLES = {"pytorch_model": "model", "adapter_model": "adapter_model"}
"""How the pickles begin that transformers and sentence-transformers read, and the safetensors that they prefer."""
WHOLE = re.compile(r"model\.safetensors")
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
ADAPTER = "adapter_config.json"


def check_weights(files: ModelFiles, typed: str, backend: str = "torch", *, allowed: bool = False, wanted: bool = True) -> None:
    """Refuse a model whose weights, or those of a part, would be unpickled, and one with a part outside of its folder.

    :param files: the model's.
    :param typed: what the user typed, for messages.
    :param backend: what runs the model: what was exported for another one than torch is read instead of the weights.
    :param allowed: whether pickles are allowed.
    :param wanted: whether a model without files is an error here, and not left to what loads it.
    :raises ModelError: naming the file and the option that allows it, or the part.
    """
    if not wanted and not _there(files):
        return
    pickle = first_pickle(files, backend)
    if pickle is not None and not allowed:
        raise ModelError(
            f"the model '{typed}' has no safetensors for {pickle}, which is a pickle; load it with --allow-pickled-weights "
            "(in a name: allow_pickled_weights=true), or save it as safetensors"
        )


def safetensors(files: ModelFiles) -> list[str]:
    """Return the paths of the safetensors that torch reads with a model.

    :param files: the model's.
    :return: paths inside the model; none if some of its weights are pickles, or belong to an adapter of another model.
    """
    folders = _folders(files)
    if first_pickle(files) is not None or any(ADAPTER in folders[folder] for folder in _loaded(files, folders)):
        return []
    found = []
    for folder in sorted(_loaded(files, folders)):
        whole, shards = (sorted(filter(pattern.fullmatch, folders[folder])) for pattern in (WHOLE, SHARD))
        found += [f"{folder}/{name}".lstrip("/") for name in whole or shards]
    return found


def first_pickle(files: ModelFiles, backend: str = "torch") -> str | None:
    """Return the path of a pickle that would be read with a model.

    :param files: the model's.
    :param backend: what runs it.
    :return: the path inside the model; None if there is none.
    """
    folders = _folders(files)
    for folder in sorted(_loaded(files, folders)):
        exported = folders[folder] + folders.get(f"{folder}/{backend}".lstrip("/"), [])
        if backend != "torch" and any(name.endswith((".onnx", ".xml")) for name in exported):
            continue
        if found := pickled(folders[folder], whole=folder not in _transformers(files)):
            return f"{folder}/{found}".lstrip("/")
    return None


def pickled(names: Iterable[str], whole: bool = False) -> str | None:
    """Return the pickle that would be read for lack of safetensors.

    :param names: of the files in one folder.
    :param whole: whether what reads them knows neither parts nor variants of safetensors, as transformers does.
    :return: the first one's name, or None.
    """
    names = sorted(names)
    other = "" if whole else r"(-[\w-]+)?"
    index = "" if whole else r"(\.index\.json)?"
    for pickle, safe in PICKLES.items():
        if any(re.fullmatch(rf"{safe}{other}\.safetensors{index}", name) for name in names):
            continue
        for name in names:
            if re.fullmatch(rf"{pickle}([.-][\w.-]+)?\.bin(\.index\.json)?", name):
                return name
    return None


def _folders(files: ModelFiles) -> dict[str, list[str]]:
    """Return the names of a model's files by folder."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in files.names:
        folder, _, base = name.rpartition("/")
        folders[folder].append(base)
    return folders


def _transformers(files: ModelFiles) -> set[str]:
    """Return the folders that transformers reads; what sentence-transformers reads itself is one file."""
    parts: dict[str, list[bool]] = defaultdict(list)
    for part in files.json("modules.json", list) or [{"type": "Transformer"}]:
        if isinstance(part, dict):
            parts[str(part.get("path", "")).strip("/")].append(str(part.get("type")).endswith("Transformer"))
    return {folder for folder, are in parts.items() if all(are)}


def _there(files: ModelFiles) -> bool:
    """Say whether a model has files that can be looked at."""
    try:
        return bool(files.names)
    except ModelError:
        return False


def _loaded(files: ModelFiles, folders: Iterable[str]) -> set[str]:
    """Return the folders that a model's parts are read from, and those inside them."""
    modules = files.json("modules.json", list) or []
    parts = [str(part.get("path", "")) for part in modules if isinstance(part, dict)] or [""]
    for part in filter(None, parts):
        try:
            inside(Path(files.model), part)
        except DataError as error:
            raise ModelError(f"{files.model}: modules.json: {error}") from error
    parts = [part.strip("/") for part in parts]
    older = (files.json("config.json") or {}).get("types")  # how routers were saved when they were called Asym
    if "router_config.json" in files.names or isinstance(older, dict):  # parts of a router lie beside it
        return set(folders)
    return {folder for folder in folders if any(folder == part or (part and folder.startswith(f"{part}/")) for part in parts)}
