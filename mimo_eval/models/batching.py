"""Batches of texts of similar length, each of at most so many tokens with its padding."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")
U = TypeVar("U")


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


def ahead(make: Callable[[T], U], items: Iterable[T], workers: int) -> Iterator[U]:
    """Make things in threads while those made before are used.

    :param make: makes one; it should leave Python's lock to others most of the time.
    :param items: of what; as many are in hand or waiting as there are threads, and one more.
    :param workers: number of threads; without any, each thing is made when it is asked for.
    :yield: what was made, in the order of the items.
    """
    if not workers:
        yield from map(make, items)
        return
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(workers, "tokens") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
