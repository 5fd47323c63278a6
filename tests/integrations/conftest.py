"""A small collection as a task of MTEB's, and an encoder with MTEB's protocol that counts."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WORDS = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "willow"]
LANGUAGES = ("de", "en", "zh")


@pytest.fixture
def trees(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    """Twelve parallel documents in three languages, half of the texts alike, so that scores tie; graded judgements."""
    documents = {lang: {f"d{i}": f"{lang} {w if i % 2 else 'tree'} wood" for i, w in enumerate(WORDS)} for lang in LANGUAGES}
    queries = {lang: {f"q{i}": f"{lang} {w} tree" for i, w in enumerate(WORDS[:6])} for lang in LANGUAGES}
    qrels = {f"q{i}": {f"d{i}": 1 + i % 2, f"d{i + 1}": 1, f"d{i + 2}": 0} for i in range(6)}
    return folders(tmp_path / "trees", documents, queries, qrels)


@pytest.fixture
def definition(trees: Path) -> Any:
    """The definition of a task on that collection."""
    from mimo_eval.integrations.mteb.definitions import XQUAD, Definition

    return Definition("TreesMixedRetrieval", replace(XQUAD, twin="", collection=str(trees), languages=LANGUAGES), "parallel")


@pytest.fixture
def task(definition: Any) -> Any:
    """The task; its data are not loaded."""
    pytest.importorskip("mteb")
    from mimo_eval.integrations.mteb.tasks import task_class

    return task_class(definition)()


class CountingEncoder:
    """An EncoderProtocol of MTEB's: vectors by hash of the text with its prompt; `texts` counts."""

    def __init__(self, name: str = "org/counting", revision: str | None = "1", **meta: Any) -> None:
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": name, "revision": revision, "similarity_fn_name": ScoringFunction.COSINE, **meta}
        )
        self.texts, self.calls, self.prompts = 0, [], {"query": "Q: ", "document": "D: "}

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        self.calls.append((task_metadata.name, prompt_type.value))
        texts = [self.prompts[prompt_type.value] + text for batch in inputs for text in batch["text"]]
        self.texts += len(texts)
        rows = [np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8) for text in texts]
        return np.array(rows, np.float32) - 128

    def similarity(self, a, b):
        """Return cosines rounded from double precision: single-precision products of equal rows may differ in the last bit."""
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        exact = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        return np.round(exact, 7)

    def similarity_pairwise(self, a, b):
        return self.similarity(a, b).diagonal()


@pytest.fixture
def counting() -> type[CountingEncoder]:
    pytest.importorskip("mteb")
    return CountingEncoder


@pytest.fixture
def registries() -> Iterator[Any]:
    """MTEB's registries, which are put back as they were."""
    pytest.importorskip("mteb")
    import mteb.benchmarks.benchmarks as scanned

    from mimo_eval.integrations.mteb.tasks import MixedRetrieval

    tasks, benchmarks = sys.modules["mteb.get_tasks"], sys.modules["mteb.benchmarks.get_benchmark"]
    names, listed, known, data = dict(tasks._TASKS_REGISTRY), tasks.TASK_LIST, dict(vars(scanned)), MixedRetrieval.data
    yield tasks, benchmarks
    tasks._TASKS_REGISTRY = names
    tasks.TASK_LIST = listed
    MixedRetrieval.data = data
    for name in set(vars(scanned)) - set(known):
        delattr(scanned, name)
    benchmarks._build_registry.cache_clear()
    benchmarks._build_aliases_registry.cache_clear()
