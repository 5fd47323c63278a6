"""What a model is and which arguments it takes: from its card, its docstring and its signature."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mimo_eval.docstrings import prose
from mimo_eval.errors import ConfigError
from mimo_eval.models.loading import HUB_ID, MODELS, MODULE, SCHEMES, card_of, catalogue, import_typed

PARAMETER = re.compile(r"^:param (\w+): (.*?)(?=^:|\Z)", re.M | re.S)
HUB = "MODEL"
"""How a model that is named by its hub id or folder stands among those with a name of their own."""


@dataclass(frozen=True)
class Argument:
    """One argument of a model."""

    name: str
    meaning: str
    required: bool
    default: Any
    """None where there is none, or where leaving it out is a choice of its own, which the meaning tells."""
    by_place: bool
    """Whether it is written without its name."""
    several: bool
    """Whether it stands for any number."""
    shared: bool
    """Whether a class that the model's extends describes it, so that others take it too."""

    @property
    def written(self) -> str:
        """How it is written between the brackets, with its default."""
        if self.several:
            return f"{self.name.upper()}…" if self.by_place else "…"
        if self.by_place and self.required:
            return self.name.upper()
        usual = str(self.default).lower() if isinstance(self.default, bool) else self.default
        return f"{self.name}={'…' if usual in (None, '') else usual}"


@dataclass(frozen=True)
class Entry:
    """A model; what it is at length, and its arguments, where it was asked for by name."""

    name: str
    kind: str
    what: str
    licence: str
    install: str | None
    """The line that installs what is missing; None if nothing is."""
    about: str = ""
    arguments: list[Argument] = field(default_factory=list)

    def as_dict(self, whole: bool) -> dict[str, Any]:
        """Return what JSON can hold.

        :param whole: with what it is at length, and its arguments.
        """
        record = asdict(self)
        return record if whole else {name: record[name] for name in ("name", "kind", "what", "licence", "install")}


def listed() -> list[Entry]:
    """Return every model with a name of its own."""
    return [Entry(*card) for card in catalogue()]


def found(name: str) -> Entry:
    """Return one model with all that is known of it; nothing is loaded or downloaded.

    :param name: a name, `mteb`, `module:attribute`, a hub id or a folder; what stands in brackets behind it does not matter.
    :return: the model.
    :raises ConfigError: if there is none; near names are given.
    """
    bare = name.partition("(")[0].strip()
    scheme = bare.partition(":")[0]
    if bare in MODELS:
        return _whole(Entry(*card_of(bare)), MODELS.get(bare))
    if scheme in SCHEMES:
        entry = Entry(f"{scheme}:NAME", scheme, f"any model that {scheme} knows by name", "the model's own", None)
        return _whole(entry, SCHEMES.get(scheme))
    if MODULE.fullmatch(bare):
        return _whole(Entry(bare, "plugin", "your own", "", None), import_typed(bare))
    if bare == HUB or HUB_ID.fullmatch(bare) or (bare and Path(bare).is_dir()):
        from mimo_eval.models.dense import SentenceTransformerEncoder

        what = "any sentence-transformers model, by hub id or folder"
        entry = _whole(Entry(bare, "dense", what, "the model's own", None), SentenceTransformerEncoder)
        entry.arguments[:] = [argument for argument in entry.arguments if argument.name != "model"]  # it is the name
        return entry
    raise ConfigError(MODELS.unknown(bare))


def _whole(entry: Entry, target: Any) -> Entry:
    if not (inspect.isclass(target) or inspect.isroutine(target)):  # an object that is a model already
        return Entry(**{**entry.__dict__, "about": prose(type(target))})
    return Entry(**{**entry.__dict__, "about": prose(target), "arguments": list(_arguments(target))})


def _arguments(target: Callable[..., Any]) -> Iterator[Argument]:
    own, known = _described(target), {}
    for kind in reversed(inspect.getmro(target)) if inspect.isclass(target) else (target,):
        known.update(_described(kind))
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError as error:  # of what is written in C
        raise ConfigError(f"'{target}' is not a model, nor a function that makes one") from error
    for parameter in parameters:
        yield Argument(
            name=parameter.name,
            meaning=known.get(parameter.name, ""),
            required=parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD,
            default=None if parameter.default is parameter.empty else parameter.default,
            by_place=parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD),
            several=parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD),
            shared=parameter.name not in own,
        )


def _described(documented: Any) -> dict[str, str]:
    """Return what a docstring says of parameters; None is no word of the command line."""
    text = inspect.cleandoc(documented.__doc__ or "")
    found = {name: " ".join(meaning.split()) for name, meaning in PARAMETER.findall(text)}
    return {name: meaning.replace(" if None", " if not given") for name, meaning in found.items()}
