"""The heat map of a score by query language and document language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.errors import DataError
from mimo_eval.figures.canvas import Files, distinct, numbers
from mimo_eval.figures.heat_map import HeatMap, draw_heat_map

Table = Mapping[str, Mapping[str, Mapping[str, "float | None"]]]
"""Query language to document language to measure to value: `SettingScores.table`."""


class ScoreMatrix(NamedTuple):
    """One measure by query language and document language."""

    values: np.ndarray
    """(queries, documents) float64, NaN where there is none."""
    query_languages: list[str]
    document_languages: list[str]


def score_matrix(tables: Sequence[Table], measure: str) -> ScoreMatrix:
    """Put the tables of settings together: monolingual ones fill the diagonal, cross-lingual ones the rest.

    :param tables: of settings in which each corpus holds one language, such as `multi-monolingual` and `cross-lingual`.
    :param measure: such as `nDCG@10`.
    :return: the matrix; languages in alphabetical order.
    :raises DataError: if no table has the measure, or two have different values for one cell.
    """
    cells: dict[tuple[str, str], float] = {}
    for table in tables:
        for query, row in table.items():
            for document, scores in row.items():
                value = scores.get(measure)
                if value is not None and cells.setdefault((query, document), value) != value:
                    raise DataError(f"two settings differ in {measure} of {query} queries on {document} documents")
    if not cells:
        raise DataError(f"no setting has {measure} by query language and document language")
    queries, documents = (sorted({pair[side] for pair in cells}) for side in (0, 1))
    values = [[cells.get((query, document), np.nan) for document in documents] for query in queries]
    return ScoreMatrix(np.array(values), queries, documents)


def draw_scores(
    stem: Path,
    matrix: Any,
    query_languages: Sequence[str],
    document_languages: Sequence[str],
    *,
    measure: str,
    title: str = "",
    lower_is_better: bool = False,
    limits: tuple[float, float] | None = None,
) -> Files:
    """Draw a score for every query language and document language.

    :param stem: path of the files without ending.
    :param matrix: (Q, D) numbers; None or NaN where there is none.
    :param query_languages: Q codes, Q >= 1.
    :param document_languages: D codes, D >= 1.
    :param measure: its name.
    :param title: above the figure.
    :param lower_is_better: bright cells are the good ones.
    :param limits: ends of the colour scale, to compare figures; those of the numbers if None.
    :return: the files.
    :raises DataError: if the matrix is empty, has another shape, no number or an infinite one, or a language stands twice.
    """
    queries, documents = distinct(query_languages, "query language"), distinct(document_languages, "document language")
    values = numbers(matrix, (len(queries), len(documents)), f"the matrix of {measure}")
    content = HeatMap(
        values,
        queries,
        documents,
        "Language of the query",
        "Language of the documents",
        measure,
        title,
        limits,
        lower_is_better,
    )
    return draw_heat_map(stem, content)
