"""Text in figures: which of the fonts at hand draw it, and what stands for it where none does.

matplotlib draws a box for a letter that its fonts lack, and before version 3.11 it neither joins Arabic letters nor
orders right-to-left text. So fonts are chosen by the letters they hold, and a text that cannot be drawn right is not
drawn at all: the part that can be, or a number, stands for it.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import regex

from mimo_eval.errors import require

logger = logging.getLogger(__name__)

BASE = "DejaVu Sans"
"""The font that comes with matplotlib."""
WIDTH = 40
"""Columns of a name; a longer one loses its middle. Chinese characters take two columns."""
PREFERRED = ("Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR")
# the placeholder font has a box for every letter; the others come with matplotlib for formulas only
UNSUITABLE = regex.compile(r"Last ?Resort|^cm[a-z]+10$|^STIX|Emoji|Symbols|Math")
# scripts that can be set one letter after the other, from left to right; a free combining mark cannot
UNSHAPED = regex.compile(
    r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Georgian}\p{Ethiopic}"
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}\p{Common}]*"
)
# control characters, overrides of the writing direction, lone surrogates, private and unassigned code points
UNPRINTABLE = regex.compile(r"[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
INVISIBLE = regex.compile(r"[\p{Cf}\s]|\p{Variation_Selector}")


class _Font(NamedTuple):
    family: str
    path: str
    face: int


def clean(text: str, width: int = WIDTH) -> str:
    """Return a text as one printable line, in composed form.

    :param text: any string.
    :param width: columns above which the middle is left out.
    :return: the line; may be empty.
    """
    line = " ".join(UNPRINTABLE.sub(" ", unicodedata.normalize("NFC", text)).split())
    letters = [cluster[:8] for cluster in regex.findall(r"\X", line)]
    if sum(map(_columns, letters)) <= width:
        return "".join(letters)
    tail = _fitting(letters[::-1], (width - 1) // 2)[::-1]
    head = _fitting(letters, width - 1 - sum(map(_columns, tail)))
    return f"{''.join(head).rstrip()}…{''.join(tail).lstrip()}"


def _columns(cluster: str) -> int:
    return 2 if unicodedata.east_asian_width(cluster[0]) in "WF" else 1


def _fitting(letters: Sequence[str], width: int) -> list[str]:
    kept = []
    for letter in letters:
        width -= _columns(letter)
        if width < 0:
            break
        kept.append(letter)
    return kept


def legible(texts: Sequence[str], kind: str, width: int = WIDTH, *, instead: Sequence[str] | None = None) -> list[str]:
    """Return texts that can be drawn, different where the given ones are.

    A text that no font draws right is cut down to what can be drawn, with `…` for the rest, or becomes `KIND 3`; the log
    says so.

    :param texts: names as given.
    :param kind: what they are names of, such as `model`.
    :param width: columns above which the middle of a name is left out.
    :param instead: what stands for each instead of `KIND 1`, `KIND 2`, …; ASCII.
    :return: one text for each.
    """
    lines = [clean(text, width) for text in texts]
    lacking = set("".join(lines)) - _covered("".join(lines))
    shown = []
    for line, other in zip(lines, instead or [f"{kind} {n}" for n in range(1, len(lines) + 1)], strict=True):
        drawn = line if _drawable(line, lacking) else _remainder(line, lacking)
        shown.append(drawn if regex.search(r"[\p{L}\p{N}]", drawn) else other)
    shown = _told_apart(texts, shown)
    for text, line, drawn in zip(texts, lines, shown, strict=True):
        if not _drawable(line, lacking):
            logger.warning("no installed font draws %s %r right; the figure says '%s'", kind, text, drawn)
    return shown


def _told_apart(texts: Sequence[str], shown: Sequence[str]) -> list[str]:
    """Number the texts that look the same but were not."""
    meant: dict[str, set[str]] = {}
    for text, drawn in zip(texts, shown, strict=True):
        meant.setdefault(drawn, set()).add(text)
    pairs = enumerate(zip(texts, shown, strict=True), start=1)
    return [f"{drawn} ({number})" if len(meant[drawn]) > 1 else drawn for number, (_, drawn) in pairs]


def families(texts: Iterable[str]) -> list[str]:
    """Choose the fonts for some texts.

    :param texts: what will be drawn.
    :return: family names, in the order in which they are tried for a letter; matplotlib's own first.
    """
    return [BASE, *(font.family for font in _chosen("".join(sorted(set("".join(texts))))))]


def _drawable(line: str, lacking: set[str]) -> bool:
    return not lacking.intersection(line) and (_shapes() or UNSHAPED.fullmatch(line) is not None)


def _remainder(line: str, lacking: set[str]) -> str:
    """Return a line with `…` for what cannot be drawn."""
    kept = "".join(c if _drawable(c, lacking) else "…" for c in line)
    return str(regex.sub(r"…[\s…]*", "…", kept))


def _shapes() -> bool:
    """Say whether matplotlib orders and joins letters as their script asks: from 3.11 on, with libraqm."""
    return hasattr(require("matplotlib.ft2font", "report"), "__libraqm_version__")


def _covered(letters: str) -> set[str]:
    """Return those letters that some font has."""
    fonts = [_base(), *_chosen("".join(sorted(set(letters))))]
    return {c for c in letters if INVISIBLE.fullmatch(c) or any(_has(font, c) for font in fonts)}


@cache
def _chosen(letters: str) -> tuple[_Font, ...]:
    """Choose fonts for what the base font lacks: each time the one that has the most of it."""
    missing = {c for c in letters if not INVISIBLE.fullmatch(c) and not _has(_base(), c)}
    chosen: list[_Font] = []
    while missing:
        best = max(_others(), key=lambda font: len(_of(font, missing)), default=None)  # the first of equals
        found = _of(best, missing) if best else set()
        if best is None or not found:
            break
        chosen.append(best)
        missing -= found
    return tuple(chosen)


def _of(font: _Font, letters: Iterable[str]) -> set[str]:
    return {c for c in letters if _has(font, c)}


@cache
def _has(font: _Font, letter: str) -> bool:
    return bool(_opened(font).get_char_index(ord(letter)))


@cache
def _opened(font: _Font) -> Any:
    ft2font = require("matplotlib.ft2font", "report")
    return ft2font.FT2Font(font.path, face_index=font.face) if font.face else ft2font.FT2Font(font.path)


@cache
def _base() -> _Font:
    from pathlib import Path

    folder = require("matplotlib", "report").get_data_path()
    return _Font(BASE, str(Path(folder) / "fonts" / "ttf" / "DejaVuSans.ttf"), 0)


@cache
def _others() -> tuple[_Font, ...]:
    """Return the upright, regular, scalable fonts of this machine: preferred ones first, then by name."""
    manager = require("matplotlib.font_manager", "report")
    _add_new(manager)
    found = {
        entry.name: _Font(entry.name, entry.fname, getattr(entry, "index", 0))
        for entry in sorted(manager.fontManager.ttflist, key=lambda entry: entry.fname, reverse=True)
        if entry.style == "normal" and entry.stretch in ("normal", 400) and entry.weight in (400, "normal", "regular", "book")
        if entry.size == "scalable" and not UNSUITABLE.search(entry.name) and entry.name != BASE
    }
    return tuple(found[name] for name in sorted(found, key=_rank))


def _rank(family: str) -> tuple[int, bool, str]:
    preferred = PREFERRED.index(family) if family in PREFERRED else len(PREFERRED)
    return preferred, not family.startswith("Noto Sans"), family


def _add_new(manager: Any) -> None:
    """Tell matplotlib of fonts that were installed after it listed them."""
    known = {entry.fname for entry in manager.fontManager.ttflist}
    for path in sorted(set(manager.findSystemFonts()) - known):
        try:
            manager.fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError) as error:
            logger.debug("%s: not a font that can be used (%s)", path, error)
