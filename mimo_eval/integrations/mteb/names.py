"""What MTEB and this package call the same things: measures, subsets, models. Nothing here imports mteb."""

from __future__ import annotations

import re
from typing import Protocol

from mimo_eval.mixing import Mix

STEMS = {"nDCG": "ndcg", "R": "recall", "AP": "map", "RR": "mrr", "P": "precision", "Success": "hit_rate"}
"""Measures that both compute, by the first part of their names."""
OURS = re.compile(rf"({'|'.join(STEMS)})@(\d+)")
THEIRS = re.compile(rf"({'|'.join(STEMS.values())})_at_(\d+)")


def mteb_measure(name: str) -> str:
    """Return MTEB's name of a measure: `nDCG@10` becomes `ndcg_at_10`; one that MTEB lacks keeps its own."""
    match = OURS.fullmatch(name)
    return f"{STEMS[match[1]]}_at_{match[2]}" if match else name


def own_measure(name: str) -> str:
    """Return this package's name of one of MTEB's measures; one that it lacks keeps its own."""
    match = THEIRS.fullmatch(name)
    back = {theirs: ours for ours, theirs in STEMS.items()}
    return f"{back[match[1]]}@{match[2]}" if match else name


class Named(Protocol):
    """A corpus of a mix, or its scores."""

    @property
    def name(self) -> str:
        """Empty for a mix's only corpus."""


def subset_name(pool: Named, lang: str) -> str:
    """Return what a subset is called: the query language, and before it the corpus where a mix has several.

    :param pool: the corpus.
    :param lang: the query language.
    :return: such as `de`, or `de-en` of a cross-lingual mix, or `en+de.de` of a bilingual one.
    """
    if not pool.name or pool.name == lang:
        return lang
    return f"{pool.name}.{lang}" if "+" in pool.name else pool.name


def task_name(collection: str, mix: str) -> str:
    """Return the name of a corpus on which no task is defined: `xquad-r`, `partition` → `XquadRPartitionRetrieval`."""
    parts = re.split(r"[^A-Za-z0-9]+", f"{collection} {Mix.parse(mix)}")
    return "".join(part[:1].upper() + part[1:] for part in parts) + "Retrieval"


def repository_name(name: str) -> str:
    """Return a model's name as MTEB wants it, with an organisation; a name without one is this package's.

    :param name: such as `bm25(k1=1.2)`, `intfloat/multilingual-e5-small`, or that after `mteb:`.
    :return: such as `mimo-eval/bm25_k1_1.2` or the hub id.
    """
    name = name.removeprefix("mteb:")
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name):
        return name
    return f"mimo-eval/{re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('._') or 'model'}"


def folder_name(name: str) -> str:
    """Return a model's folder in MTEB's results: `org/model` becomes `org__model`."""
    return name.replace("/", "__").replace(" ", "_")
