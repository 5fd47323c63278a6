"""The judgements of a source, checked against the texts that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mimo_eval.collections.records import Judgement, Problems, Source, namespaced

if TYPE_CHECKING:
    import pandas as pd

    from mimo_eval.collections.build import Side


def judged(source: Source, documents: Side, queries: Side, problems: Problems) -> pd.DataFrame:
    """Read the judgements of a source.

    :param source: where they come from.
    :param documents: what they may name.
    :param queries: likewise.
    :param problems: where problems are noted.
    :return: columns query_group, doc_group, relevance (int32); one row per pair, the largest relevance where several differ.
    """
    import pandas as pd

    earlier = sum(problems.errors.values())
    found = list(source.judgements(problems))
    # unreadable judgements and missing texts are noted as such
    if all(j.relevance <= 0 for j in found) and sum(problems.errors.values()) == earlier and documents.ids and queries.ids:
        problems.add("no judgements", found[0].where if found else _qrels_files(source))
    if source.grouped_judgements:
        asked, stored = queries.among({j.query for j in found}), documents.among({j.document for j in found})
        keep = [j for j in found if _both_known(j, asked, stored, problems)]
        table = pd.DataFrame({"query_group": [j.query for j in keep], "doc_group": [j.document for j in keep]}, dtype=object)
    else:
        keep, rows = _resolve(found, queries, documents, problems)
        table = pd.DataFrame(
            {"query_group": queries.group_names(rows[0]), "doc_group": documents.group_names(rows[1])}, dtype=object
        )
    table["relevance"] = np.array([j.relevance for j in keep], np.int32)
    merged = table.groupby(["query_group", "doc_group"], sort=True)["relevance"].agg(["max", "min"]).reset_index()
    differing = merged.loc[merged["max"] != merged["min"], ["query_group", "doc_group"]]
    _note_differing(set(differing.itertuples(index=False, name=None)), table, keep, problems)
    _note_unanswerable(merged, queries, problems)
    named = merged.rename(columns={"max": "relevance"})[["query_group", "doc_group", "relevance"]]
    result: pd.DataFrame = named.astype({"relevance": "int32"})
    return result


def _qrels_files(source: Source) -> str:
    return ", ".join(str(path) for path in source.files() if "qrels" in path.parent.name + path.name) or source.info.name


def _both_known(judgement: Judgement, queries: set[str], documents: set[str], problems: Problems) -> bool:
    for name, known, what in ((judgement.query, queries, "query"), (judgement.document, documents, "document")):
        if name not in known:
            problems.add("orphan judgement", judgement.where, f"no {what} group {name!r}")
            return False
    return True


def _resolve(
    judged: list[Judgement], queries: Side, documents: Side, problems: Problems
) -> tuple[list[Judgement], tuple[np.ndarray, np.ndarray]]:
    """Find the rows that judgements name, dropping and noting orphans."""
    rows = [side.find([getattr(j, field) for j in judged]) for side, field in ((queries, "query"), (documents, "document"))]
    known = (rows[0] >= 0) & (rows[1] >= 0)
    for i in np.flatnonzero(~known):
        what = "query" if rows[0][i] < 0 else "document"
        problems.add("orphan judgement", judged[i].where, f"no {what} {getattr(judged[i], what)!r}")
    return [judged[i] for i in np.flatnonzero(known)], (rows[0][known], rows[1][known])


def _note_differing(pairs: set[tuple[str, str]], table: Any, judged: list[Judgement], problems: Problems) -> None:
    """Note the pairs of groups that have several judgements, with the places of the first and of the first other one."""
    first: dict[tuple[str, str], Judgement] = {}
    for query, document, judgement in zip(table["query_group"], table["doc_group"], judged if pairs else [], strict=False):
        pair = (query, document)
        if pair not in pairs:
            continue
        other = first.setdefault(pair, judgement)
        if other.relevance != judgement.relevance:
            detail = f"{query} {document} is {judgement.relevance}, and {other.relevance} at {other.where}"
            problems.add("judgements differ within a group", judgement.where, detail)
            pairs.remove(pair)


def _note_unanswerable(merged: Any, queries: Side, problems: Problems) -> None:
    answerable = set(merged.loc[merged["max"] > 0, "query_group"])
    if all(group in answerable for group in queries.group_names()):
        return
    for text, lang in queries.again():
        name = namespaced(text.id, lang)
        if (text.group or name) not in answerable:
            problems.add("query without a relevant document", text.where, name)
