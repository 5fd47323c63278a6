"""Stored results: found in folders, told apart, and the newest of each model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mimo_eval.errors import DataError
from mimo_eval.results import FILE, Result, asked, read_result

logger = logging.getLogger(__name__)
SEARCH = "search"
"""The part of a protocol that says whether search was exact."""
TOLD = ("languages", "mixes", "depth", SEARCH, "revision")
"""The parts of a protocol in which results of one model and benchmark differ; what else does follows from them."""
SHOWN = 8
"""Most results that are listed where one has to be chosen."""
NAMED = 3
"""Most differences that are named of one result."""
WIDTH = 40
"""Most characters of a value that differs."""


@dataclass(frozen=True)
class Stored:
    """A result where it lies."""

    path: Path
    """Its JSON file."""
    result: Result
    used: str
    """When it was made, or asked for again since: ISO 8601, UTC."""

    @property
    def model(self) -> tuple[str, str]:
        """Benchmark and model: of the results that have both in common the newest counts."""
        return str(self.result.benchmark.get("name")), self.result.label

    def described(self) -> str:
        """Return key, date and version, by which results of one model are told apart."""
        version = self.result.environment.get("versions", {}).get("mimo-eval", "of unknown version")
        return f"{self.result.key[:12]}, {date(self.result)}, mimo-eval {version}"


def date(result: Result) -> str:
    """Return when a result was made, such as `2026-11-21 20:14 UTC`."""
    return f"{result.created[:16].replace('T', ' ')} UTC"


def read_stored(paths: Iterable[Path]) -> list[Stored]:
    """Read results.

    :param paths: their JSON files.
    :return: the results, newest first.
    :raises DataError: if one cannot be read.
    """
    found = []
    for path in paths:
        result = read_result(path)
        found.append(Stored(path, result, max(result.created, asked(path.parent))))
    return sorted(found, key=lambda stored: (stored.used, stored.path.stat().st_mtime_ns), reverse=True)


def newest(path: Path) -> list[Stored]:
    """Return the newest result of every model in a folder; which ones give way to it is said as a warning.

    :param path: a result's JSON file, or a folder that holds results.
    :return: the results, in the order of their paths.
    :raises DataError: if there is none, or one cannot be read.
    """
    groups: dict[tuple[str, str], list[Stored]] = {}
    for stored in _all(path, _files(path)):
        groups.setdefault(stored.model, []).append(stored)
    return sorted((_taken(path, group) for group in groups.values()), key=lambda stored: stored.path)


def locate(path: Path, single: bool = False) -> Path:
    """Return the JSON file of a result; of several results of one model the newest, and a warning that says so.

    :param path: the file, its folder, or a folder further up that holds the results of one model on one benchmark.
    :param single: refuse several results even of one model.
    :return: the file, which need not exist.
    :raises DataError: if a folder holds no result, or several to choose from; the message tells them apart.
    """
    if not path.is_dir() or (path / FILE).exists():
        return path / FILE if path.is_dir() else path
    files = _files(path)
    if len(files) == 1:
        return files[0]
    found = _all(path, files)
    if not single and len({stored.model for stored in found}) == 1:
        return _taken(path, found).path
    first: dict[tuple[str, str], Stored] = {}
    lines = [f"{path}: holds {len(found)} results, choose one:"]
    for stored in found[:SHOWN]:
        before = first.setdefault(stored.model, stored)
        apart = "" if before is stored else f"; {differs(before, stored)}"
        where, name = stored.path.parent.relative_to(path), " on ".join(reversed(stored.model))
        lines.append(f"  {where}  {name}: {stored.described()}{apart}")
    raise DataError("\n".join([*lines, *([f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])]))


def _taken(path: Path, found: Sequence[Stored]) -> Stored:
    """Return the first of one model's results, which is the newest, and warn of those that give way to it."""
    first, *others = found
    if others:
        lines = [f"{path}: {first.model[1]}: the newest of {len(found)} results is taken: {first.described()}"]
        lines += [f"  not {other.described()}; it {differs(first, other)}" for other in others[:SHOWN]]
        lines += [f"  and not {len(others) - SHOWN} more"] if len(others) > SHOWN else []
        logger.warning("%s", "\n".join(lines))
    return first


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.rglob(FILE))
    if not files:
        raise DataError(f"{path}: no {FILE} here; give the folder of a result of `mimo-eval run`")
    return files


def _all(path: Path, files: Sequence[Path]) -> list[Stored]:
    """Read all the results of a folder, newest first: without one of them nobody can say which is the newest."""
    try:
        return read_stored(files)
    except DataError as error:
        if len(files) == 1:
            raise
        said = f"so that it cannot be said which of the {len(files)} results in {path} is the newest"
        raise DataError(f"{error}, {said}; remove that file, or give the folder of one result") from error


def labels(results: Sequence[Result]) -> list[str]:
    """Return the models' names, with a number where two results have the same."""
    names = [result.label for result in results]
    return [f"{name} #{names[: i + 1].count(name)}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def differs(first: Stored, other: Stored) -> str:
    """Say in what decides scores one result differs from another of the same model.

    :param first: the one that the reader knows of.
    :param other: the one that is described.
    :return: a sentence without its subject.
    """
    mine, theirs = _facts(first), _facts(other)
    found: dict[str, list[str]] = {}
    for role, name in {**mine, **theirs}:
        before, after = mine.get((role, name)), theirs.get((role, name))
        if before != after:
            found.setdefault(f"{name}: {_short(after)} instead of {_short(before)}", []).append(role)
    if not found:
        return "is of the same model, data and protocol"
    said = [f"{roles[0]} {what}".strip() if len(roles) == 1 else what for what, roles in found.items()][:NAMED]
    return f"differs in {'; '.join(said)}{f'; and {len(found) - NAMED} more' if len(found) > NAMED else ''}"


def _facts(stored: Stored) -> dict[tuple[str, str], str]:
    """Return what decides scores, the model first, by role, empty for what is not the model's, and name."""
    result, parts = stored.result, protocol(stored.path, stored.result)
    facts = {(role, name): repr(value) for role, content in result.fingerprints.items() for name, value in content.items()}
    facts["", "version of mimo-eval"] = str(result.environment.get("versions", {}).get("mimo-eval"))
    facts |= {("", name): parts[name] for part in TOLD for name in parts if name.rpartition(": ")[2] == part}
    facts["", "measures"] = ", ".join(map(str, result.benchmark.get("measures", ())))
    return facts


def _short(value: str | None) -> str:
    return "none" if value is None else value if len(value) <= WIDTH else f"{value[: WIDTH - 1]}…"


def protocol(path: Path, result: Result) -> dict[str, str]:
    """Return everything in which results that are compared must be equal.

    :param path: where the result lies, for the message.
    :param result: the result.
    :return: name to value.
    :raises DataError: if the result lacks what every version writes.
    """
    try:
        return _protocol(result)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a result of this version: {error!r} in benchmark or collections") from error


def _protocol(result: Result) -> dict[str, str]:
    tasks = result.benchmark.get("tasks", [])
    parts = {
        "benchmark": str(result.benchmark.get("name")),
        "collections": ", ".join(str(c["name"]) for c in result.collections),
    }
    settings = iter(result.settings)
    for number, (task, collection) in enumerate(zip(tasks, result.collections, strict=False), 1):
        where = str(collection["name"]) + (f" (task {number})" if len(tasks) > 1 else "")
        parts[f"{where}: revision"] = str(collection["revision"])[:16]
        parts[f"{where}: languages"] = ", ".join(sorted({*collection["counts"]["documents"], *collection["counts"]["queries"]}))
        for kind, count in collection["counts"].items():
            if isinstance(count, dict):
                parts |= {f"{where}: {kind} in {lang}": str(n) for lang, n in count.items()}
            else:
                parts[f"{where}: {kind.replace('_', ' ')}"] = str(count)
        mine = list(islice(settings, len(task["mixes"])))
        parts[f"{where}: mixes"] = ", ".join(s.mix for s in mine)
        for s in mine:
            parts[f"{where}: seed of {s.mix}"] = str(s.seed)
            parts |= {f"{where}: documents of {s.mix} {p.name}".strip(): str(sum(p.documents.values())) for p in s.pools}
    return {**parts, "depth": str(result.benchmark.get("depth")), SEARCH: result.searched}
