"""Ranks from scores: by mean, and by Borda count with query languages as voters."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np

from mimo_eval.statistics import TIE


def ranks(values: np.ndarray, sign: int) -> np.ndarray:
    """Rank models; equal values share the better rank, as in sport.

    :param values: (n,) scores, nan where there is none.
    :param sign: 1 if higher is better, -1 if lower.
    :return: (n,) float64: 1 for the best; nan where there is no score.
    """
    better = (sign * (values[None, :] - values[:, None])) > TIE
    return np.where(np.isnan(values), np.nan, 1.0 + better.sum(axis=1))


def borda(votes: np.ndarray, sign: int) -> np.ndarray:
    """Count for each model the share of the others that it beats, averaged over the voters; a tie counts half.

    This is the Borda count divided by its maximum, so that boards of different sizes can be read alike.

    :param votes: (n, voters) scores, nan where a model has none there.
    :param sign: 1 if higher is better, -1 if lower.
    :return: (n,) in [0, 1]; a missing score loses to every other, and a model without any has nan.
    """
    models, voters = votes.shape
    if not voters or models < 2:
        return np.full(models, np.nan)
    filled = np.where(np.isnan(votes), -np.inf, sign * votes)
    points = np.zeros(models)
    for column in filled.T:
        finite = np.isfinite(column)
        difference = column[:, None] - np.where(finite, column, -1e300)[None, :]
        wins = (difference > TIE).sum(axis=1)
        ties = (np.abs(difference) <= TIE).sum(axis=1) - 1
        points += np.where(finite, wins + ties / 2, 0.0)
    points /= voters * (models - 1)
    return np.where(np.isnan(votes).all(axis=1), np.nan, points)


def letters(distinct: np.ndarray, order: np.ndarray) -> list[str]:
    """Return a compact letter display: two models share a letter exactly if no test tells them apart.

    The insert-and-absorb algorithm (Piepho 2004): start with one group of all, split it at every pair that differs, and
    drop groups that lie in another.

    :param distinct: (n, n) bool, symmetric: whether a pair differs significantly.
    :param order: (n,) the models, best first; letters start there.
    :return: per model its letters, `a` for the group of the best; all empty if the alphabet is too short, for groups can be as
        many as 2^(n/2): half of the models, each told apart from its twin only, need that many.
    """
    groups: list[frozenset[int]] = [frozenset(order.tolist())]
    for i, j in zip(*np.nonzero(np.triu(distinct)), strict=True):
        split = [part for g in groups for part in ((g - {int(i)}, g - {int(j)}) if {int(i), int(j)} <= g else (g,))]
        unique = sorted(set(split), key=len, reverse=True)
        groups = []
        for part in unique:
            if not any(part <= kept for kept in groups):
                groups.append(part)
        if len(groups) > len(ascii_lowercase):
            return [""] * len(distinct)
    place = {int(model): rank for rank, model in enumerate(order)}
    groups.sort(key=lambda g: sorted(place[m] for m in g))
    return ["".join(letter for letter, g in zip(ascii_lowercase, groups, strict=False) if m in g) for m in range(len(distinct))]
