"""The gate: a result and a baseline -> pass or fail, with reasons that a test stands behind."""

from mimo_eval.gate.baseline import write_baseline
from mimo_eval.gate.policy import Policy, load_policy
from mimo_eval.gate.verdict import Verdict, check

__all__ = ["Policy", "Verdict", "check", "load_policy", "write_baseline"]
