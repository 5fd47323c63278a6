"""Language composition: which languages fill the first k ranks?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimo_eval.measures.base import AT_K, Direction, LanguageMeasure
from mimo_eval.measures.counting import languages_of
from mimo_eval.measures.ranking import EMPTY, Ranking


class Composition(NamedTuple):
    """Mean shares of document languages in the first k, per query language."""

    languages: tuple[str, ...]
    """Names of rows and columns."""
    share: np.ndarray
    """(L, L) float64: row query language, column document language; a row of nan where no query counts."""
    queries: np.ndarray
    """(L,) int64: queries that count, per query language."""


def composition(ranking: Ranking, cutoff: int) -> Composition:
    """Return the language composition of the first ranks per query language (LAReQA's heat map b).

    Each query counts the same, also one with fewer than `cutoff` results; from memory of LAReQA, which shows the
    first 100.

    :param ranking: n queries with languages.
    :param cutoff: the last rank that counts.
    :return: the table; documents of unknown language are in the denominator only.
    """
    languages, width = languages_of(ranking), len(ranking.languages)
    top = ranking.top(cutoff)
    document = languages.retrieved[:, : top.shape[1]]
    results = (top != EMPTY).sum(axis=1)
    row, column = np.nonzero((top != EMPTY) & (document >= 0) & (languages.query >= 0)[:, None])
    cell = languages.query[row].astype(np.int64) * width + document[row, column]
    total = np.bincount(cell, weights=1 / results[row], minlength=width * width).reshape(width, width)
    queries = np.bincount(languages.query[(languages.query >= 0) & (results > 0)], minlength=width)
    with np.errstate(invalid="ignore"):
        return Composition(ranking.languages, total / queries[:, None], queries)


class OwnLanguageShare(LanguageMeasure):
    """Share of the first k results that are in the query's language, relevant or not: the diagonal of `composition`.

    With fewer than k results, the share of those present. Ours; it needs no judgements. The chance level is the share
    of the pool that is in the query's language.

    Excluded: queries with no result, and those whose language is not known.
    """

    NAME = "OwnShare"
    SHORT_DESC = "What share of the first k results is in the query's own language, relevant or not?"
    SUPPORTED_PARAMS = AT_K
    DIRECTION = Direction.NONE
    SOURCE = "diagonal of LAReQA's composition heat map"
    USES = ("OwnShare@10",)

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return the share of the query's language.

        :param ranking: n queries with languages.
        :return: (n,) float64 in [0, 1]; nan where excluded.
        """
        languages, top = languages_of(ranking), ranking.top(self.cutoff)
        results = (top != EMPTY).sum(axis=1)
        same = (languages.retrieved[:, : top.shape[1]] == languages.query[:, None]) & (top != EMPTY)
        with np.errstate(invalid="ignore"):
            return np.where(languages.query >= 0, same.sum(axis=1) / results, np.nan)

    def chance(self, ranking: Ranking) -> np.ndarray | None:
        """Return the share of the pool that is in the query's language.

        :param ranking: as for `values`.
        :return: (n,) float64, nan where `values` is nan; None where the pool's languages are not known.
        """
        if ranking.pool_languages is None:
            return None
        own = np.maximum(languages_of(ranking).query, 0).astype(np.int64)
        share = np.take_along_axis(ranking.pool_languages, own[:, None], axis=1)[:, 0] / ranking.pool_languages.sum(1)
        return np.where(np.isnan(self.values(ranking)), np.nan, share)


OWN_SHARE = OwnLanguageShare()
