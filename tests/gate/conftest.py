"""Results with known ranks: eight questions in English and German over eight documents in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.evaluation import run

GROUPS = [f"g{i}" for i in range(8)]


@dataclass
class Known:
    """Finds the document whose number the query names, except for the queries that it gets wrong."""

    wrong: set[str] = field(default_factory=set)
    prompt: str = ""
    name: str = "known"

    def encode(self, texts, *, role, lang):
        vectors = np.eye(len(GROUPS) + 1, dtype=np.float32)
        return np.stack([vectors[-1 if f"{role} {text}" in self.wrong else int(text.split()[-1])] for text in texts])

    def fingerprint(self, role):
        return {"model": self.name, "wrong": sorted(self.wrong), "prompt": self.prompt}


@pytest.fixture
def toy(tmp_path, folders) -> Path:
    texts = {kind: {lang: {g: f"{lang} {kind} {g[1:]}" for g in GROUPS} for lang in ("en", "de")} for kind in ("text", "ask")}
    return folders(tmp_path / "toy", texts["text"], texts["ask"], {g: {g: 1} for g in GROUPS})


@pytest.fixture
def benchmark(toy) -> Benchmark:
    task = Task(collection=str(toy), mixes=("parallel", "monolingual"), main="nDCG@10")
    return Benchmark(name="toy", tasks=(task,), measures=("nDCG@10", "LPR"), depth=10)


@pytest.fixture
def result(tmp_path, benchmark) -> Callable[..., Path]:
    """Evaluate a model that is wrong on the queries whose text contains one of some words."""

    def make(wrong: Iterable[str] = (), *, chosen: Benchmark | None = None, prompt: str = "", name: str = "known") -> Path:
        return run(Known(set(wrong), prompt, name), chosen or benchmark, output=tmp_path / "results").folder

    return make
