"""Attention-weighted rank fairness: is a reader's attention shared among languages as the target says?"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ir_measures.measures import ParamInfo

from mimo_eval.measures.base import CUTOFF, LanguageMeasure
from mimo_eval.measures.counting import languages_of, relevant_by_language
from mimo_eval.measures.ranking import EMPTY, Ranking
from mimo_eval.measures.standard import discount


class AttentionWeightedRankFairness(LanguageMeasure):
    """1 - JS2(exposure || target), with exposure of a language the share of 1/log2(rank + 1) that its documents take.

    Written from memory of attention-weighted rank fairness (Sapiezynski et al. 2019; TREC Fair Ranking), no source
    checked: JS2 is the Jensen-Shannon divergence in bits (not its square root), and with fewer than k results the
    weights of those present are normalised. `target="uniform"` gives equal shares to the languages of the pool,
    `target="judged"` to each its share of the query's relevant documents. The least value depends on the number of
    languages L: one language alone gives 0.688722 (L = 2), 0.540852 (3), 0.189300 (14) against the uniform target.

    Excluded: queries with no result, and for `target="judged"` those without relevant documents.
    """

    NAME = "AWRF"
    SHORT_DESC = "Is the attention that the first k ranks draw shared among languages as the target says?"
    SUPPORTED_PARAMS: ClassVar[dict[str, Any]] = {
        "cutoff": CUTOFF,
        "target": ParamInfo(dtype=str, choices=["uniform", "judged"], default="uniform", desc="'uniform' or 'judged'"),
    }
    SOURCE = "Sapiezynski et al. 2019; from memory"
    USES = ("AWRF@10", "AWRF(target='judged')@10")

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return fairness of exposure.

        :param ranking: n queries with languages.
        :return: (n,) float64 in [0, 1]; nan where excluded.
        """
        target = relevant_by_language(ranking) if self["target"] == "judged" else pool_has(ranking)
        return np.asarray(1 - divergence(exposure(ranking, self.cutoff), _shares(target.astype(np.float64))))


def pool_has(ranking: Ranking) -> np.ndarray:
    """Return which languages the pool of each query holds.

    :param ranking: a ranking with languages; without `pool_languages`, those of any retrieved or judged document.
    :return: (n, number of languages) bool.
    """
    if ranking.pool_languages is not None:
        return np.asarray(ranking.pool_languages > 0)
    languages = languages_of(ranking)
    seen = np.union1d(languages.retrieved, languages.judged)
    return np.tile(np.isin(np.arange(len(ranking.languages)), seen), (len(ranking), 1))


def exposure(ranking: Ranking, cutoff: int | None) -> np.ndarray:
    """Return the share of attention that each language takes.

    :param ranking: a ranking with languages; documents of unknown language take none.
    :param cutoff: the last rank that draws attention, None for the whole run.
    :return: (n, number of languages) float64, rows sum to 1; rows of nan without a result.
    """
    width, top = len(ranking.languages), ranking.top(cutoff)
    language = languages_of(ranking).retrieved[:, : top.shape[1]]
    row, column = np.nonzero((top != EMPTY) & (language >= 0))
    weight = discount(top.shape[1])[column]
    total = np.bincount(row * width + language[row, column], weights=weight, minlength=len(ranking) * width)
    return _shares(total.reshape(len(ranking), width))


def divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon divergence of paired distributions.

    :param first: (n, m) rows that sum to 1.
    :param second: (n, m) rows that sum to 1.
    :return: (n,) float64 in [0, 1] bits; nan where a row is.
    """
    from scipy.special import rel_entr

    middle = (first + second) / 2
    bits = (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=1) / (2 * np.log(2))
    return np.asarray(np.clip(bits, 0.0, 1.0))  # rounding leaves -1e-17 for equal rows


def _shares(total: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(total / total.sum(axis=1, keepdims=True))


AWRF = AttentionWeightedRankFairness()
