"""The four-way decomposition of rank 1: right or wrong document, own or other language."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mimo_eval.measures.base import Direction, LanguageMeasure
from mimo_eval.measures.counting import languages_of
from mimo_eval.measures.ranking import EMPTY, Ranking


class Cell(LanguageMeasure):
    """1 if the first document falls into one cell of {relevant, not} x {query's language, other}, else 0.

    The four means sum to 1; CC + CX is Success@1, and CC / (CC + CX) is the language preference given a hit (undefined
    without hits). The table is MLAIRE's, the names are ours. An unjudged document counts as not relevant.

    Excluded: queries with no result, and those whose language is not known.
    """

    SOURCE = "MLAIRE; names ours"
    RELEVANT: ClassVar[bool]
    OWN: ClassVar[bool]

    def values(self, ranking: Ranking) -> np.ndarray:
        """Return whether rank 1 falls into the cell.

        :param ranking: n queries with languages.
        :return: (n,) float64, 0 or 1; nan where excluded.
        """
        languages = languages_of(ranking)
        if not ranking.depth:
            return np.full(len(ranking), np.nan)
        first = ranking.gains[:, 0]
        inside = ((first > 0) == self.RELEVANT) & ((languages.retrieved[:, 0] == languages.query) == self.OWN)
        return np.where((first != EMPTY) & (languages.query >= 0), inside.astype(np.float64), np.nan)


class CorrectOwn(Cell):
    """Right document, right language."""

    NAME, USES, RELEVANT, OWN = "CC", ("CC",), True, True
    SHORT_DESC = "Is the first document relevant and in the query's language?"


class CorrectOther(Cell):
    """Right document, other language: up for retrieval, down for a reader of one language."""

    NAME, USES, RELEVANT, OWN = "CX", ("CX",), True, False
    SHORT_DESC = "Is the first document relevant, but in another language?"
    DIRECTION = Direction.NONE


class WrongOwn(Cell):
    """Wrong document, right language: the language pulled it up."""

    NAME, USES, RELEVANT, OWN = "WC", ("WC",), False, True
    SHORT_DESC = "Is the first document not relevant, though in the query's language?"
    DIRECTION = Direction.LOWER


class WrongOther(Cell):
    """Wrong document, other language."""

    NAME, USES, RELEVANT, OWN = "WX", ("WX",), False, False
    SHORT_DESC = "Is the first document neither relevant nor in the query's language?"
    DIRECTION = Direction.LOWER


CC = CorrectOwn()
CX = CorrectOther()
WC = WrongOwn()
WX = WrongOther()
