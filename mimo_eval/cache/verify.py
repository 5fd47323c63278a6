"""Is what lies in the cache what was written? Every checksum of every file, one process, bounded memory."""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimo_eval.collections.downloads import Record
from mimo_eval.collections.kept import CHECKSUMS, META
from mimo_eval.embeddings import read_chunk
from mimo_eval.embeddings.store import ABOUT as VECTORS
from mimo_eval.errors import DataError
from mimo_eval.files import cache_dir, checksums, read_json, read_sealed
from mimo_eval.search.index_store import ABOUT as INDEXES
from mimo_eval.search.index_store import intact


class Damage(NamedTuple):
    """Something that is not what was written."""

    path: Path
    """The file."""
    what: str
    """What is wrong with it."""
    remove: Path
    """What is to be removed so that the next run makes it again: the file, or the folder that is made as a whole."""


class Checked(NamedTuple):
    """One file or folder that was looked at."""

    path: Path
    damage: Damage | None
    unchecked: bool = False
    """There is no checksum to compare with."""


def verify(root: Path | None = None) -> Iterator[Checked]:
    """Yield every file of vectors, index, collection, name, download, re-ranker's scores and training data, with what is wrong.

    :param root: the cache folder.
    """
    root = root or cache_dir()
    yield from _vectors(root / "vectors")
    yield from _indexes(root / "indexes")
    yield from _collections(root / "collections")
    yield from _names(root / "names")
    yield from _downloads(root / "downloads")
    yield from _pairs(root / "pairs")
    yield from _training(root / "training")


def _vectors(folder: Path) -> Iterator[Checked]:
    yield from _abouts(folder, VECTORS)
    for path in sorted(folder.glob("*/*/*/*.safetensors")):
        chunk = read_chunk(path)
        yield Checked(path, None if chunk is not None else Damage(path, "not the vectors that were written", path))


def _abouts(folder: Path, name: str) -> Iterator[Checked]:
    """Check the files that say whose vectors or indexes a folder holds; one that is missing is written on the next use."""
    for path in sorted(folder.glob(f"*/{name}")):
        try:
            yield Checked(path, None, unchecked="checksum" not in read_sealed(path))
        except DataError:
            yield Checked(path, Damage(path, "not what was written", path))


def _indexes(folder: Path) -> Iterator[Checked]:
    yield from _abouts(folder, INDEXES)
    for path in sorted(path for path in folder.glob("*/*/*") if path.is_dir() and not path.name.startswith(".")):
        damage = None if intact(path) else Damage(path, "not the index that was written", path)
        yield Checked(path, damage)


def _collections(folder: Path) -> Iterator[Checked]:
    for path in sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")):
        yield from _against_checksums(path)


def _against_checksums(folder: Path) -> Iterator[Checked]:
    try:
        said = read_json(folder / CHECKSUMS) if (folder / CHECKSUMS).exists() else None
        read_json(folder / META)
    except DataError as error:
        yield Checked(folder, Damage(folder, str(error), folder))
        return
    if not isinstance(said, dict):
        yield Checked(folder, Damage(folder / CHECKSUMS, "not readable", folder) if said is not None else None, unchecked=True)
        return
    found = checksums(folder, CHECKSUMS)
    for name in sorted({*said, *found}):
        wrong = "missing" if name not in found else "not what was written"
        yield Checked(folder / name, None if said.get(name) == found.get(name) else Damage(folder / name, wrong, folder))


def _names(folder: Path) -> Iterator[Checked]:
    for path in sorted(folder.glob("[!.]*.json")):
        try:
            named = isinstance(read_json(path)["folder"], str)
        except (DataError, KeyError, TypeError):
            named = False
        yield Checked(path, None if named else Damage(path, "names no collection", path), unchecked=named)


def _downloads(folder: Path) -> Iterator[Checked]:
    for path in sorted(folder.glob("*/*.json")):
        if not path.with_suffix("").is_dir():
            continue
        record = Record.read(path.with_suffix(""))
        for name in sorted(record.here):
            status = record.check(name, thorough=True) if name in record.listed else "good"
            file = record.folder / name
            what = {"absent": "missing", "torn": "not what was downloaded", "changed": "changed since it was downloaded"}
            yield Checked(file, None if status == "good" else Damage(file, what[status], file))


def _pairs(folder: Path) -> Iterator[Checked]:
    for path in sorted(folder.glob("*/*/*.npz")):
        try:
            with np.load(path, allow_pickle=False) as file:
                json.loads(file["ids"].tobytes())
                same = len({len(file[name]) for name in ("query", "document", "score")}) == 1
            yield Checked(path, None if same else Damage(path, "arrays of different lengths", path))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            yield Checked(path, Damage(path, f"not the scores that were written ({error})", path))


def _training(folder: Path) -> Iterator[Checked]:
    import pyarrow as pa

    for path in sorted(folder.glob("*.arrow")):
        try:
            with pa.memory_map(str(path)) as file:
                pa.ipc.open_file(file).read_all().validate(full=True)
            yield Checked(path, None, unchecked=True)
        except (OSError, pa.ArrowException) as error:
            yield Checked(path, Damage(path, f"not readable ({error})", path))


def repair(damages: list[Damage]) -> list[Path]:
    """Remove what is damaged, and nothing else; the next run makes it again.

    :param damages: as `verify` found them.
    :return: what was removed.
    """
    removed = []
    for path in dict.fromkeys(damage.remove for damage in damages):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if not path.exists():
            removed.append(path)
    return removed
