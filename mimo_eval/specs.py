"""Names with arguments, as users type them: `bm25(k1=0.9)`, `rrf(bm25, org/model, k=60)`, `partition(en=0.7,de=0.3)`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from mimo_eval.errors import ConfigError

MAX_DEPTH = 20
NAME = re.compile(r"[^(),=\s]+")
WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
"""Not 007: leading zeros are a name's or a revision's."""
NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)\.\d*|\.\d+|[1-9]\d*(?=e))(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Spec:
    """A name and its arguments; positional ones are specs themselves."""

    name: str
    args: tuple[Spec, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = [str(a) for a in self.args] + [f"{k}={v}" for k, v in self.kwargs.items()]
        return f"{self.name}({', '.join(inside)})" if inside else self.name


def parse_spec(text: str) -> Spec:
    """Read a name with optional arguments.

    Values are int, float, true/false, or text. Nothing is evaluated.

    :param text: what the user typed.
    :return: the name and its arguments.
    :raises ConfigError: if brackets do not match or a name is missing; the message shows where.
    """
    spec, end = _parse(text, 0, 0)
    if text[end:].strip():
        raise ConfigError(f"cannot read '{text}': unexpected '{text[end:].strip()}'")
    return spec


def _parse(text: str, start: int, depth: int) -> tuple[Spec, int]:
    if depth > MAX_DEPTH:
        raise ConfigError(f"cannot read '{text[:60]}…': brackets nested deeper than {MAX_DEPTH}")
    match = NAME.match(text, _skip(text, start))
    if match is None:
        raise ConfigError(f"cannot read '{text}': a name is missing at position {start + 1}")
    end = _skip(text, match.end())
    if end >= len(text) or text[end] != "(":
        return Spec(match.group()), end
    args: list[Spec] = []
    kwargs: dict[str, Any] = {}
    end = _skip(text, end + 1)
    while end < len(text) and text[end] != ")":
        item, end = _parse(text, end, depth + 1)
        if end < len(text) and text[end] == "=":
            value, end = _value(text, end + 1)
            if item.args or item.kwargs or item.name in kwargs:
                raise ConfigError(f"cannot read '{text}': {item} is given {'twice' if item.name in kwargs else 'a value'}")
            kwargs[item.name] = value
        else:
            args.append(item)
        if end < len(text) and text[end] == ",":
            end = _skip(text, end + 1)
        elif end < len(text) and text[end] != ")":
            raise ConfigError(f"cannot read '{text}': a comma is missing at position {end + 1}")
    if end >= len(text):
        raise ConfigError(f"cannot read '{text}': a closing bracket is missing")
    return Spec(match.group(), tuple(args), kwargs), _skip(text, end + 1)


def _value(text: str, start: int) -> tuple[Any, int]:
    match = NAME.match(text, _skip(text, start))
    if match is None:
        raise ConfigError(f"cannot read '{text}': a value is missing at position {start + 1}")
    return _scalar(match.group()), _skip(text, match.end())


def _scalar(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if WHOLE.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def spec_name(name: str, arguments: dict[str, tuple[Any, Any]]) -> str:
    """Return a name with those arguments that are not the usual ones, so that variants stay apart in tables.

    :param name: the bare name.
    :param arguments: argument to (value, usual value).
    :return: such as `bm25(k1=1.2)`.
    """
    return str(Spec(name, (), {key: value for key, (value, usual) in arguments.items() if value != usual}))
