"""The one record that every measure is computed from: a run and its judgements as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_eval.errors import DataError

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
        import pandas as pd

        qrels = qrels.astype({"query_id": str, "doc_id": str})
        run = run.astype({"query_id": str, "doc_id": str})
        _refuse_repeats(qrels, "qrels")
        _refuse_repeats(run, "run")
        query_ids = np.sort(qrels["query_id"].unique().astype(str))
        rows = pd.Series(np.arange(len(query_ids)), index=query_ids)
        run = run[run["query_id"].isin(rows.index)]
        run = run.assign(row=run["query_id"].map(rows), score=run["score"].astype(np.float32))
        run = run.sort_values(["row", "score", "doc_id"], ascending=[True, False, False], kind="stable")
        run = run.assign(column=run.groupby("row").cumcount())
        if depth is not None:
            run = run[run["column"] < depth]
        width = int(run["column"].max()) + 1 if len(run) else 0
        # below 0 means "judged and not relevant" in some qrels; as a gain it would read as UNJUDGED or EMPTY
        judged = qrels.assign(row=qrels["query_id"].map(rows), relevance=qrels["relevance"].clip(lower=0))
        judged = judged.sort_values("row", kind="stable")
        judged = judged.merge(run[["row", "doc_id", "column"]], on=["row", "doc_id"], how="left")
        gains = np.full((len(query_ids), width), EMPTY, np.int32)
        gains[run["row"], run["column"]] = UNJUDGED
        found = judged[judged["column"].notna()]
        gains[found["row"], found["column"].astype(int)] = found["relevance"]
        return cls(
            query_ids=query_ids,
            gains=gains,
            judged_query=judged["row"].to_numpy(np.int64),
            judged_gain=judged["relevance"].to_numpy(np.int32),
            judged_rank=judged["column"].to_numpy(np.float64) + 1,
            **_languages(query_ids, run, judged, gains, document_languages, query_languages),
        )


def _languages(
    query_ids: np.ndarray,
    run: pd.DataFrame,
    judged: pd.DataFrame,
    gains: np.ndarray,
    document_languages: Mapping[str, str] | None,
    query_languages: Mapping[str, str] | None,
) -> dict[str, Any]:
    if document_languages is None or query_languages is None:
        return {}
    names = tuple(sorted({*document_languages.values(), *query_languages.values()}))
    number = {name: i for i, name in enumerate(names)}

    def numbers(ids: list[str], languages: Mapping[str, str], what: str) -> np.ndarray:
        missing = [i for i in ids if i not in languages]
        if missing:
            raise DataError(f"no language is given for {what} '{missing[0]}' (and {len(missing) - 1} more)")
        return np.array([number[languages[i]] for i in ids], np.int16)

    retrieved = np.full(gains.shape, -1, np.int16)
    retrieved[run["row"], run["column"]] = numbers(run["doc_id"].tolist(), document_languages, "document")
    return {
        "languages": names,
        "query_language": numbers(query_ids.tolist(), query_languages, "query"),
        "document_language": retrieved,
        "judged_language": numbers(judged["doc_id"].tolist(), document_languages, "document"),
        "pool_size": np.full(len(query_ids), len(document_languages), np.int64),
        "pool_languages": np.tile(_sizes(document_languages, number), (len(query_ids), 1)),
    }


def _sizes(document_languages: Mapping[str, str], number: Mapping[str, int]) -> np.ndarray:
    return np.bincount([number[name] for name in document_languages.values()], minlength=len(number))


def _refuse_repeats(frame: pd.DataFrame, what: str) -> None:
    repeated = frame[frame.duplicated(["query_id", "doc_id"])]
    if len(repeated):
        first = repeated.iloc[0]
        raise DataError(f"{what}: document '{first['doc_id']}' stands twice for query '{first['query_id']}'")
