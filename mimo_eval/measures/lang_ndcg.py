"""Lang-nDCG: nDCG that gives a relevant document in the wrong language only part of its gain."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ir_measures.measures import ParamInfo

from mimo_eval.errors import ConfigError
from mimo_eval.measures.base import CUTOFF, DataNeed, LanguageMeasure
from mimo_eval.measures.counting import languages_of, own_relevant
from mimo_eval.measures.ranking import Ranking
from mimo_eval.measures.standard import discount, ideal_dcg


class LangNDCG(LanguageMeasure):
    """nDCG with the relevance as gain in the query's language, and `gain` times it in every other language.

    Discount 1/log2(rank + 1); the ideal is made from the same gains. The exact formula of MLAIRE, which proposed the
    measure, could not be obtained; this definition is ours. `gain=1` is plain nDCG, `gain=0` the strict form that
    rewards the query's language alone. `gain` has no default, so that no number is printed without it.

    Excluded: queries whose best possible order has no gain (nothing relevant, or `gain=0` and nothing in the query's
    language), and with a `gain` below 1 those whose language is not known.
    """

    NAME = "LangNDCG"
    SHORT_DESC = "How early do relevant documents come when one in another language is worth only part of one in one's own?"
    SUPPORTED_PARAMS: ClassVar[dict[str, Any]] = {
        "cutoff": CUTOFF,
        "gain": ParamInfo(dtype=(int, float), required=True, desc="worth of another language, from 0 to 1"),
    }
    NEEDS = frozenset({DataNeed.LANGUAGES, DataNeed.PARALLEL_DOCUMENTS})
    SOURCE = "MLAIRE; definition ours"
    USES = ("LangNDCG(gain=0.5)@10",)

    def check(self) -> None:
        """Check the gain.

        :raises ConfigError: if it does not lie in [0, 1].
        """
        if not 0 <= self.params["gain"] <= 1:
            raise ConfigError(f"measure LangNDCG cannot take gain={self.params['gain']}: it must lie in [0, 1]")

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return Lang-nDCG.

        :param ranking: n queries with languages.
        :return: (n,) float64 in [0, 1]; nan where excluded.
        """
        languages, other = languages_of(ranking), float(self.params["gain"])
        top = ranking.top(self.cutoff)
        row, column = np.nonzero(top > 0)
        found_language = languages.retrieved[row, column]
        worth = np.where((found_language >= 0) & (found_language == languages.query[row]), 1.0, other)
        gain = top[row, column] * worth * discount(top.shape[1])[column]
        ideal_gain = ranking.judged_gain * np.where(own_relevant(ranking), 1.0, other)
        ideal = ideal_dcg(ranking.judged_query, ideal_gain, self.cutoff, len(ranking))
        ideal[(languages.query < 0) & (other < 1)] = 0
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(ideal > 0, np.bincount(row, weights=gain, minlength=len(ranking)) / ideal, np.nan)


LANG_NDCG = LangNDCG()
