"""A benchmark: collections, mixes and measures, from a YAML file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mimo_eval.collections import SOURCES
from mimo_eval.errors import ConfigError, MimoEvalError
from mimo_eval.languages import normalise, parse_languages
from mimo_eval.measures import parse
from mimo_eval.mixing import Mix
from mimo_eval.safe_yaml import read_yaml

EFFECTIVENESS = ("nDCG@10", "nDCG@20", "R@100", "RR@10", "AP@100", "Success@1", "Judged@10")
LANGUAGE = ("LPR", "OwnShare@10", "SameR@20", "CrossR@20", "RankDistance", "MaxR(normalised=True)", "AWRF@20")
DEFAULT_MEASURES = (*EFFECTIVENESS, *LANGUAGE)


class Task(BaseModel):
    """One collection under some mixes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collection: str
    """Name of a collection, with options if need be: `xquad-r(level=sentence)`."""
    languages: tuple[str, ...] | None = None
    """Languages to read; all if not given."""
    mixes: tuple[str, ...] = Field(default=("parallel",), min_length=1)
    """Mixes as users write them."""
    main: str | None = None
    """The measure that a leaderboard sorts by; nDCG@20 if it is among the measures, else the first of them."""

    @field_validator("languages")
    @classmethod
    def _codes(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(dict.fromkeys(normalise(code) for code in value))

    @field_validator("mixes")
    @classmethod
    def _mixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(Mix.parse(text)) for text in value))


class Benchmark(BaseModel):
    """What is evaluated, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Short name; also that of the results' folder."""
    title: str = ""
    """One line that says what it is."""
    source: str = ""
    """Paper or data set from which data and protocol come."""
    protocol: str = ""
    """What a reader must know to compare the numbers with published ones."""
    tasks: tuple[Task, ...] = Field(min_length=1)
    """Collections and their mixes."""
    measures: tuple[str, ...] = Field(default=DEFAULT_MEASURES, min_length=1)
    """Measures as ir-measures writes them."""
    depth: int = Field(default=100, ge=1, le=100_000)
    """Documents kept per query."""

    @model_validator(mode="after")
    def _mains(self) -> Benchmark:
        usual = "nDCG@20" if "nDCG@20" in self.measures else self.measures[0]
        for task in self.tasks:
            if task.main is not None and task.main not in self.measures:
                raise ValueError(f"main: {task.main} is none of the measures {', '.join(self.measures)}")
        tasks = tuple(task if task.main else task.model_copy(update={"main": usual}) for task in self.tasks)
        object.__setattr__(self, "tasks", tasks)  # frozen for users, completed here
        return self


def names() -> dict[str, Path]:
    """Return the benchmarks that come with the package, by name."""
    return shipped("*.yaml")


def shipped(pattern: str) -> dict[str, Path]:
    """Return files that come with the package, by name.

    :param pattern: such as `recipes/*.yaml`, in the checkout's `benchmarks/`, which an installed package has as `_benchmarks/`.
    :return: name without its ending to path.
    """
    here = Path(__file__).parent
    folder = here / "_benchmarks" if (here / "_benchmarks").is_dir() else here.parent / "benchmarks"
    return {path.stem: path for path in sorted(folder.glob(pattern))}


def load_benchmark(
    name: str,
    *,
    languages: str | Sequence[str] | None = None,
    mixes: str | Sequence[str] | None = None,
    measures: str | Sequence[str] | None = None,
    depth: int | None = None,
) -> Benchmark:
    """Read a benchmark.

    :param name: the name of one that comes with the package, a YAML file, or the folder of a collection. A folder that is
        called like one of the package is `./NAME`.
    :param languages: instead of the benchmark's; as for `changed`, like what follows.
    :param mixes: which corpora are made.
    :param measures: what is computed.
    :param depth: documents kept per query.
    :return: the benchmark.
    :raises ConfigError: if there is none, or the file is not a benchmark; the message names the field.
    """
    return changed(_found(name), languages=languages, mixes=mixes, measures=measures, depth=depth)


def _found(name: str) -> Benchmark:
    known = names()
    if name not in known and Path(name).is_dir():
        return of_folder(Path(name))
    path = known.get(name) or Path(name)
    if not path.is_file():
        raise ConfigError(f"unknown benchmark '{name}'; known: {', '.join(known)}, a YAML file, or a collection's folder")
    return read_benchmark(path)


def changed(
    benchmark: Benchmark,
    *,
    languages: str | Sequence[str] | None = None,
    mixes: str | Sequence[str] | None = None,
    measures: str | Sequence[str] | None = None,
    depth: int | None = None,
) -> Benchmark:
    """Return a benchmark with some of its parts replaced.

    :param benchmark: the original.
    :param languages: instead of every task's; one, or several.
    :param mixes: likewise.
    :param measures: instead of the benchmark's.
    :param depth: likewise.
    :return: a benchmark that was checked anew.
    :raises ConfigError: naming the field that is wrong.
    """
    content = benchmark.model_dump()
    for task in content["tasks"]:
        if languages:
            task["languages"] = parse_languages(languages) if isinstance(languages, str) else tuple(languages)
        if mixes:
            task["mixes"] = _several(mixes)
    if measures:
        content["measures"] = tuple(str(m) for text in _several(measures) for m in parse(text))
        for task in content["tasks"]:
            if task["main"] not in content["measures"]:
                del task["main"]
    if depth is not None:
        content["depth"] = depth
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        raise ConfigError(first_fault(error)) from error


def _several(values: str | Sequence[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def of_folder(folder: Path) -> Benchmark:
    """Return a benchmark on a folder of the user's: all of it, each language by itself, and every pair of languages.

    :param folder: a collection's folder.
    :return: the benchmark, named like the folder.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", folder.resolve().name).strip("._-") or "folder"
    where = f"./{folder}" if str(folder) in SOURCES else str(folder)  # never the collection of that name
    task = Task(collection=where, mixes=("union", "monolingual", "cross-lingual"))
    return Benchmark(name=name, title=f"the collection in {folder}", tasks=(task,))


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark from a YAML file.

    :param path: the file.
    :return: the benchmark.
    :raises ConfigError: as `load_benchmark`.
    """
    content = read_yaml(path)
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)}") from error
    except MimoEvalError as error:  # a mix or a language
        raise ConfigError(f"{path}: {error}") from error


def first_fault(error: ValidationError) -> str:
    """Return the first field that is wrong, and why."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def data_folder(task: Task, data: str | Path | None, count: int) -> Path | None:
    """Return the folder in which a task's files lie.

    :param task: the task.
    :param data: what the user gave: the collection's folder, or one that holds a folder per collection.
    :param count: number of the benchmark's tasks.
    :return: the folder, or None to look at the environment.
    """
    if data is None:
        return None
    inside = Path(data) / task.collection.split("(")[0]
    return inside if inside.is_dir() else (Path(data) if count == 1 else None)
