"""LAReQA's mAP: average precision when every language's answer is right."""

from __future__ import annotations

import numpy as np

from mimo_eval.measures.base import DataNeed, LanguageMeasure
from mimo_eval.measures.counting import count_by_query, known_relevant
from mimo_eval.measures.ranking import Ranking


class LareqaAP(LanguageMeasure):
    """Average precision in the ranking of the whole pool; the correct sentences of all languages are relevant.

    As in the LIR notebook and MAML-Align's code: per question (1/|R|) Σ_i i / rank_i, ranks ascending, over the
    pooled candidates. Average precision needs the ranks of the relevant documents and nothing else, so the exact value
    comes from `judged_rank` alone, however deep the run was kept. The mean here is over all questions, as in the
    notebook; it equals the mean of language means when every language has as many questions (XQuAD-R), not on MLQA-R.
    A cut run would lose what lies below the cut and is refused: `AP` is the number for that.

    Excluded: queries without relevant documents.
    """

    NAME = "LAReQA"
    SHORT_DESC = "How early do the answers of all languages come in the corpus of all languages (average precision)?"
    NEEDS = frozenset({DataNeed.LANGUAGES, DataNeed.PARALLEL_DOCUMENTS, DataNeed.FULL_RANKING})
    SOURCE = "LAReQA (Roy et al. 2020); code of LIR and MAML-Align"
    USES = ("LAReQA",)
    INSTEAD = "AP"

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return average precision over the whole pool.

        :param ranking: n queries.
        :return: (n,) float64 in [0, 1]; nan where excluded or not known.
        """
        kept = known_relevant(ranking)
        query, rank = ranking.judged_query[kept], ranking.judged_rank[kept]
        order = np.lexsort((rank, query))
        count = count_by_query(ranking, kept)
        number = np.arange(1, len(order) + 1) - np.repeat(np.cumsum(count) - count, count)
        total = np.bincount(query, weights=number / rank[order], minlength=len(ranking))  # nan if a rank is not known
        with np.errstate(invalid="ignore"):
            return np.asarray(total / count)


LAREQA = LareqaAP()
