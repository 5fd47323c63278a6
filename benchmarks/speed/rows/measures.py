"""Row 10: all language measures against ir-measures' nDCG@10, on the mixed corpus of XQuAD-R in eleven languages.

ir-measures gets run and qrels as dictionaries, its fastest input; making them is not counted. Ours gets the arrays that the one
pass leaves. MRC looks at scores outside the run and is timed apart.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.speed.harness import Finding, Row, Settings, agree, in_turn, ratios, rounded
from benchmarks.speed.xquad import Cut

if TYPE_CHECKING:
    from mimo_eval.measures.ranking import Ranking

ROWS = (Row(10, "all language measures, XQuAD-R in eleven languages, depth 100", "ir-measures' nDCG@10 alone"),)
PARAGRAPHS, QUICK = 240, 60
DEPTH = 100
TIMES = 20
"""Times that each side computes in a repeat, since once takes hundredths of a second."""
MEASURES = (
    "LPR LangNDCG(gain=0.5)@10 CC CX WC WX RankDistance MaxR MaxR(normalised=True) Comp@10 TLR@20 SameR@20 CrossR@20 AWRF@20 "
    "AWRF(target='judged')@20 LAReQA OwnShare@10 PEER@20 PEER(compat=True)@20"
)
BEYOND = "MRC@20"


def measure(settings: Settings) -> Iterator[Finding]:
    """Rank the corpus by a model that needs no weights, and score the ranking in turn."""
    ranking = ranked(settings.data, QUICK if settings.quick else PARAGRAPHS)
    yield from compared(ranking, settings.repeats)


def compared(ranking: Ranking, repeats: int) -> Iterator[Finding]:
    """Time the measures of one ranking in turn."""
    import ir_measures

    from mimo_eval import measures

    qrels, run = ranking.frames()
    relevant = {q: dict(zip(g["doc_id"], g["relevance"], strict=True)) for q, g in qrels.groupby("query_id")}
    scores = {q: dict(zip(g["doc_id"], g["score"], strict=True)) for q, g in run.groupby("query_id")}
    ndcg = ir_measures.nDCG @ 10
    ours = float(measures.compute([ndcg], ranking)[ndcg].mean())
    agree("nDCG@10 of both sides", abs(ours - ir_measures.calc_aggregate([ndcg], relevant, scores)[ndcg]), 1e-12)
    parsed, beyond = measures.parse(MEASURES), measures.parse(BEYOND)
    seconds = in_turn(
        repeats,
        theirs=lambda: [ir_measures.calc_aggregate([ndcg], relevant, scores) for _ in range(TIMES)],
        ours=lambda: [measures.compute(parsed, ranking) for _ in range(TIMES)],
        beyond=lambda: [measures.compute(beyond, ranking) for _ in range(TIMES)],
    )
    shown = {name: f"{rounded(taken)} s" for name, taken in seconds.items()}
    detail = {"queries": f"{len(ranking):,}", "times": TIMES} | shown
    yield Finding(10, f"{len(parsed)} measures / nDCG@10", ratios(seconds["ours"], seconds["theirs"]), 2.0, detail=detail)
    yield Finding(10, f"{BEYOND} / nDCG@10", ratios(seconds["beyond"], seconds["theirs"]))


def ranked(data: Path, paragraphs: int) -> Ranking:
    """Return what hashed n-grams retrieve from a cut of XQuAD-R."""
    from mimo_eval.collections import load
    from mimo_eval.mixing import Mix, pools
    from mimo_eval.models.hashing import HashingEncoder
    from mimo_eval.search.onepass import ranking_of
    from mimo_eval.systems import Progress, Work, rankings

    with tempfile.TemporaryDirectory() as folder:
        cut = Cut.of(data, Path(folder) / "cut", paragraphs)
        collection = load("xquad-r", data=cut.folder)
        work = Work(Progress(), Path(folder), DEPTH)
        found = next(rankings(HashingEncoder(), collection, pools(collection, Mix("parallel")), work))
        ranking = ranking_of(collection, found)
        assert ranking.scores is not None
        ranking.scores(np.zeros(1, np.int64), np.zeros((1, 1), np.int64))  # the table of scores is made once, before any timing
        return ranking
