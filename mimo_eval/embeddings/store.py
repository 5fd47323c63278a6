"""The vectors of a collection's documents or queries by one encoder: encoded once, checked, stored, read.

Rows of a text that another version of the collection has already had encoded are copied. A chunk is locked while it is
encoded, so several processes can fill one language, and none encodes what another has in hand.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.collections.collection import Rows, Texts
from mimo_eval.digests import digest
from mimo_eval.embeddings import shards
from mimo_eval.embeddings.checking import check_vectors
from mimo_eval.embeddings.claims import Share, chunk_count, claimed, explained
from mimo_eval.embeddings.shards import TILE_ROWS, Shard, TextIndex
from mimo_eval.embeddings.storage import STORAGES, Storage
from mimo_eval.errors import CacheError, ConfigError, DataError, ModelError
from mimo_eval.files import cache_dir, read_sealed, write_sealed
from mimo_eval.locks import Use
from mimo_eval.protocols import Role
from mimo_eval.shared import shared_store
from mimo_eval.threads import ahead

logger = logging.getLogger(__name__)
FORMAT = 1
ABOUT = "encoder.json"
"""The file that says whose vectors lie in a folder."""
LOOKED_AT = 64
"""Chunks whose rows are looked at in one go where all of them are."""
READERS = min(8, (os.cpu_count() or 1) // 4)
"""Threads that read tiles for several GPUs or many cores; without any, tiles are read when they are asked for."""
Encode = Callable[[Sequence[str], str], np.ndarray]
"""(texts, language) to vectors."""


class Filled(NamedTuple):
    """What filling rows took."""

    encoded: int
    read: int


@dataclass
class VectorStore:
    """The vectors of documents or queries of one collection by one encoder.

    Two entries of a fingerprint are understood: `storage`, one of STORAGES; and `reading`, a dict of what changes a vector only
    when it is read, which is therefore no part of the folder's name. Of `reading` the store itself carries out `truncate_dim`:
    it gives the leading dimensions of vectors that are stored whole, with length 1 again where cosines are wanted.

    :param fingerprint: everything that changes a vector; goes into the folder's name and into `encoder.json`.
    :param role: `query` or `document`.
    :param texts: the texts, by language.
    :param cosine: whether vectors are stored with length 1, so that their dot product is the cosine.
    :param root: folder of all vectors.
    """

    fingerprint: dict[str, Any]
    role: Role
    texts: Texts
    cosine: bool = True
    root: Path = field(default_factory=lambda: cache_dir() / "vectors")
    _width: int | None = field(default=None, init=False)
    _use: Use | None = field(default=None, init=False, repr=False)

    @property
    def _name(self) -> str:
        return str(self.fingerprint.get("model", "encoder"))

    @property
    def storage(self) -> Storage:
        """How the vectors are stored."""
        name = str(self.fingerprint.get("storage", "float32"))
        if name not in STORAGES:
            raise ConfigError(f"{self._name}: its fingerprint says storage '{name}'; choose {', '.join(STORAGES)}")
        return STORAGES[name]

    @property
    def truncate_dim(self) -> int | None:
        """Number of leading dimensions that are read; None for all."""
        dim: int | None = self.fingerprint.get("reading", {}).get("truncate_dim")
        return dim

    @property
    def _stored(self) -> dict[str, Any]:
        """What changes a vector as it is stored."""
        return {name: value for name, value in self.fingerprint.items() if name != "reading"}

    @property
    def folder(self) -> Path:
        """Folder of this encoder and role."""
        key = json.dumps([FORMAT, self.role, self._stored], sort_keys=True, ensure_ascii=False)
        return self.root / digest(key)[:20]

    @cached_property
    def shards(self) -> dict[str, Shard]:
        """Language to its vectors."""
        self._fetch_about()
        if self.folder.is_dir():
            with suppress(CacheError):  # read-only
                self._describe()
        self._note_use()
        return {
            lang: Shard(self.folder / lang / revision[:20], len(self.texts.rows(lang)), self.storage)
            for lang, revision in self.texts.shards.items()
        }

    @cached_property
    def _first_chunk(self) -> np.ndarray:
        """(languages,) int64: number of each language's first chunk, counted through all languages."""
        counts = [chunk_count(shard.size) for shard in self.shards.values()]
        first = dict(zip(self.shards, np.cumsum([0, *counts]).tolist(), strict=False))
        return np.array([first[lang] for lang in self.texts.languages], np.int64)

    def owners(self, rows: np.ndarray, of: int) -> np.ndarray:
        """Return which of `of` shares some rows belong to; see `Share`.

        :param rows: (n,) rows of the collection.
        :param of: number of shares.
        :return: (n,) numbers of shares.
        """
        chunks = self.texts.positions(rows) // shards.CHUNK_ROWS + self._first_chunk[self.texts.language[rows]]
        return np.asarray(chunks % of)

    def of_share(self, lang: str, rows: np.ndarray, share: Share) -> np.ndarray:
        """Return those of some rows of a language that belong to a share; memory is taken for these alone.

        :param lang: the language.
        :param rows: rows of the collection, ascending.
        :param share: which chunks.
        :return: its rows, ascending.
        """
        first = (share.number - self._first_chunk[self.texts.languages.index(lang)]) % share.of
        chunks = range(int(first), chunk_count(len(self.texts.rows(lang))), share.of)
        return np.concatenate([rows[:0], *(self._in_chunk(lang, rows, number) for number in chunks)])

    def _parts(self, lang: str, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Split rows of a language so that no chunk is torn apart and each part is small."""
        bounds = self.texts.rows(lang)[:: LOOKED_AT * shards.CHUNK_ROWS]
        return (part for part in np.split(rows, np.searchsorted(rows, bounds)) if len(part))

    def _in_chunk(self, lang: str, rows: np.ndarray, number: int) -> np.ndarray:
        """Return those of some rows of a language that belong to one of its chunks."""
        chunk = self.texts.rows(lang)[number * shards.CHUNK_ROWS :][: shards.CHUNK_ROWS]
        return rows[slice(*np.searchsorted(rows, [chunk[0], chunk[-1] + 1]))]

    def _missing(self, lang: str, rows: np.ndarray) -> dict[int, int]:
        """Return for each chunk of a language how many of some rows are not encoded, where some are not."""
        found = dict[int, int]()
        for part in self._parts(lang, rows):
            missing = self._offsets(lang, part)
            found.update((number, len(offsets)) for number, offsets in missing.items())
        return found

    def _offsets(self, lang: str, rows: np.ndarray, claimed: bool = False) -> dict[int, np.ndarray]:
        """Return what is lacking of some rows of a language; see `Shard.missing`."""
        return self.shards[lang].missing(self.texts.positions(rows), claimed, self.texts.text_hash[rows])

    def lacking(self, rows: Rows, look_inside: bool = True) -> int:
        """Return the number of texts that are not encoded.

        :param rows: which texts.
        :param look_inside: read the chunks, and fetch those of the store that machines share; else one with a file is whole.
        """
        total = 0
        for lang, mine in rows.items():
            if look_inside:
                total += sum(self._missing(lang, mine).values())
                continue
            there = list(self.shards[lang].numbers())
            for part in self._parts(lang, mine):
                total += int((~np.isin(self.texts.positions(part) // shards.CHUNK_ROWS, there)).sum())
        return total

    def fill(
        self,
        lang: str,
        rows: np.ndarray,
        encode: Encode,
        progress: Callable[[int], None] = lambda n: None,
        share: Share | None = None,
    ) -> Filled:
        """Make sure that rows of one language are encoded; several processes may do so at once and share the work.

        :param lang: the language.
        :param rows: rows of the collection, ascending.
        :param encode: what turns texts into vectors.
        :param progress: told the number of rows done, in steps.
        :param share: fill the chunks of this share only.
        :return: how many texts were encoded and how many vectors were there already.
        :raises CacheError: if vectors cannot be written.
        :raises ModelError: if the encoder returns something unusable; nothing of it is kept.
        """
        if share is not None:
            rows = self.of_share(lang, rows, share)
        shard, lacking = self.shards[lang], self._missing(lang, rows)
        total = sum(lacking.values())
        for part in self._parts(lang, rows):
            self._share(shard, self.texts.positions(part))
        progress(len(rows) - total)
        if not total:
            return Filled(0, len(rows))
        self._prepare(shard)
        with explained(shard.folder):
            known, exact = TextIndex.of_language(shard.folder.parent, shard), self._exact(lang)
        self._width = self._width or shard.width()
        encoded, replaced, some = 0, 0, list[str]()
        for number in claimed(shard.folder, lacking):
            shard.forget(number)  # another process may have written it
            offsets = self._offsets(lang, self._in_chunk(lang, rows, number), claimed=True).get(number)
            if offsets is not None:
                others = self._of_other_texts(lang, number, offsets)
                replaced, some = replaced + len(others), (some + others)[:3]
                encoded += self._fill_chunk(lang, number, offsets, encode, known, exact)
            with explained(shard.folder):
                known.add(shard, number)
            progress(lacking[number])
        if replaced:
            which = ", ".join(some) + (f" and {replaced - len(some):,} more" if replaced > len(some) else "")
            logger.warning("%s: vectors of other texts than those of the collection, encoded again: %s", shard.folder, which)
        return Filled(encoded, len(rows) - encoded)

    def _of_other_texts(self, lang: str, number: int, offsets: np.ndarray) -> list[str]:
        """Return the ids of those of some rows for which a chunk has a vector all the same."""
        chunk = self.shards[lang].chunk(number)
        there = offsets[:0] if chunk is None else offsets[np.isin(offsets, chunk.rows)]
        return self.texts.ids(self.texts.rows(lang)[number * shards.CHUNK_ROWS + there]) if len(there) else []

    def join(self, rows: Rows) -> None:
        """Join chunks that lie here in part with what other machines have put into the store that machines share.

        :param rows: which texts.
        """
        for lang, mine in rows.items():
            shard, lacking = self.shards[lang], self._missing(lang, mine)
            for number in claimed(shard.folder, lacking) if lacking else ():
                shard.forget(number)
                self._offsets(lang, self._in_chunk(lang, mine, number), claimed=True)

    def _exact(self, lang: str) -> TextIndex:
        """Return where uncoded vectors of this encoder are found, if those to be stored are codes of them."""
        whole = {**self.fingerprint, "storage": "float32"}
        if whole == self.fingerprint or "storage" not in self.fingerprint:
            return TextIndex(self.folder)
        return TextIndex.of_language(replace(self, fingerprint=whole).folder / lang)

    def _fill_chunk(
        self, lang: str, number: int, offsets: np.ndarray, encode: Encode, known: TextIndex, exact: TextIndex
    ) -> int:
        """Encode what no chunk has, copy what one has, write the chunk; return the number of texts encoded."""
        shard = self.shards[lang]
        rows = self.texts.rows(lang)[number * shards.CHUNK_ROWS + offsets]
        columns, texts, hashes = self.texts.records(rows)
        copied = known.find(hashes)
        _, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
        fresh = np.sort(first[[int(i) not in copied for i in first]])  # a text that stands twice is encoded once
        whole = exact.find(hashes[fresh])
        asked = np.array([i for i in range(len(fresh)) if i not in whole], np.int64)
        new = fresh[asked]
        ids, shown = [columns["id"][i] for i in new], [texts[i] for i in new]
        stored = self._encoded(lang, ids, shown, encode) if len(new) else None
        for i, vector in whole.items():
            copied[int(fresh[i])] = self._code(vector[None])[0]
        some = [*([stored[0]] if stored is not None else []), *copied.values()]
        widths = {self.storage.width(len(vector)) for vector in some} | ({self._width} if self._width else set())
        if len(widths) > 1:
            raise ModelError(f"{self._name}: vectors of {min(widths)} and of {max(widths)} dimensions ({lang}, chunk {number})")
        self._width = widths.pop()
        self._check_truncation(self._width)
        result = np.empty((len(rows), len(some[0])), some[0].dtype)
        source = first[which.reshape(-1)]
        if stored is not None:
            result[:] = stored[np.searchsorted(new, source).clip(max=len(new) - 1)]
        for i, row in enumerate(source.tolist()):
            if i in copied or row in copied:
                result[i] = copied[i] if i in copied else copied[row]
        shard.write(number, offsets, result, hashes)
        return len(new)

    def _encoded(self, lang: str, ids: list[str], texts: list[str], encode: Encode) -> np.ndarray:
        """Return what an encoder makes of texts, as it is stored."""
        return self._code(check_vectors(encode(texts, lang), ids, self._name, cosine=self.cosine))

    def _code(self, vectors: np.ndarray) -> np.ndarray:
        try:
            return self.storage.encode(vectors)
        except (ConfigError, ModelError) as error:
            raise type(error)(f"{self._name}: {error}") from error

    def _check_truncation(self, width: int) -> None:
        if self.truncate_dim is not None and self.truncate_dim > width:
            raise ConfigError(
                f"{self._name}: --truncate-dim {self.truncate_dim}, but the model's vectors have {width} dimensions"
            )

    def _prepare(self, shard: Shard) -> None:
        """Make the folder of a language, and say beside it whose vectors they are."""
        with explained(shard.folder):
            shard.folder.mkdir(parents=True, exist_ok=True)
            self._describe()
        self._share(shard, np.empty(0, np.int64))
        self._note_use()

    def _describe(self) -> None:
        """Say whose vectors they are, unless that is said already, and whole."""
        if not _is_whole(self.folder / ABOUT):
            write_sealed(self.folder / ABOUT, {"role": self.role, **self._stored, "format": FORMAT})

    def _share(self, shard: Shard, positions: np.ndarray) -> None:
        """Put what lies here into the store that machines share, if there is one and it lacks it."""
        shard.share(positions)
        shared = shared_store(self.folder)
        if (self.folder / ABOUT).exists() and shared.lacks(self.folder / ABOUT):
            shared.put(self.folder / ABOUT)

    def _fetch_about(self) -> None:
        """Say whose vectors they are beside those that are going to be fetched."""
        shared = shared_store(self.folder)
        if not (self.folder / ABOUT).exists() and ABOUT in shared.names(self.folder):
            shared.fetch([self.folder / ABOUT], _is_whole)

    def _note_use(self) -> None:
        if self._use is None and self.folder.is_dir():
            self._use = Use(self.folder)

    @property
    def width(self) -> int | None:
        """Width of the vectors as they are read, or None if there are none."""
        width = self._width or next((width for shard in self.shards.values() if (width := shard.width())), None)
        return width if width is None or self.truncate_dim is None else min(width, self.truncate_dim)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Return vectors of any rows of the collection.

        :param rows: (n,) rows, any languages, any order.
        :return: (n, d) float32.
        """
        languages = self.texts.language[rows]
        result: np.ndarray | None = None
        for number in np.unique(languages):
            where = np.flatnonzero(languages == number)
            part = self._read(self.texts.languages[number], rows[where])
            if result is None:
                result = np.empty((len(rows), part.shape[1]), np.float32)
            result[where] = part
        return np.empty((0, 0), np.float32) if result is None else result

    def tiles(self, lang: str, rows: np.ndarray, size: int = TILE_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Stream the vectors of some rows of one language.

        :param lang: the language.
        :param rows: rows of the collection, ascending.
        :param size: most rows in one tile.
        :yield: (rows of the collection, (n, d) float32).
        """
        parts = (rows[start : start + size] for start in range(0, len(rows), size))
        return ahead(lambda part: (part, self._read(lang, part)), parts, READERS)

    def _read(self, lang: str, rows: np.ndarray) -> np.ndarray:
        """Return vectors of one language, cut if they are to be."""
        vectors = self.shards[lang].gather(self.texts.positions(rows))
        if self.truncate_dim is None:
            return vectors
        self._check_truncation(vectors.shape[1])
        vectors = vectors[:, : self.truncate_dim]
        if not self.cosine:
            return np.ascontiguousarray(vectors)
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        zero = np.flatnonzero(norms == 0)
        if len(zero):
            raise ModelError(
                f"{self._name}: the first {self.truncate_dim} numbers of the vector of text "
                f"'{self.texts.ids(rows[zero[:1]])[0]}' and {len(zero) - 1} more are 0; they have no cosine"
            )
        return np.asarray(vectors / norms[:, None], np.float32)


def _is_whole(path: Path) -> bool:
    try:
        return bool(read_sealed(path))
    except DataError:
        return False
