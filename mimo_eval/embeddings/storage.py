"""How vectors are stored: as numbers of 32, 16 or 8 bits, or as one bit per dimension.

Codes are made of each vector by itself, so that they do not depend on a calibration set, on where a run was interrupted or on
what else is stored. A code is read as a vector of the length that the original had, in the direction of its whole numbers
(int8: the largest is 127 or -127) or of its signs (binary). Queries are not coded: a score is the dot product of a float32
query and a document as it is read, which is what others call rescoring (Shakir et al. 2024, "Binary and Scalar Embedding
Quantization"; `rescore=True` of sentence-transformers), here of every document and not of candidates alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mimo_eval.errors import ConfigError, ModelError

BYTES = 4
"""Of the float32 scale, little endian, that stands after the codes of a vector."""


class Storage(NamedTuple):
    """One way to store vectors."""

    encode: Callable[[np.ndarray], np.ndarray]
    """(n, d) floats to (n, columns) rows as they lie on disk."""
    decode: Callable[[np.ndarray], np.ndarray]
    """(n, columns) rows to (n, d) float32; a row's vector does not depend on the rows beside it."""
    width: Callable[[int], int]
    """Columns to d."""


def _as_float32(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows, np.float32)


def _to_float16(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        rows = vectors.astype(np.float16)
    if not np.isfinite(rows).all():
        raise ModelError("a number of a vector is too large for float16; choose another --storage")
    return rows


def _to_int8(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    codes = np.rint(vectors / np.where(largest > 0, largest, 1) * 127).astype(np.int8)
    lengths = np.sqrt(np.einsum("nd,nd->n", codes, codes, dtype=np.float64))
    return _rows(codes.view(np.uint8), _norms(vectors) / np.where(lengths > 0, lengths, 1))


def _from_int8(rows: np.ndarray) -> np.ndarray:
    codes, scales = _parts(rows)
    return np.asarray(codes.view(np.int8).astype(np.float32) * scales)


def _to_binary(vectors: np.ndarray) -> np.ndarray:
    width = vectors.shape[1]
    if width % 8:
        raise ConfigError(f"binary storage needs vectors of a multiple of 8 dimensions, not {width}; choose another --storage")
    return _rows(np.packbits(vectors > 0, axis=1), _norms(vectors.astype(np.float64)) / np.sqrt(width))


def _from_binary(rows: np.ndarray) -> np.ndarray:
    codes, scales = _parts(rows)
    return np.asarray(np.where(np.unpackbits(codes, axis=1), scales, -scales))


def _norms(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vectors, vectors)))


def _rows(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Put scales after codes."""
    return np.concatenate([codes, scales.astype("<f4").view(np.uint8).reshape(-1, BYTES)], axis=1)


def _parts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, columns) uint8 codes and (n, 1) float32 scales."""
    codes, scales = np.ascontiguousarray(rows[:, :-BYTES]), np.ascontiguousarray(rows[:, -BYTES:])
    return codes, scales.view("<f4").astype(np.float32)


STORAGES = {
    "float32": Storage(lambda vectors: vectors, _as_float32, lambda columns: columns),
    "float16": Storage(_to_float16, _as_float32, lambda columns: columns),
    "int8": Storage(_to_int8, _from_int8, lambda columns: columns - BYTES),
    "binary": Storage(_to_binary, _from_binary, lambda columns: 8 * (columns - BYTES)),
}
"""By name. `float32` keeps float16 where that is what the encoder returns."""
