"""A deterministic encoder that needs no download: hashed character n-grams."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from mimo_eval.errors import ConfigError
from mimo_eval.protocols import Role
from mimo_eval.specs import spec_name


class HashingEncoder:
    """Counts of character n-grams, hashed with a sign into a fixed number of dimensions, damped and normalised.

    It finds what is spelt alike: a floor that any trained model should beat, and names and numbers across languages.

    :param dim: number of dimensions.
    :param shortest: fewest characters of an n-gram.
    :param longest: most characters of an n-gram.
    """

    similarity = "cosine"

    def __init__(self, dim: int = 1024, shortest: int = 2, longest: int = 4) -> None:
        whole = all(isinstance(value, int) and not isinstance(value, bool) for value in (dim, shortest, longest))
        if not (whole and dim >= 1 and 1 <= shortest <= longest <= 8):
            raise ConfigError(
                f"hashing(dim={dim}, shortest={shortest}, longest={longest}): out of range; whole numbers are needed, "
                "dim at least 1, shortest from 1 to longest, longest up to 8"
            )
        self.dim, self.shortest, self.longest = dim, shortest, longest
        self.width = dim
        self.name = spec_name("hashing", {"dim": (dim, 1024), "shortest": (shortest, 2), "longest": (longest, 4)})

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector; queries and documents are treated alike."""
        return {"model": "hashing", "version": 1, "dim": self.dim, "shortest": self.shortest, "longest": self.longest}

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {"kind": "dense", "dimension": self.dim, "ngrams": [self.shortest, self.longest], "similarity": "cosine"}

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts.

        :param texts: n texts.
        :param role: not used.
        :param lang: not used.
        :return: (n, dim) float32 of length 1.
        """
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> np.ndarray:
        words = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        codes = np.frombuffer(f" {words} ".encode("utf-32-le"), np.uint32).astype(np.uint64)
        hashes = np.concatenate([_ngrams(codes, n) for n in range(self.shortest, self.longest + 1)])
        counts = np.zeros(self.dim)
        sign = np.where(hashes >> np.uint64(63), -1.0, 1.0)
        np.add.at(counts, (hashes % np.uint64(self.dim)).astype(np.int64), sign)
        damped = np.sign(counts) * np.log1p(np.abs(counts))
        return (damped / (np.linalg.norm(damped) or 1.0)).astype(np.float32)


def _ngrams(codes: np.ndarray, n: int) -> np.ndarray:
    """Hash every run of n characters with FNV-1a and a final mix, all runs at once."""
    if len(codes) < n:
        return np.empty(0, np.uint64)
    hashes = np.full(len(codes) - n + 1, 0xCBF29CE484222325 + n, np.uint64)
    for i in range(n):
        hashes = (hashes ^ codes[i : len(codes) - n + 1 + i]) * np.uint64(0x100000001B3)
    hashes ^= hashes >> np.uint64(33)
    hashes *= np.uint64(0xFF51AFD7ED558CCD)
    return hashes ^ (hashes >> np.uint64(33))
