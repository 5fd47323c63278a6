"""Diagnostics of vectors alone: alignment, uniformity, language clustering, hubness.

Every module of this package that defines `DIAGNOSTIC` is one diagnostic; adding one is adding a file.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

from mimo_eval.geometry.diagnostic import Diagnostic, Direction, Finding, Unavailable, VectorNeed
from mimo_eval.geometry.vectors import LabelledVectors
from mimo_eval.registry import Registry

__all__ = [
    "DIAGNOSTICS",
    "Diagnostic",
    "Direction",
    "Finding",
    "LabelledVectors",
    "Unavailable",
    "VectorNeed",
    "analyse",
]

logger = logging.getLogger(__name__)


def _registry() -> Registry[Diagnostic]:
    registry: Registry[Diagnostic] = Registry("diagnostic", "mimo_eval.diagnostics")
    for module in iter_modules(__path__, f"{__name__}."):
        diagnostic = getattr(import_module(module.name), "DIAGNOSTIC", None)
        if diagnostic is not None:
            registry.register(diagnostic.name, diagnostic)
    return registry


DIAGNOSTICS = _registry()
"""The table of diagnostics by name."""


def analyse(
    vectors: LabelledVectors, *, seed: int = 0, sample: int = 4096, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Compute diagnostics of one set of vectors.

    :param vectors: the vectors; rows that are zero have no direction and are left out, and counted.
    :param seed: of everything that is drawn.
    :param sample: rows that sampling diagnostics draw.
    :param names: which diagnostics, all by default.
    :return: what JSON can hold: size and seed, rows per language, and under `diagnostics` for each name either `value`,
        `standard_error`, `n` and details, or the value None and a `reason`.
    :raises DataError: if a vector holds NaN or infinity.
    :raises ConfigError: if a name is unknown.
    """
    chosen = [DIAGNOSTICS.get(name) for name in (DIAGNOSTICS.names() if names is None else names)]
    usable = vectors.without_zeros()
    zeros = len(vectors) - len(usable)
    if zeros:
        logger.warning("%d of %d vectors are zero and are left out", zeros, len(vectors))
    counts = np.bincount(usable.languages, minlength=len(usable.language_names))
    return {
        "n": len(usable),
        "items": usable.items,
        "dimensions": usable.dimensions,
        "languages": {usable.language_names[code]: int(counts[code]) for code in usable.present},
        "zero_vectors": zeros,
        "seed": seed,
        "sample": sample,
        "diagnostics": {entry.name: entry.measure(usable, seed=seed, sample=sample).as_dict() for entry in chosen},
    }
