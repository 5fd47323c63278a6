"""Anybody's run, scored by this package's measures: frames in, means and what could not be computed out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from ir_measures.measures import Measure

from mimo_eval import measures
from mimo_eval.collections.jsonl import read_judgements
from mimo_eval.collections.records import Problems
from mimo_eval.errors import DataError
from mimo_eval.measures import LanguageMeasure, Ranking
from mimo_eval.scoring import mean

NO_LANGUAGES = "languages are not known; name them with --languages FILE, COLLECTION or ids"


@dataclass(frozen=True)
class Languages:
    """What language each id is in, and what is known of the corpus beside the run."""

    documents: Mapping[str, str]
    queries: Mapping[str, str]
    origin: str
    """Where this was taken from, for messages."""
    whole: bool
    """Whether `documents` lists the whole corpus, so that its size is known and nothing else can be judged."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Query id to what its translations share; empty where that is not known."""


@dataclass(frozen=True)
class ScoredRun:
    """The scores of one run."""

    queries: pd.DataFrame
    """One row per query: query_id, lang (empty if not known), and one column per measure; nan where excluded."""
    means: dict[str, float | None]
    """Measure to the mean over queries, as trec_eval averages."""
    languages: dict[str, dict[str, float | None]]
    """Query language to measure to the mean over its queries; empty where languages are not known."""
    macro: dict[str, float | None]
    """Measure to the mean over the languages' means, as `mimo-eval run` averages; empty likewise."""
    left_out: dict[str, str]
    """Measures that cannot be computed, with the reason."""
    excluded: dict[str, int]
    """Measure to the number of queries that it says nothing about; they are in no mean."""
    notes: list[str]
    """What a reader must know: queries that were dropped or are missing, where languages came from."""

    def frame(self) -> pd.DataFrame:
        """Return the means as a table: a row for all queries, one for the mean over languages, one per language."""
        rows = [{"of": "all queries", **self.means}]
        rows += [{"of": "mean of languages", **self.macro}] if self.macro else []
        rows += [{"of": lang, **values} for lang, values in self.languages.items()]
        return pd.DataFrame(rows)


def read_qrels(path: Path, languages: Languages | None = None) -> pd.DataFrame:
    """Read judgements, refusing what would score silently wrong.

    :param path: TREC qrels, or a BEIR table with a header, plain, `.gz` or `.zst`.
    :param languages: if it lists the whole corpus, a judged document must be in it.
    :return: columns query_id, doc_id, relevance.
    :raises DataError: with file and line, for a line that cannot be read, an id with white space, a pair that stands twice, or
        a document that is not in the corpus.
    """
    problems, seen = Problems(), set()
    rows = []
    for query, document, relevance, where in read_judgements(path, problems):
        for name in (query, document):
            if name.split() != [name]:
                raise DataError(f"{where}: id {name!r} has white space in it or is empty; TREC files are split there")
        if (query, document) in seen:
            raise DataError(f"{where}: document '{document}' is judged twice for query '{query}'")
        if languages and languages.whole and document not in languages.documents:
            raise DataError(f"{where}: document '{document}' is not in the corpus that {languages.origin} lists")
        seen.add((query, document))
        rows.append((query, document, relevance))
    problems.refuse(str(path))
    if not rows:
        raise DataError(f"{path}: no judgement in it")
    return pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"])


def score_frames(
    run: pd.DataFrame, qrels: pd.DataFrame, parsed: list[Measure], languages: Languages | None = None
) -> ScoredRun:
    """Score a run that is in memory.

    Queries without a relevant document are dropped; a query that the run lacks scores 0. Both are counted in the notes.

    :param run: columns query_id, doc_id, score.
    :param qrels: columns query_id, doc_id, relevance.
    :param parsed: the measures.
    :param languages: needed by language measures.
    :return: the scores.
    :raises DataError: if no query is left, or a language is missing.
    """
    answerable = qrels.loc[qrels["relevance"] > 0, "query_id"].unique()
    kept = qrels[qrels["query_id"].isin(answerable)]
    if not len(kept):
        raise DataError("no query has a relevant document in the judgements, so nothing can be scored")
    ranking = _ranking(run, kept, languages)
    left_out = {str(m): why for m in parsed if (why := _left_out(m, ranking)) is not None}
    values = measures.compute([m for m in parsed if str(m) not in left_out], ranking)
    left_out |= {str(m): "it has a value for no query" for m, found in values.items() if np.isnan(found).all()}
    columns = {str(m): found for m, found in values.items() if str(m) not in left_out}
    lang = [languages.queries[query] for query in ranking.query_ids] if languages else [""] * len(ranking)
    queries = pd.DataFrame({"query_id": ranking.query_ids, "lang": lang, **columns})
    by_language = {
        str(name): {m: mean(rows[m].to_numpy()) for m in columns} for name, rows in queries.groupby("lang") if languages
    }
    return ScoredRun(
        queries=queries,
        means={m: mean(found) for m, found in columns.items()},
        languages=by_language,
        macro={m: _macro(by_language, m) for m in columns} if by_language else {},
        left_out=left_out,
        excluded={m: n for m, found in columns.items() if (n := int(np.isnan(found).sum()))},
        notes=_notes(run, qrels, set(answerable), parsed, ranking, languages),
    )


def _macro(by_language: Mapping[str, Mapping[str, float | None]], measure: str) -> float | None:
    return mean(np.array([row[measure] for row in by_language.values() if row[measure] is not None], float))


def _left_out(measure: Measure, ranking: Ranking) -> str | None:
    if isinstance(measure, LanguageMeasure) and ranking.query_language is None:
        measure.validate_params()
        return NO_LANGUAGES
    return measures.applicable(measure, ranking)


def _ranking(run: pd.DataFrame, qrels: pd.DataFrame, languages: Languages | None) -> Ranking:
    if languages is None:
        return Ranking.from_frames(qrels, run)
    try:
        ranking = Ranking.from_frames(qrels, run, languages.documents, languages.queries)
    except DataError as error:
        raise DataError(f"{error}; languages were taken from {languages.origin}") from error
    if languages.groups:
        groups = [languages.groups[query] for query in ranking.query_ids]
        ranking = replace(ranking, query_group=np.unique(groups, return_inverse=True)[1].astype(np.int64))
    return ranking if languages.whole else replace(ranking, pool_size=None, pool_languages=None)


def _notes(
    run: pd.DataFrame,
    qrels: pd.DataFrame,
    answerable: set[str],
    parsed: list[Measure],
    ranking: Ranking,
    languages: Languages | None,
) -> list[str]:
    """Return what is odd about a run and its judgements, in sentences."""
    ranked = set(run["query_id"].unique())
    counts = (
        (len(answerable - ranked), "judged queries are not in the run; they score 0"),
        (qrels["query_id"].nunique() - len(answerable), "judged queries have no relevant document; they are dropped"),
        (len(ranked - set(qrels["query_id"].unique())), "queries of the run are not judged; they are left out"),
    )
    notes = [f"{number:,} {what}" for number, what in counts if number]
    deeper = [str(m) for m in parsed if (m.params.get("cutoff") or 0) > ranking.depth]
    if deeper:
        notes.append(
            f"{', '.join(deeper)}: the run holds {ranking.depth} documents per query at most, so nothing is below that"
        )
    if languages:
        size = "which is taken for the whole corpus" if languages.whole else "the corpus's size is not known"
        notes.append(f"languages from {languages.origin}; {size}")
    return notes
