"""Evaluate retrieval models on corpora in many languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mimo_eval.evaluation import evaluate

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import `evaluate` when it is first used, so that `mimo-eval --help` need not wait for numpy and torch."""
    if name == "evaluate":
        from mimo_eval.evaluation import evaluate

        return evaluate
    raise AttributeError(f"module 'mimo_eval' has no attribute '{name}'")
