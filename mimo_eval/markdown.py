"""Text of strangers in Markdown: in reports of the gate, model cards and leaderboards."""

from __future__ import annotations

import re

MARKS = re.compile(r"([\\`*_\[\]#|~$])")
LINKS = re.compile(r"(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)
"""What makes an address link itself."""
MENTIONS = re.compile(r"(?<!\w)@|@(?=[\w-]+\.)")
"""What addresses a person: a name after @, or mail. Not that of nDCG@10."""
START = re.compile(r"^(\d*)([-+=.)])(?=\s|$|[-=])")
"""What begins a list, rules a line, or underlines a heading; no number."""


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, wherever it stands in a line or a table's cell.

    :param text: anything.
    :return: one line without markup, HTML, a second cell, an address that links itself or a mention; after the @ of mentions
        stands a space of no width.
    """
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    flat = LINKS.sub(lambda found: f"\\{found[0]}", MARKS.sub(r"\\\1", flat))
    return START.sub(r"\1\\\2", MENTIONS.sub("@\u200b", flat))
