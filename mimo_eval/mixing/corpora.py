"""The corpora of a mix, and the queries asked of each.

Who is in is decided by hashes of (seed, group, language), so that the same mix comes out on any machine, in any order
of the input and for any sharding of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from mimo_eval.collections.collection import Collection, Rows
from mimo_eval.collections.numbers import pieces, take
from mimo_eval.errors import ConfigError
from mimo_eval.mixing.recipe import Mix

PIECE = 2**16
"""Documents whose names are in memory at a time."""


@dataclass(frozen=True)
class Pool:
    """One corpus of a mix and the queries asked of it: one ranking task."""

    mix: Mix
    name: str
    """Empty for a single corpus; else the language, the pair `query-document`, or `a+b`."""
    documents: Rows
    """The corpus."""
    queries: np.ndarray
    """(q,) int64: rows of the queries that are asked, ascending."""
    judged_query: np.ndarray
    """(j,) int64: positions in `queries`, ascending."""
    judged_document: np.ndarray
    """(j,) int64: rows of judged documents in the corpus."""
    judged_gain: np.ndarray
    """(j,) int32."""
    dropped: dict[str, int]
    """Why queries of the chosen languages are not asked, with counts."""

    @property
    def size(self) -> int:
        """Number of documents in the corpus."""
        return sum(len(rows) for rows in self.documents.values())


def pools(collection: Collection, mix: Mix) -> list[Pool]:
    """Apply a mix to a collection.

    :param collection: documents, queries and judgements.
    :param mix: the recipe.
    :return: the corpora of the mix with the queries that can be asked of each; those of which none can be are left out.
    :raises ConfigError: if the mix names a language that the collection lacks.
    """
    return [pool for pool in all_pools(collection, mix) if len(pool.queries)]


def all_pools(collection: Collection, mix: Mix) -> list[Pool]:
    """Apply a mix to a collection, and keep also the corpora of which no query can be asked.

    :param collection: documents, queries and judgements.
    :param mix: the recipe.
    :return: every corpus of the mix.
    :raises ConfigError: if the mix names a language that the collection lacks.
    """
    triples = _triples(collection)
    return [_pool(collection, mix, name, asked, stored, triples) for name, asked, stored in _plans(collection, mix)]


def _plans(collection: Collection, mix: Mix) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Yield (name, query languages, document languages) of each corpus of a mix."""
    asked, stored = collection.queries.languages, collection.documents.languages
    if mix.kind == "monolingual":
        yield from ((lang, (lang,), (lang,)) for lang in asked if lang in stored)
    elif mix.kind == "cross-lingual":
        yield from ((f"{q}-{d}", (q,), (d,)) for q in asked for d in stored if q != d)
    elif mix.kind == "bilingual":
        for first, second in _pairs(mix, stored):
            yield f"{first}+{second}", tuple(lang for lang in (first, second) if lang in asked), (first, second)
    else:
        yield "", asked, stored


def _pairs(mix: Mix, stored: tuple[str, ...]) -> list[tuple[str, str]]:
    if mix.pair is None:
        return [("en", lang) for lang in stored if lang != "en"] if "en" in stored else []
    absent = [lang for lang in mix.pair if lang not in stored]
    if absent:
        raise ConfigError(f"{mix}: the collection has no documents in {', '.join(absent)}; it has {', '.join(stored)}")
    return [mix.pair]


Triples = tuple[np.ndarray, np.ndarray, np.ndarray]


def _triples(collection: Collection) -> Triples:
    """Return every (query row, document row, relevance): judgements hold for all versions of a query and a document."""
    query_group, document_group, relevance = collection.judgements
    query, judgement = _join(collection.queries.group, query_group)
    document, pair = _join(collection.documents.group, document_group[judgement])
    order = np.lexsort((document, query[pair]))
    return query[pair][order], document[order], relevance[judgement][pair][order]


def _join(groups: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (row, index into wanted) for every row whose group is wanted."""
    asked, none = np.unique(wanted), np.empty(0, np.int64)
    rows = np.concatenate([none, *(part.start + np.flatnonzero(np.isin(groups[part], asked)) for part in pieces(len(groups)))])
    rows = rows[np.argsort(groups[rows], kind="stable")]
    groups = groups[rows]
    start = np.searchsorted(groups, wanted, "left")
    count = np.searchsorted(groups, wanted, "right") - start
    index = np.repeat(np.arange(len(wanted)), count)
    offset = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    return rows[np.repeat(start, count) + offset], index


def _only(blocks: Rows, drawn: np.ndarray | None) -> Rows:
    """Return the rows that were drawn; whole blocks, which take no memory, where all were."""
    if drawn is None:
        return blocks
    return {lang: rows if drawn[rows].all() else rows[drawn[rows]] for lang, rows in blocks.items()}


def _pool(
    collection: Collection, mix: Mix, name: str, asked: tuple[str, ...], stored: tuple[str, ...], triples: Triples
) -> Pool:
    query, document, relevance = triples
    query_languages, document_languages = collection.queries.language, collection.documents.language
    rows = np.flatnonzero(np.isin(query_languages, _numbers(collection.queries.languages, asked)))
    blocks = {lang: collection.documents.rows(lang) for lang in stored}
    drawn = partition(collection, mix) if mix.kind in ("partition", "away") else None
    keep = np.isin(query, rows) & np.isin(document_languages[document], _numbers(collection.documents.languages, stored))
    if drawn is not None:
        keep &= drawn[document]
    query, document, relevance = query[keep], document[keep], relevance[keep]
    answerable = np.unique(query[relevance > 0])
    dropped = {"no relevant document in the corpus": len(rows) - len(answerable)}
    if mix.kind == "away":
        own = collection.queries.language[query] == _renumber(collection)[document_languages[document]]
        at_home = np.unique(query[own & (relevance > 0)])
        dropped["a relevant document in the query's own language"] = len(at_home)
        answerable = np.setdiff1d(answerable, at_home)
    asked_of = np.isin(query, answerable)
    query, document, relevance = query[asked_of], document[asked_of], relevance[asked_of]
    if mix.max_documents is not None:
        drawn = _sample(collection, mix, np.sort(np.concatenate(list(_only(blocks, drawn).values()))), document)
    documents = _only(blocks, drawn)
    return Pool(
        mix=mix,
        name=name,
        documents=documents,
        queries=answerable,
        judged_query=np.searchsorted(answerable, query),
        judged_document=document,
        judged_gain=relevance,
        dropped={why: n for why, n in dropped.items() if n},
    )


def _numbers(names: tuple[str, ...], chosen: tuple[str, ...]) -> list[int]:
    return [names.index(name) for name in chosen if name in names]


def _renumber(collection: Collection) -> np.ndarray:
    """Map numbers of document languages to numbers of query languages, -1 where no query has the language."""
    names = collection.queries.languages
    return np.array([names.index(lang) if lang in names else -1 for lang in collection.documents.languages])


def partition(collection: Collection, mix: Mix) -> np.ndarray:
    """Draw one language for each group.

    Weighted rendezvous hashing: each version of a group gets -ln(u) / share with u from a hash of (seed, group, language),
    and the smallest wins. So a language is drawn with its share among those that the group has.

    :param collection: the documents.
    :param mix: seed and shares.
    :return: (documents,) bool, one per group.
    :raises ConfigError: if a share names a language without documents.
    """
    documents = collection.documents
    shares = dict(mix.shares) or dict.fromkeys(documents.languages, 1.0)
    absent = [lang for lang, weight in shares.items() if weight and lang not in documents.languages]
    if absent:
        there = ", ".join(documents.languages)
        raise ConfigError(f"{mix}: the collection has no documents in {', '.join(absent)}; it has {there}")
    weights = np.array([shares.get(lang, 0.0) for lang in documents.languages])
    least, winner = np.full(documents.groups, np.inf), np.full(documents.groups, -1, np.int32)
    for part in pieces(len(documents)):
        weight = weights[documents.language[part]]
        rows = part.start + np.flatnonzero(weight > 0)
        draw = -np.log(uniform(collection, mix.seed, rows, by_language=True)) / weight[weight > 0]
        group = documents.group[rows]
        order = np.lexsort((draw, group))
        first = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
        better = first[(draw[first] < least[group[first]]) | (winner[group[first]] < 0)]
        least[group[better]], winner[group[better]] = draw[better], rows[better]
    chosen = np.zeros(len(documents), bool)
    chosen[winner[winner >= 0]] = True
    return chosen


def uniform(collection: Collection, seed: int, rows: np.ndarray, by_language: bool) -> np.ndarray:
    """Return numbers in (0, 1] that depend on seed, group and, if asked, language, and on nothing else.

    :param collection: the documents.
    :param seed: another seed gives other numbers.
    :param rows: rows of documents.
    :param by_language: whether versions of one group get different numbers.
    :return: (len(rows),) float64.
    """
    documents, drawn = collection.documents, np.empty(len(rows))
    for start in range(0, len(rows), PIECE):
        part = rows[start : start + PIECE]
        groups = take(documents.column("group"), part).to_pylist()
        langs = [documents.languages[n] for n in documents.language[part]] if by_language else [""] * len(part)
        hashes = np.array([_hash(seed, group, lang) for group, lang in zip(groups, langs, strict=True)], np.uint64)
        drawn[start : start + PIECE] = (hashes.astype(np.float64) + 1) / 2.0**64
    return drawn


def _hash(seed: int, group: str, lang: str) -> int:
    return int.from_bytes(blake2b(f"{seed}\0{group}\0{lang}".encode(), digest_size=8).digest(), "little")


def _sample(collection: Collection, mix: Mix, rows: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Keep the groups of judged documents, then whole groups in the order of their hash, up to `max_documents`."""
    assert mix.max_documents is not None
    group = collection.documents.group[rows]
    judged_group = np.isin(group, collection.documents.group[judged])
    draw = np.where(judged_group, 0.0, uniform(collection, mix.seed, rows, by_language=False))
    order = np.lexsort((group, draw))
    ends = np.flatnonzero(np.concatenate((group[order][1:] != group[order][:-1], [True]))) + 1
    fitting = ends[ends <= max(mix.max_documents, int(judged_group.sum()))]
    member = np.zeros(len(collection.documents), bool)
    member[rows[order[: fitting[-1] if len(fitting) else 0]]] = True
    return member
