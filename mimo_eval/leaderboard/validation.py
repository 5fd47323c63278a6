"""Submissions as a maintainer meets them: each checked where it lies, beside the board that it would stand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimo_eval.comparison.pairing import KEYS
from mimo_eval.errors import DataError
from mimo_eval.leaderboard import checks, entries, text
from mimo_eval.leaderboard.description import description, place
from mimo_eval.leaderboard.entries import CARD, Source
from mimo_eval.leaderboard.submit import tested
from mimo_eval.results import FILE, QUERIES, read_queries, read_result, result_folder

PARTS = (FILE, QUERIES, CARD)
"""The files of a submission."""


@dataclass(frozen=True)
class Validated:
    """One result of a submission, or a file that belongs to none."""

    path: Path
    """The result's file, or the other one."""
    source: Source | None = None
    """The result; None if it cannot be read."""
    faults: list[str] = field(default_factory=list)
    """Why it cannot be added; empty if it can."""
    doubts: list[str] = field(default_factory=list)
    """What is allowed but deserves a look."""
    beside: list[Source] = field(default_factory=list)
    """Results of the board that it shares a ranking with; of one with faults none."""

    @property
    def name(self) -> str:
        """The model, or else the file; safe to show."""
        return self.source.name if self.source else text.name(self.path)


def validate(paths: Sequence[Path], board: Sequence[Path] = ()) -> list[Validated]:
    """Check results that somebody wants to add to a board; nothing is written.

    :param paths: results, their folders, or folders around those; of one that holds `results/`, that folder.
    :param board: the results of the board; those of `paths` may be among them and are not held against themselves.
    :return: one record per result, and one per file that is no part of a result.
    :raises DataError: if there is no result in a path, or one of the board's own is damaged.
    """
    paths = [_results(path) for path in paths]
    files = entries.find(paths)
    given = {file.resolve() for file in files}
    others = [file for file in entries.find([_results(path) for path in board]) if file.resolve() not in given] if board else []
    present = entries.read_sources(others) if others else []
    return [*(_validated(file, present) for file in files), *_strays(paths)]


def _results(path: Path) -> Path:
    return path / "results" if (path / "results").is_dir() else path


def _validated(file: Path, present: Sequence[Source]) -> Validated:
    try:
        source = Source(file, read_result(file, strict=True), entries.read_card(file.parent))
        queries = read_queries(file, strict=True)
        faults = [*checks.faults(source, queries)] or [*checks.unlike(source, present), *_misplaced(source)]
    except DataError as error:
        return Validated(file, faults=[str(error)])
    except (TypeError, ValueError, KeyError, AttributeError) as error:  # foreign files; the others are to be checked too
        return Validated(file, faults=[f"cannot be checked: {type(error).__name__}: {error}"])
    if faults:
        return Validated(file, source, faults)
    protocol = entries.protocol(source.result)
    beside = [other for other in present if entries.protocol(other.result) == protocol]
    spare = [name for name in queries.columns if name not in (*KEYS, *tested(source.result))]
    doubts = [*checks.doubts(source), *_twins(source, beside)]
    if present and not beside:
        doubts.append("the board has no results of this benchmark: it would be a ranking of its own")
    if spare:
        doubts.append(f"{QUERIES} holds more than boards test ({', '.join(spare)}); `leaderboard submit` leaves it out")
    return Validated(file, source, [], doubts, beside)


def _misplaced(source: Source) -> Iterator[str]:
    """Check that the folder is the model's own, so that no submission stands under, or replaces, another's name."""
    model, key = str(source.result.model["name"]), source.result.key
    own = result_folder(Path(), "results", model, key)
    if source.path.resolve().parent.parts[-2:] != own.parts[-2:]:
        yield f"folder: it lies in {source.path.parent} and not in {own}, where `mimo-eval leaderboard submit` puts it"


def _twins(source: Source, beside: Sequence[Source]) -> Iterator[str]:
    """Yield what results of the board it resembles: one of the same model, or one with the very same scores."""
    result = source.result
    for other in beside:
        where = f"of {other.result.created}, in {other.path.parent}"
        if other.name == source.name and other.result.fingerprints == result.fingerprints:
            newer = result.created > other.result.created
            yield f"it replaces the result {where}: remove that" if newer else f"it is older than the result {where}"
        elif other.name == source.name:
            yield f"the board has a result of this name with other weights, prompts or settings, {where}"
        elif [s.scores for s in other.result.settings] == [s.scores for s in result.settings]:
            yield f"every score is that of {other.name}, {where}"


def _strays(paths: Sequence[Path]) -> Iterator[Validated]:
    """Yield what lies among results and is no part of one."""
    inside = {file for path in paths for file in (path, *(path if path.is_dir() else path.parent).rglob("*"))}
    for file in sorted(inside):
        if file.is_symlink():
            yield Validated(file, faults=["is a link: a submission consists of plain files"])
        elif file.is_file() and not (file.name in PARTS and (file.parent / FILE).is_file()):
            yield Validated(file, faults=[f"is no part of a result: a submission consists of {', '.join(PARTS)}"])


def places(one: Validated) -> Iterator[tuple[str, str, float | None, str]]:
    """Yield the main scores of a result that can be added.

    :param one: what was found of it.
    :return: setting, measure, score, and the place it takes, such as `3 of 15`; that is empty without a board.
    """
    for k, s in enumerate(one.source.result.settings if one.source and not one.faults else ()):
        where = place(one.source, one.beside, k) if one.source and one.beside else ""
        yield text.name(s.mix), text.name(s.main), s.scores.get(s.main), where


def document(results: Sequence[Validated]) -> list[dict[str, Any]]:
    """Return what was found as JSON holds it.

    :param results: what `validate` returned.
    :return: one object per result or file.
    """
    return [
        {
            "path": str(one.path),
            "name": one.name,
            "valid": not one.faults,
            "faults": one.faults,
            "doubts": one.doubts,
            "scores": [dict(zip(("setting", "measure", "score", "place"), row, strict=True)) for row in places(one)],
        }
        for one in results
    ]


def markdown(results: Sequence[Validated]) -> str:
    """Return what was found as GitHub shows it in a pull request.

    :param results: what `validate` returned.
    :return: Markdown.
    """
    bad = sum(bool(one.faults) for one in results)
    lines = [f"### {'❌' if bad else '✅'} {summary(results)}"]
    for one in results:
        lines += ["", f"#### {'❌' if one.faults else '✅'} {text.markdown(one.name)}", ""]
        lines += [f"- {text.markdown(text.name(fault, 1000))}" for fault in one.faults]
        if one.source and not one.faults:
            lines += description(one.source, one.doubts, one.beside)
    return "\n".join(lines) + "\n"


def summary(results: Sequence[Validated]) -> str:
    """Say in a few words how many can be added."""
    bad = sum(bool(one.faults) for one in results)
    if bad:
        return f"{bad} of {len(results)} cannot be added to a board"
    return f"{len(results)} result{'s' * (len(results) > 1)} can be added to a board"
