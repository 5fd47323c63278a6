"""The one record that every measure is computed from: a run and its judgements as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mimo_eval.errors import DataError
from mimo_eval.measures.hits import Hits
from mimo_eval.measures.inputs import Table, judgements_of, table
from mimo_eval.measures.join import cuts, find, longest
from mimo_eval.measures.lists import canonical, ranks

if TYPE_CHECKING:
    import pandas as pd

UNJUDGED = -1
EMPTY = -2


@dataclass(frozen=True)
class Ranking:
    """What was retrieved and what was judged, for n queries to depth k; row i is query i.

    Ranks start at 1 and follow the canonical order: score descending, then document id descending.
    Languages are numbers into `languages`; -1 is "not known". Judgements are flat arrays sorted by query.
    """

    query_ids: np.ndarray
    """(n,) str."""
    gains: np.ndarray
    """(n, k) int32: relevance of the document at each rank; UNJUDGED (-1) if not judged, EMPTY (-2) past the end."""
    judged_query: np.ndarray
    """(j,) int64: the row of the query each judgement belongs to, ascending."""
    judged_gain: np.ndarray
    """(j,) int32: the relevance."""
    judged_rank: np.ndarray
    """(j,) float64: rank of the judged document in the ranking of the whole pool; nan where it is not known."""
    languages: tuple[str, ...] = ()
    query_language: np.ndarray | None = None
    """(n,) int16."""
    document_language: np.ndarray | None = None
    """(n, k) int16: language of the document at each rank."""
    judged_language: np.ndarray | None = None
    """(j,) int16."""
    pool_size: np.ndarray | None = None
    """(n,) int64: number of documents that could have been retrieved."""
    query_group: np.ndarray | None = None
    """(n,) int64: equal for queries that are translations of one another."""
    full: bool = False
    """Whether `judged_rank` is exact for every judged document of the pool."""
    pool_languages: np.ndarray | None = None
    """(n, len(languages)) int64: number of documents of each language that could have been retrieved."""
    documents: np.ndarray | None = None
    """(n, k) int64: number of the document at each rank, -1 past the end; the same numbers for every query."""
    scores: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """(p,) rows and (p, m) documents to their (p, m) scores, also of documents that the run lacks."""

    def __len__(self) -> int:
        return len(self.query_ids)

    @property
    def depth(self) -> int:
        """Number of columns, the depth to which the run was kept."""
        return int(self.gains.shape[1])

    @cached_property
    def relevant(self) -> np.ndarray:
        """(j,) bool: judgements above 0."""
        return np.asarray(self.judged_gain > 0)

    @cached_property
    def relevant_count(self) -> np.ndarray:
        """(n,) int64: number of relevant documents of each query."""
        return np.bincount(self.judged_query[self.relevant], minlength=len(self))

    def top(self, cutoff: int | None) -> np.ndarray:
        """Return the gains of the first `cutoff` ranks.

        :param cutoff: a rank, or None for all.
        :return: (n, min(cutoff, depth)) int32.
        """
        return self.gains if cutoff is None else self.gains[:, :cutoff]

    @cached_property
    def hits(self) -> Hits:
        """The judged documents among what was retrieved."""
        row, column = np.nonzero(self.gains > UNJUDGED)
        retrieved = np.count_nonzero(self.gains != EMPTY, axis=1)
        return Hits(retrieved, retrieved > 0, row, column + 1, self.gains[row, column], self.judged_query, self.judged_gain)

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return (qrels, run) as ir-measures takes them; scores are strictly decreasing, so no tie rule can act.

        Documents are named by their number within the query, which is all that a measure may look at. Relevance below 0
        is given as 0: pytrec_eval may never return from it.
        """
        import pandas as pd

        row, column = np.nonzero(self.gains != EMPTY)
        rank = np.full(len(self.judged_query), -1, np.int64)
        known = np.isfinite(self.judged_rank) & (self.judged_rank <= self.depth)
        rank[known] = self.judged_rank[known].astype(np.int64)
        names = np.where(known, np.char.add("r", rank.astype(str)), np.char.add("j", np.arange(len(rank)).astype(str)))
        qrels = pd.DataFrame(
            {"query_id": self.query_ids[self.judged_query], "doc_id": names, "relevance": np.maximum(self.judged_gain, 0)}
        )
        run = pd.DataFrame(
            {
                "query_id": self.query_ids[row],
                "doc_id": np.char.add("r", (column + 1).astype(str)),
                "score": (self.depth - column).astype(float),
            }
        )
        return qrels, run

    @classmethod
    def from_frames(
        cls,
        qrels: pd.DataFrame,
        run: pd.DataFrame,
        document_languages: Mapping[str, str] | None = None,
        query_languages: Mapping[str, str] | None = None,
        depth: int | None = None,
    ) -> Ranking:
        """Build the record from anybody's run and qrels.

        Queries are those of the qrels; one that the run lacks has an empty ranking. Documents with equal float32 scores
        are put in trec_eval's order, id descending. Ranks of judged documents that the run lacks are nan.

        :param qrels: columns query_id, doc_id, relevance.
        :param run: columns query_id, doc_id, score.
        :param document_languages: document id to language; needed by language measures.
        :param query_languages: query id to language; needed by language measures.
        :param depth: cut the run here.
        :return: the record; relevance below 0 counts as 0.
        :raises DataError: if a document stands twice in one ranking or judgement list, or a language is missing.
        """
        judgements = judgements_of(qrels)
        ranked = table(run["query_id"], run["doc_id"], run["score"])
        width = min(longest(ranked, judgements.names), len(ranked.score) if depth is None else depth)
        row_at = np.full((len(judgements.query_ids), width), -1, np.int64)
        rank = np.full(len(judgements.query), np.nan)
        for cut in cuts(ranked, judgements.names):
            lists, found = cut.lists, find(judgements, cut)
            row, column = lists.row[lists.of], np.arange(len(lists.of)) - lists.start[lists.of]
            kept = (row >= 0) & (column < width)
            row_at[row[kept], column[kept]] = cut.rows[canonical(lists)[kept]]
            rank[found.judgement] = ranks(lists, found, judgements.document)
        rank[rank > width] = np.nan
        # below 0 means "judged and not relevant" in some qrels; as a gain it would read as UNJUDGED or EMPTY
        gain = np.maximum(judgements.gain, 0)
        gains = np.where(row_at < 0, EMPTY, UNJUDGED).astype(np.int32)
        known = np.flatnonzero(~np.isnan(rank))
        gains[judgements.query[known], rank[known].astype(np.int64) - 1] = gain[known]
        ranking = cls(judgements.query_ids, gains, judgements.query, gain, rank)
        if document_languages is None or query_languages is None:
            return ranking
        judged = judgements.document.to_pylist()
        return replace(ranking, **_languages(ranking, ranked, row_at, judged, document_languages, query_languages))


def _languages(
    ranking: Ranking,
    run: Table,
    row_at: np.ndarray,
    judged: list[str],
    document_languages: Mapping[str, str],
    query_languages: Mapping[str, str],
) -> dict[str, Any]:
    """Return what a ranking says of languages; `row_at` has the row of the run at each rank, -1 past the end."""
    names = tuple(sorted({*document_languages.values(), *query_languages.values()}))
    number = {name: i for i, name in enumerate(names)}

    def numbers(ids: list[str], languages: Mapping[str, str], what: str) -> np.ndarray:
        missing = [i for i in ids if i not in languages]
        if missing:
            raise DataError(f"no language is given for {what} '{missing[0]}' (and {len(missing) - 1} more)")
        return np.array([number[languages[i]] for i in ids], np.int16)

    encoded = run.document.dictionary_encode()
    code = encoded.indices.to_numpy()
    filled = row_at >= 0
    used = np.unique(code[row_at[filled]])
    of_code = np.full(len(encoded.dictionary), -1, np.int16)
    of_code[used] = numbers(encoded.dictionary.take(pa.array(used)).to_pylist(), document_languages, "document")
    retrieved = np.full(row_at.shape, -1, np.int16)
    retrieved[filled] = of_code[code[row_at[filled]]]
    return {
        "languages": names,
        "query_language": numbers(ranking.query_ids.tolist(), query_languages, "query"),
        "document_language": retrieved,
        "judged_language": numbers(judged, document_languages, "document"),
        "pool_size": np.full(len(ranking), len(document_languages), np.int64),
        "pool_languages": np.tile(_sizes(document_languages, number), (len(ranking), 1)),
    }


def _sizes(document_languages: Mapping[str, str], number: Mapping[str, int]) -> np.ndarray:
    return np.bincount([number[name] for name in document_languages.values()], minlength=len(number))
