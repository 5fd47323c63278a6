"""Results found on disk, grouped by what may share a ranking, and what is said of each model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimo_eval.digests import digest
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import read_json
from mimo_eval.leaderboard import text
from mimo_eval.models.loading import BUILTIN
from mimo_eval.results import FILE, Result, read_result
from mimo_eval.specs import parse_spec

CARD = "card.json"
FEW = 100
"""With fewer texts encoded, the time says more of the start than of the model."""
UNKNOWN = ("the model's own", "the translator's", "the provider's", "")


class ModelCard(BaseModel):
    """What a submitter says of a model beside its result, where the result does not say it."""

    model_config = ConfigDict(extra="forbid", str_max_length=500)

    licence: str = ""
    """SPDX identifier, or words."""
    link: str = ""
    """http(s) address of the model or its paper."""
    parameters: int | None = Field(default=None, ge=0)
    """Weights of the network."""
    prompts: str = ""
    """What is put before queries and documents, or `none`."""


@dataclass(frozen=True)
class Source:
    """One result on disk."""

    path: Path
    """The JSON file."""
    result: Result
    card: ModelCard

    @property
    def name(self) -> str:
        """The model's name, safe to show."""
        return text.name(self.result.model.get("name", "")) or "(no name)"


def find(paths: Sequence[Path]) -> list[Path]:
    """Return the result files in some folders.

    :param paths: result files, their folders, or folders around those.
    :return: the files, each once, sorted.
    :raises DataError: if a path holds none.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        inside = sorted(path.rglob(FILE)) if path.is_dir() else [path]
        if not inside or not all(file.is_file() for file in inside):
            raise DataError(f"{path}: no {FILE} here; give results of `mimo-eval run`, or a folder that holds them")
        found.update({file.resolve(): file for file in inside})
    return [found[key] for key in sorted(found)]


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """Read results and their cards.

    :param paths: as `find` takes them.
    :return: the results, newest last.
    :raises DataError: if one is damaged.
    """
    sources = [Source(path, read_result(path), read_card(path.parent)) for path in find(paths)]
    for source in sources:
        require_settings(source)
    return sorted(sources, key=lambda s: (s.result.created, s.result.key))


def require_settings(source: Source) -> None:
    """Refuse what the schema leaves open but a board needs.

    :param source: the result.
    :raises DataError: if benchmark, collections or environment are not those of this version, or a mix has no scores.
    """
    result = source.result
    try:
        protocol(result)
        result.environment.get("versions", {}).get("mimo-eval")
        list(result.benchmark.get("measures", ()))
        complete = len(result.settings) == sum(len(task["mixes"]) for task in result.benchmark["tasks"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{source.path}: not a result of this version: {error!r} in benchmark, collections or environment"
        ) from error
    if not complete or not result.settings:
        raise DataError(f"{source.path}: it has {len(result.settings)} settings and not one per mix; run the evaluation again")


def read_card(folder: Path) -> ModelCard:
    """Read the card beside a result; empty if there is none.

    :param folder: of the result.
    :return: the card.
    :raises DataError: naming the field that is wrong.
    """
    path = folder / CARD
    if not path.exists():
        return ModelCard()
    try:
        return ModelCard.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error


def protocol(result: Result) -> dict[str, str]:
    """Return everything that must be equal for two results to share a ranking, by name.

    :param result: a result.
    :return: such as `data: mini` to its revision.
    """
    parts = {"benchmark": str(result.benchmark["name"]), "depth": str(result.benchmark["depth"])}
    parts |= {"approximate search": result.index} if result.approximate else {}
    settings = iter(result.settings)
    for number, (task, collection) in enumerate(zip(result.benchmark["tasks"], result.collections, strict=True), 1):
        where = str(collection["name"]) + (f" (task {number})" if len(result.benchmark["tasks"]) > 1 else "")
        counts = collection["counts"]
        parts[f"data: {where}"] = str(collection["revision"])
        parts[f"query languages: {where}"] = " ".join(f"{lang}:{n}" for lang, n in sorted(counts["queries"].items()))
        parts[f"document languages: {where}"] = " ".join(f"{lang}:{n}" for lang, n in sorted(counts["documents"].items()))
        mine = [s for _, s in zip(task["mixes"], settings, strict=False)]
        parts[f"mixes: {where}"] = ", ".join(f"{s.mix} (seed {s.seed})" for s in mine)
        # the draw of a mix may change with the version: its corpora tell
        sizes = [[p.name, p.documents, p.queries] for s in mine for p in s.pools]
        parts[f"corpora: {where}"] = digest(json.dumps(sizes, sort_keys=True))
        parts[f"ranked by: {where}"] = ", ".join(dict.fromkeys(s.main for s in mine))
    return parts


def grouped(sources: Sequence[Source]) -> list[list[Source]]:
    """Put results together that may share a ranking; of one model's equal results the newest stays.

    :param sources: results, newest last.
    :return: groups, those with most models first.
    """
    groups: dict[str, dict[str, Source]] = {}
    for source in sources:
        key = digest(json.dumps(protocol(source.result), sort_keys=True))
        same = digest(source.name, json.dumps(source.result.fingerprints, sort_keys=True, default=str))
        groups.setdefault(key, {})[same] = source
    return [list(group.values()) for _, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))]


def left_out(sources: Sequence[Source], groups: Sequence[Sequence[Source]]) -> list[str]:
    """Say which results gave way to a newer one of the same model and protocol."""
    kept = {source.path for group in groups for source in group}
    return [
        f"{source.name}: the result of {source.result.created} gives way to a newer one"
        for source in sources
        if source.path not in kept
    ]


def differences(first: dict[str, str], other: dict[str, str]) -> list[str]:
    """Say in what one protocol differs from another."""
    names = [name for name in {**first, **other} if first.get(name) != other.get(name)]
    return [f"{name}: {_short(other.get(name))} instead of {_short(first.get(name))}" for name in names]


def _short(value: str | None) -> str:
    return "none" if value is None else value if len(value) <= 60 else value[:24] + "…"


def labels(sources: Sequence[Source]) -> list[str]:
    """Return a name for each result that no other has."""
    names = [source.name for source in sources]
    return [f"{n} #{names[: i + 1].count(n)}" if names.count(n) > 1 else n for i, n in enumerate(names)]


def described(source: Source) -> dict[str, Any]:
    """Return what a board says of a model besides its scores: the fields of `Entry` from kind to prompts.

    :param source: the result.
    :return: field to value.
    """
    model, card = source.result.model, source.card
    number = {key: value if isinstance(value := model.get(key), int) else None for key in ("parameters", "dimension")}
    return {
        "kind": text.name(_kind(model), 40),
        "licence": text.name(card.licence or _licence(str(model.get("name", ""))), 60),
        "link": text.link(card.link),
        "parameters": card.parameters if card.parameters is not None else number["parameters"],
        "dimension": number["dimension"],
        "rate": _rate(source.result),
        "device": text.name(model.get("device") or "", 40),
        "revision": text.name(model.get("revision") or "", 64),
        "prompts": prompts(source),
    }


def _kind(model: dict[str, Any]) -> str:
    return "debiased" if "debiasing" in model else str(model.get("kind") or "custom")


def _licence(name: str) -> str:
    """Return the licence of a model that this package knows by name; of a model made of others, that of the first."""
    try:
        spec = parse_spec(name)
    except ConfigError:
        return ""
    card = BUILTIN.get(spec.name)
    if card is None:
        return ""
    if spec.args:
        inside = {_licence(str(argument)) for argument in spec.args}
        return " and ".join(sorted(inside)) if all(inside) else ""
    return "" if card.licence in UNKNOWN else card.licence


def _rate(result: Result) -> float | None:
    encoded, seconds = result.encoded.get("encoded", 0), result.timings.get("encode", 0.0)
    mostly = encoded > result.encoded.get("read", 0)
    return round(encoded / seconds, 1) if encoded >= FEW and seconds > 0 and mostly else None


def prompts(source: Source) -> dict[str, str]:
    """Return the texts put before queries and documents, where there are any."""
    return dict(_prompts(source))


def _prompts(source: Source) -> Iterator[tuple[str, str]]:
    for role in ("query", "document"):
        given = source.result.fingerprints.get(role, {}).get("prompt")
        if given:
            yield role, text.name(given, 500)
    if source.card.prompts.strip().lower() not in ("", "none"):
        yield "declared", text.name(source.card.prompts, 500)
