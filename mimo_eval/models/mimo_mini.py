"""`mimo-mini`: a static multilingual encoder that comes with the package, numpy and a tokenizer alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.digests import digest
from mimo_eval.errors import ModelError
from mimo_eval.protocols import Role

FOLDER = Path(__file__).parent.parent / "_models" / "mimo-mini"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
BLOCK = 1024
"""Texts that are embedded at a time."""


class Table(NamedTuple):
    """Token vectors in 8 bits: a token's vector is `scale[token] · values[token]`."""

    values: np.ndarray
    """(vocabulary, d) int8, from -127 to 127."""
    scale: np.ndarray
    """(vocabulary,) float32, from 0."""


def quantise(weights: np.ndarray) -> Table:
    """Round token vectors to 8 bits, each to its own scale.

    :param weights: (vocabulary, d) finite floats.
    :return: the table; its largest error is half a step, |w|max / 254 of each token.
    """
    scale = np.abs(weights).max(axis=1).astype(np.float32) / 127
    steps = weights / np.where(scale == 0, 1, scale)[:, None]
    return Table(np.rint(steps).clip(-127, 127).astype(np.int8), scale)


def write(folder: Path, weights: np.ndarray, tokenizer: Any) -> None:
    """Write a static model in the layout that `StaticTable` reads.

    :param folder: where; made if need be.
    :param weights: (vocabulary, d) token vectors of a StaticEmbedding.
    :param tokenizer: its tokenizer.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(quantise(weights)._asdict(), folder / WEIGHTS)
    (folder / TOKENIZER).write_text(tokenizer.to_str(), "utf-8")


class StaticTable:
    """The mean of 8-bit token vectors, in the layout that `write` makes.

    :param folder: its files.
    :param name: name in tables.
    """

    similarity = "cosine"

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    @property
    def width(self) -> int:
        """Width of the vectors."""
        return int(self._table.values.shape[1])

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector; queries and documents are treated alike."""
        return {"model": self.name, "files": self._hash}

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        values = self._table.values
        vocabulary, width = values.shape
        size = {"dimension": width, "vocabulary": vocabulary, "parameters": values.size}
        return {"kind": "dense", **size, "dtype": "int8", "similarity": self.similarity}

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts.

        :param texts: n texts.
        :param role: not used.
        :param lang: not used: one model for all languages.
        :return: (n, d) float32 of length 1; a text without a token gives zeros.
        :raises ModelError: if the model's files are damaged.
        """
        blocks = [self._block(list(texts[start : start + BLOCK])) for start in range(0, len(texts), BLOCK)]
        return np.concatenate(blocks) if blocks else np.empty((0, self._table.values.shape[1]), np.float32)

    def _block(self, texts: list[str]) -> np.ndarray:
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        found = np.zeros((len(rows), self._table.values.shape[1]), np.float32)
        for place, ids in enumerate(rows):
            found[place] = self._table.scale[ids] @ self._table.values[ids].astype(np.float32) if ids else 0
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(lengths == 0, 1, lengths)

    @cached_property
    def _hash(self) -> str:
        with self._reading():
            return digest(*((self.folder / name).read_bytes() for name in (WEIGHTS, TOKENIZER)))

    @cached_property
    def _table(self) -> Table:
        from safetensors.numpy import load_file

        with self._reading():
            return Table(**load_file(self.folder / WEIGHTS))

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        with self._reading():
            return Tokenizer.from_file(str(self.folder / TOKENIZER))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn whatever goes wrong while files are read into one error."""
        try:
            yield
        except Exception as error:  # tokenizers raises nothing more special
            raise ModelError(f"{self.name}: {self.folder} cannot be read ({error}); is the model whole?") from error


class MimoMini(StaticTable):
    """The model that comes with the package: fifteen languages, no download."""

    def __init__(self) -> None:
        super().__init__(FOLDER, "mimo-mini")
