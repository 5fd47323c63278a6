"""From rankings to scores: each corpus by query language, then a mix as the mean over its cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from ir_measures.measures import Measure

from mimo_eval import measures
from mimo_eval.collections import Collection
from mimo_eval.measures.ranking import Ranking
from mimo_eval.mixing import Mix, Pool
from mimo_eval.results import PoolScores, SettingScores
from mimo_eval.search.onepass import PoolRanking, ranking_of

NOTHING_ASKED = "no query has a relevant document in a corpus of this mix"
NO_VALUE = "it has a value for no query"


class Scored(NamedTuple):
    """The scores of one corpus."""

    pool: PoolScores
    queries: pd.DataFrame
    """One row per query, one column per measure."""


def score_pool(collection: Collection, found: PoolRanking, parsed: Sequence[Measure], depth: int) -> Scored:
    """Score the ranking of one corpus.

    :param collection: the texts.
    :param found: what was retrieved.
    :param parsed: the measures.
    :param depth: documents kept per query; a measure that looks deeper is left out.
    :return: means by query language with what was left out, and the values of each query.
    """
    pool = found.pool
    ranking = ranking_of(collection, found)
    left_out = {str(m): why for m in parsed if (why := measures.applicable(m, ranking)) is not None}
    deeper = f"it looks deeper than the {depth} documents that are kept"
    left_out |= {str(m): deeper for m in parsed if (m.params.get("cutoff") or 0) > depth}
    values = measures.compute([m for m in parsed if str(m) not in left_out], ranking)
    left_out |= {str(m): NO_VALUE for m, v in values.items() if np.isnan(v).all()}
    values = {m: v for m, v in values.items() if str(m) not in left_out}
    assert ranking.query_language is not None
    names = np.array(ranking.languages)[ranking.query_language]
    asked = sorted(set(names.tolist()))
    return Scored(
        PoolScores(
            name=pool.name,
            documents={lang: len(rows) for lang, rows in pool.documents.items() if len(rows)},
            queries={lang: int((names == lang).sum()) for lang in asked},
            dropped=pool.dropped,
            judged=len(pool.judged_query),
            scores={lang: {str(m): mean(v[names == lang]) for m, v in values.items()} for lang in asked},
            excluded={str(m): n for m, v in values.items() if (n := int(np.isnan(v).sum()))},
            left_out=left_out,
            chance={str(m): level for m in values if (level := _chance(m, ranking)) is not None},
            composition=_composition(ranking) if len(pool.documents) > 1 else {},
        ),
        _query_frame(collection, pool, ranking, names, values),
    )


def _chance(measure: Measure, ranking: Ranking) -> float | None:
    """Return the mean level by chance of a measure that has one."""
    levels = measure.chance(ranking) if isinstance(measure, measures.LanguageMeasure) else None
    return None if levels is None else mean(levels)


def _composition(ranking: Ranking) -> dict[str, dict[str, float]]:
    """Return mean shares of document languages in the first 10 results, per query language."""
    found = measures.composition(ranking, 10)
    return {
        lang: {other: round(float(share), 9) for other, share in zip(found.languages, row, strict=True) if share > 0}
        for lang, row, count in zip(found.languages, found.share, found.queries, strict=True)
        if count
    }


def _query_frame(
    collection: Collection, pool: Pool, ranking: Ranking, names: np.ndarray, values: dict[Measure, np.ndarray]
) -> pd.DataFrame:
    groups = collection.queries.column("group").take(pool.queries).to_pylist()
    return pd.DataFrame(
        {
            "collection": pd.Categorical([collection.name] * len(names)),
            "setting": pd.Categorical([pool.mix.setting] * len(names)),
            "mix": pd.Categorical([str(pool.mix)] * len(names)),
            "pool": pd.Categorical([pool.name] * len(names)),
            "query_id": ranking.query_ids,
            "lang": names,
            "group": groups,
            **{str(m): v for m, v in values.items()},
        }
    )


def average(
    collection: str,
    mix: Mix,
    main: str,
    parsed: Sequence[Measure],
    pools: Sequence[PoolScores],
    unasked: dict[str, dict[str, int]],
) -> SettingScores:
    """Average a mix over (corpus, query language) cells, each already the mean of its queries.

    :param collection: its name.
    :param mix: the mix.
    :param main: the measure to sort by.
    :param parsed: the measures that were asked for.
    :param pools: the corpora's scores.
    :param unasked: corpora of which no query can be asked, with why queries were dropped.
    :return: the mix's scores.
    """
    cells = [scores for pool in pools for scores in pool.scores.values()]
    names = [str(m) for m in parsed if any(str(m) in cell for cell in cells)]
    chance = {n: _mean_of(pool.chance.get(n) for pool in pools) for n in names}
    return SettingScores(
        collection=collection,
        setting=mix.setting,
        mix=str(mix),
        seed=mix.seed,
        main=main,
        scores={n: _mean_of(cell.get(n) for cell in cells) for n in names},
        chance={n: level for n, level in chance.items() if level is not None},
        excluded={n: count for n in names if (count := sum(pool.excluded.get(n, 0) for pool in pools))},
        table=_table(mix, pools),
        left_out=_left_out(parsed, pools),
        unasked=unasked,
        pools=list(pools),
    )


def _table(mix: Mix, pools: Sequence[PoolScores]) -> dict[str, dict[str, dict[str, float | None]]]:
    table: dict[str, dict[str, dict[str, float | None]]] = {}
    for pool in pools:
        column = next(iter(pool.documents)) if mix.kind == "cross-lingual" else pool.name or "all"
        for lang, scores in pool.scores.items():
            table.setdefault(lang, {})[column] = scores
    return table


def _left_out(parsed: Sequence[Measure], pools: Sequence[PoolScores]) -> dict[str, str]:
    """Say of each measure why some corpora lack it, and how many if not all."""
    if not pools:
        return {str(m): NOTHING_ASKED for m in parsed}
    found = {}
    for name in map(str, parsed):
        reasons = [pool.left_out[name] for pool in pools if name in pool.left_out]
        if reasons:
            share = f" (in {len(reasons)} of {len(pools)} corpora)" if len(reasons) < len(pools) else ""
            found[name] = "; ".join(dict.fromkeys(reasons)) + share
    return found


def _mean_of(values: Iterable[float | None]) -> float | None:
    return mean(np.array([value for value in values if value is not None], float))


def mean(values: np.ndarray) -> float | None:
    """Return the mean of what is not nan, None if everything is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
