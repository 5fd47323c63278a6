"""Readers of training data, by name; one module each, more through the entry points `mimo_eval.readers`."""

from __future__ import annotations

from typing import Any

from mimo_eval.registry import Registry
from mimo_eval.specs import check_arguments, python_names
from mimo_eval.training.data.lines import Parallel
from mimo_eval.training.data.retrieval import Retrieval

READERS: Registry[Any] = Registry(
    "reader",
    "mimo_eval.readers",
    {
        "packs": "mimo_eval.training.data.readers.packs:packs",
        "parallel_sentences": "mimo_eval.training.data.readers.parallel_sentences:parallel_sentences",
        "moses": "mimo_eval.training.data.readers.moses:moses",
        "tsv": "mimo_eval.training.data.readers.tsv:tsv",
        "mmarco": "mimo_eval.training.data.readers.mmarco:mmarco",
        "collection": "mimo_eval.training.data.readers.collection:collection",
    },
)


def read(name: str, /, **options: Any) -> Parallel | Retrieval:
    """Read training data.

    :param name: a reader.
    :param options: its arguments, as a recipe gives them.
    :return: parallel text or retrieval data, by the reader.
    :raises ConfigError: for an unknown reader or option.
    :raises DataError: if the files are missing or wrong.
    """
    reader = READERS.get(name)
    check_arguments(f"the reader {name}", reader, (), options)
    found: Parallel | Retrieval = reader(**python_names(reader, options))
    return found
