"""The effectiveness measures of ir-measures, for all queries at once.

The numbers are those of ir-measures' own providers on `Ranking.frames()`; only the time differs, and the order of ties,
which the ranking has settled already. A query without relevant documents, or that the run lacks, scores 0 as it does
there. What a kernel does not cover (`judged_only`, `gains`, `rel` below 1) is left to ir-measures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from ir_measures.measures import Measure

from mimo_eval.measures.base import Declaration, Direction
from mimo_eval.measures.ranking import EMPTY, UNJUDGED, Ranking

Kernel = Callable[[Ranking], np.ndarray]

SOURCE = "ir-measures; trec_eval"
ANSWERS = {
    "nDCG@10": "How good is the order of the first k, by grade, against the best possible order?",
    "R@100": "What share of the relevant documents stands in the first k?",
    "RR@10": "How early does the first relevant document come (one over its rank)?",
    "AP": "How early do the relevant documents come (mean precision at each of them)?",
    "P@10": "What share of the first k is relevant?",
    "Success@10": "Does any relevant document stand in the first k?",
    "Judged@10": "What share of the first k is judged at all?",
}


def kernel(measure: Measure) -> Kernel | None:
    """Return the function that computes a measure of ir-measures for all queries at once.

    :param measure: any measure.
    :return: ranking to (n,) float64 without nan; None if there is no such function.
    """
    import ir_measures

    own = ir_measures.measures.registry.get(measure.NAME)
    if measure.NAME not in _KERNELS or type(measure) is not type(own):
        return None
    measure.validate_params()
    params: dict[str, Any] = dict(measure.params)
    cutoff = params.pop("cutoff", None)
    dcg, rel = params.pop("dcg", "log2"), params.pop("rel", 1)
    if params.pop("judged_only", False) or params or rel < 1 or (cutoff is not None and cutoff < 1):
        return None
    extra = {"dcg": dcg} if measure.NAME == "nDCG" else {} if measure.NAME == "Judged" else {"rel": rel}
    return partial(_KERNELS[measure.NAME], cutoff=cutoff, **extra)


COUNTS = ("Judged", "NumQ", "NumRel", "NumRet")
"""Measures of ir-measures that say something of the judgements or of the run's size, not of its quality."""


def direction(name: str) -> Direction:
    """Return which way one of ir-measures' own measures gets better.

    :param name: its name without parameters.
    :return: the direction.
    """
    return Direction.NONE if name in COUNTS else Direction.HIGHER


def declarations() -> list[Declaration]:
    """Return the declarations of the effectiveness measures that have a kernel."""
    return [
        Declaration(name, answers, (0.0, 1.0), direction(name.split("@")[0]), (), SOURCE) for name, answers in ANSWERS.items()
    ]


def discount(depth: int) -> np.ndarray:
    """Return 1 / log2(rank + 1).

    :param depth: number of ranks.
    :return: (depth,) float64, from rank 1.
    """
    return np.asarray(1 / np.log2(np.arange(2, depth + 2)))


def ideal_dcg(query: np.ndarray, gain: np.ndarray, cutoff: int | None, n: int) -> np.ndarray:
    """Return the discounted gain of the best possible order.

    :param query: (j,) int64, the row of each judgement.
    :param gain: (j,) float64; gains that are not above 0 count nothing.
    :param cutoff: last rank that counts, None for all.
    :param n: number of queries.
    :return: (n,) float64.
    """
    query, gain = query[gain > 0], gain[gain > 0]
    order = np.lexsort((-gain, query))
    query, gain = query[order], gain[order]
    count = np.bincount(query, minlength=n)
    place = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
    weight = discount(int(count.max(initial=0)))[place]
    if cutoff is not None:
        weight[place >= cutoff] = 0
    return np.bincount(query, weights=gain * weight, minlength=n)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with 0 for 0 / 0.

    :param part: (n,) numbers.
    :param whole: (n,) numbers; 0 only where `part` is 0.
    :return: (n,) float64.
    """
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0))


def _ndcg(ranking: Ranking, cutoff: int | None, dcg: str) -> np.ndarray:
    def graded(gain: np.ndarray) -> np.ndarray:
        gain = np.maximum(gain, 0).astype(np.float64)
        return np.asarray(np.exp2(gain) - 1) if dcg == "exp-log2" else gain

    top = ranking.top(cutoff)
    found = np.asarray(graded(top) @ discount(top.shape[1]))
    return share(found, ideal_dcg(ranking.judged_query, graded(ranking.judged_gain), cutoff, len(ranking)))


def _relevant_count(ranking: Ranking, rel: int) -> np.ndarray:
    return np.bincount(ranking.judged_query[ranking.judged_gain >= rel], minlength=len(ranking))


def _recall(ranking: Ranking, cutoff: int, rel: int) -> np.ndarray:
    return share((ranking.top(cutoff) >= rel).sum(axis=1), _relevant_count(ranking, rel))


def _precision(ranking: Ranking, cutoff: int, rel: int) -> np.ndarray:
    return np.asarray((ranking.top(cutoff) >= rel).sum(axis=1) / cutoff)


def _success(ranking: Ranking, cutoff: int, rel: int) -> np.ndarray:
    return np.asarray((ranking.top(cutoff) >= rel).any(axis=1), np.float64)


def _reciprocal_rank(ranking: Ranking, cutoff: int | None, rel: int) -> np.ndarray:
    hits = ranking.top(cutoff) >= rel
    if not hits.shape[1]:
        return np.zeros(len(ranking))
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def _average_precision(ranking: Ranking, cutoff: int | None, rel: int) -> np.ndarray:
    row, column = np.nonzero(ranking.top(cutoff) >= rel)  # row by row, so that hits are numbered within their query
    count = np.bincount(row, minlength=len(ranking))
    number = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(count) - count, count)
    total = np.bincount(row, weights=number / (column + 1), minlength=len(ranking))
    return share(total, _relevant_count(ranking, rel))


def _judged(ranking: Ranking, cutoff: int | None) -> np.ndarray:
    top = ranking.top(cutoff)
    return share((top > UNJUDGED).sum(axis=1), (top != EMPTY).sum(axis=1))


_KERNELS: dict[str, Callable[..., np.ndarray]] = {
    "nDCG": _ndcg,
    "R": _recall,
    "RR": _reciprocal_rank,
    "AP": _average_precision,
    "P": _precision,
    "Success": _success,
    "Judged": _judged,
}
