"""Names with arguments, as users type them: `bm25(k1=0.9)`, `rrf(bm25, org/model, k=60)`, `partition(en=0.7,de=0.3)`."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from keyword import iskeyword
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


def arguments(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments of a class or function, in its order; not of what stands for any number of others.

    :param function: the class or function.
    """
    parameters = inspect.signature(function).parameters.values()
    return [_written(p.name) for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _written(name: str) -> str:
    """Return an argument's name as users write it: without the underscore after a word that Python keeps for itself."""
    return name[:-1] if name.endswith("_") and iskeyword(name[:-1]) else name


def python_names(function: Callable[..., Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by the names that Python has for them: those of `mimo(lambda=0.2)` are `lambda_=0.2`.

    :param function: the class or function that will be called.
    :param named: arguments by name, as users write them.
    """
    known = inspect.signature(function).parameters
    return {f"{name}_" if f"{name}_" in known and iskeyword(name) else name: value for name, value in named.items()}


def check_arguments(
    what: str, function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any], ours: Collection[str] = ()
) -> None:
    """Refuse arguments that a class or function does not take, and the lack of one that it needs. Values are not shown.

    :param what: what users call it.
    :param function: the class or function that will be called.
    :param given: arguments by place.
    :param named: arguments by name, as users write them.
    :param ours: arguments that the caller gives: users cannot, and are not told of them.
    :raises ConfigError: naming the argument, and those there are.
    """
    parameters = {_written(p.name): p for p in inspect.signature(function).parameters.values() if p.name not in ours}
    known = [name for name, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    placed = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    unnamed = {name for name, p in parameters.items() if p.kind is p.POSITIONAL_ONLY}
    named = {_written(name): value for name, value in named.items()}
    others = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    refuse_unknown(what, [name for name in named if name in ours or not others], [n for n in known if n not in unnamed])
    if len(given) > len(placed) and not any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
        number = f"{len(given)} instead of {len(placed)}"
        raise ConfigError(f"too many arguments of {what} without a name, {number}; it takes {_listed(known)}")
    if twice := [name for name in placed[: len(given)] if name in named and name not in unnamed]:
        raise ConfigError(f"the argument '{twice[0]}' of {what} is given twice, by its place and by its name")
    needed = [name for name in known if parameters[name].default is inspect.Parameter.empty]
    there = {*placed[: len(given)], *(set(named) - unnamed)}
    if lacking := [name for name in needed if name not in there]:
        raise ConfigError(f"the argument '{lacking[0]}' of {what} is missing; it takes {_listed(known)}")


def refuse_unknown(what: str, named: Iterable[str], known: Sequence[str]) -> None:
    """Refuse arguments of an unknown name.

    :param what: what they are given to, as users call it.
    :param named: names of arguments.
    :param known: the names there are.
    :raises ConfigError: naming the first, one that is like it, and those there are.
    """
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise ConfigError(f"unknown argument '{name}' of {what}{hint}; it takes {_listed(known)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "none"
