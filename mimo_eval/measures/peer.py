"""PEER: could the documents of all languages have the same expected rank?"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ir_measures.measures import ParamInfo

from mimo_eval.errors import ConfigError
from mimo_eval.measures.base import CUTOFF, DataNeed, LanguageMeasure
from mimo_eval.measures.counting import languages_of
from mimo_eval.measures.ranking import EMPTY, UNJUDGED, Ranking


class EqualExpectedRank(LanguageMeasure):
    """The p-value of a Kruskal-Wallis test that languages share one expected rank in the first k; averaged over levels.

    Yang et al., "Language Fairness in Multilingual Information Retrieval" (SIGIR 2024). For each relevance level the
    documents of the level are grouped by language and their ranks compared; values near 1 say that no language is
    favoured. `weights` maps relevance levels to weights that sum to 1, as in the published package; without it all
    relevant documents form one level. Level 0 holds what was retrieved and is not relevant, judged or not.

    *Our mode*: documents below rank k are tied after the cutoff and all documents are ranked again among themselves
    with the tie correction, which is `scipy.stats.kruskal`; nothing retrieved gives p = 1. A level whose documents
    are all in one language, or that has at most one document in each, says nothing whatever the ranks are: it is left
    out, the weights of the others are scaled up, and a query without any other level is excluded. A low recall raises
    the value, since what is not retrieved is treated alike: read it beside R@k.

    *compat=True* gives the numbers of `hltcoe/peer_measure` 0.0.1, defects included: unretrieved documents follow right
    after the N documents of the level, even before retrieved ones; raw ranks instead of ranks among themselves; p = 1
    for one language or none; levels that a query's judgements lack, and queries that the run lacks, score 0; on a
    fully parallel pool a constant. Two things differ: unjudged documents count as level 0 where the package raises
    KeyError, and equal scores are in trec_eval's order.
    """

    NAME = "PEER"
    SHORT_DESC = "How well do the ranks agree with the claim that no language is favoured (a p-value)?"
    SUPPORTED_PARAMS: ClassVar[dict[str, Any]] = {
        "cutoff": CUTOFF,
        "weights": ParamInfo(dtype=dict, desc="relevance level to weight, summing to 1, for example {1: 0.5, 3: 0.5}"),
        "compat": ParamInfo(dtype=bool, default=False, desc="the numbers of the published package"),
    }
    NEEDS = frozenset({DataNeed.LANGUAGES, DataNeed.PARALLEL_DOCUMENTS, DataNeed.SEVERAL_PER_LANGUAGE})
    SOURCE = "Yang et al. 2024 (SIGIR); hltcoe/peer_measure"
    USES = ("PEER@20", "PEER(compat=True)@20")
    INSTEAD = "LPR or RankDistance"

    @property
    def needs(self) -> frozenset[DataNeed]:
        """What the data must offer; with a weight on level 0 the languages are enough."""
        return frozenset({DataNeed.LANGUAGES}) if self.params.get("weights", {}).get(0) else self.NEEDS

    def check(self) -> None:
        """Check the weights.

        :raises ConfigError: if they are not numbers from 0 on that sum to 1, for levels from 0 on.
        """
        weights = self.params.get("weights", {1: 1})
        levels_good = all(isinstance(level, int) and level >= 0 for level in weights)
        weights_good = all(isinstance(weight, (int, float)) and weight >= 0 for weight in weights.values())
        if not (levels_good and weights_good and np.isclose(sum(weights.values()), 1)):
            raise ConfigError(f"measure PEER cannot take weights={weights}: levels from 0 on, weights that sum to 1")

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return PEER.

        :param ranking: n queries with languages.
        :return: (n,) float64 in [0, 1]; nan where excluded.
        """
        compat, weights = bool(self["compat"]), self.params.get("weights") or {None: 1.0}
        total, used = np.zeros(len(ranking)), np.zeros(len(ranking))
        for level, weight in weights.items():
            p = _level(ranking, level, self.params["cutoff"], compat)
            total += np.where(p == ABSENT, 0.0, p if compat else np.nan_to_num(p)) * weight
            used += weight if compat else np.where(np.isnan(p), 0.0, weight)
        if compat:
            return np.where((ranking.gains != EMPTY).any(axis=1), total, 0.0)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / used)


ABSENT = -1.0
"""Stands for the p-value of a level that a query's judgements lack."""


def _level(ranking: Ranking, level: int | None, cutoff: int, compat: bool) -> np.ndarray:
    """Return the p-value of one level; None stands for every relevant document."""
    query, language, rank = (_retrieved if level == 0 else _judged)(ranking, level, cutoff)
    n, width = len(ranking), len(ranking.languages)
    groups = np.bincount(query * width + language, minlength=n * width).reshape(n, width)
    size = groups.sum(axis=1)
    found = np.isfinite(rank)
    lost = np.bincount(query[~found], minlength=n)
    if compat:
        rank = np.where(found, rank, ((2 * size + lost + 1) / 2)[query])
    else:
        rank = midranks(query, np.where(found, rank, np.inf), n)
    p = kruskal(query, language, rank, groups)
    p[(lost == size) & (size > 0)] = 1.0
    several = (groups > 0).sum(axis=1) > 1
    if not compat:
        return np.where(several & (groups.max(axis=1, initial=0) > 1), p, np.nan)
    kept = ranking.relevant if level is None else ranking.judged_gain == level
    present = (np.bincount(ranking.judged_query[kept], minlength=n) > 0) | (size > 0)
    return np.where(present, np.where(several, p, 1.0), ABSENT)


def _judged(ranking: Ranking, level: int | None, cutoff: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    language = languages_of(ranking).judged
    kept = (ranking.relevant if level is None else ranking.judged_gain == level) & (language >= 0)
    rank = ranking.judged_rank[kept]
    return ranking.judged_query[kept], language[kept].astype(np.int64), np.where(rank <= cutoff, rank, np.nan)


def _retrieved(ranking: Ranking, level: int | None, cutoff: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    top = ranking.top(cutoff)
    language = languages_of(ranking).retrieved[:, : top.shape[1]]
    row, column = np.nonzero(((top == 0) | (top == UNJUDGED)) & (language >= 0))
    return row, language[row, column].astype(np.int64), column + 1.0


def midranks(query: np.ndarray, value: np.ndarray, n: int) -> np.ndarray:
    """Rank values within their query, equal ones sharing their mean rank.

    :param query: (j,) int64, row of each value.
    :param value: (j,) float64, infinite allowed.
    :param n: number of queries.
    :return: (j,) float64, from 1 within each query.
    """
    order = np.lexsort((value, query))
    sorted_query, sorted_value = query[order], value[order]
    count = np.bincount(query, minlength=n)
    place = np.arange(1, len(order) + 1) - np.repeat(np.cumsum(count) - count, count)
    new = np.ones(len(order), bool)
    new[1:] = (sorted_query[1:] != sorted_query[:-1]) | (sorted_value[1:] != sorted_value[:-1])
    run = np.cumsum(new) - 1
    mean = np.bincount(run, weights=place) / np.bincount(run) if len(order) else place
    ranks = np.empty(len(order))
    ranks[order] = mean[run]
    return ranks


def kruskal(query: np.ndarray, group: np.ndarray, rank: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the p-values of the Kruskal-Wallis statistic H = (N-1) Σ_g n_g (r̄_g - r̄)² / Σ (r - r̄)².

    On midranks this is the tie-corrected test of scipy.

    :param query: (j,) int64, row of each rank.
    :param group: (j,) int64, its group.
    :param rank: (j,) float64.
    :param groups: (n, m) int64, number of ranks in each group.
    :return: (n,) float64 from the χ² distribution; nan where the ranks do not differ or there is one group.
    """
    from scipy.special import chdtrc

    (n, width), size = groups.shape, groups.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(query, weights=rank, minlength=n) / size
        apart = rank - mean[query]
        within = np.bincount(query * width + group, weights=apart, minlength=n * width).reshape(n, width)
        between = np.where(groups > 0, within**2 / groups, 0.0).sum(axis=1)
        statistic = (size - 1) * between / np.bincount(query, weights=apart**2, minlength=n)
        freedom = (groups > 0).sum(axis=1) - 1
        return np.where(freedom > 0, chdtrc(freedom, statistic), np.nan)


PEER = EqualExpectedRank()
