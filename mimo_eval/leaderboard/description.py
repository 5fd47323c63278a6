"""What a result brings to a board, as Markdown: for the pull request that adds it, and for whoever looks at that."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from mimo_eval.leaderboard import entries, text
from mimo_eval.leaderboard.entries import Source
from mimo_eval.leaderboard.ranking import ranks
from mimo_eval.leaderboard.tables import SIGNS, number
from mimo_eval.measures import direction

CHECKED = "Checked: schema, key, benchmark, every setting complete, means equal to per-query scores, prompts declared."


def description(source: Source, doubts: Sequence[str], beside: Sequence[Source] = ()) -> list[str]:
    """Describe a result that can stand on a board.

    :param source: the result.
    :param doubts: what a maintainer should look at.
    :param beside: results that it shares a ranking with; without them it has no places.
    :return: lines of Markdown: scores and places, what is said of the model, what was checked, what is doubtful.
    """
    result, about = source.result, entries.described(source)
    lines = ["| setting | measure | score |" + " place |" * bool(beside), "|:--|:--|--:|" + ":--|" * bool(beside)]
    for k, s in enumerate(result.settings):
        cells = [text.markdown(text.name(s.mix)), text.markdown(text.name(s.main)), number(s.scores.get(s.main))]
        lines.append(f"| {' | '.join([*cells, *([place(source, beside, k)] if beside else [])])} |")
    facts = {
        "result": text.name(result.key[:12]),
        "data": ", ".join(f"{text.name(c['name'])}@{text.name(c['revision'])[:16]}" for c in result.collections),
        "licence": about["licence"] or "not stated",
        "address": about["link"] or "not stated",
        "prompts": json.dumps(about["prompts"], ensure_ascii=False) if about["prompts"] else "none",
    }
    lines += ["", *(f"- {key}: {text.markdown(value)}" for key, value in facts.items())]
    lines += ["", CHECKED]
    if doubts:
        lines += ["", "To look at:", "", *(f"- {text.markdown(text.name(doubt, 500))}" for doubt in doubts)]
    return lines


def place(source: Source, beside: Sequence[Source], setting: int) -> str:
    """Say which place a result takes among others by a setting's main measure.

    :param source: the result.
    :param beside: the others, of the same protocol.
    :param setting: number of the setting.
    :return: such as `3 of 15`; a dash without a score, or for a measure that ranks nothing.
    """
    main = source.result.settings[setting].main
    found = [one.result.settings[setting].scores.get(main) for one in (source, *beside)]
    values = np.array([np.nan if value is None else value for value in found], np.float64)
    sign = SIGNS[direction(main).value]
    if not sign or np.isnan(values[0]):
        return "–"
    return f"{int(ranks(values, sign)[0])} of {int((~np.isnan(values)).sum())}"
