"""What the stars and intervals of a comparison cannot show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimo_eval.comparison.report import Difference

MOST_PERMUTATIONS = 1_000_000
"""Most permutations that can be asked for."""
MANY = 100
"""Questions from which the coverage of bootstrap intervals is near their level."""


def cautions(rows: Sequence[Difference], permutations: int) -> Iterator[str]:
    """Say what cannot be shown with so many comparisons, so few permutations or so few questions, and what helps.

    :param rows: all that is compared, p-values adjusted.
    :param permutations: number of permutations.
    :return: sentences.
    """
    family, questions = len(rows), max(row.groups for row in rows)
    few = family * 2.0 ** (1 - questions)  # all sign patterns of so many questions have this p, adjusted
    least = family / (permutations + 1)
    if least >= 0.05 or (few >= 0.05 and not any(row.stars for row in rows)):
        because = f"{permutations:,} permutations" if least >= few else f"{questions:,} questions"
        yield (
            f"No star is possible here: with {because} and Holm over {family:,} comparisons, "
            f"p is at least about {min(1, max(least, few)):.2g}. What helps: {' or '.join(_remedies(rows, 20, few < 0.05))}."
        )
    elif least >= 0.001:
        yield (
            f"So many comparisons cannot have p below {least:.2g} here. "
            f"For three stars: {' or '.join(_remedies(rows, 1000, few < 0.001))}."
        )
    if any(1 < row.groups < MANY for row in rows):
        yield (
            f"Bootstrap intervals of fewer than {MANY} questions are too narrow: one of 95 % covers the truth in 90 % of "
            "cases or fewer with 12 questions, in about 92 % with 60."
        )


def _remedies(rows: Sequence[Difference], times: int, permutations: bool) -> list[str]:
    """Say how adjusted p-values can get below 1/times; `permutations` is whether more of these suffice."""
    enough = times * len(rows)
    options = [
        ("--by setting", any(row.scope != "setting" for row in rows)),
        ("fewer models", len({(row.first, row.second) for row in rows}) > 1),
        ("fewer --measures", len({row.measure for row in rows}) > 1),
        (f"--permutations {enough} (enough)", permutations and enough <= MOST_PERMUTATIONS),
    ]
    return [name for name, possible in options if possible] or ["more questions"]
