"""Models in the formats of sentence-transformers: where their files lie, what the files say, and what identifies them."""

from __future__ import annotations

import logging
import posixpath
import re
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from mimo_eval.errors import ConfigError, DataError, ModelError
from mimo_eval.files import read_json
from mimo_eval.specs import Spec

logger = logging.getLogger(__name__)

CONFIG = "config_sentence_transformers.json"
DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d{1,3})?", re.ASCII)
"""Devices whose names are known without importing torch."""
T = TypeVar("T", dict[str, Any], list[Any])


class ModelFiles:
    """The files of a model, in a folder or on the hub.

    :param model: hub id or folder.
    :param revision: branch, tag or commit on the hub.
    :param backend: what runs it: of a folder's exports to other formats only this backend's identify the model.
    """

    def __init__(self, model: str, revision: str | None = None, backend: str = "torch") -> None:
        self.model, self.backend = model, backend
        if self.local and revision is not None:
            logger.warning("%s is a folder, which has no revisions; --revision is ignored", self.label)
            revision = None
        self.revision = revision

    @property
    def local(self) -> bool:
        """Whether it is a folder."""
        return Path(self.model).is_dir()

    @property
    def label(self) -> str:
        """What the model is called in tables: its hub id, or its folder as typed; of an absolute path the last part alone."""
        if not self.local or Path(self.model).is_absolute():
            return self.bare
        typed = posixpath.normpath(Path(self.model).as_posix())
        return self.bare if typed.rpartition("/")[2] in (".", "..") else typed

    @property
    def bare(self) -> str:
        """Its hub id, or its folder's own name, wherever that is looked at from."""
        return Path(self.model).resolve().name if self.local else self.model

    @cached_property
    def identity(self) -> str:
        """The commit on the hub, or a hash of the folder's files."""
        return hash_folder(Path(self.model), self.backend) if self.local else f"hub:{hub_commit(self.model, self.revision)}"

    @property
    def commit(self) -> str | None:
        """The commit to load from the hub; None for a folder."""
        return None if self.local else self.identity.removeprefix("hub:")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's own sentence-transformers settings; empty where it has none."""
        return self.json(CONFIG) or {}

    @cached_property
    def names(self) -> list[str]:
        """The paths of its files; of a model on the hub that cannot be asked, of what was fetched before."""
        return folder_names(Path(self.model)) if self.local else hub_names(self.model, str(self.commit))

    def json(self, name: str, kind: type[T] = dict) -> T | None:  # type: ignore[assignment]
        """Return the content of one file.

        :param name: its name, such as `config.json`.
        :param kind: what must be in it: an object or a list.
        :return: the content; None if there is no such file.
        :raises ModelError: naming the file, if it holds something else.
        """
        path = Path(self.model) / name if self.local else hub_file(self.model, name, self.revision)
        if path is None or not path.is_file():
            return None
        try:
            content = read_json(path)
        except DataError as error:
            raise ModelError(str(error)) from error
        if not isinstance(content, kind):
            raise ModelError(f"{path}: {type(content).__name__} where {kind.__name__} is expected")
        return content

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name."""
        path = Path(self.model) / name if self.local else hub_file(self.model, name, self.revision)
        return path is not None and path.is_file()


def shown_name(name: str, arguments: dict[str, tuple[Any, Any]], *parts: str) -> str:
    """Return a name with those arguments that are not the usual ones, on one line.

    :param name: the bare name.
    :param arguments: argument to (value, usual value).
    :param parts: names of what it is made of.
    :return: such as `sparse(org/model, dtype=float16)`.
    """
    given = {key: value for key, (value, usual) in arguments.items() if value != usual}
    shown = {key: value.replace("\n", "\\n") if isinstance(value, str) else value for key, value in given.items()}
    return str(Spec(name, tuple(Spec(part) for part in parts), shown))


def at_least_one(values: dict[str, Any]) -> None:
    """Refuse what is not a whole number of at least 1.

    :param values: what it is to its value; None is allowed.
    :raises ConfigError: naming it.
    """
    for what, value in values.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ConfigError(f"the {what} must be a whole number, not '{value}'")
        if value is not None and value < 1:
            raise ConfigError(f"the {what} must be at least 1, not {value}")


def check_device_name(model: str, device: Any) -> None:
    """Refuse what no device is called, whether there is one here or not: a stored result may be asked for without it.

    :param model: the model, as typed.
    :param device: as torch names it; None leaves the choice to it.
    :raises ConfigError: naming both.
    """
    if device is None or (isinstance(device, str) and DEVICE.fullmatch(device)):
        return
    import torch

    try:
        torch.device(device)
    except Exception as error:
        raise ConfigError(f"{model}: --device {device} cannot be used: {first_line(error)}") from error


def check_device(model: str, device: Any) -> None:
    """Refuse a device that is not there, before the model is read.

    :param model: the model, as typed.
    :param device: as torch names it; None leaves the choice to it.
    :raises ConfigError: naming both.
    """
    if device is None:
        return
    import torch

    try:
        torch.empty(0, device=device)
    except Exception as error:
        raise ConfigError(f"{model}: --device {device} cannot be used: {first_line(error)}") from error


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds no model.

    :param folder: as typed.
    :raises ModelError: naming it and what is missing.
    """
    if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
        raise ModelError(f"{folder}: no config.json or modules.json; this is not a model's folder")


def hash_folder(folder: Path, backend: str = "torch") -> str:
    """Return a hash of the files of a model: names and contents, without read-me, hidden and other backends' files.

    :param folder: the model's folder.
    :param backend: torch, onnx or openvino.
    :return: 32 hexadecimal characters.
    :raises ModelError: if the folder holds no model.
    """
    check_folder(folder)  # before a walk, which may be a long one
    skipped = {"README.md", "onnx", "openvino"} - {backend}
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") or p in skipped for p in path.relative_to(folder).parts)
    ]
    hasher = blake2b(digest_size=16)
    for path in paths:
        hasher.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                hasher.update(block)
    return hasher.hexdigest()


def hub_file(model: str, name: str, revision: str | None) -> Path | None:
    """Return a file of a model on the hub, from the local cache if it is there.

    :param model: hub id.
    :param name: the file's.
    :param revision: branch, tag or commit.
    :return: its place on disk; None if the model has no such file.
    :raises ModelError: if there is no such model, or it cannot be had.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(model, name, revision=revision))
    except Exception as error:
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            return None
        held = (try_to_load_from_cache(model, known, revision=revision) for known in ("modules.json", "config.json"))
        if isinstance(error, LocalEntryNotFoundError) and any(isinstance(path, str) for path in held):
            return None  # offline, and what was fetched before does not have it
        raise ModelError(
            f"the model '{model}' is neither built in, nor a folder, nor to be had from the hub: {first_line(error)}"
        ) from error


def hub_commit(model: str, revision: str | None) -> str:
    """Return the commit that a branch or tag of a model on the hub stands for."""
    for name in ("modules.json", "config.json"):
        path = hub_file(model, name, revision)
        if path is not None and "snapshots" in path.parts:
            return path.parts[path.parts.index("snapshots") + 1]
    raise ModelError(f"the model '{model}' has neither modules.json nor config.json; sentence-transformers cannot load it")


def hub_names(model: str, commit: str) -> list[str]:
    """Return the paths of the files of a model on the hub, or of those fetched before if the hub cannot be asked.

    :param model: hub id.
    :param commit: of the hub.
    :raises ModelError: if the hub was asked and refused: what is in its list cannot be known.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return list(HfApi().list_repo_files(model, revision=commit))
    except HfHubHTTPError as error:
        raise ModelError(f"the hub does not list the files of the model '{model}': {first_line(error)}; try again") from error
    except Exception:
        held = (try_to_load_from_cache(model, known, revision=commit) for known in ("modules.json", "config.json"))
        return next((folder_names(Path(path).parent) for path in held if isinstance(path, str)), [])


def folder_names(folder: Path) -> list[str]:
    """Return the paths of the files in a folder, relative to it, with `/`."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def dimension(model: Any) -> int:
    """Return the width of a model's vectors, under the method's old and new name."""
    name = "get_embedding_dimension" if hasattr(model, "get_embedding_dimension") else "get_sentence_embedding_dimension"
    return int(getattr(model, name)())


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
