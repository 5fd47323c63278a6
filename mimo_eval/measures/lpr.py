"""Language Preference Rate: does the version in the query's own language come before its translations?"""

from __future__ import annotations

import numpy as np

from mimo_eval.measures.base import DataNeed, Direction, LanguageMeasure
from mimo_eval.measures.counting import count_by_query, first_rank, own_relevant, relevant_by_language
from mimo_eval.measures.ranking import Ranking


class LanguagePreferenceRate(LanguageMeasure):
    """1 if the best ranked relevant document is in the query's language, else 0.

    The name and the idea are MLAIRE's; its exact formula is not published in a form we could check, so this is our
    reading: mean over queries of 1[argmin over relevant d of rank(d) is in the query's language]. Semantic errors stay
    out, because only relevant documents are compared.

    Excluded: queries without a relevant document in their own language, with relevant documents in one language only,
    and those for which a cut run holds no relevant document.
    """

    NAME = "LPR"
    SHORT_DESC = "Does the relevant document in the query's own language come before its versions in other languages?"
    DIRECTION = Direction.NONE
    NEEDS = frozenset({DataNeed.LANGUAGES, DataNeed.PARALLEL_DOCUMENTS})
    SOURCE = "MLAIRE; definition ours"
    USES = ("LPR",)

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return whether the query's language is preferred.

        :param ranking: n queries with languages.
        :return: (n,) float64, 0 or 1; nan where excluded.
        """
        first = first_rank(ranking, ranking.relevant)
        own = own_relevant(ranking)
        asked = (count_by_query(ranking, own) > 0) & ((relevant_by_language(ranking) > 0).sum(axis=1) > 1)
        preferred = (first_rank(ranking, own) == first).astype(np.float64)
        return np.where(asked & np.isfinite(first), preferred, np.nan)

    def chance(self, ranking: Ranking) -> np.ndarray:
        """Return the share of the relevant documents that are in the query's language.

        :param ranking: as for `values`.
        :return: (n,) float64: 1 / |R_q| with one version per language; nan where `values` is nan.
        """
        with np.errstate(invalid="ignore"):
            level = count_by_query(ranking, own_relevant(ranking)) / ranking.relevant_count
        return np.where(np.isnan(self.values(ranking)), np.nan, level)


LPR = LanguagePreferenceRate()
