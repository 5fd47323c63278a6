"""What can be measured: every measure and every diagnostic, with range, direction, needs, source and parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from enum import Enum
from typing import Any

import ir_measures

from mimo_eval.docstrings import prose
from mimo_eval.errors import ConfigError
from mimo_eval.geometry import DIAGNOSTICS, Diagnostic
from mimo_eval.measures import DataNeed, Declaration, Direction, LanguageMeasure, describe, parse, registry

KINDS = {
    "effectiveness": "of a run and its judgements",
    "language": "of a run, its judgements and the language of every document and query",
    "geometry": "of vectors alone",
}
SCALARS = (bool, int, float, str)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a measure."""

    name: str
    meaning: str
    required: bool
    default: Any = None
    choices: list[Any] | None = None


@dataclass(frozen=True)
class Entry:
    """One measure or diagnostic; `about` and `parameters` where it was asked for by name."""

    name: str
    kind: str
    """One of KINDS."""
    answers: str
    range: tuple[float, float] | None
    """None where nothing declares it."""
    better: str
    needs: dict[str, str]
    """Short name to what it means; that every language measure needs the languages goes without saying."""
    source: str
    about: str = ""
    instead: str = ""
    """What helps where the data lack what is needed."""
    parameters: list[Parameter] = field(default_factory=list)

    def as_dict(self, whole: bool) -> dict[str, Any]:
        """Return what JSON can hold; an end of the range that the data decide is null.

        :param whole: with all that is known of it.
        """
        record = asdict(self)
        if self.range is not None:
            record["range"] = [end if math.isfinite(end) else None for end in self.range]
        return record if whole else {name: record[name] for name in list(record)[:7]}


def listed() -> list[Entry]:
    """Return every measure and every diagnostic."""
    return [*map(_declared, describe()), *(_diagnosed(DIAGNOSTICS.get(name)) for name in DIAGNOSTICS)]


def found(name: str) -> list[Entry]:
    """Return one measure, in each of the ways of writing it that are listed, with all that is known of it.

    :param name: a measure or diagnostic, with or without parameters.
    :return: one entry or several, all of the same measure.
    :raises ConfigError: if there is none; near names are given.
    """
    base = re.split(r"[(@]", name.strip())[0]
    if base in DIAGNOSTICS:
        return [_diagnosed(DIAGNOSTICS.get(base))]
    measure = ir_measures.measures.registry.get(base)
    if measure is None:
        raise _unknown(base, [*registry, *DIAGNOSTICS, *ir_measures.measures.registry])
    known = [entry for entry in listed() if re.split(r"[(@]", entry.name)[0] == measure.NAME]
    if not known:
        known = [Entry(measure.NAME, "effectiveness", measure.SHORT_DESC or "", None, "", {}, "ir-measures")]
    more = {
        "about": prose(measure) if isinstance(measure, LanguageMeasure) else "",
        "instead": measure.INSTEAD if isinstance(measure, LanguageMeasure) else "",
        "parameters": [_parameter(key, info, measure.AT_PARAM) for key, info in measure.SUPPORTED_PARAMS.items()],
    }
    return [Entry(**{**entry.__dict__, **more}) for entry in known]


def _declared(declaration: Declaration) -> Entry:
    return Entry(
        name=declaration.name,
        kind="language" if isinstance(parse(declaration.name)[0], LanguageMeasure) else "effectiveness",
        answers=declaration.answers,
        range=declaration.range,
        better="neither" if declaration.direction is Direction.NONE else declaration.direction.value,
        needs={_short(need): need.value for need in declaration.needs if need is not DataNeed.LANGUAGES},
        source=declaration.source,
    )


def _diagnosed(diagnostic: Diagnostic) -> Entry:
    return Entry(
        name=diagnostic.name,
        kind="geometry",
        answers=diagnostic.answers,
        range=diagnostic.range,
        better=diagnostic.direction.value,
        needs={_short(need): need.value.removeprefix("needs ") for need in diagnostic.needs},
        source=diagnostic.source,
        about=prose(diagnostic.function),
    )


def _short(need: Enum) -> str:
    return need.name.lower().replace("_", " ")


def _parameter(name: str, info: Any, at: str | None) -> Parameter:
    given = info.default if isinstance(info.default, SCALARS) else None
    choices = list(info.choices) if isinstance(info.choices, (list, tuple)) else None
    return Parameter("@k" if name == at else name, info.desc or "", bool(info.required), given, choices)


def _unknown(name: str, known: Sequence[str]) -> ConfigError:
    lower = {other.lower(): other for other in reversed(known)}
    near = [lower[match] for match in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}?" if near else "`mimo-eval measures` lists them"
    return ConfigError(f"unknown measure '{name}'; {hint}")
