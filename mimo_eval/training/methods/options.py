"""Options of training methods: the fields of a frozen dataclass, checked when it is made, told in cards and names."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from mimo_eval.errors import ConfigError
from mimo_eval.specs import spec_name


@dataclass(frozen=True)
class Options:
    """What the methods share; a method of another package may do without."""

    method: ClassVar[str]
    """The registered name."""

    def __post_init__(self) -> None:
        for spec in fields(self):
            _check(self.method, spec.name.rstrip("_"), getattr(self, spec.name), spec.default, **spec.metadata)

    @property
    def name(self) -> str:
        """The method, and its options where they are not the usual ones."""
        return spec_name(self.method, {_public(f.name): (getattr(self, f.name), f.default) for f in fields(self)})

    def describe(self) -> dict[str, Any]:
        """Return the method and its options."""
        return {"method": self.method, **{_public(f.name): getattr(self, f.name) for f in fields(self)}}


def option(
    default: bool | int | float | str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare an option; its type is that of the default.

    :param default: the usual value.
    :param help: what it does, in a few words.
    :param low: least number allowed.
    :param high: greatest number allowed.
    :param choices: texts allowed; any if none is named.
    :return: the field.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


def _public(name: str) -> str:
    return name.rstrip("_")


def _check(
    method: str, name: str, value: Any, default: Any, help: str, low: float | None, high: float | None, choices: tuple[str, ...]
) -> None:
    kind = type(default)
    if not (type(value) is kind or (kind is float and type(value) is int)):
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
        raise ConfigError(f"{method}: {name} must be {words[kind]}, not {value!r}; it is: {help}")
    if choices and value not in choices:
        raise ConfigError(f"{method}: {name} must be one of {', '.join(choices)}, not {value!r}")
    if (low is not None and value < low) or (high is not None and value > high):
        limits = f"from {low:g} to {high:g}" if high is not None else f"at least {low:g}"
        raise ConfigError(f"{method}: {name} must be {limits}, not {value:g}")
