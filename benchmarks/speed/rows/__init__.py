"""What is measured, a module each."""

NAMES = ("mixed", "settings", "encoding", "search", "scoring", "again", "growth", "cluster", "measures", "training", "convert")
"""Modules, in the order in which they are run."""
