"""Whether one model is better than another: results of the same data and protocol, compared query by query."""

from mimo_eval.comparison.moved import Moved
from mimo_eval.comparison.report import Difference, Report, compare

__all__ = ["Difference", "Moved", "Report", "compare"]
