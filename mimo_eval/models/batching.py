"""Batches of texts of similar length, each of at most so many tokens with its padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np


class Tokens(NamedTuple):
    """The tokens of some texts, one text after the other."""

    ids: np.ndarray
    """(tokens,) int32."""
    lengths: np.ndarray
    """(texts,) int64: number of tokens."""

    @classmethod
    def of(cls, encodings: Sequence[Any]) -> Tokens:
        """Take the tokens out of encodings of the library tokenizers."""
        ids = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return cls(np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum())), lengths)

    def padded(self, texts: np.ndarray, pad: int, left: bool = False) -> np.ndarray:
        """Return the tokens of some of the texts as a rectangle.

        :param texts: (n,) which.
        :param pad: token that fills up.
        :param left: fill up before the text, not after it.
        :return: (2, n, longest) int32: tokens, and 1 where they are a text's.
        """
        lengths = self.lengths[texts]
        columns = np.arange(lengths.max(initial=0))
        own = columns >= columns.size - lengths[:, None] if left else columns < lengths[:, None]
        starts = np.cumsum(self.lengths)[texts] - lengths
        found = np.empty((2, *own.shape), np.int32)
        found[0], found[1] = pad, own
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found[0][own] = self.ids[np.repeat(starts, lengths) + within]
        return found


def cut(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Put texts into batches, the longest first, so that a batch that is too large for the memory is the first.

    :param lengths: (n,) tokens of each text.
    :param budget: most tokens of a batch, padding included; a text that is longer is a batch of its own.
    :yield: (k,) which texts.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, budget // max(int(lengths[order[start]]), 1))
        yield order[start : start + size]
        start += size


def windows(texts: Sequence[str], size: int) -> Iterator[np.ndarray]:
    """Split texts into parts of similar length, the longest first; bytes of UTF-8 stand for tokens.

    :param texts: n texts.
    :param size: texts in a part.
    :yield: (at most size,) which texts.
    """
    sizes = np.fromiter((len(text.encode("utf-8", "surrogatepass")) for text in texts), np.int64, len(texts))
    order = np.argsort(-sizes, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]
