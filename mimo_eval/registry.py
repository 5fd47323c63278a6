"""One registry for every extension point: built-in names, entry points found lazily, near names in errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from mimo_eval.errors import ConfigError, MimoEvalError

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Registry(Generic[T]):
    """Names and what they stand for; a value is imported only when it is asked for.

    :param kind: what is registered, singular, as error messages say it.
    :param group: the entry-point group in which other packages add theirs.
    :param builtin: name to `module:attribute`.
    """

    def __init__(self, kind: str, group: str, builtin: dict[str, str] | None = None) -> None:
        self.kind = kind
        self.group = group
        self._targets: dict[str, str | EntryPoint] = dict(builtin or {})
        self._loaded: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str, value: T) -> T:
        """Add a value under a name that is not yet taken.

        :param name: the new name.
        :param value: what it stands for.
        :return: the value.
        :raises ConfigError: if the name is taken.
        """
        if name in self._loaded or name in self._find():
            raise ConfigError(f"{self.kind} '{name}' is registered already")
        self._loaded[name] = value
        return value

    def names(self) -> list[str]:
        """Return every known name, sorted."""
        return sorted({*self._find(), *self._loaded})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: str) -> bool:
        return name in self._loaded or name in self._find()

    def get(self, name: str) -> T:
        """Return what a name stands for.

        :param name: a registered name.
        :return: the registered value, imported now if need be.
        :raises ConfigError: if the name is unknown (near names are given) or its module cannot be imported.
        """
        if name not in self._loaded:
            self._loaded[name] = self._import(name)
        return self._loaded[name]

    def _import(self, name: str) -> T:
        target = self._find().get(name)
        if target is None:
            raise ConfigError(self.unknown(name))
        try:
            value: T = target.load() if isinstance(target, EntryPoint) else load_attribute(target)
            return value
        except MimoEvalError:
            raise
        except Exception as error:
            raise ConfigError(f"{self.kind} '{name}' cannot be imported from {target}: {error}") from error

    def unknown(self, name: str) -> str:
        """Say that there is no such name, and which are near it.

        :param name: what a user typed.
        :return: one sentence.
        """
        near = get_close_matches(name, self.names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(self.names())}"
        return f"unknown {self.kind} '{name}'; {hint}"

    def _find(self) -> dict[str, Any]:
        """Add the entry points of installed packages, once; a built-in name wins over a plugin's."""
        if not self._discovered:
            self._discovered = True
            for point in entry_points(group=self.group):
                if point.name in self._targets:
                    logger.warning("%s '%s' of %s is ignored: the name is taken", self.kind, point.name, point.value)
                    continue
                self._targets[point.name] = point
        return self._targets


def load_attribute(target: str) -> Any:
    """Import `module:attribute`.

    :param target: dotted module, a colon, attribute (dots allowed).
    :return: the attribute.
    """
    module, _, attribute = target.partition(":")
    value: Any = import_module(module)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value
