"""Turn a source into a Collection: one pass over its texts into Arrow files, every check on the way, bounded memory."""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mimo_eval import __version__, languages
from mimo_eval.collections.collection import Collection
from mimo_eval.collections.records import Judgement, Problems, Source, Text
from mimo_eval.errors import CacheError, DataError
from mimo_eval.files import MultisetHash, cache_dir, digest, write_json

FORMAT = "1"
BATCH = 10_000


def build(source: Source, key: str, problems: Problems | None = None) -> Collection:
    """Read a source, check it, and keep it as Arrow files; unchanged files are not read a second time.

    :param source: where the texts come from.
    :param key: what besides the files decides the content: the source's name and options.
    :param problems: a place for the problems found; errors in it are then left to the caller to refuse.
    :return: the collection, memory-mapped.
    :raises DataError: if the texts have errors; the message counts each kind and names the first places.
    """
    folder = cache_dir() / "collections" / f"{source.info.name}-{digest(FORMAT, __version__, key, *_stamps(source))[:16]}"
    if problems is None and (folder / "collection.json").exists():
        return Collection.open(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".build-"))
    except OSError as error:
        raise CacheError(f"{folder.parent}: cannot be written ({error.strerror}); set MIMO_EVAL_CACHE") from error
    try:
        found = Problems() if problems is None else problems
        _write(source, temporary, found)
        found.refuse(source.info.name)
        if (folder / "collection.json").exists():  # another process was faster; its content is the same
            return Collection.open(folder)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as error:
        raise CacheError(f"{folder}: cannot be written ({error.strerror}); free space or set MIMO_EVAL_CACHE") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Collection.open(folder)


def _stamps(source: Source) -> Iterator[str]:
    for path in source.files():
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        yield f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"


def _write(source: Source, folder: Path, problems: Problems) -> None:
    documents = _Side(source.documents, folder / "documents.arrow", problems, titled=True)
    queries = _Side(source.queries, folder / "queries.arrow", problems, titled=False)
    if not len(documents.ids) or not len(queries.ids):
        problems.refuse(source.info.name)
        empty = "documents" if not len(documents.ids) else "queries"
        raise DataError(f"{source.info.name}: there are no {empty} in {', '.join(str(p) for p in source.files()[:5])}")
    qrels = _judgements(source, documents, queries, problems)
    problems.refuse(source.info.name)
    content = MultisetHash()
    for row in qrels.itertuples(index=False):
        content.add((row.query_group, row.doc_group, str(row.relevance)))
    qrels.to_parquet(folder / "qrels.parquet", index=False)
    write_json(
        folder / "collection.json",
        {
            "info": asdict(source.info),
            "revision": (digest(documents.content.hexdigest(), queries.content.hexdigest(), content.hexdigest()) * 2)[:64],
            "shards": {"documents": documents.shards(), "queries": queries.shards()},
            "problems": problems.warnings,
        },
    )


class _Side:
    """Documents or queries on their way to disk: what must be remembered of each is 24 bytes."""

    def __init__(self, read: Callable[[Problems], Iterable[Text]], path: Path, problems: Problems, titled: bool) -> None:
        self.read, self.path, self.problems, self.titled = read, path, problems, titled
        self.ids, self.slots = array("Q"), array("Q")
        self.content = MultisetHash()
        self._shards: dict[str, Any] = {}
        self._write()
        self._refuse_repeats("duplicate id", np.array(self.ids, np.uint64), lambda t, _: t.id)
        self._refuse_repeats(
            "two texts of one group in one language",
            np.array(self.slots, np.uint64),
            lambda t, lang: f"{lang} {t.group}",
        )

    def shards(self) -> dict[str, str]:
        """Return a hash per language of its texts, in row order."""
        return {lang: hasher.hexdigest() for lang, hasher in sorted(self._shards.items())}

    def _write(self) -> None:
        import pyarrow as pa

        names = ["id", "title", "text", "lang", "group"] if self.titled else ["id", "text", "lang", "group"]
        schema = pa.schema([(name, pa.string()) for name in names])
        with pa.OSFile(str(self.path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            rows: list[dict[str, str]] = []
            for row in self._rows():
                rows.append(row)
                if len(rows) == BATCH:
                    writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
                    rows = []
            if rows:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))

    def _rows(self) -> Iterator[dict[str, str]]:
        for text in self.read(self.problems):
            lang = self._check(text)
            if lang is None:
                continue
            name = namespaced(text.id, lang)
            group = text.group or name
            self.ids.append(xxhash.xxh3_64_intdigest(text.id.encode("utf-8", "replace")))
            self.slots.append(_slot(lang, text.group or text.id))
            self.content.add((name, text.title, text.text, lang, group))
            shard = self._shards.setdefault(lang, blake2b(digest_size=16))
            shard.update(xxhash.xxh3_128_digest(f"{text.title}\0{text.text}".encode("utf-8", "replace")))
            row = {"id": name, "text": text.text, "lang": lang, "group": group}
            yield {**row, "title": text.title} if self.titled else row

    def _check(self, text: Text) -> str | None:
        """Return the canonical language of a usable text, or None after noting what is wrong."""
        if not text.id:
            self.problems.add("missing field", text.where, "id")
            return None
        if any(c.isspace() for c in text.id):
            self.problems.add("id with white space", text.where, repr(text.id))
        if not text.text.strip() and not text.title.strip():
            self.problems.add("empty text", text.where, text.id)
        if "\0" in text.text:
            self.problems.add("NUL byte", text.where, text.id)
        if not text.lang:
            self.problems.add("no language", text.where, text.id)
            return None
        try:
            return languages.normalise(text.lang)
        except DataError:
            self.problems.add("unknown language", text.where, f"{text.lang!r} of {text.id}")
            return None

    def _refuse_repeats(self, kind: str, hashes: np.ndarray, name: Callable[[Text, str], str]) -> None:
        """Note every text whose hash occurred before; the places are found by reading again, which only bad data costs."""
        values, counts = np.unique(hashes, return_counts=True)
        repeated = set(values[counts > 1].tolist())
        if not repeated:
            return
        seen: dict[str, str] = {}
        for text in self.read(Problems()):
            try:
                lang = languages.normalise(text.lang)
            except DataError:
                continue
            key = text.id if kind == "duplicate id" else f"{lang}\0{text.group or text.id}"
            if xxhash.xxh3_64_intdigest(key.encode("utf-8", "replace")) in repeated:
                if key in seen:
                    self.problems.add(kind, text.where, f"{name(text, lang)} (first at {seen[key]})")
                seen.setdefault(key, text.where)

    def group_names(self, rows: np.ndarray) -> list[str]:
        """Return the groups of some rows from the file just written."""
        from datasets import Dataset

        return list(Dataset.from_file(str(self.path)).data.table.column("group").take(rows).to_pylist())


def _slot(lang: str, group: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{lang}\0{group}".encode("utf-8", "replace"))


def namespaced(identifier: str, lang: str) -> str:
    """Return `{lang}:{id}`; source ids repeat across languages. An id that has the prefix keeps it."""
    return identifier if identifier.startswith(f"{lang}:") else f"{lang}:{identifier}"


def _judgements(source: Source, documents: _Side, queries: _Side, problems: Problems) -> Any:
    import pandas as pd

    judged = list(source.judgements(problems))
    if source.grouped_judgements:
        asked, stored = _known_groups(queries), _known_groups(documents)
        keep = [j for j in judged if _both_known(j, asked, stored, problems)]
        table = pd.DataFrame({"query_group": [j.query for j in keep], "doc_group": [j.document for j in keep]}, dtype=object)
    else:
        keep, rows = _resolve(judged, queries, documents, problems)
        table = pd.DataFrame(
            {"query_group": queries.group_names(rows[0]), "doc_group": documents.group_names(rows[1])}, dtype=object
        )
    table["relevance"] = np.array([j.relevance for j in keep], np.int32)
    merged = table.groupby(["query_group", "doc_group"], sort=True)["relevance"].agg(["max", "min"]).reset_index()
    for row in merged[merged["max"] != merged["min"]].itertuples():
        problems.add("judgements differ within a group", str(source.files()[-1]), f"{row.query_group} {row.doc_group}")
    _note_unanswerable(merged, queries, problems)
    return merged.rename(columns={"max": "relevance"})[["query_group", "doc_group", "relevance"]].astype({"relevance": "int32"})


def _known_groups(side: _Side) -> set[str]:
    from datasets import Dataset

    return set(Dataset.from_file(str(side.path)).data.table.column("group").to_pylist())


def _both_known(judgement: Judgement, queries: set[str], documents: set[str], problems: Problems) -> bool:
    for name, known, what in ((judgement.query, queries, "query"), (judgement.document, documents, "document")):
        if name not in known:
            problems.add("orphan judgement", judgement.where, f"no {what} group {name!r}")
            return False
    return True


def _resolve(
    judged: list[Judgement], queries: _Side, documents: _Side, problems: Problems
) -> tuple[list[Judgement], tuple[np.ndarray, np.ndarray]]:
    """Find the rows that judgements name, dropping and noting orphans."""
    rows = [_find(side, [getattr(j, field) for j in judged]) for side, field in ((queries, "query"), (documents, "document"))]
    known = (rows[0] >= 0) & (rows[1] >= 0)
    for i in np.flatnonzero(~known):
        what = "query" if rows[0][i] < 0 else "document"
        problems.add("orphan judgement", judged[i].where, f"no {what} {getattr(judged[i], what)!r}")
    return [judged[i] for i in np.flatnonzero(known)], (rows[0][known], rows[1][known])


def _find(side: _Side, names: list[str]) -> np.ndarray:
    hashes = np.array(side.ids, np.uint64)
    order = np.argsort(hashes, kind="stable")
    wanted = np.array([xxhash.xxh3_64_intdigest(n.encode("utf-8", "replace")) for n in names], np.uint64)
    at = np.searchsorted(hashes[order], wanted).clip(max=max(len(hashes) - 1, 0))
    return np.where(hashes[order][at] == wanted, order[at], -1) if len(hashes) else np.full(len(names), -1)


def _note_unanswerable(merged: Any, queries: _Side, problems: Problems) -> None:
    from datasets import Dataset

    answerable = set(merged.loc[merged["max"] > 0, "query_group"])
    table = Dataset.from_file(str(queries.path)).data.table
    for name, group in zip(table.column("id").to_pylist(), table.column("group").to_pylist(), strict=True):
        if group not in answerable:
            problems.add("query without a relevant document", str(name))
