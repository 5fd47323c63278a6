"""Standard errors: of means whose rows share items, of averages over language pairs, and by leaving items out.

All of them answer "how much would this number move with other items of the same kind", so rows of one group
always move together.
"""

from __future__ import annotations

import numpy as np


def clustered_error(values: np.ndarray, items: np.ndarray) -> float | None:
    """Estimate the standard error of a mean whose rows share items.

    :param values: (n,) one value per row.
    :param items: (n,) the item of each row; rows of one item are not independent.
    :return: the standard error, None with fewer than two items.
    """
    _, item = np.unique(items, return_inverse=True)
    count = int(item.max()) + 1 if len(values) else 0
    if count < 2:
        return None
    moved = np.bincount(item.reshape(-1), weights=values - values.mean()) / len(values)
    return float(np.sqrt((moved**2).sum() * count / (count - 1)))


def jackknife_error(estimates: np.ndarray) -> float | None:
    """Estimate a standard error from estimates that each leave one item, or one block of items, out.

    :param estimates: (parts,) the estimate without each part.
    :return: the standard error, None with fewer than two parts or where an estimate is not finite.
    """
    parts = len(estimates)
    if parts < 2 or not np.isfinite(estimates).all():
        return None
    return float(np.sqrt((parts - 1) * np.var(estimates)))


class MacroMean:
    """The mean over cells (language pairs), each of which is an estimate from items that other cells share.

    :param items: number of items there are; cells name theirs by position.
    """

    def __init__(self, items: int) -> None:
        self._moved = np.zeros(items)
        self._cells: list[float] = []
        self._certain = False

    def add_mean(self, values: np.ndarray, items: np.ndarray) -> float:
        """Add a cell that is the mean of its items' values.

        :param values: (n,) one value per item, n >= 1.
        :param items: (n,) positions of the items, each at most once.
        :return: the mean.
        """
        n, mean = len(values), float(np.mean(values, dtype=np.float64))
        self.add(mean, (values - mean) / np.sqrt(n * (n - 1)) if n > 1 else None, items)
        return mean

    def add_jackknife(self, value: float, estimates: np.ndarray, items: np.ndarray) -> None:
        """Add a cell whose estimates without each of its items are known.

        :param value: the cell's estimate from all its items.
        :param estimates: (n,) the estimate without each item; not finite where it cannot be said.
        :param items: (n,) positions of the items.
        """
        known = len(estimates) > 1 and bool(np.isfinite(estimates).all())
        scale = np.sqrt((len(estimates) - 1) / len(estimates))
        self.add(value, scale * (estimates.mean() - estimates) if known else None, items)

    def add(self, value: float, influence: np.ndarray | None, items: np.ndarray) -> None:
        """Add a cell.

        :param value: its estimate.
        :param influence: (n,) how far each item moves it, their squares summing to its variance; None if unknown.
        :param items: (n,) positions of the items.
        """
        self._cells.append(value)
        if influence is not None:
            self._moved[items] += influence
            self._certain = True

    @property
    def cells(self) -> int:
        """How many cells were added."""
        return len(self._cells)

    @property
    def value(self) -> float:
        """The mean over cells."""
        return float(np.mean(self._cells))

    @property
    def standard_error(self) -> float | None:
        """Its standard error over items; None if no cell had two items."""
        return float(np.sqrt((self._moved**2).sum())) / self.cells if self._certain else None
