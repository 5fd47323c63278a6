"""From sampled pairs to the rows of a stage: text columns, and a label of numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mimo_eval.errors import ConfigError
from mimo_eval.training.data.lines import as_dataset

if TYPE_CHECKING:
    import datasets

    from mimo_eval.training.data import Retrieval

T = TypeVar("T")
logger = logging.getLogger(__name__)
MOST_RELEVANT = 32
"""Relevant passages of a query that its label names; of more, those beyond may count as negatives in a batch."""


def needed(value: T | None, key: str, method: str) -> T:
    """Return what a method cannot do without.

    :param value: data or teacher of the recipe.
    :param key: of the recipe.
    :param method: who needs it.
    :return: the value.
    :raises ConfigError: if the recipe does not have it.
    """
    if value is None:
        raise ConfigError(f"{method} needs '{key}', which the recipe does not have")
    return value


def labelled(rows: datasets.Dataset, texts: Sequence[str], label: np.ndarray, **more: Any) -> datasets.Dataset:
    """Return text columns and label alone, as a stage wants them.

    :param rows: what a sampler returned.
    :param texts: its text columns, in the loss's order.
    :param label: (n, m) int64.
    :param more: text columns that come after, Arrow arrays by name.
    :return: the text columns and `label`, lists of m numbers.
    """
    import pyarrow as pa

    table = rows.with_format("arrow")[:].select(list(texts))
    for name, column in more.items():
        table = table.append_column(name, column)
    flat = pa.array(np.ascontiguousarray(label, np.int64).reshape(-1))
    table = table.append_column("label", pa.FixedSizeListArray.from_arrays(flat, label.shape[1]))
    return as_dataset(table, rows._fingerprint, label)


def numbers(rows: datasets.Dataset, column: str) -> np.ndarray:
    """Return a column of numbers.

    :param rows: what a sampler returned.
    :param column: its name.
    :return: (n,) int64.
    """
    return np.asarray(rows.with_format("arrow")[:].column(column).to_numpy(), np.int64)


def texts(rows: datasets.Dataset, column: str) -> list[str]:
    """Return a column of texts.

    :param rows: what a sampler returned.
    :param column: its name.
    :return: n texts.
    """
    return list(rows.with_format("arrow")[:].column(column).to_pylist())


def relevant(retrieval: Retrieval, rows: datasets.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups that answer each row's query, so that a loss does not take them for negatives.

    :param retrieval: where the rows are from.
    :param rows: with query_group and passage_group.
    :return: (n, 1) group of the row's passage, and (n, k) other groups, -1 where there are fewer; k is 0 where every query
        has one.
    """
    queries, passages = numbers(rows, "query_group"), numbers(rows, "passage_group")
    pairs = retrieval.positives[np.argsort(retrieval.positives[:, 0], kind="stable")]
    begin, end = (np.searchsorted(pairs[:, 0], queries, side=side) for side in ("left", "right"))
    most = int((end - begin).max(initial=1))
    if most > MOST_RELEVANT:
        logger.warning("a query has %s relevant passages; only %s are kept from being negatives", most, MOST_RELEVANT)
    if most == 1:
        return passages[:, None], np.empty((len(passages), 0), np.int64)
    places = begin[:, None] + np.arange(min(most, MOST_RELEVANT))
    others = pairs[np.minimum(places, len(pairs) - 1), 1]
    return passages[:, None], np.where((places < end[:, None]) & (others != passages[:, None]), others, -1)


def negatives(retrieval: Retrieval, rows: datasets.Dataset, columns: int, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Draw negatives in the language of each row's passage: known ones of the query, any passage where none is known.

    A passage drawn that answers the query is left out by the loss, which knows its group.

    :param retrieval: where the rows are from.
    :param rows: with query_group and passage_lang.
    :param columns: negatives per row.
    :param seed: of the draw.
    :return: text columns by name, and (n, columns) int64 groups.
    """
    rng = np.random.default_rng([seed, 1])
    lines = retrieval.passages
    names, spoken = np.unique(texts(rows, "passage_lang"), return_inverse=True)
    langs = np.array([lines.number(name) for name in names], np.int64)[spoken]
    queries = numbers(rows, "query_group")
    drawn = [_draw_negatives(retrieval, queries, langs, rng) for _ in range(columns)]
    found = {f"negative_{i}": lines.text(lines.pick(groups, langs, rng)) for i, groups in enumerate(drawn, start=1)}
    return found, np.stack(drawn, axis=1) if drawn else np.empty((len(queries), 0), np.int64)


def _draw_negatives(retrieval: Retrieval, queries: np.ndarray, langs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    groups = np.empty(len(queries), np.int64)
    for lang in np.unique(langs):
        mine = np.flatnonzero(langs == lang)
        has = retrieval.passages.has[:, lang]
        groups[mine] = rng.choice(np.flatnonzero(has), len(mine))
        known = retrieval.negatives[has[retrieval.negatives[:, 1]]]
        known = known[np.argsort(known[:, 0], kind="stable")]
        begin, end = (np.searchsorted(known[:, 0], queries[mine], side=side) for side in ("left", "right"))
        some = end > begin
        places = begin[some] + (rng.random(int(some.sum())) * (end - begin)[some]).astype(np.int64)
        groups[mine[some]] = known[places, 1]
    return groups
