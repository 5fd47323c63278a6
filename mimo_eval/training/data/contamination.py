"""Is evaluation text in the training data? Whole texts and 8-grams, by hashes: the evaluation's sorted, training streamed."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection as Container
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.collections import Collection, Texts
from mimo_eval.errors import DataError
from mimo_eval.training.data.lines import BLOCK, Lines, Parallel
from mimo_eval.training.data.ngrams import Hashes, hash_texts, length_of, tokens
from mimo_eval.training.data.retrieval import Retrieval

EXAMPLES = 20
"""Matches of each kind that are kept for the report, per evaluation."""
NAMED = 3
"""Matches that an error names."""
SIEVE = np.uint64(64 - 26)
KINDS = ("exact", "8-gram")
METHOD = (
    "NFKC, case folding, letters and digits only; whole texts, and 8-grams of words (13 characters in Chinese, 19 in Japanese, "
    "39 in Thai)"
)


class Evaluation(NamedTuple):
    """Texts that must not be trained on: a collection, or the part of it that is asked and found."""

    collection: Collection
    query_groups: Container[str] | None = None
    """Only these queries, such as the tested fold; all if None."""
    passage_groups: Container[str] | None = None
    """Only these passages."""

    def parts(self) -> Iterator[tuple[str, Texts, np.ndarray]]:
        """Yield queries and passages: what they are, the texts, the rows that count."""
        sides = (
            ("query", self.collection.queries, self.query_groups),
            ("passage", self.collection.documents, self.passage_groups),
        )
        for what, texts, wanted in sides:
            keep = np.ones(len(texts), bool)
            if wanted is not None:
                names = set(wanted)
                keep[:] = [name in names for name in texts.column("group").to_pylist()]
            yield what, texts, keep


class Match(NamedTuple):
    """A line of training data that holds evaluation text."""

    kind: str
    """`exact`: the whole texts are equal; `8-gram`: they share one."""
    training: str
    """Source, group and language of the line."""
    evaluation: str
    """Collection, id of the query or passage."""
    shared: str
    """The text that both have, normalised, shortened."""

    def __str__(self) -> str:
        """Return the match in words."""
        return f"{self.training} and {self.evaluation} share {self.shared!r} ({self.kind})"


@dataclass(frozen=True)
class Contamination:
    """What was compared with what, and what was found."""

    lines: int
    """Lines of training data."""
    evaluations: dict[str, int]
    """Evaluation texts, by collection."""
    found: dict[str, dict[str, int]]
    """Lines of training data that match, by collection and kind; a line that is equal is not counted for its 8-grams."""
    matches: tuple[Match, ...]
    """The first of them."""
    flagged: tuple[np.ndarray, ...] = field(repr=False)
    """(lines,) bool for each side of the data in turn: parallel lines; queries, then passages."""
    allowed: bool = False

    def without(self, data: Sequence[Parallel | Retrieval]) -> list[Parallel | Retrieval]:
        """Return the data without the lines that match.

        :param data: what was checked.
        :return: the same without them.
        :raises DataError: if no positive pair is left.
        """
        flagged, kept = iter(self.flagged), list[Parallel | Retrieval]()
        for part in data:
            masks = [next(flagged) for _ in sides(part)]
            step = {"step": "contamination", "removed": int(sum(mask.sum() for mask in masks)), "of": list(self.evaluations)}
            if not step["removed"]:
                kept.append(part)
            elif isinstance(part, Retrieval):
                kept.append(part.select(~masks[0], ~masks[1], step))
            else:
                kept.append(part.select(~masks[0], step))
        return kept

    def describe(self) -> dict[str, Any]:
        """Return what a model card says."""
        return {
            "training_lines": self.lines,
            "evaluation_texts": self.evaluations,
            "matching_lines": self.found,
            "examples": [match._asdict() for match in self.matches],
            "allowed": self.allowed,
            "method": METHOD,
        }


def sides(data: Parallel | Retrieval) -> list[Lines]:
    """Return the lines that training data consist of."""
    return [data.queries, data.passages] if isinstance(data, Retrieval) else [data]


def check(
    training: Sequence[Parallel | Retrieval], against: Sequence[Collection | Evaluation], *, allow: bool = False
) -> Contamination:
    """Look for evaluation text in training data.

    :param training: everything that is trained on.
    :param against: what the model will be evaluated on.
    :param allow: return what was found instead of refusing it.
    :return: the report, for the model card.
    :raises DataError: if something was found and is not allowed; it names the first matches.
    """
    parts = [lines for data in training for lines in sides(data)]
    indexes = [_Index(part if isinstance(part, Evaluation) else Evaluation(part)) for part in against]
    flagged = tuple(np.zeros(len(lines), bool) for lines in parts)
    found, sizes, matches = dict[str, dict[str, int]](), Counter[str](), list[Match]()
    for index in indexes:
        sizes[index.name] += index.size
        found.setdefault(index.name, dict.fromkeys(KINDS, 0))
    for lines, flags in zip(parts, flagged, strict=True):
        for lang, rows, texts in _blocks(lines):
            hashes = hash_texts(texts, lang)
            for index in indexes:
                for kind, hit in index.hits(hashes):
                    flags[rows[hit.text]] = True
                    found[index.name][kind] += 1
                    if found[index.name][kind] <= EXAMPLES:
                        shared = tokens(texts[hit.text])[hit.place :][: length_of(lang) if kind == KINDS[1] else None]
                        matches.append(index.match(kind, hit, lines, int(rows[hit.text]), " ".join(shared)))
    total = sum(map(len, parts))
    result = Contamination(total, dict(sizes), found, tuple(matches), flagged, allow)
    if matches and not allow:
        raise DataError(_refusal(result))
    return result


def _refusal(result: Contamination) -> str:
    counts = "; ".join(
        f"{name}: {kinds['exact']:,} equal and {kinds['8-gram']:,} with an 8-gram in common"
        for name, kinds in result.found.items()
        if any(kinds.values())
    )
    first = "\n".join(f"    {match}" for match in result.matches[:NAMED])
    number = int(sum(flags.sum() for flags in result.flagged))
    return (
        f"{number:,} of {result.lines:,} lines of training data hold evaluation text ({counts})\n{first}\n"
        "Take them out, evaluate on something else, or allow it: the model card will say so"
    )


class _Index:
    """The hashes of an evaluation's texts, sorted."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.name = evaluation.collection.name
        self.parts = list(evaluation.parts())
        whole, grams = list[np.ndarray](), list[np.ndarray]()
        owners: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self.size = 0
        for number, (_, texts, keep) in enumerate(self.parts):
            self.size += int(keep.sum())
            for lang in texts.languages:
                rows = np.flatnonzero(keep & (texts.language == texts.languages.index(lang)))
                for start in range(0, len(rows), BLOCK):
                    mine = rows[start : start + BLOCK]
                    hashes = hash_texts(texts.read(mine), lang)
                    owner = mine * len(self.parts) + number
                    whole.append(hashes.whole[hashes.whole > 0])
                    grams.append(hashes.grams)
                    owners[0].append(owner[hashes.whole > 0])
                    owners[1].append(owner[hashes.text])
        self.whole, self.grams = _Sorted(whole, owners[0]), _Sorted(grams, owners[1])

    def hits(self, hashes: Hashes) -> Iterator[tuple[str, _Hit]]:
        """Yield what some texts share with the evaluation's, once for each that shares something."""
        equal = self.whole.owner(hashes.whole)
        for text in np.flatnonzero(equal >= 0).tolist():
            yield KINDS[0], _Hit(text, 0, int(equal[text]))
        owner = self.grams.owner(hashes.grams)
        shared = np.flatnonzero((owner >= 0) & (equal[hashes.text] < 0))
        for i in shared[np.unique(hashes.text[shared], return_index=True)[1]]:
            yield KINDS[1], _Hit(int(hashes.text[i]), int(hashes.place[i]), int(owner[i]))

    def match(self, kind: str, hit: _Hit, lines: Lines, row: int, shared: str) -> Match:
        """Return a match in words."""
        at, number = divmod(hit.owner, len(self.parts))
        what, texts, _ = self.parts[number]
        line = lines.table.slice(row, 1).to_pylist()[0]
        training = f"{line['source']} {line['group']} ({line['lang']})"
        return Match(
            kind, training, f"{self.name} {what} {texts.ids([at])[0]}", textwrap.shorten(shared, 100, placeholder=" …")
        )


class _Hit(NamedTuple):
    """Something shared: the number of the text in its block, the first token, and the evaluation text."""

    text: int
    place: int
    owner: int


def _blocks(lines: Lines) -> Iterator[tuple[str, np.ndarray, list[str]]]:
    """Yield language, line numbers and texts, so many lines at a time."""
    for number, lang in enumerate(lines.languages):
        rows = np.flatnonzero(lines.language == number)
        for start in range(0, len(rows), BLOCK):
            mine = rows[start : start + BLOCK]
            yield lang, mine, lines.text(mine).to_pylist()


class _Sorted:
    """Hashes and to whom they belong; a sieve of one bit in 64 million keeps most questions away from the search."""

    def __init__(self, hashes: Sequence[np.ndarray], owners: Sequence[np.ndarray]) -> None:
        together = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
        self.hashes, first = np.unique(together, return_index=True)
        self.owners = np.concatenate(owners)[first] if len(first) else np.empty(0, np.int64)
        self.sieve = np.zeros(2**26, bool)
        self.sieve[self.hashes >> SIEVE] = True

    def owner(self, hashes: np.ndarray) -> np.ndarray:
        """Return (n,) int64: the owner of each hash, -1 for one that nobody has."""
        owners = np.full(len(hashes), -1, np.int64)
        likely = np.flatnonzero(self.sieve[hashes >> SIEVE])
        if len(likely) and len(self.hashes):
            at = np.searchsorted(self.hashes, hashes[likely]).clip(max=len(self.hashes) - 1)
            same = self.hashes[at] == hashes[likely]
            owners[likely[same]] = self.owners[at[same]]
        return owners
