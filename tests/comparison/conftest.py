"""Results with known ranks, made by the evaluation itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.evaluation import run
from mimo_eval.results import read_queries, read_result, write_result

GROUPS = [f"g{i}" for i in range(8)]


@dataclass
class Known:
    """Finds the document whose number the query names, except for the queries that it gets wrong."""

    name: str
    wrong: set[str] = field(default_factory=set)
    prompts: dict[str, str] | None = None

    def encode(self, texts, *, role, lang):
        vectors = np.eye(len(GROUPS) + 1, dtype=np.float32)
        return np.stack([vectors[-1 if f"{role} {text}" in self.wrong else int(text.split()[-1])] for text in texts])

    def fingerprint(self, role):
        return {"model": self.name, "wrong": sorted(self.wrong), **({"prompt": self.prompts[role]} if self.prompts else {})}


@pytest.fixture
def texts():
    """Make `{language: {group: text}}` whose texts end with the group's number."""

    def make(langs: Iterable[str], groups: Iterable[str] = GROUPS, word: str = "text") -> dict[str, dict[str, str]]:
        return {lang: {g: f"{lang} {word} {g[1:]}" for g in groups} for lang in langs}

    return make


@pytest.fixture
def toy(tmp_path, folders, texts):
    """Eight documents in English and German; English is asked all eight questions, German the first two."""
    queries = {**texts(["en"], word="query"), **texts(["de"], GROUPS[:2], "query")}
    return folders(tmp_path / "toy", texts(["en", "de"]), queries, {g: {g: 1} for g in GROUPS})


@pytest.fixture
def benchmark():
    """Make a benchmark on a folder."""

    def make(folder: Path, mixes=("parallel",), measures=("Success@1", "LPR"), **rest: Any) -> Benchmark:
        task = Task(collection=str(folder), mixes=mixes, main=measures[0])
        return Benchmark(**{"name": "toy", "tasks": (task,), "measures": measures, "depth": 10, **rest})

    return make


@pytest.fixture
def evaluate(tmp_path, toy, benchmark) -> Callable[..., Path]:
    """Evaluate a model, or the known one with a name and its mistakes, and return the folder of the result."""

    def make(
        model: Any, wrong: Iterable[str] = (), *, chosen: Benchmark | None = None, prompts: Any = None, data: Path | None = None
    ) -> Path:
        model = Known(model, set(wrong), prompts) if isinstance(model, str) else model
        return run(model, chosen or benchmark(toy), data=data, output=tmp_path / "results").folder

    return make


@pytest.fixture
def edited():
    """Copy a result with other per-query scores, its own averages kept in step."""

    def make(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
        result, frame = read_result(folder), change(read_queries(folder))
        for setting in result.settings:
            rows = frame[frame["mix"] == setting.mix]
            for measure in setting.scores:
                setting.scores[measure] = float(rows.groupby(["pool", "lang"], observed=True)[measure].mean().mean())
        return write_result(folder.parent / "edited", result, frame).parent

    return make
