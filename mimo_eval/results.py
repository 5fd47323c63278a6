"""The result file's contract on one screen, and where results lie."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimo_eval.digests import digest, file_checksum
from mimo_eval.errors import DataError, MimoEvalError
from mimo_eval.files import atomic_write, read_json, write_json

SCHEMA: Literal[1] = 1
FILE = "result.json"
QUERIES = "queries.parquet"
ASKED = "asked.json"
"""When a result was asked for again, beside one that another result of the same model was made after."""

logger = logging.getLogger(__name__)


class PoolScores(BaseModel):
    """One corpus of a mix."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: str
    """Empty for the mix's only corpus; else the language, `query-document`, or `a+b`."""
    documents: dict[str, int]
    """Documents per language."""
    queries: dict[str, int]
    """Queries asked, per language."""
    dropped: dict[str, int]
    """Why queries were not asked, with counts."""
    judged: int
    """Judgements that name a query and a document of this corpus."""
    scores: dict[str, dict[str, float | None]]
    """Query language to measure to mean over its queries; null where no query has a value."""
    excluded: dict[str, int] = Field(default_factory=dict)
    """Measure to the number of queries for which it has no value; they are not in its mean."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """Measures that cannot be computed in this corpus, with the reason."""
    chance: dict[str, float] = Field(default_factory=dict)
    """Measure to the value that a ranking blind to languages would have, where that is known (LPR, OwnShare)."""
    composition: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Query language to document language to mean share of the first 10 results; empty for a corpus in one language."""


class SettingScores(BaseModel):
    """One mix: its corpora and their averages."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    collection: str
    """Name of the collection."""
    setting: str
    """`mlir`, `multi-monolingual`, `cross-lingual`, `bilingual`, `partition`, `away` or `union`."""
    mix: str
    """The recipe, with its seed and options."""
    seed: int
    """Seed of everything that is drawn."""
    main: str
    """The measure to sort by."""
    scores: dict[str, float | None]
    """Measure to the mean over (corpus, query language) cells, each the mean over its queries."""
    chance: dict[str, float] = Field(default_factory=dict)
    """Mean over the corpora of their levels by chance."""
    excluded: dict[str, int] = Field(default_factory=dict)
    """Measure to the number of (corpus, query) pairs for which it has no value."""
    table: dict[str, dict[str, dict[str, float | None]]] = Field(default_factory=dict)
    """Query language to document language(s) to measure: the cells of families of corpora."""
    left_out: dict[str, str]
    """Measures that cannot be computed, or not in every corpus, with the reason."""
    unasked: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Corpora of the mix of which no query can be asked: name to why queries were dropped, with counts."""
    pools: list[PoolScores]
    """The corpora."""


class IndexRecall(BaseModel):
    """Share of the exact lists that an approximate index found, over a sample of queries."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    queries: int
    """Lists compared."""
    at_10: float
    """Mean share of the first 10."""
    at_depth: float
    """Mean share of all that are kept per query."""


class ApproximateSearch(BaseModel):
    """How well an approximate index searched one collection by the vectors of one encoder."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str
    """Name of the encoder."""
    collection: str
    """Name of the collection."""
    recall: dict[str, IndexRecall]
    """Language of the documents to the recall of its index."""
    overall: IndexRecall
    """The mean over all of these lists."""
    exact: dict[str, str] = Field(default_factory=dict)
    """Languages that were searched exactly, at least in part, and why."""
    relevant: int
    """Relevant documents, over all corpora."""
    missed: int
    """How many of them score above the end of their query's list and are not in it, because the index missed them."""


class Result(BaseModel):
    """What one model scored on one benchmark, with everything needed to do it again."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    schema_version: Literal[1] = SCHEMA
    """Version of this layout."""
    key: str
    """Hash of all that decides the scores: model, data, mixes, measures, depth, version. Equal keys need no second run."""
    created: str
    """Time of the run's end, ISO 8601, UTC."""
    model: dict[str, Any]
    """Name, and what the model says of itself: source, revision, size, prompts, analyzers; device if weights were loaded."""
    fingerprints: dict[str, dict[str, Any]]
    """Per role, everything that changes a vector; empty for a model that keeps none."""
    benchmark: dict[str, Any]
    """The benchmark as it was run."""
    collections: list[dict[str, Any]]
    """Per collection: licence, provenance, revision (content hash), counts, warnings met while reading."""
    settings: list[SettingScores]
    """The scores."""
    geometry: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Collection to diagnostics of its documents' vectors, from `mimo-eval analyze`; empty until then."""
    encoded: dict[str, int]
    """Texts encoded in this run, and vectors read from the store."""
    search: str
    """What ranked the documents, by name: faiss, torch, numpy, or the retriever itself; several with commas between them."""
    index: str = ""
    """The FAISS index that was asked for, with its parameters; empty for exact search."""
    approximate: list[ApproximateSearch] = Field(default_factory=list)
    """How well that index searched; empty if every search was exact."""
    timings: dict[str, float]
    """Seconds of each phase."""
    peak_memory: int
    """Largest resident size of the process, in bytes."""
    environment: dict[str, Any]
    """Versions, platform, threads, git commit."""
    files: dict[str, str] = Field(default_factory=dict)
    """In the file: name of a file beside it to the hash of its content (XXH3, 128 bits)."""
    checksum: str = ""
    """In the file: hash of all the rest, by which damage is noticed; without it nothing is compared."""

    @property
    def searched(self) -> str:
        """Whether scores are those of exact search, and else of what: results may be compared only if it is equal."""
        return f"approximate ({self.index})" if self.approximate else "exact"

    @property
    def label(self) -> str:
        """The model's name as tables show it, with the index where search was approximate."""
        return f"{self.model['name']} (≈ {self.index})" if self.approximate else str(self.model["name"])

    def frame(self) -> pd.DataFrame:
        """Return the averages as a table: one row per collection and mix, one column per measure."""
        rows = [
            {"model": self.label, "collection": s.collection, "setting": s.setting, "mix": s.mix, **s.scores}
            for s in self.settings
        ]
        return pd.DataFrame(rows)


def require_exact(result: Result, where: str) -> None:
    """Refuse a result whose scores are shown or compared where nobody could see that search was approximate.

    :param result: the result.
    :param where: where its scores would stand.
    :raises DataError: if search was not exact.
    """
    if result.approximate:
        raise DataError(
            f"{where} takes scores of exact search, not {result.searched}; evaluate {result.model['name']} without --index"
        )


def result_folder(root: Path, benchmark: str, model: str, key: str) -> Path:
    """Return the folder of one result.

    :param root: folder of all results.
    :param benchmark: its name.
    :param model: its name; what a file name cannot hold is replaced.
    :param key: the result's key.
    :return: the folder.
    """
    slug = re.sub(r"[^A-Za-z0-9._-]+", "_", model).strip("._") or "model"
    return root / benchmark / slug[:80] / key[:12]


def result_key(parts: dict[str, Any]) -> str:
    """Return a hash of all that decides a result."""
    return digest(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str))


def write_result(folder: Path, result: Result, queries: pd.DataFrame) -> Path:
    """Write a result; the JSON file comes last, so that a folder without it is unfinished.

    :param folder: its folder.
    :param result: the result.
    :param queries: per-query scores.
    :return: path of the JSON file.
    """
    with atomic_write(folder / QUERIES) as stream:
        queries.to_parquet(stream, index=False, compression="zstd")
    return write_json_result(folder, result)


def mark_asked(folder: Path) -> None:
    """Note that a stored result was asked for again; nothing is noted of a model's only result.

    A model that goes back to what it was finds its old result; from then on this is the newest, not that of what came between.

    :param folder: the result's.
    """
    if all(other == folder / FILE for other in folder.parent.glob(f"*/{FILE}")):
        return
    try:
        write_json(folder / ASKED, {"asked": datetime.now(timezone.utc).isoformat(timespec="microseconds")})
    except (MimoEvalError, OSError) as error:
        said = "cannot be noted as the newest result of its model; name this folder itself"
        logger.warning("%s: %s (%s)", folder, said, error)


def asked(folder: Path) -> str:
    """Return when a result was last asked for again, ISO 8601, UTC; empty if it was not, or nothing can be read."""
    try:
        return str(read_json(folder / ASKED)["asked"]) if (folder / ASKED).exists() else ""
    except (DataError, KeyError, TypeError):
        return ""


def write_json_result(folder: Path, result: Result) -> Path:
    """Write the JSON file of a result alone.

    :param folder: its folder.
    :param result: the result.
    :return: path of the file.
    """
    content = result.model_dump(mode="json")
    content["files"] = {QUERIES: file_checksum(folder / QUERIES)} if (folder / QUERIES).is_file() else {}
    content["checksum"] = _checksum(content)
    with atomic_write(folder / FILE, "w") as stream:
        json.dump(content, stream, ensure_ascii=False, indent=1, allow_nan=False)
        stream.write("\n")
    return folder / FILE


def _checksum(content: dict[str, Any]) -> str:
    """Return a hash of a result's content but for its checksum."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return digest(json.dumps(rest, sort_keys=True, ensure_ascii=False))


def read_result(path: str | Path, strict: bool = False) -> Result:
    """Read a result; one that is not as it was written is named in a warning.

    :param path: the JSON file, or its folder.
    :param strict: refuse one that is not as it was written.
    :return: the result.
    :raises DataError: if it is missing or not a result; the message names the field.
    """
    path = Path(path) / FILE if Path(path).is_dir() else Path(path)
    try:
        data = path.read_bytes()
        result = Result.model_validate_json(data)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{path}: not a result: {where}: {first['msg']}") from error
    if result.checksum and result.checksum != _checksum(json.loads(data)):
        _changed(path, strict)
    result.checksum, result.files = "", {}
    return result


def read_queries(path: str | Path, strict: bool = False) -> pd.DataFrame:
    """Read the per-query scores beside a result; scores that are not as they were written are named in a warning.

    :param path: the result's JSON file, or its folder.
    :param strict: refuse scores that are not as they were written.
    :return: columns collection, setting, mix, pool, query_id, lang, group, and one per measure.
    :raises DataError: if they are missing or damaged.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    try:
        if _said(folder) not in (None, file_checksum(folder / QUERIES)):
            _changed(folder / QUERIES, strict)
        return pd.read_parquet(folder / QUERIES)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{folder / QUERIES}: cannot be read ({error}); run the evaluation again") from error


def _said(folder: Path) -> str | None:
    """Return the hash that the result's file gives for the per-query scores; None if it gives none."""
    try:
        return str(json.loads((folder / FILE).read_bytes())["files"][QUERIES])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _changed(path: Path, strict: bool) -> None:
    message = f"{path}: damaged, or changed by hand: not what the evaluation wrote"
    if strict:
        raise DataError(message)
    logger.warning("%s", message)
