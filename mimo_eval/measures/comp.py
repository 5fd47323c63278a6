"""Completeness: are all versions of the answer among the first k?"""

from __future__ import annotations

import numpy as np

from mimo_eval.measures.base import AT_K, DataNeed, LanguageMeasure
from mimo_eval.measures.counting import count_by_query, known_relevant
from mimo_eval.measures.ranking import Ranking


class Completeness(LanguageMeasure):
    """1 if every relevant document stands in the first k, else 0.

    Comp@10 of the Max@R paper (secondary; "the share of queries whose whole R_q is in the top 10"). It is 0 by
    construction where |R_q| > k, so choose k at least as large as the number of languages.

    Excluded: queries with fewer than two relevant documents.
    """

    NAME = "Comp"
    SHORT_DESC = "Are all versions of the answer among the first k?"
    SUPPORTED_PARAMS = AT_K
    NEEDS = frozenset({DataNeed.LANGUAGES, DataNeed.PARALLEL_DOCUMENTS})
    SOURCE = "Max@R paper"
    USES = ("Comp@10",)

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return completeness.

        :param ranking: n queries.
        :return: (n,) float64, 0 or 1; nan where excluded.
        """
        kept = known_relevant(ranking)
        count = count_by_query(ranking, kept)
        found = count_by_query(ranking, kept & (ranking.judged_rank <= self.params["cutoff"]))
        return np.where(count > 1, (found == count).astype(np.float64), np.nan)


COMP = Completeness()
