"""Multilingual ranking consistency: do the versions of one question order the documents alike?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mimo_eval.measures.base import AT_K, LanguageMeasure, Need
from mimo_eval.measures.ranking import Ranking

Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]
PAIRS_AT_ONCE = 1 << 14


class MultilingualRankingConsistency(LanguageMeasure):
    """100 times the mean Spearman correlation of a query's scores with those of its other language versions.

    MIMO's `metrics.py`: for versions a, b of a question, U = top-k(a) ∪ top-k(b) and ρ(a, b) is taken over the scores
    that a and b give to all of U; RC(a) is the mean over the other versions b. MIMO then averages over questions
    within each language and over languages; per query the number is the same. The scores of U are not all in a cut
    run, so they come from `Ranking.scores`; without it the measure is left out.

    Excluded: queries without another version, and those for which every ρ is undefined (constant scores, |U| < 2).
    """

    NAME = "MRC"
    SHORT_DESC = "Do the versions of one question in other languages order the documents alike?"
    SUPPORTED_PARAMS = AT_K
    RANGE = (-100.0, 100.0)
    NEEDS = frozenset({Need.PARALLEL_QUERIES, Need.SCORES})
    SOURCE = "MIMO, metrics.py"
    USES = ("MRC@20",)

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return ranking consistency.

        :param ranking: n queries with `query_group`, `documents` and `scores`.
        :return: (n,) float64 in [-100, 100]; nan where excluded or not known.
        """
        if ranking.scores is None or ranking.documents is None or ranking.query_group is None:
            return np.full(len(ranking), np.nan)
        return consistency(ranking.documents[:, : self.params["cutoff"]], ranking.scores, ranking.query_group)


def consistency(top: np.ndarray, scores: Scores, group: np.ndarray) -> np.ndarray:
    """Return ranking consistency from scores.

    :param top: (n, k) int64, the first k documents of each query; -1 past the end.
    :param scores: takes rows (p,) and documents (p, m), returns their scores (p, m).
    :param group: (n,) int64, equal for versions of one question.
    :return: (n,) float64 in [-100, 100]; nan where no other version can be compared.
    """
    total, count = np.zeros(len(top)), np.zeros(len(top))
    for first, second in _pairs(group):
        documents = np.sort(np.concatenate([top[first], top[second]], axis=1), axis=1)
        kept = documents >= 0
        kept[:, 1:] &= documents[:, 1:] != documents[:, :-1]
        asked = np.maximum(documents, 0)
        rho = spearman(scores(first, asked), scores(second, asked), kept)
        for rows in (first, second):
            count += np.bincount(rows[np.isfinite(rho)], minlength=len(top))
            total += np.bincount(rows, weights=np.nan_to_num(rho), minlength=len(top))
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * total / count)


def spearman(first: np.ndarray, second: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return Spearman's ρ of paired rows.

    :param first: (p, m) scores.
    :param second: (p, m) scores.
    :param kept: (p, m) bool, the entries that count.
    :return: (p,) float64 in [-1, 1]; nan where a row is constant or has fewer than two entries.
    """
    a, b = _centred_ranks(first, kept), _centred_ranks(second, kept)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray(np.clip(rho, -1, 1))


def _centred_ranks(scores: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return midranks among the kept entries of each row, minus their mean; 0 elsewhere."""
    value = np.where(kept, scores, np.inf)
    order = np.argsort(value, axis=1)
    value = np.take_along_axis(value, order, axis=1)
    place = np.broadcast_to(np.arange(value.shape[1], dtype=np.float64), value.shape)
    new = np.ones(value.shape, bool)
    new[:, 1:] = value[:, 1:] != value[:, :-1]
    last = np.ones(value.shape, bool)
    last[:, :-1] = new[:, 1:]
    start = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    end = np.minimum.accumulate(np.where(last, place, np.inf)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(value.shape)
    np.put_along_axis(ranks, order, (start + end) / 2, axis=1)
    middle = (kept.sum(axis=1, keepdims=True) - 1) / 2
    return np.where(kept, ranks - middle, 0.0)


def _pairs(group: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield every pair of rows of one group once, in arrays that fit in memory."""
    order = np.argsort(group, kind="stable")
    sorted_group = group[order]
    for step in range(1, int(np.unique(group, return_counts=True)[1].max(initial=1))):
        same = np.nonzero(sorted_group[step:] == sorted_group[:-step])[0]
        for start in range(0, len(same), PAIRS_AT_ONCE):
            part = same[start : start + PAIRS_AT_ONCE]
            yield order[part], order[part + step]


MRC = MultilingualRankingConsistency()
