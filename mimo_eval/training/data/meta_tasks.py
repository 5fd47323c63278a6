"""Meta-tasks for MAML-Align: a monolingual support set, a bilingual and a multilingual query set (methods.md 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.training.data.pairing import Sides, to_dataset
from mimo_eval.training.data.retrieval import Retrieval

if TYPE_CHECKING:
    import datasets

TRIES = 100
"""Choices of languages, before it is clear that the data have no such meta-tasks."""


class MetaTasks(NamedTuple):
    """Meta-tasks, laid out as rows."""

    rows: datasets.Dataset
    """Columns query, positive, negative, their languages, task and part (int64, from 0: support, bilingual, multilingual),
    query_group, passage_group. All tasks have equally many rows: support, then bilingual, then multilingual."""
    size: int
    """Rows per task: a batch of n tasks is n · size rows, in order."""


def meta_tasks(
    data: Retrieval,
    *,
    tasks: int,
    seed: int,
    support: int = 8,
    query: int = 4,
    languages: int = 3,
    translated: bool = True,
) -> MetaTasks:
    """Draw meta-tasks of triplets, one random negative for each positive in the positive's language.

    A task has a language a, another b, and `languages` that hold both. Support: `support` questions in a with passages in a.
    Bilingual: `query` questions in a with passages in b. Multilingual: the same questions, each with its passage in every one
    of the languages, so `query · languages` rows.

    :param data: positives in several languages.
    :param tasks: how many.
    :param seed: of everything drawn.
    :param support: questions of a support set.
    :param query: questions of a query set.
    :param languages: languages of the multilingual set, at least 2.
    :param translated: whether query sets ask the support set's own questions (candidates in translation) or others.
    :return: the tasks.
    :raises ConfigError: if a size is out of range.
    :raises DataError: if the data have too few positives in so many languages.
    """
    asked = support if translated else support + query
    if min(tasks, support, query) < 1 or languages < 2 or (translated and query > support):
        raise ConfigError(
            "meta-tasks need at least 1 task, 1 question in each set and 2 languages, and no more questions in translation "
            f"than there are in the support set; given: tasks={tasks}, support={support}, query={query}, languages={languages}"
        )
    rng, sides = np.random.default_rng(seed), Sides(data, None)
    pools = _Pools(sides, languages, asked)
    parts = np.repeat([0, 1, 2], [support, query, query * languages])
    chosen = np.empty((tasks, len(parts)), np.int64)
    spoken = np.empty((2, tasks, len(parts)), np.int64)
    for task in range(tasks):
        tongues, pool = pools.draw(rng)
        questions = rng.choice(pool, asked, replace=False)
        again = questions[:query] if translated else questions[support:]
        chosen[task] = np.concatenate([questions[:support], again, np.repeat(again, languages)])
        spoken[0, task] = tongues[0]
        spoken[1, task] = np.concatenate([np.full(support, tongues[0]), np.full(query, tongues[1]), np.tile(tongues, query)])
    queries, passages = sides.positives[chosen.reshape(-1)].T
    asked_in, answered_in = spoken.reshape(2, -1)
    negative = _negatives(sides, queries, answered_in, rng)
    columns = {
        "query": (data.queries, sides.query_line(queries, asked_in, rng)),
        "positive": (data.passages, sides.passage_line(passages, answered_in, rng)),
        "negative": (data.passages, sides.passage_line(negative, answered_in, rng)),
    }
    numbers = {
        "task": np.repeat(np.arange(tasks), len(parts)),
        "part": np.tile(parts, tasks),
        "query_group": queries,
        "passage_group": passages,
    }
    return MetaTasks(to_dataset(columns, numbers), len(parts))


class _Pools:
    """The positives that a task in some languages can be made of."""

    def __init__(self, sides: Sides, languages: int, least: int) -> None:
        self.languages, self.least = languages, least
        self.query, self.passage = sides.query[sides.positives[:, 0]], sides.passage[sides.positives[:, 1]]
        self.asked = np.flatnonzero(self.query.any(axis=0))
        self.answered = np.flatnonzero(self.passage.any(axis=0))
        self._found: dict[tuple[int, ...], np.ndarray] = {}

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return languages, a and b first, and the positives whose query has a and whose passage has all."""
        both = np.intersect1d(self.asked, self.answered)
        for _ in range(TRIES if len(both) and len(self.answered) >= self.languages else 0):
            first = rng.choice(both)
            others = rng.permutation(self.answered[self.answered != first])[: self.languages - 1]
            pool = self._pool((int(first), *sorted(others.tolist())))
            if len(pool) >= self.least:
                return np.array([first, *others]), pool
        raise DataError(
            f"no {self.least} questions have passages in the same {self.languages} languages; a meta-task needs them: use "
            "fewer languages or smaller sets"
        )

    def _pool(self, tongues: tuple[int, ...]) -> np.ndarray:
        if tongues not in self._found:
            fit = self.query[:, tongues[0]] & self.passage[:, list(tongues)].all(axis=1)
            self._found[tongues] = np.flatnonzero(fit)
        return self._found[tongues]


def _negatives(sides: Sides, queries: np.ndarray, languages: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each query a passage in a language that is not one of its positives."""
    size = len(sides.passage)
    known = np.unique(sides.positives[:, 0] * size + sides.positives[:, 1])
    negative = np.empty(len(queries), np.int64)
    wrong = np.arange(len(queries))
    for _ in range(TRIES):
        for lang in np.unique(languages[wrong]):
            mine = wrong[languages[wrong] == lang]
            negative[mine] = rng.choice(np.flatnonzero(sides.passage[:, lang]), len(mine))
        wrong = wrong[np.isin(queries[wrong] * size + negative[wrong], known)]
        if not len(wrong):
            return negative
    lang = sides.languages[languages[wrong[0]]]
    raise DataError(f"no passage in '{lang}' could be drawn as a negative: nearly all of them answer the same question")
