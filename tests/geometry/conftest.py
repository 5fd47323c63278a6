from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mimo_eval.geometry import LabelledVectors

NAMES = ("en", "de", "fr", "ja", "th")


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def labelled() -> Callable[..., LabelledVectors]:
    """Label rows by hand: vectors, languages as names, groups."""

    def build(vectors: object, languages: str, groups: list[int]) -> LabelledVectors:
        names = sorted(set(languages.split()), key=languages.split().index)
        codes = np.array([names.index(name) for name in languages.split()], dtype=np.int64)
        return LabelledVectors(np.asarray(vectors, dtype=np.float32), codes, np.array(groups), tuple(names))

    return build


@pytest.fixture(scope="session")
def cloud() -> Callable[..., LabelledVectors]:
    """Draw parallel items: a topic, plus noise, plus an offset of the language; the mean makes a cone of the cloud."""

    def build(
        items: int = 40,
        languages: int = 3,
        dimensions: int = 16,
        noise: float = 0.5,
        offset: float = 0.0,
        mean: float = 0.0,
        seed: int = 0,
    ) -> LabelledVectors:
        rng = np.random.default_rng(seed)
        topic = rng.normal(size=(1, items, dimensions))
        shift = offset * rng.normal(size=(languages, 1, dimensions))
        x = mean + topic + shift + noise * rng.normal(size=(languages, items, dimensions))
        codes = np.repeat(np.arange(languages), items)
        return LabelledVectors(
            unit(x.reshape(-1, dimensions)).astype(np.float32),
            codes,
            np.tile(np.arange(items), languages),
            NAMES[:languages],
        )

    return build
