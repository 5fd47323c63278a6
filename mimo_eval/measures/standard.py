"""The effectiveness measures of ir-measures, for all queries at once.

The numbers are those of trec_eval, which ir-measures asks through pytrec_eval; only the time differs. A query without
relevant documents, or that the run lacks, scores 0 as it does there. Sums run in the order of the ranks, as trec_eval's do,
so even the last bits agree. What a kernel does not cover (`rel` below 1, gains that are not whole) is left to ir-measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from ir_measures.measures import Measure

from mimo_eval.measures.base import Declaration, Direction
from mimo_eval.measures.hits import Hits, numbered

Kernel = Callable[[Hits], np.ndarray]

SOURCE = "ir-measures; trec_eval"
ANSWERS = {
    "nDCG@10": "How good is the order of the first k, by grade, against the best possible order?",
    "R@100": "What share of the relevant documents stands in the first k?",
    "RR@10": "How early does the first relevant document come (one over its rank)?",
    "AP": "How early do the relevant documents come (mean precision at each of them)?",
    "P@10": "What share of the first k is relevant?",
    "Success@10": "Does any relevant document stand in the first k?",
    "Judged@10": "What share of the first k is judged at all?",
    "Rprec": "What share of the first R ranks is relevant, R being the number of relevant documents?",
    "IPrec@0.5": "What is the best precision at or beyond a recall?",
    "Bpref": "How often do relevant documents come before those that were judged not to be?",
    "infAP": "What would AP be if all of the pool were judged, estimated from a sample that was?",
    "SetP": "What share of all that was retrieved is relevant?",
    "SetR": "What share of the relevant documents was retrieved?",
    "SetF": "How good are precision and recall of all that was retrieved, in one number?",
    "SetAP": "How large is precision times recall of all that was retrieved?",
}


def kernel(measure: Measure) -> Kernel | None:
    """Return the function that computes a measure of ir-measures for all queries at once.

    :param measure: any measure.
    :return: hits to (n,) float64 without nan; None if there is no such function.
    """
    import ir_measures

    own = ir_measures.measures.registry.get(measure.NAME)
    if measure.NAME not in _KERNELS or type(measure) is not type(own):
        return None
    measure.validate_params()
    params: dict[str, Any] = dict(measure.params)
    whole = all(type(gain) is int for gain in (params.get("gains") or {}).values())
    if params.get("rel", 1) < 1 or params.get("cutoff", 1) < 1 or not whole:
        return None
    judged_only = params.pop("judged_only", False)
    compute = partial(_KERNELS[measure.NAME], **params)
    return (lambda hits: compute(hits.condensed)) if judged_only else compute


EPSILON = 0.00001
"""trec_eval's INFAP_EPSILON: what keeps a share of nothing defined."""
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
    place = numbered(query, n)
    kept = slice(None) if cutoff is None else place <= cutoff
    return np.bincount(query[kept], weights=gain[kept] / np.log2(place[kept] + 1), minlength=n)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with 0 for 0 / 0.

    :param part: (n,) numbers.
    :param whole: (n,) numbers; 0 only where `part` is 0.
    :return: (n,) float64.
    """
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0))


def _ndcg(hits: Hits, cutoff: int | None = None, dcg: str = "log2", gains: Mapping[int, int] | None = None) -> np.ndarray:
    def worth(gain: np.ndarray) -> np.ndarray:
        worth = gain.astype(np.float64)
        for grade, other in (gains or {}).items():
            worth[gain == grade] = other
        worth = np.maximum(worth, 0)
        return np.asarray(np.exp2(worth) - 1) if dcg == "exp-log2" else worth

    top = _top(hits, cutoff)
    found = np.bincount(top.query, weights=worth(top.gain) / np.log2(top.rank + 1), minlength=len(hits))
    return share(found, ideal_dcg(hits.judged_query, worth(hits.judged_gain), cutoff, len(hits)))


def _top(hits: Hits, cutoff: int | None, rel: int | None = None) -> Hits:
    """Return the hits of the first ranks that are relevant enough."""
    which = np.ones(len(hits.query), bool) if cutoff is None else hits.rank <= cutoff
    return hits.only(which if rel is None else which & (hits.gain >= rel))


def _found(hits: Hits, cutoff: int | None, rel: int) -> np.ndarray:
    """Count the relevant documents among the first ranks."""
    return np.bincount(_top(hits, cutoff, rel).query, minlength=len(hits))


def _recall(hits: Hits, cutoff: int | None = None, rel: int = 1) -> np.ndarray:
    return share(_found(hits, cutoff, rel), hits.relevant(rel))


def _precision(hits: Hits, cutoff: int, rel: int = 1) -> np.ndarray:
    return np.asarray(_found(hits, cutoff, rel) / cutoff)


def _success(hits: Hits, cutoff: int, rel: int = 1) -> np.ndarray:
    return np.asarray(_found(hits, cutoff, rel) > 0, np.float64)


def _reciprocal_rank(hits: Hits, cutoff: int | None = None, rel: int = 1) -> np.ndarray:
    top = _top(hits, cutoff, rel)
    first = top.number == 1
    values = np.zeros(len(hits))
    values[top.query[first]] = 1 / top.rank[first]
    return values


def _average_precision(hits: Hits, cutoff: int | None = None, rel: int = 1) -> np.ndarray:
    top = _top(hits, cutoff, rel)
    return share(np.bincount(top.query, weights=top.number / top.rank, minlength=len(hits)), hits.relevant(rel))


def _r_precision(hits: Hits, rel: int = 1) -> np.ndarray:
    relevant = hits.relevant(rel)
    within = hits.count((hits.gain >= rel) & (hits.rank <= relevant[hits.query]))
    return share(within, relevant)


def _interpolated_precision(hits: Hits, recall: float, rel: int = 1) -> np.ndarray:
    recall = float(f"{recall:.2f}")  # all of it that ir-measures passes on
    needed = (recall * hits.relevant(rel) + 0.9).astype(np.int64)  # trec_eval's rounding
    top = _top(hits, None, rel)
    deep = top.number >= needed[top.query]
    values = np.zeros(len(hits))
    np.maximum.at(values, top.query[deep], top.number[deep] / top.rank[deep])
    return values


def _others_above(hits: Hits, rel: int) -> np.ndarray:
    """Return, for each relevant hit, the number of documents above it that were judged not to be relevant."""
    judged = hits.only(hits.gain >= 0)
    good = judged.gain >= rel
    return np.asarray(judged.number[good] - judged.only(good).number)


def _preferred(hits: Hits, rel: int = 1) -> np.ndarray:
    relevant = hits.relevant(rel)
    other = hits.relevant(0) - relevant
    query, above = _top(hits, None, rel).query, _others_above(hits, rel)
    lost = share(np.minimum(above, relevant[query]), np.minimum(other, relevant)[query])
    return share(np.bincount(query, weights=1 - lost, minlength=len(hits)), relevant)


def _inferred_average_precision(hits: Hits, rel: int = 1) -> np.ndarray:
    good = _top(hits, None, rel)
    pooled = hits.number[hits.gain >= rel] - 1  # documents of the pool above, judged or not
    relevant = good.number - 1
    within = (relevant + EPSILON) / (relevant + _others_above(hits, rel) + 2 * EPSILON)
    values = np.where(good.rank == 1, 1.0, 1 / good.rank + pooled / good.rank * within)
    return share(np.bincount(good.query, weights=values, minlength=len(hits)), hits.relevant(rel))


def _set_precision(hits: Hits, rel: int = 1, relative: bool = False) -> np.ndarray:
    size = np.minimum(hits.retrieved, hits.relevant(rel)) if relative else hits.retrieved
    return share(_found(hits, None, rel), size)


def _set_f(hits: Hits, rel: int = 1, beta: float = 1.0) -> np.ndarray:
    precision, recall = _set_precision(hits, rel), _recall(hits, None, rel)
    return share((beta + 1) * precision * recall, beta * precision + recall)  # trec_eval does not square beta


def _set_average_precision(hits: Hits, rel: int = 1) -> np.ndarray:
    return np.asarray(_set_precision(hits, rel) * _recall(hits, None, rel))


def _judged(hits: Hits, cutoff: int | None = None) -> np.ndarray:
    size = hits.retrieved if cutoff is None else np.minimum(hits.retrieved, cutoff)
    return share(np.bincount(_top(hits, cutoff).query, minlength=len(hits)), size)


def _number_retrieved(hits: Hits, rel: int | None = None) -> np.ndarray:
    return np.asarray(hits.retrieved if rel is None else _found(hits, None, rel), np.float64)


def _number_relevant(hits: Hits, rel: int = 1) -> np.ndarray:
    return np.where(hits.asked, hits.relevant(rel), 0.0)


def _number_of_queries(hits: Hits) -> np.ndarray:
    return np.asarray(hits.asked, np.float64)


_KERNELS: dict[str, Callable[..., np.ndarray]] = {
    "nDCG": _ndcg,
    "R": _recall,
    "RR": _reciprocal_rank,
    "AP": _average_precision,
    "P": _precision,
    "Success": _success,
    "Judged": _judged,
    "Rprec": _r_precision,
    "IPrec": _interpolated_precision,
    "Bpref": _preferred,
    "infAP": _inferred_average_precision,
    "SetP": _set_precision,
    "SetR": partial(_recall, cutoff=None),
    "SetF": _set_f,
    "SetAP": _set_average_precision,
    "NumRet": _number_retrieved,
    "NumRel": _number_relevant,
    "NumQ": _number_of_queries,
}
