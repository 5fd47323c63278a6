"""All language measures against ir-measures' nDCG@10, on the run of XQuAD-R's parallel corpus in eleven languages.

    python -m benchmarks.speed.measures XQUAD_R_FOLDER [--repeats 5]

`ir_measures` gets the run and qrels as dictionaries, its fastest input; making them is not counted. Ours gets the arrays that
the one pass leaves. MRC looks at scores outside the run and is timed apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import ir_measures

from mimo_eval import measures
from mimo_eval.benchmark import load_benchmark
from mimo_eval.collections import load
from mimo_eval.measures.ranking import Ranking
from mimo_eval.mixing import Mix, pools
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.search.onepass import ranking_of
from mimo_eval.systems import Progress, Work, rankings

MEASURES = (
    "LPR LangNDCG(gain=0.5)@10 CC CX WC WX RankDistance MaxR MaxR(normalised=True) Comp@10 TLR@20 SameR@20 CrossR@20 AWRF@20 "
    "AWRF(target='judged')@20 LAReQA OwnShare@10 PEER@20 PEER(compat=True)@20"
)


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    ranking = _ranking(options.data)
    qrels, run = ranking.frames()
    qrels_dict = {q: dict(zip(g["doc_id"], g["relevance"], strict=True)) for q, g in qrels.groupby("query_id")}
    run_dict = {q: dict(zip(g["doc_id"], g["score"], strict=True)) for q, g in run.groupby("query_id")}
    ndcg = ir_measures.nDCG @ 10
    parsed, consistency = measures.parse(MEASURES), measures.parse("MRC@20")
    jobs = {
        "ir_measures nDCG@10": lambda: ir_measures.calc_aggregate([ndcg], qrels_dict, run_dict),
        "all language measures": lambda: measures.compute(parsed, ranking),
        "MRC@20": lambda: measures.compute(consistency, ranking),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.repeats):
        for name, job in jobs.items():
            times[name].append(_timed(job))
    median = {name: statistics.median(values) for name, values in times.items()}
    row: dict[str, Any] = {name: round(seconds, 3) for name, seconds in median.items()}
    row["ratio"] = round(median["all language measures"] / median["ir_measures nDCG@10"], 3)
    print(json.dumps({"queries": len(ranking), "depth": ranking.depth, "measures": len(parsed), **row}))


def _ranking(data: Path) -> Ranking:
    task = load_benchmark("xquad-r").tasks[0]
    collection = load("xquad-r", data=data, languages=task.languages)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(Progress(), Path(folder), 100)
        found = next(rankings(HashingEncoder(), collection, pools(collection, Mix("parallel")), work))
        return ranking_of(collection, found)


def _timed(job: Any) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
