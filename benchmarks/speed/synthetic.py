"""Texts and vectors of any number, made as they are asked for: a collection in ten languages, and an encoder that costs little.

Document i is a text that begins with `i i`, a query one that begins with the numbers of its two relevant documents. The encoder
looks numbers up in tables: a low-rank signal of the numbers, as text embeddings have one, and noise that depends on the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.protocols import Role

LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "id", "ja", "ru", "zh")
RANK = 32
"""Dimensions of the signal."""
BITS = 12
"""Of a number that one table is asked for; two tables tell 2^24 numbers apart."""
ODD = 10_368_889
"""Numbers are multiplied by it, so that neighbours have nothing in common."""
NOISE = {"document": 0.5, "query": 1.2}
"""Size of the noise beside a signal of 1; a query's is chosen so that some relevant documents lie below the lists."""


class Synthetic:
    """A source of documents and of queries with two relevant documents each."""

    grouped_judgements = False

    def __init__(self, documents: int, queries: int) -> None:
        self.info = Info("synthetic", "synthetic", "CC0-1.0", "generated")
        self.count = documents
        rng = np.random.default_rng(2)
        self.relevant = rng.integers(documents, size=(queries, 2))
        words = ["".join(rng.choice(list("aeioubcdfghklmnprst"), rng.integers(2, 10))) for _ in range(2000)]
        self.phrases = [" ".join(rng.choice(words, 15)) for _ in range(1000)]

    def files(self) -> list[Path]:
        return []

    def _text(self, first: int, second: int, number: int) -> str:
        return f"{first} {second} {self.phrases[number % len(self.phrases)]}"

    def documents(self, problems: Problems) -> Iterator[Text]:
        for i in range(self.count):
            yield Text(f"d{i}", self._text(i, i, i), LANGUAGES[i % len(LANGUAGES)])

    def queries(self, problems: Problems) -> Iterator[Text]:
        for i, (first, second) in enumerate(self.relevant.tolist()):
            yield Text(f"q{i}", self._text(first, second, i), LANGUAGES[i % len(LANGUAGES)])

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        for query, documents in enumerate(self.relevant.tolist()):
            yield from (Judgement(f"q{query}", f"d{document}", 1) for document in dict.fromkeys(documents))


class TableEncoder:
    """Vectors of the texts of `Synthetic`: sums of rows of tables, the same on every machine.

    :param width: number of dimensions.
    """

    name = "tables"
    similarity = "cosine"

    def __init__(self, width: int = 384) -> None:
        self.width = width

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector."""
        return {"model": self.name, "width": self.width, "noise": NOISE[role]}

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """(2, 2^BITS, width) float32 of the signal, the same of the noise."""
        rng = np.random.default_rng(1)
        basis = rng.standard_normal((RANK, self.width), np.float32) / np.float32(np.sqrt(RANK))
        signal = rng.standard_normal((2, 2**BITS, RANK), np.float32) @ basis
        return signal, rng.standard_normal((2, 2**BITS, self.width), np.float32)

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts.

        :param texts: n texts of a `Synthetic`.
        :param role: decides the size of the noise.
        :param lang: not used.
        :return: (n, width) float32.
        """
        signal, noise = self._tables
        numbers = np.array([text.split(" ", 2)[:2] for text in texts], np.int64)
        hashes = np.array([xxhash.xxh3_64_intdigest(text.encode()) % 2**31 for text in texts], np.int64)
        meant = (_drawn(signal, numbers[:, 0]) + _drawn(signal, numbers[:, 1])) / 2
        return np.asarray(meant + np.float32(NOISE[role]) * _drawn(noise, hashes))


def _drawn(tables: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the sum of a row of each table, another for every number below 2^24."""
    mixed = numbers * ODD
    return np.asarray(tables[0][mixed % 2**BITS] + tables[1][(mixed >> BITS) % 2**BITS])
