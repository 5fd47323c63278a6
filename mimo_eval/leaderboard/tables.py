"""A board as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mimo_eval.leaderboard import significance, text
from mimo_eval.leaderboard.ranking import borda, letters, ranks
from mimo_eval.leaderboard.schema import Board, Entry, Group
from mimo_eval.markdown import escaped

SIGNS = {"higher": 1, "lower": -1, "none": 0}


class Ranked(NamedTuple):
    """A ranking: one row per entry of the group, in the group's order."""

    values: np.ndarray
    """(n,) the setting's means; nan where there is none."""
    votes: np.ndarray
    """(n, languages) means by query language."""
    ranks: np.ndarray
    """(n,) by mean; nan without a value, or if the measure has no direction."""
    borda: np.ndarray
    """(n,) share of the others beaten, over query languages."""
    letters: list[str]
    """Models that share a letter cannot be told apart; empty where nothing was tested, or where letters are too few."""
    order: np.ndarray
    """(n,) entries, best first."""


def ranked(group: Group, setting: int, measure: str) -> Ranked:
    """Rank a group's entries.

    :param group: the group.
    :param setting: number of the setting.
    :param measure: the measure.
    :return: the ranking.
    """
    entries = group.entries
    values = _floats([entry.scores[setting].get(measure) for entry in entries])
    blank = [None] * len(group.settings[setting].languages)
    votes = np.array([_floats(entry.languages[setting].get(measure, blank)) for entry in entries])
    sign = next((SIGNS[m.direction] for m in group.measures if m.name == measure), 0)
    nothing = np.full(len(entries), np.nan)
    order = np.lexsort((np.arange(len(entries)), np.where(np.isnan(values), np.inf, -(sign or 1) * values)))
    packed = group.settings[setting].distinct.get(measure)
    shown = [""] * len(entries)
    if packed and sign:
        shown = letters(significance.unpack(packed[0], len(entries)), order)
        shown = ["" if np.isnan(value) else letter for value, letter in zip(values, shown, strict=True)]
    counted = borda(votes, sign) if sign else nothing
    return Ranked(values, votes, ranks(values, sign) if sign else nothing, counted, shown, order)


def label(group: Group, setting: int) -> str:
    """Name a setting as briefly as is clear."""
    chosen = group.settings[setting]
    several = len({s.collection for s in group.settings}) > 1
    return f"{chosen.collection} {chosen.mix}" if several else chosen.mix


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def markdown(board: Board) -> str:
    """Return the board as a page that a repository shows.

    :param board: the board.
    :return: Markdown.
    """
    lines = [f"# Leaderboard: {escaped(board.title)}", ""]
    lines += ["[The page](index.html) sorts, filters and compares; [board.csv](board.csv) has every number.", ""]
    for number, group in enumerate(board.groups, 1):
        several = f"{number}. " if len(board.groups) > 1 else ""
        lines += [f"## {several}{escaped(group.benchmark)}", ""]
        if group.title:
            lines += [escaped(group.title), ""]
        if group.differs:
            lines += ["Not comparable with the ranking above it:", ""]
            lines += [f"- {text.markdown(difference)}" for difference in group.differs] + [""]
        lines += _ranking(board, group)
        lines += _languages(group)
        lines += _remarks(board, group)
    return "\n".join(lines).rstrip() + "\n"


def _ranking(board: Board, group: Group) -> Iterator[str]:
    first = group.settings[0]
    found = ranked(group, 0, first.main)
    others = list(enumerate(group.settings))[1:]
    head = ["", "model", "type", "parameters", "width", "texts/s", text.markdown(first.main)]
    head += [f"{100 * board.level:g} % interval", "", "Borda"]
    extra = [m for m in group.tested if m != first.main]
    shown = [label(group, k) + (f" {s.main}" if s.main != first.main else "") for k, s in others]
    head += map(text.markdown, [*shown, *(f"{label(group, 0)} {measure}" for measure in extra)])
    yield f"Ranked by {text.markdown(first.main)} in {text.markdown(label(group, 0))}."
    yield ""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join(["--:", ":--", ":--"] + ["--:"] * 5 + [":--"] + ["--:"] * (1 + len(others) + len(extra))) + "|"
    for i in found.order:
        entry = group.entries[i]
        cells = [
            _rank(found.ranks[i]),
            _model(entry),
            text.markdown(entry.kind),
            count(entry.parameters),
            count(entry.dimension),
        ]
        cells += [number(entry.rate, 0), number(found.values[i]), interval(entry, 0, first.main), found.letters[i]]
        cells += [number(found.borda[i], 2)]
        cells += [number(entry.scores[k].get(s.main)) for k, s in others]
        cells += [number(entry.scores[0].get(measure)) for measure in extra]
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _languages(group: Group) -> Iterator[str]:
    first = group.settings[0]
    if len(first.languages) < 2:
        return
    found = ranked(group, 0, first.main)
    yield f"By query language, {text.markdown(first.main)} in {text.markdown(label(group, 0))}:"
    yield ""
    yield "| model | " + " | ".join(first.languages) + " |"
    yield "|:--|" + "--:|" * len(first.languages)
    for i in found.order:
        yield f"| {text.markdown(group.entries[i].name)} | " + " | ".join(number(v) for v in found.votes[i]) + " |"
    yield ""


def _remarks(board: Board, group: Group) -> Iterator[str]:
    told = "Models that share a letter cannot be told apart"
    if not any(ranked(group, 0, group.settings[0].main).letters):
        told = "The page shows which models cannot be told apart, where they were tested; letters are too few"
    yield (
        f"Intervals are clustered bootstrap intervals of {board.samples:,} samples. {told}: paired t-test, Holm over all pairs "
        f"at {1 - board.level:.2g}. The unit of both is the question with its translations. Borda is the share of the other "
        "models beaten, averaged over query languages."
    )
    yield ""
    for entry in group.entries:
        for role, prompt in entry.prompts.items():
            yield f"- prompt of {text.markdown(entry.name)}, {role}: {text.markdown(prompt)}"
        for mark in entry.marks:
            if mark != "prompts":
                yield f"- {text.markdown(entry.name)}: {mark}"
    for note in group.notes:
        yield f"- {text.markdown(note)}"
    for name, value in group.protocol.items():
        if name.startswith("data: "):
            yield f"- {text.markdown(name.removeprefix('data: '))} at revision {text.markdown(value[:16])}"
    yield ""
    if any(entry.key for entry in group.entries):
        run = text.markdown(f"mimo-eval run MODEL -b {group.benchmark}")
        yield f"To add a model: {run}, and its result with `mimo-eval leaderboard submit`."
        yield ""


def _model(entry: Entry) -> str:
    shown = text.markdown(entry.name)
    # an address in angle brackets cannot leave them: `link` refuses white space, and these are percent-encoded
    address = entry.link.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").replace("\\", "%5C")
    linked = f"[{shown}](<{address}>)" if entry.link else shown
    return f"{linked} †" if "prompts" in entry.marks else linked


def csv_table(board: Board) -> str:
    """Return means as rows: per group, setting, measure and model, and of tested measures also per language.

    :param board: the board.
    :return: CSV.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = "group benchmark collection mix measure language model kind licence parameters dimension value low high rank borda"
    writer.writerow([*head.split(), "indistinct"])
    for number_, group in enumerate(board.groups, 1):
        for k, setting in enumerate(group.settings):
            for measure in [m.name for m in group.measures]:
                found = ranked(group, k, measure)
                where = [number_, *map(text.cell, (group.benchmark, setting.collection, setting.mix, measure))]
                for i in found.order:
                    for row in _rows(group.entries[i], found, int(i), k, measure, setting.languages):
                        writer.writerow([*where, *row])
    return out.getvalue()


def _rows(
    entry: Entry, found: Ranked, i: int, setting: int, measure: str, languages: Sequence[str]
) -> Iterator[list[str | int | float | None]]:
    about = [text.cell(entry.name), text.cell(entry.kind), text.cell(entry.licence), entry.parameters, entry.dimension]
    ends = entry.intervals[setting].get(measure) or [None] * (1 + len(languages))
    if not np.isnan(found.values[i]):
        low, high = ends[0] or (None, None)
        place = [_known(found.ranks[i]), _known(round(found.borda[i], 6)), found.letters[i]]
        yield ["", *about, found.values[i].item(), low, high, *place]
    tested = measure in entry.intervals[setting]
    for lang, value, end in zip(languages, found.votes[i], ends[1:], strict=True):
        if tested and not np.isnan(value):
            low, high = end or (None, None)
            yield [text.cell(lang), *about, value.item(), low, high, None, None, None]


def _known(value: float) -> float | int | None:
    return None if math.isnan(value) else int(value) if value == int(value) else float(value)


def latex(board: Board) -> str:
    """Return a table per group for a paper that uses booktabs.

    :param board: the board.
    :return: LaTeX.
    """
    return "\n".join(line for group in board.groups for line in _latex(board, group)) + "\n"


def _latex(board: Board, group: Group) -> Iterator[str]:
    first = group.settings[0]
    found = ranked(group, 0, first.main)
    others = list(enumerate(group.settings))[1:]
    yield r"\begin{table}"
    yield r"\centering"
    caption = (
        f"{first.main} in {label(group, 0)} with {100 * board.level:g} % intervals, and {first.main} in the other settings."
        + " Models that share a letter cannot be told apart." * any(found.letters)
    )
    yield rf"\caption{{{text.latex(group.benchmark)}: {text.latex(caption)}}}"
    yield rf"\begin{{tabular}}{{rl{'r' * (3 + len(others))}}}"
    yield r"\toprule"
    head = ["", "model", label(group, 0), "interval", "Borda", *(label(group, k) for k, _ in others)]
    yield " & ".join(text.latex(h) for h in head) + r" \\"
    yield r"\midrule"
    for i in found.order:
        entry = group.entries[i]
        score = number(found.values[i]) + (f"$^{{\\mathrm{{{text.latex(found.letters[i])}}}}}$" if found.letters[i] else "")
        cells = [_rank(found.ranks[i]), text.latex(entry.name), score, text.latex(interval(entry, 0, first.main))]
        cells += [number(found.borda[i], 2), *(number(entry.scores[k].get(s.main)) for k, s in others)]
        yield " & ".join(cells) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _rank(value: float) -> str:
    return "" if math.isnan(value) else str(int(value))


def number(value: float | None, places: int = 3) -> str:
    """Return a number as tables show it; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:,.{places}f}"


def interval(entry: Entry, setting: int, measure: str) -> str:
    """Return the interval of a mean as tables show it; a dash where there is none."""
    ends = (entry.intervals[setting].get(measure) or [None])[0]
    return "–" if ends is None else f"{number(ends[0])}–{number(ends[1])}"


def count(value: int | None) -> str:
    """Return a number of weights or dimensions in few characters; a dash where it is not known."""
    if value is None:
        return "–"
    for size, unit in ((10**9, "B"), (10**6, "M")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return str(value) if value < 10**4 else f"{value / 1000:.3g}k"
