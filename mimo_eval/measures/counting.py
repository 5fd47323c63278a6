"""What the language measures count in a ranking: relevant documents by language, first ranks, shares found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.measures.ranking import Ranking


class Languages(NamedTuple):
    """The language numbers of a ranking, known to be there."""

    query: np.ndarray
    """(n,)"""
    retrieved: np.ndarray
    """(n, k)"""
    judged: np.ndarray
    """(j,)"""


def languages_of(ranking: Ranking) -> Languages:
    """Return the language numbers of a ranking.

    :param ranking: any ranking.
    :return: the three arrays.
    :raises DataError: if the ranking has none.
    """
    query, retrieved, judged = ranking.query_language, ranking.document_language, ranking.judged_language
    if query is None or retrieved is None or judged is None:
        raise DataError("this measure needs the language of every document and query, and the ranking has none")
    return Languages(query, retrieved, judged)


def own_relevant(ranking: Ranking) -> np.ndarray:
    """Return which judgements are of a relevant document in the query's language.

    :param ranking: a ranking with languages.
    :return: (j,) bool.
    """
    languages = languages_of(ranking)
    known = languages.judged >= 0
    return np.asarray(ranking.relevant & known & (languages.judged == languages.query[ranking.judged_query]))


def other_relevant(ranking: Ranking) -> np.ndarray:
    """Return which judgements are of a relevant document in another language than the query's.

    :param ranking: a ranking with languages.
    :return: (j,) bool; False where the query's language is not known.
    """
    known = languages_of(ranking).query[ranking.judged_query] >= 0
    return np.asarray(ranking.relevant & known & ~own_relevant(ranking))


def relevant_by_language(ranking: Ranking) -> np.ndarray:
    """Count relevant documents.

    :param ranking: a ranking with languages.
    :return: (n, number of languages) int64.
    """
    language = languages_of(ranking).judged
    kept = ranking.relevant & (language >= 0)
    width = len(ranking.languages)
    cell = ranking.judged_query[kept] * width + language[kept]
    return np.bincount(cell, minlength=len(ranking) * width).reshape(len(ranking), width)


def count_by_query(ranking: Ranking, kept: np.ndarray) -> np.ndarray:
    """Count judgements.

    :param ranking: any ranking.
    :param kept: (j,) bool, the judgements that count.
    :return: (n,) int64.
    """
    return np.bincount(ranking.judged_query[kept], minlength=len(ranking))


def first_rank(ranking: Ranking, kept: np.ndarray) -> np.ndarray:
    """Return the best rank among some judged documents.

    :param ranking: any ranking.
    :param kept: (j,) bool, the judgements that count.
    :return: (n,) float64; infinite where none has a known rank.
    """
    first = np.full(len(ranking), np.inf)
    kept = kept & np.isfinite(ranking.judged_rank)
    np.minimum.at(first, ranking.judged_query[kept], ranking.judged_rank[kept])
    return first


def known_relevant(ranking: Ranking) -> np.ndarray:
    """Return which judgements are of a relevant document that the pool holds, as far as the ranking tells.

    In a full ranking a document without a rank is not in the pool; in a cut run it may lie anywhere below the cut.

    :param ranking: any ranking.
    :return: (j,) bool.
    """
    return np.asarray(ranking.relevant & np.isfinite(ranking.judged_rank)) if ranking.full else ranking.relevant


def recall_of(ranking: Ranking, kept: np.ndarray, cutoff: int | None) -> np.ndarray:
    """Return the share of some judged documents that stand in the first ranks.

    :param ranking: any ranking.
    :param kept: (j,) bool, the judgements that count.
    :param cutoff: the last rank that counts, None for the whole run.
    :return: (n,) float64 in [0, 1]; nan where `kept` holds no judgement of the query.
    """
    found = kept & (ranking.judged_rank <= (ranking.depth if cutoff is None else cutoff))
    with np.errstate(invalid="ignore"):
        return np.asarray(count_by_query(ranking, found) / count_by_query(ranking, kept))
