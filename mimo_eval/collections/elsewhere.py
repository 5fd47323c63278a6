"""Collections in the store that machines share, found by name, for machines that do not have the source."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from mimo_eval.collections.build import FORMAT
from mimo_eval.collections.collection import Collection
from mimo_eval.collections.kept import META, kept
from mimo_eval.digests import digest
from mimo_eval.errors import DataError
from mimo_eval.files import cache_dir, read_json, write_json
from mimo_eval.shared import SharedStore

FOLDER_NAME = re.compile(r"\w[\w.-]*")

logger = logging.getLogger(__name__)


def note(store: SharedStore, label: str, languages: tuple[str, ...], collection: Collection) -> None:
    """Say in the shared store where a collection of some name lies; the last one of a name is found.

    :param store: the store; the collection lies there.
    :param label: its name with options.
    :param languages: the languages that were read; none for all.
    :param collection: as it was built.
    """
    record, folder = _record(label, languages), str(collection.folder and collection.folder.name)
    if record.name in store.names(record.parent) and _folder_in(record) == folder:
        return
    write_json(record, {"format": FORMAT, "folder": folder, "label": label, "languages": languages})
    store.put(record)


def find(store: SharedStore, label: str, languages: tuple[str, ...], at_most: int | None = None) -> Collection | None:
    """Return a collection of the shared store; None if none of that name is there.

    :param store: the store.
    :param label: its name with options.
    :param languages: the languages that are to be read; none for all.
    :param at_most: bytes that may be fetched; None for a larger one that is not here yet.
    :raises DataError: if it is named, but not complete.
    """
    record = _record(label, languages)
    if record.name not in store.names(record.parent):
        return None
    store.fetch([record], lambda path: _folder_in(path) is not None)
    name = _folder_in(record)
    if name is None:
        return None
    place = cache_dir() / "collections" / name
    if at_most is not None and not (place / META).exists() and store.size(place) > at_most:
        return None

    def write(folder: Path) -> None:
        raise DataError(f"{store.url}: the collection {name} is not complete there; load it once where its source is")

    found = kept(place, Collection.open, write)
    logger.info("%s: read from %s", label, store.url)
    return found


def _record(label: str, languages: tuple[str, ...]) -> Path:
    return cache_dir() / "names" / f"{digest(FORMAT, label, ','.join(languages))[:20]}.json"


def _folder_in(record: Path) -> str | None:
    """Return the folder that a record names; None if it is no record."""
    try:
        name = read_json(record)["folder"]
    except (DataError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) and FOLDER_NAME.fullmatch(name) else None
