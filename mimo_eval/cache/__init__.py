"""The cache folder: what lies there, whether it is whole, and what can go."""

from mimo_eval.cache.collect import collect, parse_age, parse_size
from mimo_eval.cache.entries import KINDS, Entry, entries
from mimo_eval.cache.verify import Checked, Damage, repair, verify

__all__ = ["KINDS", "Checked", "Damage", "Entry", "collect", "entries", "parse_age", "parse_size", "repair", "verify"]
