"""Collections: where data come from."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mimo_eval.collections import archives, downloads, elsewhere
from mimo_eval.collections.build import build
from mimo_eval.collections.collection import Collection, Rows, Texts
from mimo_eval.collections.records import Info, Judgement, Problems, Source, Text, lacking
from mimo_eval.collections.remote import Downloadable, Published, Remote, Repo
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import normalise, parse_languages
from mimo_eval.registry import Registry
from mimo_eval.shared import SharedStore, shared_store
from mimo_eval.specs import Spec, check_arguments, parse_spec, python_names

__all__ = [
    "SOURCES",
    "Collection",
    "Info",
    "Judgement",
    "Problems",
    "Published",
    "Remote",
    "Repo",
    "Rows",
    "Source",
    "Text",
    "Texts",
    "from_store",
    "load",
    "remote_of",
    "source_for",
    "validate",
]

SOURCES: Registry[Any] = Registry(
    "collection",
    "mimo_eval.collections",
    {
        "belebele": "mimo_eval.collections.belebele:Belebele",
        "folder": "mimo_eval.collections.folder:FolderSource",
        "hf": "mimo_eval.collections.hf:HubRetrieval",
        "ir_datasets": "mimo_eval.collections.ir_datasets:IrDatasets",
        "mini": "mimo_eval.collections.mini:Mini",
        "miracl": "mimo_eval.collections.miracl:Miracl",
        "miracl-hn": "mimo_eval.collections.miracl_hn:MiraclHardNegatives",
        "mlqa": "mimo_eval.collections.mlqa:MLQA",
        "mmarco": "mimo_eval.collections.mmarco:MMarco",
        "multieup": "mimo_eval.collections.multieup:MultiEuP",
        "neuclir": "mimo_eval.collections.neuclir:NeuCLIR",
        "tydiqa": "mimo_eval.collections.tydiqa:TyDiQA",
        "xquad": "mimo_eval.collections.xquad:XQuAD",
        "xquad-r": "mimo_eval.collections.xquad_r:XQuADR",
    },
)


def load(
    name: str,
    *,
    data: str | Path | None = None,
    languages: str | Sequence[str] | None = None,
    problems: Problems | None = None,
) -> Collection:
    """Load a collection by name, or from a folder of the user's.

    :param name: a registered name, with options if need be (`xquad-r(level=sentence)`), or a path.
    :param data: the folder with the collection's files, or an archive; otherwise `$MIMO_EVAL_DATA/NAME` is looked at, and what
        is not there is downloaded, if the source says from where and it is not too large to do so unasked.
    :param languages: languages to read, `"en,de"` or a sequence; None for all.
    :param problems: a place for the problems met; see `build`.
    :return: the collection.
    :raises ConfigError: for an unknown name or option.
    :raises DataError: if the files are missing or wrong.
    """
    folder = None if data is None else Path(data)
    chosen = parse_languages(languages) if isinstance(languages, str) else None if languages is None else tuple(languages)
    if (found := from_store(name, folder, chosen)) is not None:
        return found
    source, key = source_for(name, folder, chosen)
    collection = build(source, key, problems)
    if isinstance(shared := shared_store(), SharedStore):
        elsewhere.note(shared, *_called(name, chosen), collection)
    absent = {normalise(lang) for lang in chosen or ()} - set(collection.languages)
    if absent:
        raise lacking(collection.name, absent, collection.languages, asked=True)
    return collection


def from_store(
    name: str, data: Path | None, languages: tuple[str, ...] | None, at_most: int | None = None
) -> Collection | None:
    """Return a collection as it lies in the store that machines share, if its files are not on this machine.

    :param name: as for `load`.
    :param data: the folder with the collection's files.
    :param languages: languages to read; None for all.
    :param at_most: bytes that may be fetched.
    :return: the collection; None if it is not there, or larger, or if there is no store.
    :raises ConfigError: for a name that cannot be understood.
    :raises DataError: if it is named there, but not complete.
    """
    shared = shared_store()
    if not isinstance(shared, SharedStore) or _here(name, data):
        return None
    return elsewhere.find(shared, *_called(name, languages), at_most)


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
    :param data: folder of a registered collection, or an archive of it; without one, `$MIMO_EVAL_DATA/NAME` or a download.
    :param languages: languages to read.
    :return: the source and its key.
    """
    wanted = tuple(sorted({normalise(lang) for lang in languages})) if languages else None
    if Path(name).is_dir() and name not in SOURCES:
        data, spec = Path(name), Spec("xquad-r" if _looks_like_xquad(Path(name)) else "folder")
    elif Path(name).is_file() and name not in SOURCES:
        raise DataError(f"{name} is a file, not a folder; an archive goes with the collection in it: NAME --data {name}")
    elif "/" in name.partition("(")[0]:
        raise DataError(f"{name}: no such folder")
    else:
        spec = _spec(name)
    kind = SOURCES.get(spec.name)
    own = _parameters(spec)["data"].default is not inspect.Parameter.empty
    if data is not None and own:
        raise ConfigError(f"'{spec.name}' brings its own texts and takes no --data; for your own: -b {data}")
    with _options_checked(spec):
        if data is None and not own:
            data = local_folder(spec.name) or _downloaded(spec, wanted)
        elif data is not None and data.is_file():
            data = archives.unpacked(data)
        source: Source = kind(data=data, wanted=wanted, **python_names(kind, spec.kwargs))
    return source, f"{spec}|{','.join(wanted or ())}"


def remote_of(name: str, languages: tuple[str, ...] | None = None) -> Remote | None:
    """Return what would be downloaded of a collection; None for one that is not downloaded by mimo-eval.

    :param name: a registered name, with options if need be.
    :param languages: languages to read; None for all.
    :raises ConfigError: for an unknown name or option.
    :raises DataError: for a language that it does not have.
    """
    wanted = tuple(sorted({normalise(lang) for lang in languages})) if languages else None
    if Path(name).is_dir() and name not in SOURCES:
        return None
    spec = _spec(name)
    kind = SOURCES.get(spec.name)
    if not isinstance(kind, Downloadable):
        return None
    with _options_checked(spec):
        return kind.remote(wanted, **python_names(kind.remote, spec.kwargs))


def _spec(name: str) -> Spec:
    """Read a name with options; some sources have options that need no name, as in `hf(org/name)`."""
    spec = parse_spec(name)
    if spec.name not in SOURCES:
        raise ConfigError(f"{SOURCES.unknown(spec.name)}; or give the folder of a collection of yours")
    positional = getattr(SOURCES.get(spec.name), "positional", ())
    if len(spec.args) > len(positional) or any(arg.args or arg.kwargs for arg in spec.args):
        raise ConfigError(f"'{name}': options of a collection are written as key=value")
    given = {key: arg.name for key, arg in zip(positional, spec.args, strict=False)}
    if twice := set(given) & set(spec.kwargs):
        raise ConfigError(f"'{name}': {', '.join(twice)} is given twice")
    return Spec(spec.name, (), {**given, **spec.kwargs})


def _called(name: str, languages: tuple[str, ...] | None) -> tuple[str, tuple[str, ...]]:
    """Return what a collection is called on every machine: its name with options, or that of its folder, and its languages."""
    known = name.partition("(")[0] in SOURCES
    label = str(parse_spec(name)) if known else f"folder {Path(name).name}"
    return label, tuple(sorted({normalise(lang) for lang in languages or ()}))


def _here(name: str, data: Path | None) -> bool:
    """Say whether this machine has a collection's files, so that they are read and nothing else is."""
    known = name.partition("(")[0]
    if data is not None or known not in SOURCES:
        return (data or Path(name)).exists()
    own = inspect.signature(SOURCES.get(known)).parameters["data"].default is not inspect.Parameter.empty
    return own or local_folder(known) is not None


def _parameters(spec: Spec) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(SOURCES.get(spec.name)).parameters


@contextmanager
def _options_checked(spec: Spec) -> Iterator[None]:
    """Refuse options that a source does not have before it sees them, and values that are of another kind than it expects."""
    check_arguments(spec.name, SOURCES.get(spec.name), (), spec.kwargs, ours=("data", "wanted"))
    try:
        yield
    except TypeError as error:
        raise ConfigError(f"'{spec}': an option has a value of another kind than is expected ({error})") from error


def local_folder(name: str) -> Path | None:
    """Return the folder in `$MIMO_EVAL_DATA` that is named like a collection."""
    root = os.environ.get("MIMO_EVAL_DATA")
    return Path(root) / name if root and (Path(root) / name).is_dir() else None


def _downloaded(spec: Spec, wanted: tuple[str, ...] | None) -> Path:
    kind = SOURCES.get(spec.name)
    remote = kind.remote(wanted, **python_names(kind.remote, spec.kwargs)) if isinstance(kind, Downloadable) else None
    if remote is None or not remote.repos:
        raise DataError(
            f"where are the files of '{spec.name}'? Give --data FOLDER, or put them into $MIMO_EVAL_DATA/{spec.name}"
        )
    return downloads.provide(str(spec), remote)


def _looks_like_xquad(folder: Path) -> bool:
    from mimo_eval.collections.xquad_r import is_xquad

    return is_xquad(folder)
