"""Mixes: which language versions of which documents stand in one corpus, and which queries are asked of it."""

from mimo_eval.mixing.corpora import Pool, all_pools, partition, pools
from mimo_eval.mixing.recipe import KINDS, SETTINGS, Mix

__all__ = ["KINDS", "SETTINGS", "Mix", "Pool", "all_pools", "partition", "pools"]
