"""Sums of unit vectors per language and block of items: enough for whatever depends on means alone, from one pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimo_eval.geometry.vectors import CHUNK, LabelledVectors

BLOCKS = 10
"""Parts of a block jackknife: its standard error is itself uncertain by about a quarter."""


class BlockSums(NamedTuple):
    """Sums of unit vectors over each block of items and each present language."""

    sums: np.ndarray
    """(blocks, languages, d) float64."""
    counts: np.ndarray
    """(blocks, languages) rows."""

    def without_each_block(self) -> BlockSums:
        """Return the sums over all blocks but one, for each block."""
        return BlockSums(self.sums.sum(axis=0) - self.sums, self.counts.sum(axis=0) - self.counts)


def item_blocks(vectors: LabelledVectors, seed: int) -> np.ndarray:
    """Deal the items into blocks of equal size, so that translations stay together.

    :param vectors: the vectors.
    :param seed: of the deal.
    :return: (n,) the block of each row.
    """
    blocks = max(1, min(BLOCKS, vectors.items))
    return np.asarray(np.random.default_rng(seed).permutation(vectors.items)[vectors.item_of_row] % blocks)


def block_sums(vectors: LabelledVectors, seed: int, *, chunk: int = CHUNK) -> BlockSums:
    """Sum unit vectors per block and language.

    :param vectors: the vectors.
    :param seed: of the blocks.
    :param chunk: rows at a time.
    :return: sums and counts.
    """
    blocks, languages = item_blocks(vectors, seed), len(vectors.present)
    cell = blocks * languages + np.searchsorted(vectors.present, vectors.languages)
    cells = (int(blocks.max()) + 1) * languages
    sums = np.zeros((cells, vectors.dimensions))
    for rows, block in vectors.chunks(size=chunk):
        order = np.argsort(cell[rows], kind="stable")
        found, starts = np.unique(cell[rows][order], return_index=True)
        sums[found] += np.add.reduceat(block[order].astype(np.float64), starts, axis=0)
    counts = np.bincount(cell, minlength=cells)
    return BlockSums(sums.reshape(-1, languages, vectors.dimensions), counts.reshape(-1, languages))
