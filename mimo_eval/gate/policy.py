"""What a gate forbids: YAML -> Policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mimo_eval.benchmark import first_fault
from mimo_eval.errors import ConfigError, MimoEvalError
from mimo_eval.languages import normalise
from mimo_eval.measures import parse
from mimo_eval.safe_yaml import read_yaml

Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Place(BaseModel):
    """Where something holds; what is not given fits everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collection: str | None = None
    setting: str | None = None
    """Name of the setting (`mlir`), or the mix as results show it (`partition(en=0.7,de=0.3)`)."""
    measure: str | None = None
    language: str | None = None
    """Of the queries."""

    @field_validator("language")
    @classmethod
    def _language(cls, value: str | None) -> str | None:
        try:
            return None if value is None else normalise(value)
        except MimoEvalError as error:
            raise ValueError(str(error)) from error

    @field_validator("measure")
    @classmethod
    def _measure(cls, value: str | None) -> str | None:
        return None if value is None else _one_measure(value)

    def fits(self, *, collection: str, setting: str, mix: str, measure: str, language: str | None) -> bool:
        """Return whether a row of a comparison lies here.

        :param collection: name of the collection.
        :param setting: name of the setting.
        :param mix: the mix.
        :param measure: the measure.
        :param language: of the queries; None for a row that is not of one language.
        :return: whether all that is given is equal.
        """
        return (
            self.collection in (None, collection)
            and self.setting in (None, setting, mix)
            and self.measure in (None, measure)
            and self.language in (None, language)
        )


class Rule(_Place):
    """What holds instead of the policy's own numbers where it fits."""

    tolerance: Tolerance | None = None
    """Largest drop that is accepted, in the measure's own unit."""
    better: Literal["higher", "lower"] | None = None
    """Which way is better, for measures that do not say (LPR, OwnShare)."""
    ignore: bool = False
    """Neither tested nor counted among the tests."""


class Floor(_Place):
    """A value that must be kept whatever the baseline is; not a test."""

    measure: str
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> Floor:
        if self.at_least is None and self.at_most is None:
            raise ValueError("needs at_least or at_most")
        return self


class Policy(BaseModel):
    """A gate fails where a drop is larger than the tolerance and significant, values were lost, or a limit is not kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measures: tuple[str, ...] = ()
    """What is tested; the main measure of each setting if none is named."""
    by: Literal["setting", "language", "corpus"] = "language"
    """How far down: whole settings, also each query language, also each corpus of the mix."""
    tolerance: Tolerance = 0.005
    """Largest drop that is accepted, in the measure's own unit."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Chance of any false alarm in one check where nothing has changed (Holm over all tests, one-sided)."""
    permutations: int = Field(default=10_000, ge=100, le=1_000_000)
    seed: int = Field(default=0, ge=0)
    prompts: Literal["same", "any"] = "same"
    """Whether a result with other prompts than the baseline's may be compared with it."""
    rules: tuple[Rule, ...] = ()
    """Exceptions; the first that fits decides."""
    lost: float = Field(default=0.0, ge=0, le=1)
    """Largest share of a setting's queries that may have a value in the baseline and none now; no paired test sees these."""
    floors: tuple[Floor, ...] = ()
    slower: dict[Literal["load data", "encode", "index", "search", "score", "total"], Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict
    )
    """Phase to the largest multiple of the baseline's time; `encode` is taken per encoded text."""

    @field_validator("measures", mode="before")
    @classmethod
    def _measures(cls, value: object) -> object:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
            return value
        return tuple(dict.fromkeys(str(m) for text in texts for m in _parsed(text)))

    def rule(self, **row: str | None) -> Rule:
        """Return what holds for a row of a comparison: the first rule that fits, completed by the policy's own numbers.

        :param row: collection, setting, mix, measure, language.
        :return: a rule whose tolerance is set.
        """
        found = next((rule for rule in self.rules if rule.fits(**row)), Rule())  # type: ignore[arg-type]
        return found if found.tolerance is not None else found.model_copy(update={"tolerance": self.tolerance})

    def named(self) -> tuple[str, ...]:
        """Return every measure that the policy names; a baseline must keep these."""
        places = (*self.rules, *self.floors)
        return tuple(dict.fromkeys([*self.measures, *(p.measure for p in places if p.measure)]))


def load_policy(path: Path | None) -> Policy:
    """Read a policy.

    :param path: a YAML file; None for the policy with the defaults.
    :return: the policy.
    :raises ConfigError: naming the file and the field that is wrong.
    """
    if path is None:
        return Policy()
    try:
        return Policy.model_validate(read_yaml(path) or {})
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_fault(error)}") from error


def _one_measure(text: str) -> str:
    found = _parsed(text)
    if len(found) != 1:
        raise ValueError(f"'{text}' is {len(found)} measures; name one")
    return str(found[0])


def _parsed(text: str) -> list[object]:
    try:
        return list(parse(text))
    except ConfigError as error:
        raise ValueError(str(error)) from error
