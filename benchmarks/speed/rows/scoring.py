"""Row 6: twenty measures of a run, by our provider in place of ir-measures' own, and by ranx.

Everybody gets the same run, without ties (ranx orders them otherwise than trec_eval), and the same judgements. ir-measures is
asked for its pytrec_eval provider directly, so nothing but that is in its time. ranx compiles at the first call, which is not
counted, and makes its own objects of a run, which is counted apart; it gets fewer queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.speed.harness import Finding, Row, Settings, agree, in_turn, ratios, rounded, timed

if TYPE_CHECKING:
    import pandas as pd

WORK = "scoring 10 k queries × 1 k documents, 20 measures, as an ir-measures provider"
ROWS = (Row(6, WORK, "ir-measures' pytrec_eval path, ranx"),)
QUERIES, QUICK = 10_000, 1_000
DEPTH, JUDGED, CORPUS = 1_000, 20, 1_000_000
RANX_SHARE = 10
"""ranx gets one query of so many."""
MEASURES = {
    "nDCG": "ndcg",
    "nDCG@10": "ndcg@10",
    "nDCG@20": "ndcg@20",
    "nDCG@100": "ndcg@100",
    "nDCG@1000": "ndcg@1000",
    "AP": "map",
    "AP@100": "map@100",
    "RR": "mrr",
    "P@5": "precision@5",
    "P@10": "precision@10",
    "P@20": "precision@20",
    "R@10": "recall@10",
    "R@100": "recall@100",
    "R@1000": "recall@1000",
    "Rprec": "r-precision",
    "Success@1": "hit_rate@1",
    "Success@5": "hit_rate@5",
    "Success@10": "hit_rate@10",
    "Bpref": None,
    "IPrec@0.5": None,
}
"""In ir-measures' notation, and in ranx's where it computes the same."""


class Given(NamedTuple):
    """A run and its judgements, as frames and as dictionaries."""

    qrels: pd.DataFrame
    run: pd.DataFrame
    relevant: Mapping[str, Mapping[str, int]]
    scores: Mapping[str, Mapping[str, float]]

    @classmethod
    def invented(cls, queries: int) -> Given:
        """Draw a ranking per query; half of the judged documents are in it, with grades from 0 to 3."""
        import pandas as pd

        rng = np.random.default_rng(0)
        scores, relevant = {}, {}
        falling = np.arange(DEPTH, 0, -1) / DEPTH
        for query in range(queries):
            drawn = np.unique(rng.integers(CORPUS, size=2 * (DEPTH + JUDGED)))
            names = [f"d{number}" for number in rng.permutation(drawn)[: DEPTH + JUDGED // 2].tolist()]
            scores[f"q{query}"] = dict(zip(names[:DEPTH], falling.tolist(), strict=True))
            found = rng.choice(DEPTH, JUDGED - JUDGED // 2, replace=False)
            judged = [*(names[i] for i in found), *names[DEPTH:]]
            relevant[f"q{query}"] = dict(zip(judged, [1, *rng.integers(0, 4, JUDGED - 1).tolist()], strict=True))
        frames = [
            pd.DataFrame(
                {
                    "query_id": np.repeat(list(side), [len(part) for part in side.values()]),
                    "doc_id": [name for part in side.values() for name in part],
                    value: [number for part in side.values() for number in part.values()],
                }
            )
            for side, value in ((relevant, "relevance"), (scores, "score"))
        ]
        return cls(frames[0], frames[1], relevant, scores)

    def part(self, queries: int) -> Given:
        """Return the first queries alone."""
        some = set(list(self.scores)[:queries])
        frames = (frame[frame["query_id"].isin(some)] for frame in (self.qrels, self.run))
        return Given(*frames, *({query: side[query] for query in some} for side in (self.relevant, self.scores)))


def measure(settings: Settings) -> Iterator[Finding]:
    """Score one run by all, in turn."""
    given = Given.invented(QUICK if settings.quick else QUERIES)
    yield from against_ir_measures(given, settings.repeats)
    yield from against_ranx(given.part(len(given.scores) // RANX_SHARE), settings.repeats)


def against_ir_measures(given: Given, repeats: int) -> Iterator[Finding]:
    """Compare with ir-measures' pytrec_eval provider, from frames and from dictionaries."""
    import ir_measures

    from mimo_eval.measures import fast

    measures = [ir_measures.parse_measure(name) for name in MEASURES]
    ours, theirs = fast, ir_measures.pytrec_eval
    agree("values per query", _difference(*(who.iter_calc(measures, given.qrels, given.run) for who in (ours, theirs))), 1e-12)
    for shape, qrels, run in (("frames", given.qrels, given.run), ("dictionaries", given.relevant, given.scores)):
        seconds = in_turn(
            repeats,
            ours=lambda: ours.calc_aggregate(measures, qrels, run),  # noqa: B023
            theirs=lambda: theirs.calc_aggregate(measures, qrels, run),  # noqa: B023
        )
        detail = {"queries": f"{len(given.scores):,}", "documents": f"{DEPTH:,} each", "measures": len(measures)}
        shown = {name: f"{rounded(taken)} s" for name, taken in seconds.items()}
        name = f"ours / ir-measures' pytrec_eval, from {shape}"
        yield Finding(6, name, ratios(seconds["ours"], seconds["theirs"]), 0.3, detail=detail | shown)


def against_ranx(given: Given, repeats: int) -> Iterator[Finding]:
    """Compare with ranx, which computes most of the measures."""
    import ir_measures
    import ranx

    from mimo_eval.measures import fast

    names = {name: other for name, other in MEASURES.items() if other}
    measures = [ir_measures.parse_measure(name) for name in names]
    made: list[Any] = []

    def make() -> None:
        made[:] = [ranx.Qrels(given.relevant), ranx.Run(given.scores)]

    def evaluate() -> dict[str, float]:
        found: dict[str, float] = ranx.evaluate(*made, list(names.values()))
        return found

    make()
    evaluate()  # numba compiles what ranx needs, which takes a minute
    theirs, found = evaluate(), fast.calc_aggregate(measures, given.relevant, given.scores)
    agree("means of ranx", max(abs(found[m] - theirs[names[str(m)]]) for m in measures), 1e-9)
    making = timed(make)
    seconds = in_turn(repeats, ours=lambda: fast.calc_aggregate(measures, given.relevant, given.scores), ranx=evaluate)
    detail = {"queries": f"{len(given.scores):,}", "measures": len(measures), "ranx": f"{rounded(seconds['ranx'])} s"}
    name = "ours from dictionaries / ranx.evaluate of its own objects"
    yield Finding(6, name, ratios(seconds["ours"], seconds["ranx"]), detail=detail)
    whole = [making + taken for taken in seconds["ranx"]]
    yield Finding(6, "the same with their making", ratios(seconds["ours"], whole), detail={"making": f"{making:.1f} s"})


def _difference(ours: Iterator[Any], theirs: Iterator[Any]) -> float:
    """Return the largest difference of two sides' values; infinite if one lacks a value of the other."""
    left, right = ({(m.query_id, str(m.measure)): m.value for m in side} for side in (ours, theirs))
    return max(abs(left[key] - right[key]) for key in right) if left.keys() == right.keys() else float("inf")
