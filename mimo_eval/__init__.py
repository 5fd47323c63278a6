"""Evaluate retrieval models on corpora in many languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mimo_eval.evaluation import evaluate
    from mimo_eval.models.loading import ModelOptions

__version__ = "0.1.0"
__all__ = ["ModelOptions", "__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import what is public when it is first used, so that `mimo-eval --help` need not wait for numpy and torch."""
    if name == "evaluate":
        from mimo_eval.evaluation import evaluate

        return evaluate
    if name == "ModelOptions":
        from mimo_eval.models.loading import ModelOptions

        return ModelOptions
    raise AttributeError(f"module 'mimo_eval' has no attribute '{name}'")
