"""A mix as users write it: `parallel`, `bilingual(en+de)`, `partition(en=0.7,de=0.3,seed=1)`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import normalise
from mimo_eval.specs import parse_spec, refuse_unknown

SETTINGS = {
    "parallel": "mlir",
    "union": "union",
    "partition": "partition",
    "away": "away",
    "bilingual": "bilingual",
    "monolingual": "multi-monolingual",
    "cross-lingual": "cross-lingual",
}
"""Kind of mix to the name of the setting it belongs to; both are understood."""

KINDS = {setting: kind for kind, setting in SETTINGS.items()} | {kind: kind for kind in SETTINGS}


@dataclass(frozen=True)
class Mix:
    """A recipe for a corpus out of a collection.

    `parallel` and `union` take every document of the chosen languages; `partition` each group in one language drawn by
    `shares`; `away` asks of that corpus only queries whose relevant documents are all in other languages; `monolingual`,
    `cross-lingual` and `bilingual` are families of small corpora, one per language or pair.
    """

    kind: str = "parallel"
    seed: int = 0
    shares: tuple[tuple[str, float], ...] = ()
    """For `partition` and `away`: language and weight; empty means uniform."""
    pair: tuple[str, str] | None = None
    """For `bilingual`: the two languages; None means English with each other language."""
    max_documents: int | None = None
    """Most documents in one corpus; judged documents always stay, others are drawn by hash."""

    def __post_init__(self) -> None:
        if self.kind not in SETTINGS:
            raise ConfigError(f"unknown mix '{self.kind}'; {_near(self.kind, SETTINGS)}")
        _whole(self.seed, "seed")
        if self.max_documents is not None:
            _whole(self.max_documents, "max_documents", least=1)

    def __str__(self) -> str:
        options = ["+".join(self.pair)] if self.pair else []
        options += [f"{lang}={repr(weight).removesuffix('.0')}" for lang, weight in self.shares]
        options += [f"max_documents={self.max_documents}"] if self.max_documents else []
        options += [f"seed={self.seed}"] if self.seed else []
        return f"{self.kind}({','.join(options)})" if options else self.kind

    @property
    def setting(self) -> str:
        """Name of the setting that this mix belongs to."""
        return SETTINGS[self.kind]

    @property
    def family(self) -> bool:
        """Whether the mix is several corpora whose scores are averaged."""
        return self.kind in ("monolingual", "cross-lingual", "bilingual")

    @classmethod
    def parse(cls, text: str) -> Mix:
        """Read a mix as users write it.

        :param text: such as `parallel`, `bilingual(en+de)`, `partition(en=0.7,de=0.2,fr=0.1,seed=1)`.
        :return: the mix.
        :raises ConfigError: if the kind or an option is unknown.
        """
        spec = parse_spec(text)
        kind = KINDS.get(spec.name)
        if kind is None:
            raise ConfigError(f"unknown mix '{spec.name}'; {_near(spec.name, KINDS)}")
        options = dict(spec.kwargs)
        mix = cls(kind, seed=_whole(options.pop("seed", 0), "seed"))
        if "max_documents" in options:
            mix = replace(mix, max_documents=_whole(options.pop("max_documents"), "max_documents", least=1))
        names = [str(arg) for arg in spec.args]
        if kind == "bilingual" and len(names) == 1 and names[0].count("+") == 1:
            first, second = (_language(code, text) for code in names.pop().split("+"))
            if first == second:
                raise ConfigError(f"'{text}': a bilingual mix needs two languages")
            mix = replace(mix, pair=(first, second))
        if kind in ("partition", "away"):
            names = [] if names == ["uniform"] and not options else names
            mix, options = replace(mix, shares=_shares(options, text)), {}
        refuse_unknown(kind, [*names, *options], [*ARGUMENTS.get(kind, ()), "seed", "max_documents"])
        return mix


ARGUMENTS = {"bilingual": ("a pair such as en+de",), "partition": ("uniform or shares such as en=0.7,de=0.3",)}
ARGUMENTS["away"] = ARGUMENTS["partition"]


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(sorted(known))}"


def _language(code: str, text: str) -> str:
    try:
        return normalise(code)
    except DataError as error:
        options = get_close_matches(code, ("seed", "max_documents", "uniform"), n=1, cutoff=0.6)
        hint = f"; did you mean {options[0]}?" if options else ""
        raise ConfigError(f"'{text}': {error}{hint}") from error


def _whole(value: object, name: str, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def _shares(options: dict[str, object], text: str) -> tuple[tuple[str, float], ...]:
    shares = []
    for code, weight in options.items():
        lang = _language(code, text)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight) or weight < 0:
            raise ConfigError(f"'{text}': the share of {code} must be a number of at least 0, not {weight!r}")
        shares.append((lang, float(weight)))
    if shares and sum(weight for _, weight in shares) <= 0:
        raise ConfigError(f"'{text}': the shares are all 0")
    if len({code for code, _ in shares}) < len(shares):
        raise ConfigError(f"'{text}': a language has two shares")
    return tuple(sorted(shares))
