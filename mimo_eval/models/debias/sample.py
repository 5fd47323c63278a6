"""The texts from which a debiasing takes its statistics: named, drawn by hash, and none of those that are evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash

from mimo_eval.collections import SOURCES, load
from mimo_eval.collections.build import build_texts, origin
from mimo_eval.collections.collection import Texts
from mimo_eval.collections.jsonl import read_objects
from mimo_eval.collections.records import Problems, Text
from mimo_eval.digests import digest
from mimo_eval.embeddings import text_hash
from mimo_eval.errors import DataError

ENDING = re.compile(r"(?<=.)(\.(jsonl|json|ndjson))?(\.(gz|zst))?$")
REMEDY = "name other texts with sample=…: a collection, or a JSON-lines file of {text, lang, group}"
BATCH = 10_000


class _Loaded(NamedTuple):
    texts: Texts
    revision: str


@dataclass(frozen=True)
class Sample:
    """Texts of a collection's documents or of a file, some of them per language.

    Groups are ordered by a hash of seed and group, and each language takes the first of those it has. So all languages have
    the same groups where the sample is parallel, on any machine and in any order of the file.

    :param source: name or folder of a collection, or a JSON-lines file (`.gz`, `.zst`) of {text, lang, group}.
    :param size: most texts per language.
    :param seed: another seed draws other texts.
    """

    source: str = "mini"
    size: int = 3000
    seed: int = 0

    @property
    def name(self) -> str:
        """The name without folder and ending, known before anything is read."""
        return ENDING.sub("", Path(self.source).name) if self._is_path else self.source

    @property
    def _is_path(self) -> bool:
        return self.source not in SOURCES and (Path(self.source).exists() or "/" in self.source.partition("(")[0])

    @cached_property
    def _loaded(self) -> _Loaded:
        if not self._is_path or Path(self.source).is_dir():
            collection = load(self.source)
            return _Loaded(collection.documents, collection.revision)
        path = Path(self.source)
        if not path.is_file():
            raise DataError(f"sample={path}: no such file or folder")
        loose = build_texts(self.name, [path], lambda problems: read_sample(path, problems))
        return _Loaded(loose.texts, loose.revision)

    @property
    def texts(self) -> Texts:
        """All the texts it is drawn from."""
        return self._loaded.texts

    @property
    def revision(self) -> str:
        """Hash of the content of what it is drawn from."""
        return self._loaded.revision

    def draw(self, languages: set[str]) -> Texts:
        """Draw texts.

        :param languages: languages that are wanted; those that the sample lacks are not in the result.
        :return: at most `size` texts of each, in memory.
        """
        import pyarrow as pa
        from datasets import Dataset

        texts = self.texts
        parts = {lang: texts.records(self._rows(texts, lang)) for lang in texts.languages if lang in languages}
        shards = {lang: digest(*part.shown) for lang, part in parts.items()}
        content = {name: [part.columns[name] for part in parts.values()] for name in texts.dataset.column_names}
        columns = {name: pa.array(chain.from_iterable(values), pa.string()) for name, values in content.items()}
        return Texts(Dataset(pa.table(columns)), shards)

    def _rows(self, texts: Texts, lang: str) -> np.ndarray:
        rows = texts.rows(lang)
        groups = texts.column("group").take(rows).to_pylist()
        hashes = np.array([xxhash.xxh3_64_intdigest(f"{self.seed}\0{group}".encode()) for group in groups], np.uint64)
        return rows[np.argsort(hashes, kind="stable")[: self.size]]

    def require(self, lang: str) -> None:
        """Raise if there are no texts in a language.

        :param lang: the language.
        :raises DataError: naming those there are, with the remedy.
        """
        if lang not in self.texts.languages:
            raise DataError(
                f"the sample '{self.name}' has no texts in {lang}, so nothing is known of that language; it has "
                f"{', '.join(self.texts.languages)}; {REMEDY}, or leave {lang} out with --languages"
            )

    def refuse_itself(self, documents: Texts) -> None:
        """Raise if it is the collection that is evaluated.

        :param documents: documents of the evaluated collection.
        :raises DataError: naming it, with the remedy.
        """
        name, revision = origin(documents)
        if revision and revision == self.revision:
            raise DataError(f"the sample '{self.name}' is the collection that is evaluated, {_called(name)}; {REMEDY}")

    def refuse_overlap(self, drawn: Texts, documents: Texts, queries: Texts) -> None:
        """Raise if a drawn text is evaluated; white space does not make a difference.

        :param drawn: what statistics are taken from.
        :param documents: documents of the evaluated collection.
        :param queries: its queries.
        :raises DataError: naming sample and collection, with the number of texts and the remedy.
        """
        self.refuse_itself(documents)
        mine = {key: row for row, key in enumerate(_hashes(drawn))}
        shared = {key for side in (documents, queries) for key in _hashes(side) if key in mine}
        if shared:
            first = drawn.ids([min(mine[key] for key in shared)])[0]
            raise DataError(
                f"the sample '{self.name}' shares {len(shared):,} of its {len(drawn):,} texts with the documents and queries "
                f"of {_called(origin(documents)[0])}, on which nothing may be estimated (one is '{first}'); {REMEDY}"
            )


def _called(name: str) -> str:
    return f"'{name}'" if name else "the evaluated collection"


def _hashes(texts: Texts) -> Iterator[bytes]:
    """Yield a hash of each text without its title; of the title where there is nothing else."""
    for start in range(0, len(texts), BATCH):
        batch = texts.records(range(start, min(start + BATCH, len(texts)))).columns
        titles = batch.get("title") or [""] * len(batch["text"])
        for title, text in zip(titles, batch["text"], strict=True):
            yield text_hash(" ".join((text if text.strip() else title).split()))


def read_sample(path: Path, problems: Problems) -> Iterator[Text]:
    """Read texts, one JSON object a line; ids are the numbers of the lines.

    :param path: a file with `text`, `lang`, and where texts are translations of each other `group`; `.gz` and `.zst` too.
    :param problems: where problems are noted.
    :yield: the texts.
    """
    for record, where in read_objects(path, problems):
        fields = [record.get(name) for name in ("text", "lang", "title")]
        if fields[0] is None:
            problems.add("missing field", where, "text")
        elif not all(isinstance(value, str) for value in fields if value is not None):
            problems.add("unreadable line", where, "text, lang or title is not a string")
        else:
            text, lang, title = (value or "" for value in fields)
            group = record.get("group")
            yield Text(where.rpartition(":")[2], text, lang, None if group in (None, "") else str(group), title, where)
