"""What an encoder must not return."""

from __future__ import annotations

from typing import Any

import numpy as np

from mimo_eval.errors import ModelError

LONGEST = 1e18
"""Largest norm of a vector whose dot products are sure to be finite."""


def _off_torch(vectors: Any) -> Any:
    """Return a tensor of torch as NumPy takes it: on the CPU, without gradient, in a type that NumPy has."""
    if not hasattr(vectors, "detach"):
        return vectors
    vectors = vectors.detach().cpu()
    return vectors.float() if str(vectors.dtype) == "torch.bfloat16" else vectors


def check_vectors(vectors: Any, ids: list[str], model: str, *, cosine: bool) -> np.ndarray:
    """Refuse what an encoder must not return.

    :param vectors: what it returned for the texts of `ids`.
    :param ids: ids of the texts.
    :param model: its name, for messages.
    :param cosine: whether to divide vectors by their length.
    :return: (n, d) float32 or float16, contiguous.
    :raises ModelError: naming the model and the first text concerned.
    """
    try:
        several = isinstance(vectors, (list, tuple)) and len(vectors) and hasattr(vectors[0], "detach")
        array = np.asarray([_off_torch(v) for v in vectors] if several else _off_torch(vectors))
        if array.dtype not in (np.float16, np.float32):
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{model}: the vectors are not an array of numbers ({error})") from error
    if array.ndim != 2 or array.shape[1] < 1:
        raise ModelError(f"{model}: expected vectors of shape ({len(ids)}, d), got {array.shape} (first text: {ids[0]})")
    if len(array) != len(ids):
        raise ModelError(f"{model}: {len(array)} vectors for {len(ids)} texts (first text: {ids[0]})")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise ModelError(f"{model}: NaN or infinity in the vector of text '{ids[bad[0]]}' and {len(bad) - 1} more")
    norms = np.sqrt(np.einsum("nd,nd->n", array, array, dtype=np.float64))  # squares of float32 may overflow or vanish
    if cosine:
        zero = np.flatnonzero(norms == 0)
        if len(zero):
            raise ModelError(f"{model}: the vector of text '{ids[zero[0]]}' and {len(zero) - 1} more is zero; it has no cosine")
        array = (array / norms[:, None]).astype(array.dtype)
    elif norms.max(initial=0) > LONGEST:
        raise ModelError(f"{model}: the vector of text '{ids[int(norms.argmax())]}' is longer than {LONGEST:g}")
    return np.ascontiguousarray(array)
