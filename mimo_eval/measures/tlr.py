"""Target-language recall: are the answers in languages other than the query's found?"""

from __future__ import annotations

import numpy as np

from mimo_eval.measures.base import AT_K, LanguageMeasure
from mimo_eval.measures.counting import other_relevant, recall_of
from mimo_eval.measures.ranking import Ranking


class TargetLanguageRecall(LanguageMeasure):
    """Share of the relevant documents in other languages than the query's that stand in the first k.

    SHIFT section 4.3 and its `metrics.py`: |top_k(q) ∩ R_tgt| / |R_tgt|, where R_tgt are the relevant documents whose
    language is not the query's. Its greatest value is below 1 where |R_tgt| > k.

    Excluded, as SHIFT drops them: queries without a relevant document in another language.
    """

    NAME = "TLR"
    SHORT_DESC = "What share of the relevant documents in other languages than the query's stands in the first k?"
    SUPPORTED_PARAMS = AT_K
    SOURCE = "SHIFT, section 4.3"
    USES = ("TLR@10",)

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return target-language recall.

        :param ranking: n queries with languages.
        :return: (n,) float64 in [0, 1]; nan where excluded.
        """
        return recall_of(ranking, other_relevant(ranking), self.cutoff)


TLR = TargetLanguageRecall()
