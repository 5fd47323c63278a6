"""Approximate indexes against exact search: what they cost and what they miss, as `mimo-eval run --index` reports it.

    python -m benchmarks.speed.indexes [--documents 100000] [--queries 1000] [INDEX ...]

Vectors are synthetic (`synthetic.py`): a low-rank signal with noise, in ten languages of equal size. Seconds are CPU seconds of
one process; building is the difference between a first search and a second one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.speed.synthetic import Synthetic, TableEncoder
from mimo_eval.collections.build import build
from mimo_eval.mixing import Mix, pools
from mimo_eval.search.index_spec import IndexSpec
from mimo_eval.systems import Progress, Work, encode_pools, rankings

DEPTH = 100
INDEXES = (
    "SQ8",
    "PQ96x4fs",
    "PQ96x4fs,RFlat:k_factor_rf=10",
    "IVF100,Flat:nprobe=8",
    "IVF100,Flat:nprobe=32",
    "HNSW32:efSearch=128",
    "HNSW32:efSearch=512",
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indexes", nargs="*", default=INDEXES, metavar="INDEX")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000)
    options = parser.parse_args()
    collection = build(Synthetic(options.documents, options.queries), f"{options.documents} {options.queries}")
    encoder, made = TableEncoder(), pools(collection, Mix("parallel"))

    def search(index: IndexSpec | None) -> tuple[float, dict[str, Any]]:
        work = Work(Progress(), Path(folder), DEPTH, index=index)
        start = process_time()
        list(rankings(encoder, collection, made, work))
        return process_time() - start, next(iter(work.approximate), {})

    with tempfile.TemporaryDirectory() as folder:
        encode_pools(encoder, collection, made, Work(Progress(), Path(folder), DEPTH))
        exact = min(search(None)[0] for _ in range(3))
        print(f"| index | built in s | search, exact = 1 | recall@10 | recall@{DEPTH} | relevant missed |")
        print("|:--|--:|--:|--:|--:|--:|")
        print(f"| exact | – | 1 ({exact:.1f} s) | 1 | 1 | 0 |", flush=True)
        for text in options.indexes:
            first, _ = search(IndexSpec.parse(text))
            runs = [search(IndexSpec.parse(text)) for _ in range(2)]
            again, found = min(taken for taken, _ in runs), runs[0][1]
            recall = f"{found['overall']['at_10']:.3f} | {found['overall']['at_depth']:.3f}"
            missed = f"{found['missed']:,} of {found['relevant']:,}"
            print(f"| `{text}` | {max(first - again, 0):.1f} | {again / exact:.2f} | {recall} | {missed} |", flush=True)


if __name__ == "__main__":
    main()
