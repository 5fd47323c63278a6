"""Recall, split: documents in the query's language, and documents in others. The gap is the language bias of recall."""

from __future__ import annotations

import numpy as np

from mimo_eval.measures.base import AT_K, LanguageMeasure
from mimo_eval.measures.counting import other_relevant, own_relevant, recall_of
from mimo_eval.measures.ranking import Ranking


class SameLanguageRecall(LanguageMeasure):
    """Recall@k on the relevant documents in the query's language (Qdrant's article on multilingual search).

    The article averages within each query language first; per query the number is the same.

    Excluded: queries without such a document.
    """

    NAME = "SameR"
    SHORT_DESC = "What share of the relevant documents in the query's own language stands in the first k?"
    SUPPORTED_PARAMS = AT_K
    SOURCE = "Qdrant article"
    USES = ("SameR@10",)

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return recall in the query's language.

        :param ranking: n queries with languages.
        :return: (n,) float64 in [0, 1]; nan where excluded.
        """
        return recall_of(ranking, own_relevant(ranking), self.cutoff)


class CrossLanguageRecall(LanguageMeasure):
    """Recall@k on the relevant documents in other languages than the query's; per query equal to TLR@k.

    Excluded: queries without such a document.
    """

    NAME = "CrossR"
    SHORT_DESC = "What share of the relevant documents in other languages stands in the first k? (per query: TLR@k)"
    SUPPORTED_PARAMS = AT_K
    SOURCE = "Qdrant article"
    USES = ("CrossR@10",)

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return recall in the other languages.

        :param ranking: n queries with languages.
        :return: (n,) float64 in [0, 1]; nan where excluded.
        """
        return recall_of(ranking, other_relevant(ranking), self.cutoff)


SAME_R = SameLanguageRecall()
CROSS_R = CrossLanguageRecall()
