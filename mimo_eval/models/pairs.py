"""Scores of (query, document) pairs: in memory 12 bytes each, on disk a file for every block that was scored.

A re-ranker's cost is its pairs, so what was scored once is kept for other corpora and other runs. A file appears under its name
only when it is complete, is never changed, and has checksums; one that is damaged is left out, and its pairs are scored again.
Processes that share a folder write files of their own.
"""

from __future__ import annotations

import json
import logging
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np

from mimo_eval.files import atomic_write

logger = logging.getLogger(__name__)


class Pairs:
    """Scores of pairs, found by binary search.

    :param folder: where they are kept; None keeps them in memory alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._numbers: dict[str, int] = {}
        self._codes, self._scores = np.empty(0, np.uint64), np.empty(0, np.float32)
        self._read()

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, query_ids: Sequence[str], documents: np.ndarray) -> np.ndarray:
        """Number pairs.

        :param query_ids: n ids.
        :param documents: (n, k) rows, none negative.
        :return: (n, k) uint64; equal for equal pairs, whenever they are asked for.
        """
        numbers = [self._numbers.setdefault(id_, len(self._numbers)) for id_ in query_ids]
        return (np.array(numbers, np.uint64)[:, None] << np.uint64(32)) | documents.astype(np.uint64)

    def missing(self, codes: np.ndarray) -> np.ndarray:
        """Return a mask of the pairs that have no score."""
        if not len(self._codes):
            return np.ones(codes.shape, bool)
        found: np.ndarray = self._codes[self._place(codes)] != codes
        return found

    def add(self, codes: np.ndarray, scores: np.ndarray) -> None:
        """Add pairs, none of which is known, and write them.

        :param codes: (n,), each once.
        :param scores: (n,).
        :raises CacheError: if they cannot be written.
        """
        order = np.argsort(codes)
        codes, scores = codes[order], scores[order].astype(np.float32)
        at = np.searchsorted(self._codes, codes)
        self._codes = np.insert(self._codes, at, codes)
        self._scores = np.insert(self._scores, at, scores)
        if self.folder is not None:
            self._write(self.folder / f"{uuid4().hex}.npz", codes, scores)

    def scores(self, codes: np.ndarray) -> np.ndarray:
        """Return the float32 scores of pairs that all have one."""
        found: np.ndarray = self._scores[self._place(codes)]
        return found

    def _place(self, codes: np.ndarray) -> np.ndarray:
        place: np.ndarray = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return place

    def _write(self, path: Path, codes: np.ndarray, scores: np.ndarray) -> None:
        """Write pairs by the queries' ids, since numbers are this process's own."""
        numbers, query = np.unique(codes >> np.uint64(32), return_inverse=True)
        names = list(self._numbers)
        ids = json.dumps([names[number] for number in numbers.tolist()]).encode()
        with atomic_write(path) as stream:
            np.savez(
                stream,
                ids=np.frombuffer(ids, np.uint8),
                query=query.astype(np.uint32),
                document=codes.astype(np.uint32),
                score=scores,
            )

    def _read(self) -> None:
        codes, scores = [self._codes], [self._scores]
        for path in sorted(self.folder.glob("*.npz")) if self.folder else []:
            try:
                with np.load(path, allow_pickle=False) as file:
                    of_ids = self.codes(json.loads(file["ids"].tobytes()), np.zeros((1, 1)))[:, 0]
                    codes.append(of_ids[file["query"]] | file["document"].astype(np.uint64))
                    scores.append(file["score"])
            except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile, zlib.error) as error:
                logger.warning("%s: damaged (%s); its pairs are scored again", path, error)
        self._codes, first = np.unique(np.concatenate(codes), return_index=True)
        self._scores = np.concatenate(scores)[first]
