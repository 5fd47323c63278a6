"""Mixed corpora as folders that other tools read: BEIR's files, TREC qrels, and a manifest that says what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mimo_eval import __version__
from mimo_eval.collections.collection import Collection, Texts
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import atomic_write, inside, read_json, write_json
from mimo_eval.mixing import Mix, Pool, pools

FORMAT = "mimo-eval mix 1"
MANIFEST = "manifest.json"
UNFINISHED = "manifest.unfinished.json"
"""Stands in an export's folder while it is written, and after it was broken off; names the files that may be there."""

BATCH = 2048


def export_mix(collection: Collection, mix: Mix, folder: Path) -> dict[str, Any]:
    """Write a mixed corpus as a BEIR folder with TREC qrels; a family of mixes as one such folder per corpus.

    The same content comes out whatever the order of the collection's files. The manifest is written last, so that an
    export without one is not finished; a new export takes its place.

    :param collection: documents, queries and judgements.
    :param mix: the recipe.
    :param folder: a new or empty folder, or one of an earlier export, whose files are replaced.
    :return: the manifest.
    :raises ConfigError: if the mix does not fit the collection, or leaves no query.
    :raises DataError: if the folder holds anything else, or a text of the collection is damaged.
    :raises CacheError: if it cannot be written.
    """
    made = pools(collection, mix)
    if not made:
        there = ", ".join(collection.languages)
        raise ConfigError(f"{mix}: no query of {collection.name} has a relevant document; its languages are {there}")
    writers = {_place(pool) / name: (pool, write) for pool in made for name, write in WRITERS.items()}
    _prepare(folder, [str(path) for path in writers])
    hashes = {str(path): _write(folder / path, write(collection, pool)) for path, (pool, write) in writers.items()}
    manifest = {
        "format": FORMAT,
        "mimo_eval": __version__,
        "mix": str(mix),
        "setting": mix.setting,
        "seed": mix.seed,
        "max_documents": mix.max_documents,
        "collection": {
            "name": collection.name,
            "revision": collection.revision,
            "licence": collection.info.licence,
            "provenance": collection.info.provenance,
        },
        "corpora": [_describe(collection, pool) for pool in made],
        "files": hashes,
    }
    write_json(folder / MANIFEST, manifest)
    (folder / UNFINISHED).unlink()
    return manifest


def _place(pool: Pool) -> PurePosixPath:
    return PurePosixPath(pool.mix.kind) / pool.name if pool.mix.family else PurePosixPath()


def _describe(collection: Collection, pool: Pool) -> dict[str, Any]:
    names, numbers = collection.queries.languages, collection.queries.language[pool.queries]
    return {
        "name": pool.name,
        "folder": str(_place(pool)),
        "documents": {lang: len(rows) for lang, rows in pool.documents.items() if len(rows)},
        "queries": {names[n]: int(count) for n, count in zip(*np.unique(numbers, return_counts=True), strict=True)},
        "judgements": len(pool.judged_document),
        "dropped_queries": pool.dropped,
    }


def _prepare(folder: Path, files: list[str]) -> None:
    """Take away an earlier export, finished or not, and say what the new one will write."""
    try:
        entries = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise DataError(f"{folder}: cannot be read as a folder ({error.strerror})") from error
    earlier = [name for name in (UNFINISHED, MANIFEST) if name in entries]
    old = [file for name in earlier for file in _listed(folder / name)]
    if entries and not earlier:
        raise DataError(f"{folder}: not empty and not an earlier export; choose another folder")
    # the names of the old files stay on record until all are gone
    write_json(folder / UNFINISHED, {"format": FORMAT, "files": sorted({*old, *files})})
    (folder / MANIFEST).unlink(missing_ok=True)
    for file in old:
        path = folder / file
        for rest in (path, *path.parent.glob(f".{path.name}.*.tmp")):
            rest.unlink(missing_ok=True)
    for parent in sorted({up for file in old for up in PurePosixPath(file).parents if up.parts}, reverse=True):
        if (folder / parent).is_dir() and not any((folder / parent).iterdir()):
            (folder / parent).rmdir()


def _listed(manifest: Path) -> list[str]:
    """Return the files that an earlier export names, refusing what is not one's or leads out of its folder."""
    content = read_json(manifest)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{manifest.parent}: {manifest.name} is not an earlier export's; choose another folder")
    files = [str(file) for file in content.get("files", ())]
    if any(not inside(manifest.parent, file).as_posix().endswith(tuple(WRITERS)) for file in files):
        raise DataError(f"{manifest}: names files that no export writes; choose another folder")
    return files


def _write(path: Path, lines: Iterable[str]) -> dict[str, Any]:
    """Write lines; return their number and the SHA-256 of the file, as `sha256sum` computes it."""
    hasher, number = sha256(), 0
    with atomic_write(path) as out:
        for line in lines:
            data = line.encode()
            out.write(data)
            hasher.update(data)
            number += 1
    return {"lines": number, "sha256": hasher.hexdigest()}


def _corpus(collection: Collection, pool: Pool) -> Iterator[str]:
    return _texts(collection.documents, np.concatenate(list(pool.documents.values())))


def _queries(collection: Collection, pool: Pool) -> Iterator[str]:
    return _texts(collection.queries, pool.queries)


def _texts(texts: Texts, rows: np.ndarray) -> Iterator[str]:
    """Yield JSON Lines in the order of the ids, a batch of rows in memory at a time."""
    rows = rows[np.argsort(texts.id_order[rows])]
    for start in range(0, len(rows), BATCH):
        columns = texts.records(rows[start : start + BATCH]).columns
        for values in zip(*columns.values(), strict=True):
            record = dict(zip(columns, values, strict=True))
            yield json.dumps({"_id": record.pop("id"), **record}, ensure_ascii=False) + "\n"


def _judged(collection: Collection, pool: Pool) -> Iterator[tuple[str, str, int]]:
    queries = pool.queries[pool.judged_query]
    order = np.lexsort((collection.documents.id_order[pool.judged_document], collection.queries.id_order[queries]))
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        names = collection.queries.ids(queries[part]), collection.documents.ids(pool.judged_document[part])
        yield from zip(*names, pool.judged_gain[part].tolist(), strict=True)


def _beir(collection: Collection, pool: Pool) -> Iterator[str]:
    yield "query-id\tcorpus-id\tscore\n"
    yield from (f"{query}\t{document}\t{gain}\n" for query, document, gain in _judged(collection, pool))


def _trec(collection: Collection, pool: Pool) -> Iterator[str]:
    yield from (f"{query} 0 {document} {gain}\n" for query, document, gain in _judged(collection, pool))


WRITERS: dict[str, Callable[[Collection, Pool], Iterator[str]]] = {
    "corpus.jsonl": _corpus,
    "queries.jsonl": _queries,
    "qrels/test.tsv": _beir,
    "qrels.trec.txt": _trec,
}
