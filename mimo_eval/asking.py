"""Asking models that others wrote: what goes wrong inside them names the model and the cause, without a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mimo_eval.errors import MimoEvalError, ModelError

logger = logging.getLogger(__name__)

CALLS = {
    "encode": "encode(texts, role=…, lang=…)",
    "index": "index(texts, langs=…)",
    "search": "search(index, queries, langs=…, k=…)",
}
"""How methods are called."""


@contextmanager
def asking(name: str, method: str) -> Iterator[None]:
    """Turn what a method of a model raises into an error in one line; the traceback is logged for `-v`.

    :param name: the model's, as in tables.
    :param method: the method's.
    :raises ModelError: from what was raised; errors of this package pass as they are.
    """
    try:
        yield
    except MimoEvalError:
        raise
    except Exception as error:
        logger.info("%s: %s failed", name, method, exc_info=True)
        hint = f"; it is called as {CALLS[method]}" if isinstance(error, TypeError) and method in CALLS else ""
        raise ModelError(f"{name}: {method} failed: {type(error).__name__}: {error}{hint}") from error


def fingerprint(model: Any, name: str, *role: str) -> dict[str, Any]:
    """Return a model's fingerprint.

    :param model: a model that has one.
    :param name: its name, for messages.
    :param role: `query` or `document` for encoders, nothing for others.
    :return: what identifies it.
    :raises ModelError: if it cannot be had, or does not fit into JSON.
    """
    with asking(name, "fingerprint"):
        found = model.fingerprint(*role)
    try:
        json.dumps(found)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{name}: fingerprint() must fit into JSON: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{name}: fingerprint() must return a dict, not {type(found).__name__}")
    return found
