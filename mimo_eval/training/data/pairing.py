"""Who stands beside whom: seeded samplers that give each positive pair its languages. Only languages a group has are used.

Every sampler returns rows in an order of its own: positives are shuffled, and shuffled anew each time all have been used. Equal
data, arguments and seed give equal rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import normalise
from mimo_eval.training.data.lines import Lines, Parallel, as_dataset
from mimo_eval.training.data.retrieval import Retrieval

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)


def ordered_pairs(data: Retrieval, *, seed: int, rows: int | None = None, anchor: str | None = None) -> datasets.Dataset:
    """Give each positive an ordered pair of two different languages, in round robin, reshuffled every cycle (methods.md 2.2).

    Where all groups have all L languages, each L · (L − 1) rows in turn hold every pair once. Where they do not, positives with
    the same languages are dealt to in turn.

    :param data: positives; those with no such pair are left out, and their number is logged.
    :param seed: of the order and of the languages.
    :param rows: how many; one per positive by default.
    :param anchor: also give the texts in this language; positives without them are left out.
    :return: columns query, passage, query_lang, passage_lang, query_group, passage_group (int64), and with an anchor
        query_anchor, passage_anchor.
    :raises DataError: if no positive is left.
    """
    rng, sides = np.random.default_rng(seed), Sides(data, anchor)
    usable = sides.usable(_CROSS)
    chosen = usable[_in_turns(len(usable), rows, rng)]
    return sides.pairs(chosen, *sides.deal(chosen, _CROSS, rng), rng)


def same_language(data: Retrieval, *, seed: int, rows: int | None = None, anchor: str | None = None) -> datasets.Dataset:
    """Give each positive one language for query and passage, in round robin (methods.md 3.1, InfoNCE).

    :param data: as for `ordered_pairs`.
    :param seed: likewise.
    :param rows: likewise.
    :param anchor: likewise.
    :return: columns as of `ordered_pairs`.
    :raises DataError: if no positive has a language on both sides.
    """
    rng, sides = np.random.default_rng(seed), Sides(data, anchor)
    usable = sides.usable(_MONO)
    chosen = usable[_in_turns(len(usable), rows, rng)]
    return sides.pairs(chosen, *sides.deal(chosen, _MONO, rng), rng)


def hybrid(
    data: Retrieval, *, batch_size: int, seed: int, rows: int | None = None, mono: float = 0.5, anchor: str | None = None
) -> datasets.Dataset:
    """Fill whole batches with pairs of one language each, or whole batches with pairs of two (methods.md 6, Hybrid).

    :param data: positives.
    :param batch_size: rows per batch; the order of rows must be kept in training.
    :param seed: of everything drawn.
    :param rows: how many, rounded up to whole batches; one per positive by default.
    :param mono: probability of a batch to be monolingual.
    :param anchor: as for `ordered_pairs`.
    :return: columns as of `ordered_pairs`.
    :raises DataError: if no positive is fit for a kind of batch that is wanted.
    """
    if not 0 <= mono <= 1:
        raise ConfigError(f"mono={mono}: a probability is needed, from 0 to 1")
    rng, sides = np.random.default_rng(seed), Sides(data, anchor)
    batches = -(-(rows or len(sides.positives)) // batch_size)
    is_mono = np.repeat(rng.random(batches) < mono, batch_size)
    chosen, query, passage = (np.empty(len(is_mono), np.int64) for _ in range(3))
    for options, where in ((_MONO, is_mono), (_CROSS, ~is_mono)):
        if where.any():
            usable = sides.usable(options)
            mine = usable[_in_turns(len(usable), int(where.sum()), rng)]
            chosen[where] = mine
            query[where], passage[where] = sides.deal(mine, options, rng)
    return sides.pairs(chosen, query, passage, rng)


def two_queries(data: Retrieval, *, seed: int, rows: int | None = None, anchor: str | None = None) -> datasets.Dataset:
    """Give each positive two versions of its query, uniform over ordered pairs, and one of its passage (methods.md 3.1, LaKDA).

    :param data: positives; those whose query has one language only are left out.
    :param seed: of everything drawn.
    :param rows: how many; one per positive by default.
    :param anchor: as for `ordered_pairs`.
    :return: columns query_a, query_b, passage, their languages query_a_lang, query_b_lang, passage_lang, query_group,
        passage_group, and with an anchor query_anchor, passage_anchor.
    :raises DataError: if no positive is left.
    """
    rng, sides = np.random.default_rng(seed), Sides(data, anchor)
    usable = sides.left(sides.query[sides.positives[:, 0]].sum(axis=1) > 1, "query in two languages")
    chosen = usable[_in_turns(len(usable), rows, rng)]
    queries, passages = sides.positives[chosen].T
    versions = _draw(sides.query[queries], 2, rng)
    columns = {
        "query_a": (data.queries, sides.query_line(queries, versions[:, 0], rng)),
        "query_b": (data.queries, sides.query_line(queries, versions[:, 1], rng)),
        "passage": (data.passages, sides.passage_line(passages, _draw(sides.passage[passages], 1, rng)[:, 0], rng)),
        **sides.anchors(queries, passages),
    }
    return to_dataset(columns, {"query_group": queries, "passage_group": passages})


def with_target(data: Retrieval, *, anchor: str = "en", seed: int, rows: int | None = None) -> datasets.Dataset:
    """Give each positive in the anchor language its passage in another language, in round robin (methods.md 6, JSD + NCE).

    :param data: positives; those without both are left out.
    :param anchor: language of query and passage.
    :param seed: of everything drawn.
    :param rows: how many; one per positive by default.
    :return: columns query, passage, target, their languages, query_group, passage_group.
    :raises DataError: if no positive is left.
    """
    rng, sides = np.random.default_rng(seed), Sides(data, anchor)
    number = sides.number(normalise(anchor))
    others = sides.passage.copy()
    others[:, number] = False
    usable = sides.left(others[sides.positives[:, 1]].any(axis=1), "passage in another language")
    chosen = usable[_in_turns(len(usable), rows, rng)]
    queries, passages = sides.positives[chosen].T
    _, firsts, kinds = np.unique(_kinds(others)[passages], return_index=True, return_inverse=True)
    target = _deal(kinds, lambda kind: np.flatnonzero(others[passages[firsts[kind]]]), rng)
    columns = {
        "query": (data.queries, sides.query_line(queries, np.full(len(chosen), number), rng)),
        "passage": (data.passages, sides.passage_line(passages, np.full(len(chosen), number), rng)),
        "target": (data.passages, sides.passage_line(passages, target, rng)),
    }
    return to_dataset(columns, {"query_group": queries, "passage_group": passages})


def translations(lines: Parallel, *, seed: int, rows: int | None = None, anchor: str | None = "en") -> datasets.Dataset:
    """Draw pairs of translations (methods.md 4, the semantic contrastive loss).

    :param lines: parallel text; groups of one language are left out.
    :param seed: of everything drawn.
    :param rows: how many; one per group by default.
    :param anchor: language of the first side, as in English–X corpora; None for any two languages of a group, uniformly.
    :return: columns sentence, translation, sentence_lang, translation_lang, group (int64).
    :raises DataError: if there is no such pair.
    """
    rng, has = np.random.default_rng(seed), lines.has
    enough = has.sum(axis=1) > 1
    if anchor is not None:
        enough &= has[:, lines.number(anchor)]
    usable = np.flatnonzero(enough)
    if not len(usable):
        raise DataError(f"no translations {f'of texts in {anchor!r}' if anchor else 'in two languages'} to draw pairs from")
    groups = usable[_in_turns(len(usable), rows, rng)]
    if anchor is None:
        first, second = _draw(has[groups], 2, rng).T
    else:
        others = has.copy()
        others[:, lines.number(anchor)] = False
        first, second = np.full(len(groups), lines.number(anchor)), _draw(others[groups], 1, rng)[:, 0]
    columns = {"sentence": (lines, lines.pick(groups, first, rng)), "translation": (lines, lines.pick(groups, second, rng))}
    return to_dataset(columns, {"group": groups})


def non_parallel(lines: Lines, *, seed: int, rows: int | None = None) -> datasets.Dataset:
    """Draw texts of which no two are translations of each other until every group was used (methods.md 4, the third sentences).

    :param lines: any texts.
    :param seed: of everything drawn.
    :param rows: how many; one per group by default.
    :return: columns text, text_lang, group (int64); the language of each is uniform over those of its group.
    """
    rng = np.random.default_rng(seed)
    groups = _in_turns(lines.groups, rows, rng)
    chosen = lines.pick(groups, _draw(lines.has[groups], 1, rng)[:, 0], rng)
    return to_dataset({"text": (lines, chosen)}, {"group": groups})


_CROSS, _MONO = "query and passage in different languages", "query and passage in one language"


class Sides:
    """The positives, and which languages both of their sides have, in one numbering."""

    def __init__(self, data: Retrieval, anchor: str | None) -> None:
        self.data, self.languages = data, data.languages
        self.query, self.passage = (_widened(lines, self.languages) for lines in (data.queries, data.passages))
        self.positives = data.positives
        self.anchor = None if anchor is None else normalise(anchor)
        if self.anchor is not None:
            number = self.number(self.anchor)
            q, p = self.positives.T
            self.positives = self.positives[self.left(self.query[q, number] & self.passage[p, number], f"texts in '{anchor}'")]
        q, p = self.positives.T
        kinds = _kinds(self.query), _kinds(self.passage)
        self.kind = np.unique(kinds[0][q] * len(self.passage) + kinds[1][p], return_inverse=True)[1]

    def number(self, lang: str) -> int:
        """Return a language's number, sure that queries and passages have it."""
        self.data.queries.number(lang), self.data.passages.number(lang)
        return self.languages.index(lang)

    def left(self, fit: np.ndarray, what: str) -> np.ndarray:
        """Return the positives that are fit for use; log how many are not, raise if none is."""
        if not fit.any():
            raise DataError(f"none of {len(fit):,} positive pairs has {what}")
        if not fit.all():
            logger.warning("%s of %s positive pairs are left out: no %s", f"{(~fit).sum():,}", f"{len(fit):,}", what)
        return np.flatnonzero(fit)

    def usable(self, options: str) -> np.ndarray:
        """Return the positives that have an option."""
        queries, passages = self.positives.T
        same = (self.query[queries] & self.passage[passages]).sum(axis=1)
        every = self.query[queries].sum(axis=1) * self.passage[passages].sum(axis=1)
        return self.left(same > 0 if options == _MONO else every > same, options)

    def deal(self, chosen: np.ndarray, options: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Deal options to positives in round robin; return the languages of queries and of passages."""
        size = len(self.languages)
        wanted = np.eye(size, dtype=bool) == (options == _MONO)
        _, firsts, kinds = np.unique(self.kind[chosen], return_index=True, return_inverse=True)

        def of_kind(kind: int) -> np.ndarray:
            q, p = self.positives[chosen[firsts[kind]]]
            return np.flatnonzero(self.query[q][:, None] & self.passage[p] & wanted)

        return np.divmod(_deal(kinds, of_kind, rng), size)

    def query_line(self, groups: np.ndarray, languages: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Return a query for each group and language."""
        return _picked(self.data.queries, self.languages, groups, languages, rng)

    def passage_line(self, groups: np.ndarray, languages: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Return a passage for each group and language."""
        return _picked(self.data.passages, self.languages, groups, languages, rng)

    def anchors(self, queries: np.ndarray, passages: np.ndarray) -> dict[str, tuple[Lines, np.ndarray]]:
        """Return the columns of anchor texts, none without an anchor; of several texts of a group it is the first."""
        if self.anchor is None:
            return {}
        number = np.full(len(queries), self.languages.index(self.anchor))
        return {
            "query_anchor": (self.data.queries, self.query_line(queries, number, None)),
            "passage_anchor": (self.data.passages, self.passage_line(passages, number, None)),
        }

    def pairs(self, chosen: np.ndarray, query: np.ndarray, passage: np.ndarray, rng: np.random.Generator) -> datasets.Dataset:
        """Return the rows of some positives in some languages."""
        queries, passages = self.positives[chosen].T
        columns = {
            "query": (self.data.queries, self.query_line(queries, query, rng)),
            "passage": (self.data.passages, self.passage_line(passages, passage, rng)),
            **self.anchors(queries, passages),
        }
        return to_dataset(columns, {"query_group": queries, "passage_group": passages})


def _widened(lines: Lines, languages: tuple[str, ...]) -> np.ndarray:
    """Return (groups, languages) bool in a numbering of more languages."""
    wide = np.zeros((lines.groups, len(languages)), bool)
    wide[:, [languages.index(lang) for lang in lines.languages]] = lines.has
    return wide


def _picked(
    lines: Lines, languages: tuple[str, ...], groups: np.ndarray, numbers: np.ndarray, rng: np.random.Generator | None
) -> np.ndarray:
    own = np.array([lines.languages.index(lang) if lang in lines.languages else -1 for lang in languages])
    return lines.pick(groups, own[numbers], rng)


def _kinds(has: np.ndarray) -> np.ndarray:
    """Return (groups,) int64, equal for groups that have the same languages."""
    return np.unique(np.packbits(has, axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _in_turns(size: int, rows: int | None, rng: np.random.Generator) -> np.ndarray:
    """Return `rows` numbers below `size`: all of them in random order, then all again in another."""
    rows = size if rows is None else rows
    return np.concatenate([rng.permutation(size) for _ in range(-(-rows // size))] or [np.empty(0, np.int64)])[:rows]


def _deal(kinds: np.ndarray, options: Callable[[int], np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Deal options in round robin to rows of each kind, in the order of the rows; every round is in another order.

    :param kinds: (n,) kind of each row, counted from 0.
    :param options: the options of a kind.
    :param rng: draws the order of each round.
    :return: (n,) options.
    """
    dealt = np.empty(len(kinds), np.int64)
    order = np.argsort(kinds, kind="stable")
    for kind, mine in enumerate(np.split(order, np.cumsum(np.bincount(kinds))[:-1])):
        own = options(kind)
        rounds = np.tile(own, (-(-len(mine) // len(own)), 1))
        dealt[mine] = rng.permuted(rounds, axis=1).reshape(-1)[: len(mine)]
    return dealt


def _draw(has: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw different ones of those that each row has, uniformly, in random order.

    :param has: (n, m) bool, each row with at least `count`.
    :param count: how many.
    :param rng: draws.
    :return: (n, count) int64.
    """
    keys = np.where(has, rng.random(has.shape, np.float32), 2)
    return np.argsort(keys, axis=1)[:, :count]


def to_dataset(columns: Mapping[str, tuple[Lines, np.ndarray]], numbers: dict[str, np.ndarray]) -> datasets.Dataset:
    """Make rows: the texts of some lines, their languages unless they are an anchor's, then numbers."""
    import pyarrow as pa

    table = {name: lines.text(rows) for name, (lines, rows) in columns.items()}
    for name, (lines, rows) in columns.items():
        if not name.endswith("_anchor"):
            table[f"{name}_lang"] = lines.table.column("lang").take(rows)
    identity = [part for lines, rows in columns.values() for part in (lines.revision, rows)]
    table.update({name: pa.array(values) for name, values in numbers.items()})
    return as_dataset(pa.table(table), *identity, *numbers.values())
