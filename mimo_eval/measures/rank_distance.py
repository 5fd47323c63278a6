"""Rank distance: how far apart do the versions of one answer lie?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimo_eval.measures.base import DataNeed, Direction, LanguageMeasure
from mimo_eval.measures.counting import count_by_query, first_rank, known_relevant
from mimo_eval.measures.ranking import Ranking


class Extremes(NamedTuple):
    """Where the relevant documents of each query begin and end; nan for queries that do not count."""

    number: np.ndarray
    """(n,) int64: relevant documents of the pool."""
    best: np.ndarray
    """(n,) float64: rank of the first."""
    worst: np.ndarray
    """(n,) float64: rank of the last."""


def extremes(ranking: Ranking) -> Extremes:
    """Return the first and last rank of each query's relevant documents.

    :param ranking: any ranking.
    :return: number, best and worst; best and worst are nan for queries with fewer than two relevant documents in the
        pool, and for those of which a cut run lacks one: there the last rank is not known.
    """
    kept = known_relevant(ranking)
    count = count_by_query(ranking, kept)
    known = kept & np.isfinite(ranking.judged_rank)
    complete = (count > 1) & (count == count_by_query(ranking, known))
    worst = np.zeros(len(ranking))
    np.maximum.at(worst, ranking.judged_query[known], ranking.judged_rank[known])
    best = np.where(complete, first_rank(ranking, kept), np.nan)
    return Extremes(count, best, np.where(complete, worst, np.nan))


class RankDistanceMeasure(LanguageMeasure):
    """Largest minus smallest rank of the relevant documents, in the ranking of the whole pool.

    Hybrid section 4.1 and its footnote 6, after Huang et al. (KD-SPD, 2023). The least value is |R_q| - 1, the greatest
    |D| - 1: it grows with the pool, so never compare it across pools. A cut run would give a lower bound only and is
    refused.

    Excluded: queries with fewer than two relevant documents.
    """

    NAME = "RankDistance"
    SHORT_DESC = "How many ranks lie between the first and the last version of the answer?"
    RANGE = (1.0, np.inf)
    DIRECTION = Direction.LOWER
    NEEDS = frozenset({DataNeed.LANGUAGES, DataNeed.PARALLEL_DOCUMENTS, DataNeed.FULL_RANKING})
    SOURCE = "Huang et al. 2023 (KD-SPD)"
    USES = ("RankDistance",)
    INSTEAD = "LPR or Comp@10"

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return the rank distance.

        :param ranking: n queries.
        :return: (n,) float64 from |R_q| - 1 to |D| - 1; nan where excluded or not known.
        """
        found = extremes(ranking)
        return np.asarray(found.worst - found.best)


RANK_DISTANCE = RankDistanceMeasure()
