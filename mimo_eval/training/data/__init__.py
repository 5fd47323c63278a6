"""Training data: parallel text and retrieval pairs, readers, filters, the pairing of languages, and a check for leaks."""

from __future__ import annotations

from mimo_eval.training.data.lines import Lines, Parallel
from mimo_eval.training.data.readers import READERS, read
from mimo_eval.training.data.retrieval import Retrieval

__all__ = ["READERS", "Lines", "Parallel", "Retrieval", "read"]
