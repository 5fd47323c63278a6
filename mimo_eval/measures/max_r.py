"""Max@R: how deep must one read to have every version of the answer?"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ir_measures.measures import ParamInfo

from mimo_eval.measures.base import DataNeed, Direction, LanguageMeasure
from mimo_eval.measures.rank_distance import extremes
from mimo_eval.measures.ranking import Ranking


class MaxAtR(LanguageMeasure):
    """The rank of the last relevant document; `normalised=True`: on a log scale from 0 (bottom) to 100 (all on top).

    Max@R paper (definition through a secondary source): Max@R = max {i : d_i in R_q};
    normalised = 100 (log2 |D| - log2 Max@R) / (log2 |D| - log2 |R_q|), defined as 100 where |D| = |R_q|.
    The raw value depends on the pool: never compare it across pools. A cut run is refused.

    Excluded: queries with fewer than two relevant documents.
    """

    NAME = "MaxR"
    SHORT_DESC = "How deep must one read to have every version of the answer?"
    SUPPORTED_PARAMS: ClassVar[dict[str, Any]] = {
        "normalised": ParamInfo(dtype=bool, default=False, desc="from 0 to 100 instead of a rank")
    }
    NEEDS = frozenset({DataNeed.LANGUAGES, DataNeed.PARALLEL_DOCUMENTS, DataNeed.FULL_RANKING})
    SOURCE = "Max@R paper"
    USES = ("MaxR", "MaxR(normalised=True)")
    INSTEAD = "Comp@10"

    @property
    def normalised(self) -> bool:
        """Whether values go from 0 to 100."""
        return bool(self["normalised"])

    @property
    def direction(self) -> Direction:
        """Which way is better: up when normalised, down as a rank."""
        return Direction.HIGHER if self.normalised else Direction.LOWER

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest value."""
        return (0.0, 100.0) if self.normalised else (2.0, np.inf)

    @property
    def needs(self) -> frozenset[DataNeed]:
        """What the data must offer; the size of the pool only when normalised."""
        return self.NEEDS | {DataNeed.CORPUS_SIZE} if self.normalised else self.NEEDS

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return Max@R.

        :param ranking: n queries; with `pool_size` when normalised.
        :return: (n,) float64, a rank or a number in [0, 100]; nan where excluded or not known.
        """
        found = extremes(ranking)
        if not self.normalised:
            return found.worst
        if ranking.pool_size is None:
            return np.full(len(ranking), np.nan)
        size = np.log2(np.maximum(ranking.pool_size, 1))
        span = size - np.log2(np.maximum(found.number, 1))
        worth = np.divide(size - np.log2(found.worst), span, out=np.ones(len(ranking)), where=span > 0)
        return np.where(np.isnan(found.worst), np.nan, 100 * worth)


MAX_R = MaxAtR()
