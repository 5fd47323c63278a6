"""What a study is, as a YAML file says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mimo_eval.benchmark import first_fault, shipped
from mimo_eval.errors import ConfigError, MimoEvalError
from mimo_eval.safe_yaml import read_yaml
from mimo_eval.training.methods import load_method
from mimo_eval.training.recipe import Recipe, parse_recipe
from mimo_eval.training.settings import StageSettings

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
FIRST = "distillation"
"""The stage that runs share."""
MEASURES: dict[str, tuple[str, ...]] = {
    "parallel": ("nDCG@20", "LPR", "OwnShare@10", "RankDistance"),
    "monolingual": ("nDCG@10",),
    "cross-lingual": ("nDCG@10",),
    "union": ("nDCG@20",),
}
"""What is measured in which mix."""
MIXES = ("parallel", "monolingual", "cross-lingual")
"""Under which a parallel collection is tested."""
GEOMETRY = ("alignment", "uniformity")
"""What is measured of the vectors of the divided collection's documents."""
LOWER = (*GEOMETRY, "RankDistance", "OwnShare@10")
"""Of these less is better: in a corpus in which every version is relevant, a model that prefers no language has a small share
of the query's own."""
MAIN = ("parallel", "nDCG@20")
"""Mix and measure of which every run is tested against every other that is named in `against`."""


def sign(measure: str) -> int:
    """Return 1 for a measure of which more is better, -1 where less is."""
    return -1 if measure in LOWER else 1


class Part(BaseModel):
    """Part of a study; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Folds(Part):
    """How the retrieval data are divided: whole units, so that no passage's neighbour is trained on and tested."""

    count: int = Field(default=5, ge=2)
    """Number of folds; every method is trained once for each, on all the others."""
    unit: str = r"^(.*)$"
    """Regular expression whose first group finds the unit in the name of a passage's group."""


class Test(Part):
    """A collection that models are tested on besides the held-out folds."""

    collection: str
    """As in a benchmark."""
    data: str | None = None
    """Its folder in the folder of data; none for one that brings its own texts."""
    mixes: tuple[str, ...] = MIXES
    """Some of those that are measured."""
    folds: int | None = Field(default=None, ge=1)
    """Only the models of so many folds are tested on it; all by default."""


class Contrast(Part):
    """A question to the numbers: the sum of some runs less the sum of others."""

    text: str
    """What is asked or claimed."""
    plus: tuple[str, ...] = Field(min_length=1)
    """Runs that are added."""
    minus: tuple[str, ...] = Field(min_length=1)
    """Runs that are taken away, as many."""
    measure: str = MAIN[1]
    """By which measure; alignment and uniformity too."""
    mix: str = MAIN[0]
    """In which mix; for alignment and uniformity it has no meaning."""

    @model_validator(mode="after")
    def _measured(self) -> Contrast:
        if len(self.plus) != len(self.minus):
            raise ValueError(f"'{self.text}': as many runs must be taken away as are added")
        if self.measure not in (*GEOMETRY, *MEASURES.get(self.mix, ())):
            raise ValueError(f"'{self.text}': {self.measure} is not measured in {self.mix}")
        return self


class Claim(Contrast):
    """A sentence of somebody's, that the runs added are better than those taken away."""

    source: str
    """Who says so."""
    published: str = ""
    """The numbers that were given."""


class Study(Part):
    """Several runs of training and what is asked of them."""

    name: str = Field(pattern=NAME)
    """Short name."""
    title: str = ""
    """One line that says what it is."""
    text: str = ""
    """What a reader should know before the numbers, in Markdown."""
    attribution: str = ""
    """Whose data these are, under which licences."""
    recipe: dict[str, Any]
    """A recipe without method and stages: student, teacher, languages, parallel and retrieval data, contamination."""
    stages: dict[str, StageSettings]
    """`distillation` for stage 1, which is trained once and shared, and `second` for every method's own stage."""
    runs: dict[str, str]
    """Label to training method, the most wanted first; one that begins with stage 1 goes on from the shared one."""
    folds: Folds = Folds()
    """Division of the retrieval data."""
    trained: int | None = Field(default=None, ge=1)
    """Folds that are trained and tested, the first ones; all by default."""
    mixes: tuple[str, ...] = MIXES
    """Under which the held-out fold is tested: its queries, the whole corpus."""
    tests: tuple[Test, ...] = ()
    """Other collections that models are tested on."""
    against: tuple[str, ...] = ()
    """Runs that every other is tested against."""
    contrasts: tuple[Contrast, ...] = ()
    """What is asked of the numbers besides."""
    claims: tuple[Claim, ...] = ()
    """What others say, read beside the numbers."""
    path: tuple[str, ...] = ()
    """Runs that the figure joins by arrows, in order."""
    smoke: dict[str, Any] = Field(default_factory=dict)
    """Keys that replace those above in the smoke version."""

    @field_validator("runs")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for label, text in value.items():
            if not re.fullmatch(NAME, label):
                raise ValueError(f"'{label}' cannot be the name of a folder; use letters, digits, . _ + -")
            load_method(text)
        return value

    @model_validator(mode="after")
    def _labels(self) -> Study:
        named = [*self.against, *self.path]
        named += [label for contrast in (*self.contrasts, *self.claims) for label in (*contrast.plus, *contrast.minus)]
        for label in named:
            if label not in self.runs:
                raise ValueError(f"'{label}' is none of the runs: {', '.join(self.runs)}")
        if set(self.stages) != {FIRST, "second"}:
            raise ValueError(f"stages: exactly '{FIRST}' and 'second' are needed")
        for mix in (*self.mixes, *(mix for test in self.tests for mix in test.mixes)):
            if mix not in MEASURES:
                raise ValueError(f"mix '{mix}' is none of {', '.join(MEASURES)}")
        return self

    def base(self) -> Recipe:
        """Return the recipe of what the runs share: stage 1."""
        stages = {FIRST: self.stages[FIRST].model_dump()}
        return parse_recipe({"name": self.name, **self.recipe, "method": "distill", "stages": stages}, "recipe")


def studies() -> dict[str, Path]:
    """Return the studies that come with the package, by name."""
    return shipped("studies/*/*.yaml")


def load_study(name: str, smoke: bool = False) -> Study:
    """Read a study.

    :param name: a YAML file, or the name of a study that comes with the package.
    :param smoke: the small version, to see that everything works.
    :return: the study.
    :raises ConfigError: if it is none; the message has the file and the key.
    """
    path = Path(name) if Path(name).is_file() else studies().get(name)
    if path is None:
        raise ConfigError(f"no study '{name}'; give a YAML file or one of {', '.join(studies())}")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a study is a mapping of keys, such as name, recipe, runs")
    if smoke:
        content = _merged(content, {"name": f"{content.get('name')}-smoke", **(content.get("smoke") or {})})
    try:
        study = Study.model_validate(content)
        study.base()
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)}") from error
    except MimoEvalError as error:
        raise ConfigError(f"{path}: {error}") from error
    if smoke and not study.smoke:
        raise ConfigError(f"{path}: the study has no smoke version")
    return study


def _merged(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Replace what `changes` has: mappings key by key, everything else whole; runs are chosen by a list of labels."""
    merged = dict(content)
    for key, value in changes.items():
        old = merged.get(key)
        if key == "runs" and isinstance(value, list) and isinstance(old, dict):
            merged[key] = {label: old[label] for label in value if label in old}
        else:
            merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
