"""Language measures of what MTEB ranked, for a task's own scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from mimo_eval import measures
from mimo_eval.benchmark import DEFAULT_MEASURES
from mimo_eval.collections import Collection
from mimo_eval.measures import Ranking
from mimo_eval.mixing import Pool


def language_scores(
    collection: Collection,
    pool: Pool,
    qrels: Mapping[str, Mapping[str, int]],
    results: Mapping[str, Mapping[str, float]],
    depth: int,
) -> dict[str, float]:
    """Score rankings of one corpus with this package's measures.

    :param collection: the texts.
    :param pool: the corpus.
    :param qrels: query to document to relevance.
    :param results: query to document to score.
    :param depth: documents that were asked for per query.
    :return: measure to mean; a measure that cannot be computed, or that no query has a value for, is not in it.
    """
    ranking = ranking_of_results(collection, pool, qrels, results, depth)
    asked = [m for text in DEFAULT_MEASURES for m in measures.parse(text)]
    asked = [m for m in asked if measures.applicable(m, ranking) is None]
    means = {str(m): values[~np.isnan(values)] for m, values in measures.compute(asked, ranking).items()}
    return {name: float(values.mean()) for name, values in means.items() if len(values)}


def ranking_of_results(
    collection: Collection,
    pool: Pool,
    qrels: Mapping[str, Mapping[str, int]],
    results: Mapping[str, Mapping[str, float]],
    depth: int,
) -> Ranking:
    """Turn MTEB's dictionaries into the record that measures are computed from; ties are put in trec_eval's order.

    :param collection: the texts.
    :param pool: the corpus.
    :param qrels: query to document to relevance.
    :param results: query to document to score.
    :param depth: documents that were asked for per query.
    :return: the ranking; ranks below `depth` are not known.
    """
    queries = collection.queries
    langs = (queries.languages[number] for number in queries.language[pool.queries])
    asked = dict(zip(queries.ids(pool.queries), langs, strict=True))
    judged = [(query, document, gain) for query, row in qrels.items() for document, gain in row.items()]
    found = [(query, document, score) for query, row in results.items() for document, score in row.items()]
    ranking = Ranking.from_frames(
        pd.DataFrame(judged, columns=["query_id", "doc_id", "relevance"]),
        pd.DataFrame(found, columns=["query_id", "doc_id", "score"]),
        _languages(collection, pool, {document for _, document, _ in (*judged, *found)}),
        asked,
        depth,
    )
    sizes = [len(pool.documents.get(lang, ())) for lang in ranking.languages]
    return replace(
        ranking,
        pool_size=np.full(len(ranking), pool.size, np.int64),
        pool_languages=np.tile(sizes, (len(ranking), 1)),
    )


def _languages(collection: Collection, pool: Pool, ids: set[str]) -> dict[str, str]:
    """Return the languages of some documents, and of one document of each language of the corpus."""
    import pyarrow as pa
    import pyarrow.compute as pc

    documents = collection.documents
    wanted = pa.array(sorted(ids), pa.string())
    rows = np.flatnonzero(pc.is_in(documents.column("id"), value_set=wanted).to_numpy())
    first = [members[0] for members in pool.documents.values() if len(members)]
    rows = np.unique(np.concatenate([rows, np.array(first, np.int64)]))
    return dict(zip(documents.ids(rows), (documents.languages[n] for n in documents.language[rows]), strict=True))
