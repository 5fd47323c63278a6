"""The board as one self-contained HTML page: its data packed, its parts inlined, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from mimo_eval.figures.names import NAMES
from mimo_eval.leaderboard.schema import Board, BoardSetting, Group
from mimo_eval.leaderboard.text import markup

SCRIPTS = ("core.js", "model.js", "charts.js", "table.js", "dialogs.js", "main.js")
"""In the order in which they need each other; together one strict function."""
LIMIT = 2_000_000
"""Bytes that a page may have; values by language of further measures are left out beyond it."""
RIGHT_TO_LEFT = ("ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi")


def page(board: Board) -> str:
    """Return the page.

    :param board: the board.
    :return: HTML of at most 2 MB, unless the tested measures alone need more.
    """
    made = _assemble(board, packed(board))
    return made if len(made.encode("utf-8")) <= LIMIT else _assemble(board, packed(board, only_tested=True))


def _assemble(board: Board, data: dict[str, Any]) -> str:
    script = "(() => {\n'use strict';\n" + "\n".join(asset(name) for name in SCRIPTS) + "\n})();"
    parts = {"title": markup(board.title), "body": asset("board.html"), "data": embedded(data)}
    return document(**parts, styles=asset("base.css") + asset("board.css"), script=script)


def asset(name: str) -> str:
    """Return a part of the page that lies beside this module."""
    return (files("mimo_eval.leaderboard") / "assets" / name).read_text("utf-8")


def document(*, title: str, body: str, styles: str, data: str = "", script: str = "") -> str:
    """Put a page together that runs its own script and styles, and loads nothing.

    :param title: of the window, escaped.
    :param body: HTML.
    :param styles: CSS.
    :param data: JSON as `embedded` returns it.
    :param script: JavaScript; none if empty.
    :return: the page.
    """
    allowed = [f"default-src 'none'; img-src data:; style-src {_hash(styles)}"]
    allowed += [f"script-src {_hash(script)}" if script else "script-src 'none'", "base-uri 'none'; form-action 'none'"]
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(allowed)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{title}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>{styles}</style>",
        "</head>",
        "<body>",
        body,
    ]
    lines += [f'<script type="application/json" id="data">{data}</script>'] if data else []
    lines += [f"<script>{script}</script>"] if script else []
    return "\n".join([*lines, "</body>", "</html>", ""])


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode('utf-8')).digest()).decode()}'"


def embedded(data: dict[str, Any]) -> str:
    """Return JSON that cannot end the element that holds it, open a comment in it, or break a line of a script."""
    written = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written


def packed(board: Board, *, only_tested: bool = False) -> dict[str, Any]:
    """Return a board's data as the page reads them: whole numbers in columns instead of objects.

    A value v of a measure stands as round(v · 10^places). Lists run over entries; lists by language over entries, then
    languages.

    :param board: the board.
    :param only_tested: leave out the values by language of measures that are not tested.
    :return: what `embedded` writes.
    """
    codes = {lang for g in board.groups for s in g.settings for lang in s.languages}
    codes |= {lang for g in board.groups for axes in g.pairs.values() for lang in [*axes.queries, *axes.documents]}
    return {
        "title": board.title,
        "level": board.level,
        "samples": board.samples,
        "names": {code: NAMES[base] for code in sorted(codes) if (base := code.split("-")[0]) in NAMES},
        "rtl": [code for code in sorted(codes) if code.split("-")[0] in RIGHT_TO_LEFT],
        "groups": [_group(group, only_tested) for group in board.groups],
    }


def _group(group: Group, only_tested: bool) -> dict[str, Any]:
    places = [_places(group, measure.name) for measure in group.measures]
    names = [measure.name for measure in group.measures]
    scale = dict(zip(names, places, strict=True))
    return {
        "benchmark": group.benchmark,
        "title": group.title,
        "protocol": list(group.protocol.items()),
        "differs": group.differs,
        "notes": group.notes,
        "measures": [
            {"name": m.name, "better": m.direction, "help": m.answers, "places": p}
            for m, p in zip(group.measures, places, strict=True)
        ],
        "settings": [_setting(group, k, s, scale, only_tested) for k, s in enumerate(group.settings)],
        "pairs": [
            {
                "collection": name,
                "measure": names.index(axes.measure) if axes.measure in names else 0,
                "queries": axes.queries,
                "documents": axes.documents,
                "cells": [
                    _whole([v for row in entry.pairs[name] for v in row], scale.get(axes.measure, 5)) for entry in group.entries
                ],
            }
            for name, axes in group.pairs.items()
        ],
        "entries": [
            {
                "name": e.name,
                "kind": e.kind,
                "licence": e.licence,
                "link": e.link,
                "parameters": e.parameters,
                "dimension": e.dimension,
                "rate": e.rate,
                "device": e.device,
                "revision": e.revision,
                "prompts": list(e.prompts.items()),
                "marks": e.marks,
                "created": e.created[:10],
                "version": e.version,
                "key": e.key[:12],
                "geometry": e.geometry,
            }
            for e in group.entries
        ],
    }


def _setting(group: Group, k: int, setting: BoardSetting, scale: dict[str, int], only_tested: bool) -> dict[str, Any]:
    blank: list[float | None] = [None] * len(setting.languages)
    scores: dict[int, list[int | None]] = {}
    by_language: dict[int, list[int | None]] = {}
    intervals: dict[int, list[int | None]] = {}
    distinct: dict[int, list[str]] = {}
    for number, (name, places) in enumerate(scale.items()):
        values = [e.scores[k].get(name) for e in group.entries]
        if all(value is None for value in values):
            continue
        scores[number] = _whole(values, places)
        if not only_tested or name in group.tested:
            flat = [v for e in group.entries for v in e.languages[k].get(name, blank)]
            by_language[number] = _whole(flat, places)
        if name in setting.distinct:
            ends = [end or (None, None) for e in group.entries for end in e.intervals[k][name]]
            intervals[number] = _whole([v for end in ends for v in end], places)
            distinct[number] = [_bits(scope) for scope in setting.distinct[name]]
    return {
        "collection": setting.collection,
        "setting": setting.setting,
        "mix": setting.mix,
        "main": list(scale).index(setting.main) if setting.main in scale else 0,
        "languages": setting.languages,
        "cells": setting.cells,
        "questions": setting.questions,
        "scores": scores,
        "byLanguage": by_language,
        "intervals": intervals,
        "distinct": distinct,
    }


def _places(group: Group, measure: str) -> int:
    """Return the decimal places that leave five significant digits; two fewer are shown, so that nothing is rounded twice."""
    values = [abs(v) for e in group.entries for s in e.scores if (v := s.get(measure)) is not None]
    largest = max(values, default=1.0)
    return 5 if largest <= 2 else max(2, 4 - math.floor(math.log10(largest)))


def _whole(values: Sequence[float | None], places: int) -> list[int | None]:
    return [None if value is None else round(value * 10**places) for value in values]


def _bits(packed_pairs: Sequence[int]) -> str:
    """Return packed pairs as base64, three bytes to a number, the lowest first."""
    return base64.b64encode(b"".join(int(n).to_bytes(3, "little") for n in packed_pairs)).decode()
