"""MTEB: our tasks there, its models here, results both ways.

`register()` makes `mteb.get_task("XQuADMixedRetrieval")` work; `python -m mimo_eval.integrations.mteb run …` is MTEB's own
command line with our tasks in it. See docs/mteb.md.
"""

from __future__ import annotations

from mimo_eval.integrations.mteb.registry import get_benchmark, get_task, register
from mimo_eval.integrations.mteb.results import TaskRow, export_result, frame, read_task_results

__all__ = ["TaskRow", "export_result", "frame", "get_benchmark", "get_task", "read_task_results", "register"]
