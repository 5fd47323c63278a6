"""Where one model fails: its worst queries with what it retrieved, and the languages of its wrong answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mimo_eval.benchmark import Benchmark, data_folder
from mimo_eval.collections import Collection, load
from mimo_eval.collections.collection import Texts
from mimo_eval.errors import ConfigError, DataError, MimoEvalError
from mimo_eval.files import inside
from mimo_eval.measures import direction
from mimo_eval.results import Result, SettingScores, read_queries
from mimo_eval.runs import read_qrels, read_run

RETRIEVED = 5
"""Documents shown of what was retrieved, and of what should have been."""


class Document(NamedTuple):
    """A document as a report shows it."""

    doc_id: str
    lang: str
    """Empty where the collection is not at hand."""
    text: str
    """Empty where the collection is not at hand."""
    rank: int | None
    """In the run, from 1; None if the run does not reach it."""
    relevant: bool


class Failure(NamedTuple):
    """One query that went badly."""

    query_id: str
    lang: str
    text: str
    """Empty where the collection is not at hand."""
    score: float
    retrieved: list[Document]
    missed: list[Document]
    """Relevant documents that are not among the retrieved ones shown, those ranked best first."""
    relevant: int
    """Relevant documents in the corpus."""


@dataclass(frozen=True)
class Failures:
    """What is known of a model's failures in one setting; nothing but a note that says why, where ranked lists are missing."""

    mix: str = ""
    """Empty where no setting can be looked at."""
    measure: str = ""
    worst: list[Failure] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    """Of queries and documents; the axes of `confusions`."""
    confusions: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    """(languages, languages) of queries whose first result is wrong, the share whose first result is in each language."""
    wrong: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(languages,) share of queries whose first result is wrong; nan where none was asked."""
    notes: list[str] = field(default_factory=list)
    """What could not be shown, and what to do about it."""


def find_failures(path: Path, result: Result, *, mix: str | None = None, worst: int = 20, data: Path | None = None) -> Failures:
    """Find a model's worst queries and the languages of its wrong first results.

    :param path: the result's JSON file; runs are looked for beside it.
    :param result: the result.
    :param mix: the setting to look at; the first that asks one corpus of several languages if None.
    :param worst: how many queries.
    :param data: folder of the collection's files, for the texts.
    :return: the failures.
    :raises ConfigError: if the mix is not in the result, or is a family of corpora.
    :raises DataError: if the files beside the result are damaged.
    """
    number = _setting(result, mix)
    if number is None:
        return Failures(notes=["The benchmark has no setting with one corpus in several languages."])
    setting = result.settings[number]
    stem = inside(path.parent / "runs", f"{setting.collection}.{setting.mix}")
    run_file, qrels_file = (stem.with_name(f"{stem.name}.{kind}.gz") for kind in ("trec", "qrels"))
    if not (run_file.is_file() and qrels_file.is_file()):
        note = "The ranked lists were not kept. Evaluate with `mimo-eval run … --save-runs` to see the worst queries."
        return Failures(setting.mix, setting.main, notes=[note])
    notes: list[str] = []
    collection = _collection(result, number, data, notes)
    queries = _queries(path, setting)
    run, qrels = read_run(run_file), read_qrels(qrels_file)
    relevant = {str(q): set(rows["doc_id"]) for q, rows in qrels[qrels["relevance"] > 0].groupby("query_id")}
    ranked = {str(q): rows["doc_id"].tolist() for q, rows in run.groupby("query_id", sort=False)}
    shown = _worst(queries, setting.main, worst)
    languages, confusions, wrong = _confusions(queries, ranked, relevant, collection)
    found = [_failure(row, ranked.get(row.query_id, []), relevant.get(row.query_id, set()), collection) for row in shown]
    return Failures(setting.mix, setting.main, found, languages, confusions, wrong, notes)


def _setting(result: Result, mix: str | None) -> int | None:
    single = [k for k, s in enumerate(result.settings) if len(s.pools) == 1 and len(s.pools[0].documents) > 1]
    if mix is None:
        return single[0] if single else None
    for k in single:
        if mix in (result.settings[k].mix, result.settings[k].setting):
            return k
    usable = ", ".join(result.settings[k].mix for k in single) or "none"
    raise ConfigError(f"mix '{mix}' is not one corpus of several languages in this result; those are: {usable}")


def _collection(result: Result, number: int, data: Path | None, notes: list[str]) -> Collection | None:
    """Return the collection of the very content that the result saw."""
    place = [i for i, task in enumerate(result.benchmark["tasks"]) for _ in task["mixes"]][number]
    recorded = result.collections[place]
    try:
        tasks = Benchmark.model_validate(result.benchmark).tasks
        found = load(
            tasks[place].collection, data=data_folder(tasks[place], data, len(tasks)), languages=tasks[place].languages
        )
    except (MimoEvalError, OSError, ValueError) as error:
        notes.append(f"No texts: {str(error).splitlines()[0]}")
        return None
    if found.revision != recorded["revision"]:
        notes.append(
            f"No texts: the files here have the revision {found.revision[:12]}, the result is of {recorded['revision'][:12]}."
        )
        return None
    return found


def _queries(path: Path, setting: SettingScores) -> pd.DataFrame:
    frame = read_queries(path)
    try:
        mine = frame[(frame["collection"] == setting.collection) & (frame["mix"] == setting.mix)]
        return mine[["query_id", "lang", "group", setting.main]].astype({"query_id": str, "lang": str, "group": str})
    except KeyError as error:
        raise DataError(f"{path.parent}: the per-query scores lack {error}; run the evaluation again") from error


class _Row(NamedTuple):
    query_id: str
    lang: str
    score: float


def _worst(queries: pd.DataFrame, measure: str, count: int) -> list[_Row]:
    """Return in turn for each query language its worst query, of a question that is not there yet."""
    lower = direction(measure).value == "lower"
    known = queries.dropna(subset=[measure]).sort_values([measure, "query_id"], ascending=[not lower, True], kind="stable")
    left = {str(lang): list(rows.itertuples(index=False, name=None)) for lang, rows in known.groupby("lang")}
    found: list[_Row] = []
    groups: set[str] = set()
    while len(found) < count and any(left.values()):
        for lang, rows in left.items():
            while rows and rows[0][2] in groups:
                rows.pop(0)
            if rows and len(found) < count:
                query, _, group, score = rows.pop(0)
                groups.add(group)
                found.append(_Row(query, lang, float(score)))
    return found


def _failure(row: _Row, ranked: list[str], relevant: set[str], collection: Collection | None) -> Failure:
    rank = {doc: place for place, doc in enumerate(ranked, 1)}
    top = ranked[:RETRIEVED]
    own = collection.documents if collection else None
    languages = dict(_languages(own, sorted(relevant)))
    missed = sorted(relevant - set(top), key=lambda d: (rank.get(d, len(rank) + 1), languages.get(d, "") != row.lang, d))[
        :RETRIEVED
    ]
    texts = _texts(own, [*top, *missed])
    documents = [Document(doc, *texts.get(doc, ("", "")), rank.get(doc), doc in relevant) for doc in [*top, *missed]]
    asked = _texts(collection.queries if collection else None, [row.query_id])
    return Failure(
        row.query_id,
        row.lang,
        asked.get(row.query_id, ("", ""))[1],
        row.score,
        documents[: len(top)],
        documents[len(top) :],
        len(relevant),
    )


def _rows(texts: Texts, ids: list[str]) -> list[tuple[str, int]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(pa.array(ids, pa.string()), value_set=texts.column("id")).to_pylist()
    return [(name, row) for name, row in zip(ids, found, strict=True) if row is not None]


def _languages(texts: Texts | None, ids: list[str]) -> list[tuple[str, str]]:
    if texts is None:
        return []
    names = texts.languages
    return [(name, names[int(texts.language[row])]) for name, row in _rows(texts, ids)]


def _texts(texts: Texts | None, ids: list[str]) -> dict[str, tuple[str, str]]:
    """Return language and text of some ids."""
    if texts is None or not ids:
        return {}
    rows = _rows(texts, ids)
    content = texts.read([row for _, row in rows]) if rows else []
    language = dict(_languages(texts, ids))
    return {name: (language[name], text) for (name, _), text in zip(rows, content, strict=True)}


def _confusions(
    queries: pd.DataFrame, ranked: dict[str, list[str]], relevant: dict[str, set[str]], collection: Collection | None
) -> tuple[list[str], np.ndarray, np.ndarray]:
    if collection is None:
        return [], np.empty((0, 0)), np.empty(0)
    languages = sorted({*collection.documents.languages, *queries["lang"].tolist()})
    place = {lang: k for k, lang in enumerate(languages)}
    counts, asked = np.zeros((len(languages), len(languages))), np.zeros(len(languages))
    first = {q: ranked[q][0] for q in queries["query_id"] if ranked.get(q)}
    of_document = dict(_languages(collection.documents, sorted(set(first.values()))))
    nothing = np.zeros(len(languages))
    for query, lang in zip(queries["query_id"], queries["lang"], strict=True):
        asked[place[lang]] += 1
        document = first.get(query)
        if document is None:
            nothing[place[lang]] += 1
        elif document not in relevant.get(query, set()):
            counts[place[lang], place[of_document[document]]] += 1
    total = counts.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return languages, counts / total[:, None], (total + nothing) / asked
