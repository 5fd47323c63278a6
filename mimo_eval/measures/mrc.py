"""Multilingual ranking consistency: do the versions of one question order the documents alike?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mimo_eval.measures.base import AT_K, DataNeed, LanguageMeasure
from mimo_eval.measures.ranking import Ranking

Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]
ROWS_AT_ONCE = 128
"""Queries that are compared at once; the scores of all their documents are computed together."""


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
    NEEDS = frozenset({DataNeed.PARALLEL_QUERIES, DataNeed.SCORES})
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
    for rows, version_of in _questions(group):
        documents, place = _union(top[rows], version_of)
        score = scores(rows, documents[version_of])
        first, second = _pairs(version_of)
        places = np.sort(np.concatenate([place[first], place[second]], axis=1), axis=1)
        kept = places >= 0
        kept[:, 1:] &= places[:, 1:] != places[:, :-1]
        one, other = (np.take_along_axis(score[side], np.maximum(places, 0), axis=1) for side in (first, second))
        rho = spearman(one, other, kept)
        for side in (first, second):
            count += np.bincount(rows[side[np.isfinite(rho)]], minlength=len(top))
            total += np.bincount(rows[side], weights=np.nan_to_num(rho), minlength=len(top))
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * total / count)


def _questions(group: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of some questions that have several versions, and which of those questions each row is."""
    question, size = np.unique(group, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(question, kind="stable")
    order = order[size[question[order]] > 1]
    edge = np.append(np.flatnonzero(np.diff(question[order], prepend=-1)), len(order))
    first = 0
    while first < len(edge) - 1:
        last = max(first + 1, int(np.searchsorted(edge, edge[first] + ROWS_AT_ONCE, side="right")) - 1)
        rows = order[edge[first] : edge[last]]
        yield rows, np.unique(question[rows], return_inverse=True)[1]
        first = last


def _union(top: np.ndarray, question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join the documents of each question's versions.

    :param top: (r, k) documents, -1 past the end.
    :param question: (r,) which question.
    :return: (questions, m) documents, 0 past the end; (r, k) the place there of each of `top`, -1 past the end.
    """
    span = int(top.max(initial=0)) + 1
    filled = top >= 0
    code, at = np.unique((question[:, None] * span + top)[filled], return_inverse=True)
    start = np.searchsorted(code, np.arange(question.max() + 2) * span)
    which, document = np.divmod(code, span)
    number = np.arange(len(code)) - start[which]
    documents = np.zeros((len(start) - 1, max(int(np.diff(start).max()), 1)), np.int64)
    documents[which, number] = document
    place = np.full(top.shape, -1, np.int64)
    place[filled] = number[at]
    return documents, place


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
    equal = value[:, 1:] == value[:, :-1]
    tied = np.flatnonzero((equal & np.isfinite(value[:, 1:])).any(axis=1))
    sorted_ranks = place.copy()
    sorted_ranks[tied] = _middles(place[tied], equal[tied])
    ranks = np.empty(value.shape)
    np.put_along_axis(ranks, order, sorted_ranks, axis=1)
    middle = (kept.sum(axis=1, keepdims=True) - 1) / 2
    return np.where(kept, ranks - middle, 0.0)


def _middles(place: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Return the middle place of each run of equal values."""
    new = np.ones(place.shape, bool)
    new[:, 1:] = ~equal
    last = np.ones(place.shape, bool)
    last[:, :-1] = ~equal
    start = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    end = np.minimum.accumulate(np.where(last, place, np.inf)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((start + end) / 2)


def _pairs(question: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair of rows of one question once; its rows stand together."""
    steps = range(1, int(np.bincount(question).max()))
    first = [np.flatnonzero(question[step:] == question[:-step]) for step in steps]
    return np.concatenate(first), np.concatenate([rows + step for rows, step in zip(first, steps, strict=True)])


MRC = MultilingualRankingConsistency()
