"""Turn a source into a Collection: one pass over its texts into Arrow files, every check on the way, bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from mimo_eval import languages
from mimo_eval.collections import numbers
from mimo_eval.collections.collection import Collection, Texts
from mimo_eval.collections.hashes import Hashes
from mimo_eval.collections.jsonl import clean
from mimo_eval.collections.judged import judged
from mimo_eval.collections.kept import META, kept
from mimo_eval.collections.records import Problems, Source, Text, namespaced
from mimo_eval.digests import MultisetHash, digest
from mimo_eval.errors import DataError
from mimo_eval.files import cache_dir, read_json, write_json

FORMAT = "5"
"""Of the folders, and of what this package makes of a source's files: raise it when either changes, such as which texts a
source yields or how they are normalised. A release alone builds nothing anew."""
BATCH = 10_000
SURROGATE = re.compile("[\ud800-\udfff]")


def build(source: Source, key: str, problems: Problems | None = None) -> Collection:
    """Read a source, check it, and keep it as Arrow files; unchanged files are not read a second time.

    :param source: where the texts come from.
    :param key: what besides the files decides the content: the source's name and options.
    :param problems: a place for the problems found; given one, the files are read even if they were before.
    :return: the collection, memory-mapped.
    :raises DataError: if the texts have errors; the message counts each kind and names the first places.
    :raises CacheError: if the cache folder cannot be written.
    """
    fresh = Problems() if problems is None else problems
    folder = _folder(source.info.name, key, source.files())
    return kept(folder, Collection.open, lambda temporary: _write(source, temporary, fresh), again=problems is not None)


def built(source: Source, key: str) -> Collection | None:
    """Return a collection that was built before from the files as they are now; None if there is none.

    :param source: where the texts come from.
    :param key: as for `build`.
    """
    folder = _folder(source.info.name, key, source.files())
    try:
        return Collection.open(folder) if (folder / META).exists() else None
    except (DataError, PermissionError):
        return None


class LooseTexts(NamedTuple):
    """Texts that belong to no collection: no queries, no judgements."""

    texts: Texts
    revision: str
    """Hash of their content."""

    @classmethod
    def open(cls, folder: Path) -> LooseTexts:
        """Open texts that were built before.

        :param folder: as `build_texts` wrote it.
        :return: the texts, memory-mapped.
        :raises DataError: if the folder is not complete.
        """
        try:
            meta = read_json(folder / META)
            texts = Texts.open(folder / "texts.arrow", meta["shards"])
            if len(texts) != meta["rows"]:
                raise ValueError(f"{len(texts)} rows instead of {meta['rows']}")
            return cls(texts, meta["revision"])
        except (KeyError, TypeError, ValueError, OSError) as error:  # Arrow's errors are ValueErrors
            raise DataError(f"{folder}: not complete ({error}); remove the folder, it is built again") from error


def build_texts(name: str, files: list[Path], read: Callable[[Problems], Iterable[Text]]) -> LooseTexts:
    """Read texts, check them as those of a collection, and keep them as an Arrow file; a group may come several times.

    :param name: their name, for messages and the cache.
    :param files: the files that are read; unchanged ones are not read a second time.
    :param read: yields the texts, with ids, and notes problems.
    :return: the texts, memory-mapped.
    :raises DataError: if the texts have errors; the message counts each kind and names the first places.
    :raises CacheError: if the cache folder cannot be written.
    """

    def write(folder: Path) -> None:
        problems = Problems()
        side = Side(read, folder / "texts.arrow", problems, named=False, titled=True, slotted=False)
        if not len(side.ids):
            problems.add("no texts", ", ".join(map(str, files)) or name)
        problems.refuse(name)
        side.number()
        content = side.content.hexdigest()
        write_json(folder / META, {"format": FORMAT, "revision": content, "shards": side.shards(), "rows": len(side.ids)})

    return kept(_folder(name, "texts", files), LooseTexts.open, write)


def origin(texts: Texts) -> tuple[str, str]:
    """Return name and revision of the collection that texts belong to; empty for texts of none."""
    for file in texts.dataset.cache_files:
        path = Path(file["filename"]).with_name(META)
        if path.is_file() and "info" in (meta := read_json(path)):
            return str(meta["info"]["name"]), str(meta["revision"])
    return "", ""


def _folder(name: str, key: str, files: list[Path]) -> Path:
    """Return the folder of the cache for some files' content."""
    safe = re.sub(r"[^\w.-]+", "_", name)[:60].lstrip(".") or "collection"
    return cache_dir() / "collections" / f"{safe}-{digest(FORMAT, key, *_stamps(files))[:16]}"


def _stamps(files: list[Path]) -> Iterator[str]:
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        yield f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"


def _write(source: Source, folder: Path, problems: Problems) -> None:
    named = not source.grouped_judgements
    documents = Side(source.documents, folder / "documents.arrow", problems, named, titled=True)
    queries = Side(source.queries, folder / "queries.arrow", problems, named, titled=False)
    for side, what in ((documents, "documents"), (queries, "queries")):
        if not len(side.ids):
            problems.add("no texts", ", ".join(map(str, source.files()[:5])) or source.info.name, f"no {what}")
    qrels = judged(source, documents, queries, problems)
    problems.refuse(source.info.name)
    content = MultisetHash()
    for row in qrels.itertuples(index=False):
        content.add((str(row.query_group), str(row.doc_group), str(row.relevance)))
    qrels.to_parquet(folder / "qrels.parquet", index=False)
    for side in (documents, queries):
        side.number()
    write_json(
        folder / META,
        {
            "format": FORMAT,
            "info": asdict(source.info),
            "revision": _revision(documents.content, queries.content, content),
            "shards": {"documents": documents.shards(), "queries": queries.shards()},
            "rows": {"documents": len(documents.ids), "queries": len(queries.ids)},
            "problems": problems.warnings,
        },
    )


def _revision(*parts: MultisetHash) -> str:
    """Return the 256-bit hash of several hashes in their order, 64 hexadecimal characters."""
    return blake2b("".join(part.hexdigest() for part in parts).encode(), digest_size=32).hexdigest()


class Side:
    """Documents or queries on their way to disk; what must be remembered of each, 24 bytes, waits there too."""

    def __init__(
        self,
        read: Callable[[Problems], Iterable[Text]],
        path: Path,
        problems: Problems,
        named: bool,
        titled: bool,
        slotted: bool = True,
    ) -> None:
        self.read, self.path, self.problems, self.titled = read, path, problems, titled
        self.ids, self.names, self.slots = (Hashes(path.parent) for _ in range(3))
        self.content = MultisetHash()
        self._shards: dict[str, Any] = {}
        self._write()
        # where judgements name ids as they stand in the source, these must be unique without the language before them too
        repeats = self.names.repeated() | (self.ids.repeated() if named else set())
        if slotted:  # a group has one text per language
            repeats |= self.slots.repeated()
        if repeats:
            self._refuse_repeats(repeats, named)

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
            lang = _check(text, self.problems)
            if lang is None:
                continue
            name = namespaced(text.id, lang)
            group = text.group or name
            self.ids.append(_hash(text.id))
            self.names.append(_hash(name))
            self.slots.append(_hash(f"{lang}\0{group}"))
            self.content.add((name, text.title, text.text, lang, group))
            shard = self._shards.setdefault(lang, blake2b(digest_size=16))
            shard.update(xxhash.xxh3_128_digest(f"{text.title}\0{text.text}".encode()))
            row = {"id": name, "text": text.text, "lang": lang, "group": group}
            yield {**row, "title": text.title} if self.titled else row

    def number(self) -> None:
        """Write what is asked about each text beside them; see `numbers`."""
        numbers.write(self.path, sorted(self._shards))

    def again(self) -> Iterator[tuple[Text, str]]:
        """Read once more, for the places of what was found wrong: yield each usable text with its language."""
        for text in self.read(Problems()):
            lang = _check(text, Problems())
            if lang is not None:
                yield text, lang

    def _refuse_repeats(self, repeats: set[int], named: bool) -> None:
        """Note every text whose id or whose place in a group occurred before."""
        seen: dict[str, str] = {}
        for text, lang in self.again():
            name = namespaced(text.id, lang)
            keys = [name] if name == text.id or not named else [name, text.id]
            first = next((seen[key] for key in keys if key in seen), None)
            slot = f"{lang}\0{text.group or name}"
            if first is not None:
                self.problems.add("duplicate id", text.where, f"{text.id} (first at {first})")
            elif slot in seen:
                detail = f"{lang} {text.group} (first at {seen[slot]})"
                self.problems.add("two texts of one group in one language", text.where, detail)
            for key in (*keys, slot):
                if _hash(key) in repeats:
                    seen.setdefault(key, text.where)

    def find(self, names: list[str]) -> np.ndarray:
        """Return the row of each id, the first of several, or -1; in pieces, so that memory does not grow with the rows."""
        wanted, place = np.unique(np.array([_hash(n) for n in names], np.uint64), return_inverse=True)
        rows = np.full(len(wanted), -1)
        for start, piece in self.ids.pieces() if len(wanted) else ():
            at = np.searchsorted(wanted, piece).clip(max=len(wanted) - 1)
            hits = np.flatnonzero((wanted[at] == piece) & (rows[at] < 0))[::-1]
            rows[at[hits]] = start + hits
        return rows[place]

    def group_names(self, rows: np.ndarray | None = None) -> list[str]:
        """Return the groups of some rows, or of all, from the file just written."""
        import pyarrow as pa

        with pa.memory_map(str(self.path)) as file:
            column = pa.ipc.open_stream(file).read_all().column("group")
            return list((column if rows is None else numbers.take(column, rows)).to_pylist())

    def among(self, groups: set[str]) -> set[str]:
        """Return those of some groups that have a text; memory does not grow with the number of texts."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found: set[str] = set()
        wanted = pa.array(sorted(groups), pa.string())
        with pa.memory_map(str(self.path)) as file:
            for batch in pa.ipc.open_stream(file):
                column = batch.column("group")
                found.update(column.filter(pc.is_in(column, value_set=wanted)).to_pylist())
        return found


def _check(text: Text, problems: Problems) -> str | None:
    """Return the canonical language of a usable text, or None after noting what is wrong."""
    if not text.id:
        problems.add("missing field", text.where, "id")
        return None
    if text.id.split() != [text.id]:
        problems.add("id with white space", text.where, repr(text.id))
    if _is_empty(text.text) and _is_empty(text.title):
        problems.add("empty text", text.where, text.id)
    fields = "".join((text.id, text.text, text.title, text.lang, text.group or ""))
    if "\0" in fields:
        problems.add("NUL byte", text.where, repr(text.id))
    if SURROGATE.search(fields):
        problems.add("broken UTF-8", text.where, "half a surrogate pair, such as \\ud83d alone")
        return None
    if not text.lang:
        problems.add("no language", text.where, text.id)
        return None
    try:
        return languages.normalise(text.lang)
    except DataError:
        problems.add("unknown language", text.where, f"{text.lang!r} of {text.id}")
        return None


def _is_empty(text: str) -> bool:
    return not (text[:1].isalnum() or clean(text))  # the first character settles nearly all


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
