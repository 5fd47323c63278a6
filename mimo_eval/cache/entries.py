"""What lies in the cache: one entry per encoder and role, retriever, collection, download, archive and so on."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimo_eval.collections.build import FORMAT as TEXTS
from mimo_eval.collections.kept import META
from mimo_eval.embeddings import store
from mimo_eval.errors import CacheError, ConfigError, DataError
from mimo_eval.files import cache_dir, read_json
from mimo_eval.locks import LOCKS, USED
from mimo_eval.search import index_store

FORMATS = {
    "vectors": (store.ABOUT, store.FORMAT),
    "indexes": (index_store.ABOUT, index_store.FORMAT),
    "collections": (META, TEXTS),
    "names": ("", TEXTS),
}
"""Folder in the cache to the file that says the format of a thing in it, and the format that this version reads."""


@dataclass(frozen=True)
class Entry:
    """One thing that is kept, used and removed as a whole."""

    kind: str
    """One of KINDS."""
    path: Path
    name: str
    """Of the model or collection."""
    detail: str
    """Such as the role and the number of vectors."""
    size: int
    """Bytes."""
    used: float
    """Time of the last use, seconds since 1970; of the last change where no use is noted."""
    outdated: bool = False
    """Whether it has a format that this version does not read."""


def cache_folder() -> Path | None:
    """Return the cache folder; None if nothing was kept yet, in the place where it lies unless another is named.

    :raises ConfigError: if `$MIMO_EVAL_CACHE` names something that is not there, or is no folder.
    :raises CacheError: if it cannot be listed.
    """
    root, named = cache_dir(), "MIMO_EVAL_CACHE" if os.environ.get("MIMO_EVAL_CACHE") else ""
    try:
        os.scandir(root).close()
    except (FileNotFoundError, NotADirectoryError) as error:
        if not named and isinstance(error, FileNotFoundError):
            return None
        what = "a file, not a folder" if root.is_file() else "no such folder"
        raise ConfigError(f"{named or 'cache'} {root}: {what}; set MIMO_EVAL_CACHE to where the cache lies") from error
    except OSError as error:
        raise CacheError(f"{root}: the cache folder cannot be read ({error.strerror})") from error
    return root


def entries(root: Path | None = None) -> list[Entry]:
    """Return what lies in the cache, by kind and name.

    :param root: the cache folder.
    """
    root = root or cache_dir()
    found = []
    for kind, describe in KINDS.items():
        for path in sorted(path for path in (root / kind).glob("*") if path.name != LOCKS):
            if path.name.startswith("."):
                found.append(_entry(kind, path, ("(unfinished)", "left by a killed process, or being written")))
            else:
                found.append(_entry(kind, path, _described(describe, path)))
    return sorted(found, key=lambda entry: (list(KINDS).index(entry.kind), entry.name, entry.path))


def _described(describe: Callable[[Path], tuple[str, str]], path: Path) -> tuple[str, str]:
    try:
        return describe(path)
    except (DataError, OSError, KeyError, TypeError, AttributeError, ValueError):
        return path.name, "not readable; see `mimo-eval cache verify`"


def _entry(kind: str, path: Path, said: tuple[str, str]) -> Entry:
    size, changed = 0, 0.0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with suppress(OSError):  # another process removes what it is done with
            stat = file.stat()
            size += stat.st_size if file.is_file() else 0
            changed = max(changed, stat.st_mtime)
    with suppress(OSError):
        changed = (path / USED).stat().st_mtime
    name, detail = said
    old = outdated(path)
    return Entry(kind, path, name, f"{detail}, another format" if old else detail, size, changed, old)


def outdated(path: Path) -> bool:
    """Say whether something has a format that this version of the package does not read.

    Formats are part of what names a folder, so nothing is ever read as what it is not.

    :param path: of a thing in the cache.
    """
    if path.parent.name not in FORMATS or path.name.startswith("."):
        return False
    about, known = FORMATS[path.parent.name]
    with suppress(DataError, AttributeError):
        return bool(read_json(path / about).get("format", 1) != known)
    return False


def _vectors(path: Path) -> tuple[str, str]:
    meta = read_json(path / store.ABOUT)
    counts: dict[str, int] = {}
    for file in path.rglob("*.safetensors"):
        lang = file.relative_to(path).parts[0]
        counts[lang] = counts.get(lang, 0) + rows(file)
    storage = f", {meta['storage']}" if "storage" in meta else ""
    return str(meta["model"]), f"{meta['role']}, {sum(counts.values()):,} vectors in {_languages(len(counts))}{storage}"


def _languages(count: int) -> str:
    return f"{count} language{'' if count == 1 else 's'}"


def rows(file: Path) -> int:
    """Return the number of vectors in a chunk, from its header; 0 for one that is not readable."""
    with suppress(OSError, ValueError, KeyError, TypeError, IndexError, struct.error), file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        return int(json.loads(stream.read(min(length, 100_000)))["rows"]["shape"][0])
    return 0


def _indexes(path: Path) -> tuple[str, str]:
    said: dict[str, Any] = read_json(path / index_store.ABOUT)
    manifests = [read_json(file) for file in path.glob("*/*/manifest.json")]
    documents = sum(manifest["documents"] for manifest in manifests)
    kind = str(said["type"]).rpartition(".")[2]
    return str(said.get("model", kind)), f"{len(manifests)} indexes of {documents:,} documents"


def _collections(path: Path) -> tuple[str, str]:
    meta = read_json(path / META)
    if "info" not in meta:
        return path.name, f"{meta['rows']:,} texts"
    return meta["info"]["name"], f"{meta['rows']['documents']:,} documents, {meta['rows']['queries']:,} queries"


def _names(path: Path) -> tuple[str, str]:
    meta = read_json(path)
    languages = f" in {', '.join(meta['languages'])}" if meta["languages"] else ""
    return str(meta["label"]), f"the collection {meta['folder']}{languages}, of the store that machines share"


def _files(path: Path) -> tuple[str, str]:
    count = sum(1 for file in path.rglob("*") if file.is_file() and file.name != USED) if path.is_dir() else 1
    return path.name, f"{count:,} file{'' if count == 1 else 's'}"


KINDS: dict[str, Callable[[Path], tuple[str, str]]] = {
    "vectors": _vectors,
    "indexes": _indexes,
    "collections": _collections,
    "names": _names,
    "downloads": _files,
    "unpacked": _files,
    "pairs": _files,
    "training": _files,
    "studies": _files,
}
"""Folder in the cache to what says (name, detail) of a thing in it."""
