"""Measures of a run: effectiveness from ir-measures, and beside it what the run does to languages.

Importing this package registers every language measure with ir-measures, so that `ir_measures.parse_measure("LPR")`
works and `ir_measures.iter_calc` computes it. A new measure is one file here with one instance of a `LanguageMeasure`
in it (or an entry point in the group `mimo_eval.measures`), and one test.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import ir_measures
from ir_measures.measures import Measure

from mimo_eval.errors import ConfigError, MimoEvalError
from mimo_eval.measures import standard
from mimo_eval.measures.base import DataNeed, Declaration, Direction, LanguageMeasure, refuse_unknown_parameters
from mimo_eval.measures.composition import Composition, composition
from mimo_eval.measures.fast_provider import fast
from mimo_eval.measures.provider import ONE_LANGUAGE, LanguageProvider, applicable, compute, languages, provider
from mimo_eval.measures.ranking import Ranking
from mimo_eval.registry import Registry

__all__ = [
    "ONE_LANGUAGE",
    "Composition",
    "DataNeed",
    "Declaration",
    "Direction",
    "LanguageMeasure",
    "Ranking",
    "applicable",
    "composition",
    "compute",
    "describe",
    "direction",
    "fast",
    "languages",
    "parse",
    "provider",
    "registry",
]

logger = logging.getLogger(__name__)


def parse(text: str) -> list[Measure]:
    """Read measures as ir-measures writes them, for example `nDCG@10, LPR PEER(weights={0: 0.5, 1: 0.5})@20`.

    :param text: measures, separated by commas or spaces.
    :return: the measures in their order, each once.
    :raises ConfigError: if there is none, or one cannot be understood; near names are given.
    """
    measures = list(dict.fromkeys(_parse_one(part) for part in _split(text) if part))
    if not measures:
        raise ConfigError("no measure is given; write for example: nDCG@10 LPR")
    return measures


def direction(measure: Measure | str) -> Direction:
    """Return which way a measure gets better.

    :param measure: any measure, or its name as results have it.
    :return: the direction; none for a name that is not known here.
    """
    if isinstance(measure, str):
        try:
            measure = parse(measure)[0]
        except ConfigError:
            return Direction.NONE
    return measure.direction if isinstance(measure, LanguageMeasure) else standard.direction(measure.NAME)


def describe() -> list[Declaration]:
    """Return what is known of every measure: those of effectiveness first, then the language measures by name."""
    return [
        *standard.declarations(),
        *(entry for name in sorted(_measures) for entry in _measures[name].declarations()),
    ]


def __getattr__(name: str) -> LanguageMeasure:
    """Return a language measure by its name, so that `measures.PEER @ 20` reads as in ir-measures."""
    if name in globals().get("_measures", {}):
        return _measures[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _split(text: str) -> Iterator[str]:
    """Cut at commas and spaces that stand outside brackets."""
    depth, part = 0, ""
    for character in re.sub(r"\s*@\s*", "@", text):
        depth += (character in "([{") - (character in ")]}")
        if depth <= 0 and (character == "," or character.isspace()):
            yield part
            part = ""
        else:
            part += character
    yield part


def _parse_one(text: str) -> Measure:
    name = re.split(r"[(@]", text)[0]
    known: dict[str, Any] = ir_measures.measures.registry
    if name not in known:
        lower = {other.lower(): measure.NAME or other for other, measure in known.items()}
        near = dict.fromkeys(lower[match] for match in get_close_matches(name.lower(), lower, n=3, cutoff=0.5))
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(known))}"
        raise ConfigError(f"unknown measure '{text}'; {hint}")
    try:
        measure = ir_measures.parse_measure(text)
        refuse_unknown_parameters(measure)
        measure.validate_params()
    except (AssertionError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"cannot understand measure '{text}': {_plain(known[name], error)}") from error
    if not computable(measure):
        raise ConfigError(f"measure '{text}': no provider of ir-measures that is installed computes it; {PROVIDERS}")
    cutoff = measure.params.get("cutoff")
    if cutoff is not None and cutoff < 1:
        raise ConfigError(f"measure '{text}' cannot take the cutoff {cutoff}: ranks start at 1")
    return measure


PROVIDERS = "see https://ir-measur.es/en/latest/providers.html for what to install"


def computable(measure: Measure) -> bool:
    """Say whether something that is installed computes a measure."""
    if isinstance(measure, LanguageMeasure) or standard.kernel(measure) is not None:
        return True
    return any(p.is_available() and p.supports(measure) for p in ir_measures.DefaultPipeline.providers)


def _plain(measure: Measure, error: Exception) -> str:
    """Put an assertion of ir-measures into words."""
    lacking = re.match(r"invalid param (\w+)=<object", str(error))
    if not lacking:
        return str(error)
    written = f"{measure.NAME}@10" if lacking[1] == measure.AT_PARAM else f"{measure.NAME}({lacking[1]}=...)"
    return f"it needs '{lacking[1]}'; write for example {written}"


def _builtin() -> dict[str, str]:
    """Return where each measure of this package's files lies."""
    targets: dict[str, str] = {}
    for module in iter_modules(__path__):
        found = import_module(f"{__name__}.{module.name}")
        for attribute, value in vars(found).items():
            if isinstance(value, LanguageMeasure) and type(value).__module__ == found.__name__:
                targets[value.NAME] = f"{found.__name__}:{attribute}"
    return targets


def _discover(names: dict[str, str]) -> Iterator[LanguageMeasure]:
    """Yield the measures to be entered; a plugin that is unusable is warned of and passed over."""
    known: dict[str, Any] = ir_measures.measures.registry
    for name in registry:
        try:
            measure = registry.get(name)
        except MimoEvalError as error:
            logger.warning("%s", error)
            continue
        taken = name in known and not isinstance(known[name], LanguageMeasure)
        if not (isinstance(measure, LanguageMeasure) and name == measure.NAME) or (taken and name not in names):
            logger.warning("measure '%s' is passed over: no LanguageMeasure of that name, or the name is taken", name)
            continue
        if taken:  # the published PEER package enters itself under the same name and no longer runs
            logger.warning("measure '%s' of another package is replaced by that of mimo-eval", name)
        yield measure


def _enter() -> dict[str, LanguageMeasure]:
    """Enter measures and provider into ir-measures; a second time changes nothing."""
    measures = {measure.NAME: measure for measure in _discover(_BUILTIN)}
    ir_measures.measures.registry.update(measures)
    providers = ir_measures.DefaultPipeline.providers
    providers[:] = [LanguageProvider(), *(p for p in providers if p.NAME != LanguageProvider.NAME)]
    return measures


_BUILTIN = _builtin()
registry: Registry[LanguageMeasure] = Registry("measure", "mimo_eval.measures", _BUILTIN)
_measures = _enter()
