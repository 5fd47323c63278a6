"""The cache folder: what lies there, whether it is whole, and what can go."""

from mimo_eval.cache.collect import IN_USE, Kept, collect, parse_age, parse_size
from mimo_eval.cache.entries import KINDS, Entry, cache_folder, entries
from mimo_eval.cache.verify import Checked, Damage, repair, verify

__all__ = [
    "IN_USE",
    "KINDS",
    "Checked",
    "Damage",
    "Entry",
    "Kept",
    "cache_folder",
    "collect",
    "entries",
    "parse_age",
    "parse_size",
    "repair",
    "verify",
]
