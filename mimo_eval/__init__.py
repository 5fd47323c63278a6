"""Evaluate retrieval models on corpora in many languages; docs/python.md shows how from Python."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mimo_eval.benchmark import Benchmark, Task, load_benchmark
    from mimo_eval.collections import Collection
    from mimo_eval.collections import load as load_collection
    from mimo_eval.comparison import Report, compare
    from mimo_eval.errors import MimoEvalError
    from mimo_eval.evaluation import Outcome, evaluate, run
    from mimo_eval.gate import Policy, Verdict, check
    from mimo_eval.models.loading import ModelOptions, load_model
    from mimo_eval.protocols import Encoder, Hits, Retriever
    from mimo_eval.results import Result, read_queries, read_result

__version__ = "0.1.0"
__all__ = [
    "Benchmark",
    "Collection",
    "Encoder",
    "Hits",
    "MimoEvalError",
    "ModelOptions",
    "Outcome",
    "Policy",
    "Report",
    "Result",
    "Retriever",
    "Task",
    "Verdict",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "load_benchmark",
    "load_collection",
    "load_model",
    "read_queries",
    "read_result",
    "run",
]
_PLACES = {
    "Benchmark": "benchmark",
    "Collection": "collections",
    "Encoder": "protocols",
    "Hits": "protocols",
    "MimoEvalError": "errors",
    "ModelOptions": "models.loading",
    "Outcome": "evaluation",
    "Policy": "gate",
    "Report": "comparison",
    "Result": "results",
    "Retriever": "protocols",
    "Task": "benchmark",
    "Verdict": "gate",
    "check": "gate",
    "compare": "comparison",
    "evaluate": "evaluation",
    "load_benchmark": "benchmark",
    "load_collection": "collections:load",
    "load_model": "models.loading",
    "read_queries": "results",
    "read_result": "results",
    "run": "evaluation",
}
"""Public name to its module, and to what it is called there if that is another name."""


def __getattr__(name: str) -> Any:
    """Import what is public when it is first used, so that `mimo-eval --help` need not wait for numpy and torch."""
    if name not in _PLACES:
        raise AttributeError(f"module 'mimo_eval' has no attribute '{name}'")
    module, _, attribute = _PLACES[name].partition(":")
    value = globals()[name] = getattr(import_module(f"mimo_eval.{module}"), attribute or name)
    return value


def __dir__() -> list[str]:
    """Return what is public, imported or not."""
    return sorted({*globals(), *__all__})
