"""Exact search where the vectors lie: each of several processes searches the chunks of its share, and their keys are merged.

A process answers by the same scorer as one that works alone, over its rows. Merging is sorting keys; counts of documents are
added. Where more documents may tie at the cut than were found, all processes are asked again for exact lists of those queries.
So lists and ranks are those of one process, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from mimo_eval.embeddings import Share
from mimo_eval.search import dense, keys
from mimo_eval.search.block_search import Found, joined
from mimo_eval.search.dense import DenseScorer


class Parts(Protocol):
    """The processes, each with its share of the documents' chunks."""

    count: int
    """How many there are."""

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...] | None]) -> Iterator[tuple[int, Any]]:
        """Have processes answer at the same time.

        :param method: one of ANSWERS.
        :param arguments: for each process; None for one that is not asked.
        :yield: (number of the process, answer) of those that were asked, as they come in; lists of all would fill the memory.
        """


@dataclass
class SpreadScorer(DenseScorer):
    """Scores like a DenseScorer, by the answers of several processes; queries are read in this one, documents are not.

    :param parts: the processes.
    """

    parts: Parts = field(kw_only=True)

    def _everyone(self, method: str, lang: str, rows: np.ndarray, *arguments: Any) -> Iterator[Any]:
        """Ask every process about its part of a block; a whole language is not sent row by row."""
        some = None if len(rows) == len(self.documents.texts.rows(lang)) else rows
        return (answer for _, answer in self.parts.ask(method, [(lang, some, *arguments)] * self.parts.count))

    def _top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        best = np.zeros((len(query_rows), 0), np.uint64)
        for lists, longest, engines in self._everyone("top", lang, rows, query_rows, k):
            best = _merged(best, lists, k + dense.SPARE)
            self.saw(longest)
            self.engines |= engines
        return self._sure(best, lang, rows, query_rows, k)

    def find(
        self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int, at: np.ndarray, document_keys: np.ndarray
    ) -> Found:
        """Find the best documents of one block, and count those that stand above given ones; see DenseScorer."""
        found = Found(np.zeros((len(query_rows), 0), np.uint64), np.zeros(len(at), np.int64), 0.0)
        for part, engines in self._everyone("find", lang, rows, query_rows, k, at, document_keys):
            found = joined([found, part], k + dense.SPARE)
            self.engines |= engines
        self.saw(found.longest)
        return found._replace(lists=self._sure(found.lists, lang, rows, query_rows, k))

    def exact_lists(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int, eps: np.ndarray) -> np.ndarray:
        """Find the best documents of one block by exact scores; see DenseScorer."""
        best = np.zeros((len(query_rows), 0), np.uint64)
        for lists in self._everyone("exact_lists", lang, rows, query_rows, k, eps):
            best = _merged(best, lists, k)
        return best

    def exact(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return the float32 scores of pairs; each document's process computes its own."""
        result = np.empty(len(query_rows), np.float32)
        mine = self._by_owner(document_rows)
        asked = [(query_rows[which], document_rows[which]) if len(which) else None for which in mine]
        for number, scores in self.parts.ask("exact", asked):
            result[mine[number]] = scores
        return result

    def table(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return the (queries, documents) float32 scores of all pairs, to the precision of a float32 product."""
        result = np.empty((len(query_rows), len(document_rows)), np.float32)
        mine = self._by_owner(document_rows)
        asked = [(query_rows, document_rows[which]) if len(which) else None for which in mine]
        for number, scores in self.parts.ask("table", asked):
            result[:, mine[number]] = scores
        return result

    def _by_owner(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return, for each process, which of some rows are its own."""
        owner = self.documents.owners(rows, self.parts.count)
        return [np.flatnonzero(owner == number) for number in range(self.parts.count)]


def _merged(best: np.ndarray, more: np.ndarray, k: int) -> np.ndarray:
    return keys.largest(np.concatenate([best, more], axis=1), k)


def _rows(scorer: DenseScorer, share: Share, lang: str, rows: np.ndarray | None) -> np.ndarray:
    """Return those of some rows, or of a language's, that belong to a share."""
    return scorer.documents.of_share(lang, scorer.documents.texts.rows(lang) if rows is None else rows, share)


def _top(
    scorer: DenseScorer, share: Share, lang: str, rows: np.ndarray | None, query_rows: np.ndarray, k: int
) -> tuple[np.ndarray, float, set[str]]:
    return scorer.top(lang, _rows(scorer, share, lang, rows), query_rows, k), scorer.longest, scorer.engines


def _find(scorer: DenseScorer, share: Share, lang: str, rows: np.ndarray | None, *arguments: Any) -> tuple[Found, set[str]]:
    return scorer.find(lang, _rows(scorer, share, lang, rows), *arguments), scorer.engines


ANSWERS: dict[str, Callable[..., Any]] = {
    "top": _top,
    "find": _find,
    "exact_lists": lambda scorer, share, lang, rows, *arguments: scorer.exact_lists(
        lang, _rows(scorer, share, lang, rows), *arguments
    ),
    "exact": lambda scorer, share, *arguments: scorer.exact(*arguments),
    "table": lambda scorer, share, *arguments: scorer.table(*arguments),
}
"""What a process does when it is asked: name to a function of its scorer, its share and the arguments."""
