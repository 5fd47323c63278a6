"""Folds of retrieval data: whole units of passages, their questions with them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimo_eval.collections import Collection
from mimo_eval.errors import ConfigError
from mimo_eval.files import atomic_write, write_json
from mimo_eval.study.definition import Folds


class Fold(NamedTuple):
    """One division of a collection."""

    number: int
    passages: tuple[str, ...]
    """Groups of passages that are trained on."""
    queries: tuple[str, ...]
    """Groups of queries that are trained on."""
    held_out: tuple[str, ...]
    """Groups of queries that are tested."""


def divide(collection: Collection, folds: Folds, seed: int) -> list[Fold]:
    """Divide a collection.

    :param collection: with judgements.
    :param folds: how many, and what must stay together.
    :param seed: of the order of units.
    :return: the folds; every judged query is held out in exactly one, all of whose relevant passages are in that fold.
    :raises ConfigError: if a passage has no unit, there are fewer units than folds, or a query's passages are of two folds.
    """
    qrels = collection.qrels[collection.qrels["relevance"] > 0]
    fold_of = _folds_of_units(sorted(set(qrels["doc_group"])), folds, seed)
    asked: dict[str, int] = {}
    for query, passage in zip(qrels["query_group"], qrels["doc_group"], strict=True):
        if asked.setdefault(query, fold_of[passage]) != fold_of[passage]:
            raise ConfigError(f"folds.unit: the relevant passages of query '{query}' are of several folds")
    return [
        Fold(
            number,
            tuple(sorted(passage for passage, mine in fold_of.items() if mine != number)),
            tuple(sorted(query for query, mine in asked.items() if mine != number)),
            tuple(sorted(query for query, mine in asked.items() if mine == number)),
        )
        for number in range(folds.count)
    ]


def _folds_of_units(passages: list[str], folds: Folds, seed: int) -> dict[str, int]:
    units: dict[str, str] = {}
    for passage in passages:
        found = re.search(folds.unit, passage)
        if not found or not found.groups():
            raise ConfigError(f"folds.unit: {folds.unit!r} finds no unit in the passage group '{passage}'")
        units[passage] = found.group(1)
    names = sorted(set(units.values()))
    if len(names) < folds.count:
        raise ConfigError(f"folds: {folds.count} folds of {len(names)} units")
    order = np.random.default_rng(seed).permutation(len(names))
    place = {names[unit]: number % folds.count for number, unit in enumerate(order)}
    return {passage: place[unit] for passage, unit in units.items()}


def write_test(collection: Collection, fold: Fold, folder: Path) -> Path:
    """Write the test of a fold as a collection's folder: all documents, the queries that are held out.

    :param collection: what was divided.
    :param fold: the fold.
    :param folder: where; a folder that is there is taken for finished.
    :return: the folder.
    """
    if (folder / "collection.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    held_out = set(fold.held_out)
    for name, texts in (("corpus", collection.documents), ("queries", collection.queries)):
        rows = np.arange(len(texts))
        columns = zip(*(texts.column(key).to_pylist() for key in ("id", "lang", "group")), texts.read(rows), strict=True)
        with atomic_write(folder / f"{name}.jsonl", "w") as stream:
            for known, lang, group, text in columns:
                if name == "corpus" or group in held_out:
                    record = {"_id": known, "lang": lang, "group": group, "text": text}
                    stream.write(json.dumps(record, ensure_ascii=False) + "\n")
    with atomic_write(folder / "qrels.tsv", "w") as stream:
        stream.write("query_group\tdoc_group\trel\n")
        for query, passage, relevance in collection.qrels.itertuples(index=False):
            if query in held_out:
                stream.write(f"{query}\t{passage}\t{relevance}\n")
    info = collection.info
    write_json(
        folder / "collection.json",
        {"name": collection.name, "title": info.title, "licence": info.licence, "provenance": info.provenance},
    )
    return folder
