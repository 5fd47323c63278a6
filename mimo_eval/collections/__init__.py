"""Collections: where data come from."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from mimo_eval.collections.build import build
from mimo_eval.collections.collection import Collection, Texts
from mimo_eval.collections.records import Info, Judgement, Problems, Source, Text, lacking
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import normalise
from mimo_eval.registry import Registry
from mimo_eval.specs import Spec, parse_spec

__all__ = [
    "SOURCES",
    "Collection",
    "Info",
    "Judgement",
    "Problems",
    "Source",
    "Text",
    "Texts",
    "load",
    "source_for",
    "validate",
]

SOURCES: Registry[Any] = Registry(
    "collection",
    "mimo_eval.collections",
    {
        "mini": "mimo_eval.collections.mini:Mini",
        "xquad-r": "mimo_eval.collections.xquad_r:XQuADR",
        "folder": "mimo_eval.collections.folder:FolderSource",
    },
)


def load(
    name: str, *, data: Path | None = None, languages: tuple[str, ...] | None = None, problems: Problems | None = None
) -> Collection:
    """Load a collection by name, or from a folder of the user's.

    :param name: a registered name, with options if need be (`xquad-r(level=sentence)`), or a path.
    :param data: the folder with the collection's files; otherwise `$MIMO_EVAL_DATA/NAME` is looked at.
    :param languages: languages to read; None for all.
    :param problems: a place for the problems met; see `build`.
    :return: the collection.
    :raises ConfigError: for an unknown name or option.
    :raises DataError: if the files are missing or wrong.
    """
    source, key = source_for(name, data, languages)
    collection = build(source, key, problems)
    absent = {normalise(lang) for lang in languages or ()} - set(collection.languages)
    if absent:
        raise lacking(collection.name, absent, collection.languages)
    return collection


def validate(
    name: str,
    data: Path | None = None,
    languages: tuple[str, ...] | None = None,
    check_languages: bool = False,
) -> Problems:
    """Read a collection completely and return all that is wrong with it; bad content is never raised.

    :param name: as for `load`.
    :param data: the folder with the collection's files.
    :param languages: languages to read; None for all.
    :param check_languages: also note texts that look like another language than declared; needs the extra `langid`.
    :return: the problems, with counts and first places; those in `errors` forbid loading.
    :raises ConfigError: for an unknown name or option.
    :raises DataError: if no layout fits, a file is missing or `collection.json` is wrong.
    """
    problems = Problems()
    source, key = source_for(name, data, languages)
    if check_languages:
        from mimo_eval.collections import detect

        detect.check_languages(source, problems)
    try:
        build(source, key, problems)
    except DataError as error:
        if not problems.errors:
            problems.add("unreadable file", str(error))
    return problems


def source_for(name: str, data: Path | None, languages: tuple[str, ...] | None) -> tuple[Source, str]:
    """Return the source of a collection and the key that names its content besides its files.

    :param name: a registered name with options, or a path.
    :param data: folder of a registered collection.
    :param languages: languages to read.
    :return: the source and its key.
    """
    languages = tuple(sorted({normalise(lang) for lang in languages})) if languages else None
    if Path(name).is_dir() and name not in SOURCES:
        data, spec = Path(name), Spec("xquad-r" if _looks_like_xquad(Path(name)) else "folder")
    elif "/" in name.partition("(")[0]:
        raise DataError(f"{name}: no such folder")
    else:
        spec = parse_spec(name)
    kind = SOURCES.get(spec.name)
    if spec.args:
        raise ConfigError(f"'{name}': options of a collection are written as key=value")
    parameters = inspect.signature(kind).parameters
    if data is not None and parameters["data"].default is not inspect.Parameter.empty:
        raise ConfigError(f"'{spec.name}' brings its own texts and takes no --data; for your own: -b {data}")
    if data is None and parameters["data"].default is inspect.Parameter.empty:
        data = _find_data(spec.name)
    try:
        source: Source = kind(data=data, wanted=languages, **spec.kwargs)
    except TypeError as error:
        known = ", ".join(p for p in parameters if p not in ("data", "wanted")) or "none"
        raise ConfigError(f"'{name}': {error}; options of this collection: {known}") from error
    return source, f"{spec}|{','.join(languages or ())}"


def _find_data(name: str) -> Path:
    root = os.environ.get("MIMO_EVAL_DATA")
    if root and (Path(root) / name).is_dir():
        return Path(root) / name
    raise DataError(f"where are the files of '{name}'? Give --data FOLDER, or put them into $MIMO_EVAL_DATA/{name}")


def _looks_like_xquad(folder: Path) -> bool:
    from mimo_eval.collections.xquad_r import is_xquad

    return is_xquad(folder)
