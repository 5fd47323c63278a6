"""Is what lies in the cache what was written? Every checksum of every file, one process, bounded memory."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimo_eval.cache.collect import remove
from mimo_eval.cache.entries import outdated
from mimo_eval.collections.collection import Texts
from mimo_eval.collections.downloads import Record
from mimo_eval.collections.kept import CHECKSUMS, META
from mimo_eval.collections.numbers import leading
from mimo_eval.digests import checksums, file_checksum
from mimo_eval.embeddings import read_chunk, shards
from mimo_eval.embeddings.chunks import Chunk
from mimo_eval.embeddings.store import ABOUT as VECTORS
from mimo_eval.errors import DataError
from mimo_eval.files import cache_dir, read_json, read_sealed
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
    yield from _vectors(root / "vectors", root / "collections")
    yield from _indexes(root / "indexes")
    yield from _collections(root / "collections")
    yield from _names(root / "names")
    yield from _downloads(root / "downloads")
    yield from _pairs(root / "pairs")
    yield from _training(root / "training")


def _vectors(folder: Path, collections: Path) -> Iterator[Checked]:
    yield from _abouts(folder, VECTORS)
    known, opened = _known_texts(collections), lru_cache(2)(_whole_texts)
    for path in sorted(folder.glob("*/*/*/*.safetensors")):
        chunk, wrong = read_chunk(path), None
        if chunk is None:
            wrong = "not the vectors that were written"
        elif (arrow := known.get((path.parent.parent.name, path.parent.name))) and (texts := opened(arrow)) is not None:
            others = _of_other_texts(chunk, path.stem, texts.text_hash, texts.rows(path.parent.parent.name))
            wrong = f"vectors of other texts than those of the collection {arrow.parent.name}: {others:,}" if others else None
        yield Checked(path, None if wrong is None else Damage(path, wrong, path))


def _of_other_texts(chunk: Chunk, number: str, text_hash: np.ndarray, rows: np.ndarray) -> int:
    """Return how many vectors of a chunk are not of the texts that stand in their places.

    :param chunk: the chunk.
    :param number: its name.
    :param text_hash: (texts,) leading bytes of the hashes of the collection's texts.
    :param rows: the rows of the language.
    """
    places = (int(number) * shards.CHUNK_ROWS if number.isdecimal() else len(rows)) + chunk.rows.astype(np.int64)
    there = places < len(rows)
    return len(places) - int((leading(chunk.texts)[there] == text_hash[rows[places[there]]]).sum())


def _known_texts(folder: Path) -> dict[tuple[str, str], Path]:
    """Return (language, name of the folder of its vectors) to the Arrow file of its texts."""
    found = {}
    for about in sorted(folder.glob(f"[!.]*/{META}")):
        with suppress(DataError, KeyError, TypeError, AttributeError):
            said = read_json(about)["shards"]
            sides = said if any(isinstance(side, dict) for side in said.values()) else {"texts": said}
            for side, revisions in sides.items():
                found.update({(lang, name[:20]): about.with_name(f"{side}.arrow") for lang, name in revisions.items()})
    return found


def _whole_texts(arrow: Path) -> Texts | None:
    """Open texts whose numbers, which lie beside them, are what was written; None for others."""
    with suppress(DataError, OSError, ValueError, KeyError, TypeError, AttributeError):
        said, meta = read_json(arrow.with_name(CHECKSUMS)), read_json(arrow.with_name(META))
        if all(file_checksum(path) == said[path.name][1] for path in arrow.parent.glob(f"{arrow.stem}.*.bin")):
            return Texts.open(arrow, meta["shards"].get(arrow.stem, meta["shards"]))
    return None


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
        old = outdated(path.parent.parent)  # is not read
        damage = None if old or intact(path) else Damage(path, "not the index that was written", path)
        yield Checked(path, damage, unchecked=old)


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


def repair(damages: list[Damage]) -> dict[Path, str | None]:
    """Remove what is damaged, and nothing else, and nothing that a process uses; the next run makes it again.

    :param damages: as `verify` found them.
    :return: what was to be removed to None, or to why it is still there: that it is in use, or what the operating system says.
    """
    return {path: remove(path) for path in dict.fromkeys(damage.remove for damage in damages)}
