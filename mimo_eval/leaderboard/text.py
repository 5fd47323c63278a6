"""Foreign text made safe for each format: names, licences and links come from strangers.

Nothing here trusts a string. Characters that are invisible or turn the reading direction are shown by their code point in
names, so that two names which look alike are alike; each format's specials are escaped; only http(s) addresses are links.
"""

from __future__ import annotations

import html
import unicodedata
from urllib.parse import urlsplit

LONGEST = 200
"""Characters of a name that are shown."""
OVERRIDES = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Bidirectional embeddings, overrides and isolates."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Starts by which a spreadsheet takes a cell for a formula; the wide forms count in East Asian locales."""
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "%": r"\%",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
    "-": "{-}",
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
}


def name(text: object, longest: int = LONGEST) -> str:
    """Return a short text in which nothing is invisible: a model's name, a licence, a language.

    :param text: anything.
    :param longest: what is longer is cut, and ends in an ellipsis.
    :return: one line; control, format, private and unassigned characters as `⟨U+202E⟩`.
    """
    shown = "".join(_visible(c) for c in " ".join(str(text).split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _visible(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") else character


def passage(text: str, longest: int = 600) -> str:
    """Return a document's or query's text: as it is, but for what would turn or hide the text around it.

    Joiners and direction marks belong to Persian, Hindi, Arabic and Hebrew and stay; overrides and controls are shown.

    :param text: the text.
    :param longest: what is longer is cut, and ends in an ellipsis.
    :return: one line.
    """
    line = " ".join(text.split())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return "".join(_visible(c) if ord(c) in OVERRIDES or unicodedata.category(c) in ("Cc", "Cs") else c for c in line)


def link(text: object) -> str:
    """Return an address if it is one that a page may link to.

    :param text: what a stranger gave.
    :return: an http(s) address with a host and without white space or controls; empty for anything else.
    """
    address = str(text).strip()
    if len(address) > 2000 or any(c.isspace() or _visible(c) != c for c in address):
        return ""
    try:
        parts = urlsplit(address)
        return address if parts.scheme.lower() in ("http", "https") and parts.hostname else ""
    except ValueError:
        return ""


def markdown(text: str) -> str:
    """Return a text as a code span of a Markdown table's cell: nothing in it is markup, mention or link.

    :param text: what `name` returned.
    :return: the span; empty for an empty text.
    """
    if not text:
        return ""
    runs = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * (runs + 1)
    room = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{room}{text.replace('|', chr(92) + '|')}{room}{fence}"


def cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    :param text: what goes into a CSV field; quoting is the writer's.
    :return: the text, with an apostrophe before it if it starts like a formula.
    """
    return f"'{text}" if text.lstrip(" \ufeff").startswith(FORMULA) else text


def latex(text: str) -> str:
    """Return a text with LaTeX's specials escaped; other scripts need a Unicode engine.

    :param text: what `name` returned.
    :return: text that expands to itself.
    """
    return "".join(LATEX.get(c, c) for c in text)


def markup(text: object) -> str:
    """Return a text for HTML, between tags or inside a quoted attribute."""
    return html.escape(str(text), quote=True)
