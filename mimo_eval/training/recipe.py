"""The recipe: everything that decides what is learnt, as a YAML file says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mimo_eval.benchmark import first_fault, shipped
from mimo_eval.errors import ConfigError, MimoEvalError
from mimo_eval.languages import normalise
from mimo_eval.safe_yaml import parse_yaml, read_yaml
from mimo_eval.training.data.filters import Filters
from mimo_eval.training.methods import load_method
from mimo_eval.training.settings import Rhythm, StageSettings
from mimo_eval.training.students import StaticStudent, Student

UNLIKE = ("title", "licence", "output", "rhythm", "data.folders", "expected")
"""Keys that do not change what is learnt: a run may be resumed with others."""


class Section(BaseModel):
    """Part of a recipe; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TeacherSettings(Section):
    """Whose vectors are learnt."""

    model: str
    """As in `mimo-eval run`: a name, a folder or a hub id."""
    language: str = "en"
    """Its language, into which texts must have a translation."""
    prompt: str | None = None
    """Put before queries; the model's own by default."""
    device: str | None = None
    """Such as `cuda:0`."""
    dtype: str | None = None
    """Of its weights."""
    batch_size: int | None = Field(default=None, ge=1)
    """Texts per batch."""
    max_length: int | None = Field(default=None, ge=1)
    """Most tokens of a text."""

    @field_validator("language")
    @classmethod
    def _code(cls, value: str) -> str:
        return normalise(value)


class Source(Section):
    """Files that a reader reads."""

    reader: str
    """Such as `packs`, `tsv`, `moses`, `parallel_sentences`, `mmarco`, `collection`."""
    options: dict[str, str | bool | int | float | list[str] | None] = Field(default_factory=dict)
    """The reader's arguments; `path`, `data` and `lexicon` are looked for in the folder of data."""
    licence: str | dict[str, str] = ""
    """Licence and attribution, of all or by source, for the model card."""
    download: str = ""
    """How to get the files, for messages."""
    expected: dict[str, int] = Field(default_factory=dict)
    """What the reader is known to find, so that `--dry-run` can plan without the files: `groups` of parallel text, or
    `positives`, `query_groups` and `passage_groups`."""
    languages: tuple[str, ...] = ()
    """Languages in the files, for the same purpose."""


class FilterSettings(Section):
    """Which parallel lines are trained on; see `mimo_eval.training.data.filters`."""

    shortest: int = 10
    """Fewest characters of both sides."""
    longest: int = 512
    """Most characters of both sides."""
    ratio: float = 3.0
    """Most that the longer side may have of the shorter one's length."""
    distinct: bool = True
    """Whether a text in the teacher's language may stand in one group only."""
    per_language: int | None = None
    """Most lines of each language but the teacher's."""
    exempt: tuple[str, ...] = ()
    """Sources whose lines are neither measured nor compared."""

    def build(self) -> Filters:
        """Return the filters."""
        return Filters(**self.model_dump())


class DataSettings(Section):
    """What is trained on."""

    parallel: tuple[Source, ...] = ()
    """Parallel text, for the tokenizer and for distillation."""
    retrieval: tuple[Source, ...] = ()
    """Queries and passages; a single source may stand here by itself."""
    filters: FilterSettings | None = FilterSettings()
    """For parallel text; null takes all."""
    folders: tuple[str, ...] = ()
    """Where data are looked for when neither --data nor $MIMO_EVAL_DATA says it; from the present folder."""

    @field_validator("parallel", "retrieval", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source."""
        return (*self.parallel, *self.retrieval)


class ValidationSettings(Section):
    """Evaluation on a mixed corpus during training; the best weights of each stage are kept."""

    collection: str = "mini"
    """As in a benchmark."""
    mix: str = "parallel"
    """As in a benchmark."""
    measure: str = "nDCG@20"
    """One measure; larger is better."""
    languages: tuple[str, ...] | None = None
    """Languages to read; all by default."""
    every: float = Field(default=0.1, gt=0)
    """Steps between evaluations; below 1 a share of the stage."""
    patience: int | None = Field(default=None, ge=1)
    """Evaluations without a new best after which a stage ends."""


class ContaminationSettings(Section):
    """Evaluation text must not be in the training data."""

    against: tuple[str, ...] = ("mini",)
    """Collections that will be evaluated on, as in a benchmark; none turns the check off."""
    remove: bool = False
    """Take lines that match out of the training data, instead of refusing them."""
    allow: bool = False
    """Train on them; the model card will say so."""


class Expected(Section):
    """Sizes for the memory guess of `--dry-run`, which loads no model."""

    student_parameters: int = 0
    """Weights of the student."""
    teacher_dimension: int = 0
    """Width of the teacher's vectors."""


class Recipe(Section):
    """All of a training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Short name."""
    title: str = ""
    """One line that says what it is."""
    licence: str = ""
    """Licence of the model that comes out, as Hugging Face names it, such as `cc-by-sa-4.0`."""
    student: Student = Field(default_factory=StaticStudent)
    """What is trained."""
    teacher: TeacherSettings | None = None
    """Whose vectors are learnt, where the method needs one."""
    languages: tuple[str, ...] | None = None
    """Languages to train on; all of the data by default."""
    data: DataSettings
    """What is trained on."""
    method: str = "mimo"
    """A training method with options, such as `mimo(lambda=0.35)`."""
    stages: dict[str, StageSettings] = Field(default_factory=dict)
    """Settings of the method's stages by their names."""
    validation: ValidationSettings | None = None
    """Evaluation during training."""
    contamination: ContaminationSettings = ContaminationSettings()
    """What must not be in the data."""
    rhythm: Rhythm = Rhythm()
    """When to save and log."""
    seed: int = Field(default=42, ge=0, lt=2**31)
    """Of everything drawn."""
    output: str | None = None
    """Folder of the model; `models/NAME` by default."""
    expected: Expected = Expected()
    """Sizes of models, for `--dry-run`."""

    @field_validator("languages")
    @classmethod
    def _codes(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(dict.fromkeys(normalise(code) for code in value))

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        load_method(value)
        return value

    @property
    def batch_sizes(self) -> dict[str, int]:
        """Rows per batch and device of the stages that have settings."""
        return {name: settings.batch_size for name, settings in self.stages.items()}

    @property
    def folder(self) -> Path:
        """Where the model goes if nothing else is said."""
        return Path(self.output or f"models/{self.name}")


def recipes() -> dict[str, Path]:
    """Return the recipes that come with the package, by name."""
    return shipped("recipes/*.yaml")


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    :param name: a YAML file, or the name of a recipe that comes with the package.
    :param changes: `key=value` with dots in the key, as `--set` has them.
    :return: the recipe.
    :raises ConfigError: if it is no recipe; the message has the file and the key.
    """
    path = Path(name) if Path(name).is_file() else recipes().get(name)
    if path is None:
        raise ConfigError(f"no recipe '{name}'; give a YAML file or one of {', '.join(recipes())}")
    content: Any = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys, such as name, data, method")
    for change in changes:
        _set(content, change)
    return parse_recipe(content, str(path), dict(change.partition("=")[::2] for change in changes))


def parse_recipe(content: dict[str, Any], where: str = "recipe", typed: dict[str, str] | None = None) -> Recipe:
    """Check a recipe.

    :param content: plain data.
    :param where: the file, for messages.
    :param typed: keys given on the command line and what was typed, for fields that are text where YAML sees a number.
    :return: the recipe.
    :raises ConfigError: naming file and key.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        kinds = {"static", "pretrained", "transplant"}
        key = ".".join(str(part) for part in first["loc"] if part not in kinds)
        if first["type"] == "string_type" and key in (typed or {}):
            _put(content, key, (typed or {})[key])
            return parse_recipe(content, where, {k: v for k, v in (typed or {}).items() if k != key})
        place = "on the command line" if key in (typed or {}) else where
        raise ConfigError(f"{place}: {key + ': ' + first['msg'] if key else first_fault(error)}") from error
    except MimoEvalError as error:  # a method or a language
        raise ConfigError(f"{where}: {error}") from error


def _set(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {change}: expected key=value, such as stages.joint.lr=0.01")
    try:
        _put(content, key, parse_yaml(value))
    except ValueError as error:
        raise ConfigError(f"--set {change}: the value is not YAML ({error})") from error


def _put(content: Any, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        if isinstance(content, list):
            content = content[_place(content, part, key)]
            continue
        if content.get(part) is None:
            content[part] = {}
        content = content[part]
        if not isinstance(content, (dict, list)):
            raise ConfigError(f"--set {key}: {part} is a value, not a section")
    if isinstance(content, list):
        content[_place(content, last, key)] = value
    else:
        content[last] = value


def _place(content: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(content):
        raise ConfigError(f"--set {key}: {part} is no place in a list of {len(content)}")
    return int(part)


def differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys in which two recipes differ, those that do not change what is learnt left out.

    :param before: `model_dump(mode="json")` of one.
    :param after: of the other.
    :return: dotted key to the two values.
    """
    flat = [_flat(recipe) for recipe in (before, after)]
    keys = sorted({*flat[0], *flat[1]})
    return {
        key: (flat[0].get(key), flat[1].get(key))
        for key in keys
        if flat[0].get(key) != flat[1].get(key) and not any(key == free or key.startswith(f"{free}.") for free in UNLIKE)
    }


def _flat(content: Any, before: str = "") -> dict[str, Any]:
    if not isinstance(content, dict) or not content:
        return {before: content}
    parts = [_flat(value, f"{before}.{key}" if before else str(key)) for key, value in content.items()]
    return {key: value for part in parts for key, value in part.items()}
