"""What can go from the cache: by time of last use, or by size, and never what a process uses."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from mimo_eval.cache.entries import Entry, entries
from mimo_eval.errors import ConfigError
from mimo_eval.locks import USED, unused

SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
YOUNG = 3600
"""Seconds for which something unfinished is taken for being written."""


IN_USE = "in use"


class Kept(NamedTuple):
    """Something that was to be removed, and is still there."""

    entry: Entry
    why: str
    """IN_USE, or what the operating system says."""


def parse_age(text: str) -> float:
    """Return the seconds of an age such as `30d`, `12h` or `2w`.

    :raises ConfigError: if it is not one.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", text.strip().lower())
    if not match:
        raise ConfigError(f"'{text}' is no age; write such as 90m, 12h, 30d or 4w")
    return float(match[1]) * SECONDS[match[2]]


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `50GB`, `1.5 TiB` or `800M`.

    :raises ConfigError: if it is not one.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*((?:[kmgt]i?)?)b?", text.strip().lower())
    if not match:
        raise ConfigError(f"'{text}' is no size; write such as 800MB, 50GB or 1.5TiB")
    return int(float(match[1]) * BYTES[match[2]])


def collect(
    older_than: float | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
    root: Path | None = None,
    outdated: bool = False,
) -> tuple[list[Entry], list[Kept]]:
    """Remove what was not used for long, then what was used longest ago until the rest fits.

    Unfinished files of killed processes go in any case.

    :param older_than: seconds since the last use.
    :param max_size: bytes that may remain.
    :param dry_run: only say what would go.
    :param root: the cache folder.
    :param outdated: remove what has a format that this version does not read.
    :return: what was removed (or would be), and what should have been, but could not be.
    """
    now, found = time.time(), sorted(entries(root), key=lambda entry: entry.used)
    size = sum(entry.size for entry in found)
    removed, left = list[Entry](), list[Kept]()
    for entry in found:
        age = now - entry.used
        unwanted = (entry.path.name.startswith(".") and age > YOUNG) or (outdated and entry.outdated)
        if not (unwanted or (older_than is not None and age > older_than) or (max_size is not None and size > max_size)):
            continue
        why = remove(entry.path, dry_run)
        if why is None:
            removed.append(entry)
            size -= entry.size
        else:
            left.append(Kept(entry, why))
    return removed, left


def remove(path: Path, dry_run: bool = False) -> str | None:
    """Remove something unless a process uses it; it leaves its place at once, and then the disk.

    :param path: a file or folder of the cache.
    :param dry_run: only look whether it could be.
    :return: None if it is gone (or would be); else why not: IN_USE, or what the operating system says.
    """
    with unused(next((folder for folder in (path, *list(path.parents)[:3]) if (folder / USED).exists()), path)) as free:
        if not free:
            return IN_USE
        if dry_run:
            return None
        trash = path.with_name(f".removed-{path.name}-{time.time_ns()}")
        try:
            path.rename(trash)
        except FileNotFoundError:
            return None
        except OSError as error:
            return str(error.strerror or error)
    try:
        if trash.is_dir():
            shutil.rmtree(trash)
        else:
            trash.unlink()
    except OSError as error:
        shutil.rmtree(trash, ignore_errors=True)
        return None if not trash.exists() else f"{error.strerror or error}: {error.filename or trash}"
    return None
