"""What a board holds, as board.json stores it: every other format is made from this alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimo_eval.errors import DataError

Direction = Literal["higher", "lower", "none"]


class Record(BaseModel):
    """A part of a board; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class BoardMeasure(Record):
    """A measure that some result has."""

    name: str
    """As results name it."""
    direction: Direction
    """Which way is better; a measure without direction is shown and never ranks."""
    answers: str = ""
    """The question it answers, one sentence."""


class BoardSetting(Record):
    """One mix of one collection; entries' lists follow the order of these."""

    collection: str
    """Name of the collection."""
    setting: str
    """Such as `mlir` or `cross-lingual`."""
    mix: str
    """The recipe."""
    main: str
    """The measure to rank by."""
    languages: list[str]
    """Query languages, sorted."""
    cells: list[int]
    """Per query language, the corpora that it is asked of: its weight in the mean."""
    questions: int
    """Clusters of the tests: questions, whatever the language."""
    distinct: dict[str, list[list[int]]] = Field(default_factory=dict)
    """Tested measure to scopes (all languages, then each of `languages`) to pairs of entries, packed: see `pack`."""


class Entry(Record):
    """One result."""

    name: str
    """The model, with a number where several entries have the same."""
    key: str
    """Of the result."""
    kind: str
    """Such as dense, bm25, fusion."""
    created: str
    """Time of the run."""
    version: str
    """Of mimo-eval."""
    licence: str
    """Of the model; empty if not known."""
    link: str
    """http(s) address of the model; empty if none is given."""
    parameters: int | None
    """Weights of the network; None where there is none or it is not known."""
    dimension: int | None
    """Width of a vector."""
    rate: float | None
    """Texts encoded per second; None if most were read from the store."""
    device: str
    """What encoded them; empty if not known."""
    revision: str
    """Of the model's weights."""
    prompts: dict[str, str]
    """Role to the text put before queries or documents, where there is one."""
    marks: list[str]
    """What sets this entry apart from the others of its group, to be shown beside its name."""
    scores: list[dict[str, float | None]]
    """Per setting, measure to mean over its cells."""
    languages: list[dict[str, list[float | None]]]
    """Per setting, measure to one mean per query language."""
    intervals: list[dict[str, list[tuple[float, float] | None]]]
    """Per setting, tested measure to intervals: of the mean, then of each query language."""
    pairs: dict[str, list[list[float | None]]]
    """Collection to (query language, document language) table of the main measure; languages as in `Group.pairs`."""
    geometry: dict[str, dict[str, float]]
    """Collection to values of geometry diagnostics; empty until `mimo-eval analyze`."""


class Pairs(Record):
    """Axes of the tables of language pairs of one collection."""

    measure: str
    """What the cells hold."""
    queries: list[str]
    """Rows."""
    documents: list[str]
    """Columns."""


class Group(Record):
    """Entries that may share a ranking: the same data, mixes, languages and depth."""

    benchmark: str
    """Name of the benchmark."""
    title: str
    """One line that says what it is."""
    protocol: dict[str, str]
    """Everything that is equal within the group, by name."""
    differs: list[str]
    """How the protocol differs from that of the first group of the same benchmark."""
    notes: list[str]
    """What a reader must know: versions that differ, results that were left out."""
    measures: list[BoardMeasure]
    """Every measure of some entry."""
    tested: list[str]
    """Measures with intervals and tests."""
    settings: list[BoardSetting]
    """The mixes, in the benchmark's order."""
    pairs: dict[str, Pairs]
    """Collection to the axes of its tables of language pairs."""
    entries: list[Entry]
    """The models, best first in the first setting."""


class Board(Record):
    """A leaderboard."""

    schema_version: Literal[1] = 1
    """Version of this layout."""
    title: str
    """Its name."""
    level: float
    """Coverage of the intervals; 1 less the level of the tests."""
    samples: int
    """Bootstrap samples behind each interval."""
    seed: int
    """Of the bootstrap."""
    groups: list[Group]
    """Rankings; entries of different groups are never compared."""


def read_board(path: Path) -> Board:
    """Read board.json.

    :param path: the file, or its folder.
    :return: the board.
    :raises DataError: if it is missing or not a board; the message names the field.
    """
    path = path / "board.json" if path.is_dir() else path
    try:
        return Board.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); make it with `mimo-eval leaderboard build`") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path}: not a board: {where}: {first['msg']}; build it again") from error
