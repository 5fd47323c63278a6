"""What strangers wrote stays what it is in Markdown, as an independent renderer reads it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mimo_eval.markdown import escaped

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = st.lists(
    st.sampled_from([*"\\`*_{}[]()#+!|~$<>&-=.:@'\"1 \n", "a", "http", "://", "www.", "&amp;", "<b>", "<!--", "é", "\u202e"]),
    max_size=14,
).map("".join)


def flat(text: str) -> str:
    return " ".join(text.replace("\0", "\ufffd").split()).replace("\u200b", "")


def texts(tokens: list[Token] | None) -> list[str]:
    """The text of the only inline token, refusing anything that is no text in it."""
    (inline,) = (token for token in tokens or [] if token.type == "inline" and token.content != "head")
    assert {child.type for child in inline.children or []} <= {"text"}
    return ["".join(child.content for child in inline.children or []).replace("\u200b", "")]


@given(HOSTILE | st.text())
def test_in_a_paragraph_and_in_a_cell_it_is_the_text_and_nothing_else(text: str) -> None:
    if not escaped(text).replace("\u200b", "").strip():
        return
    tokens = GITHUB.parse(escaped(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert texts(tokens) == [flat(text)]
    assert texts(GITHUB.parse(f"| head |\n|---|\n| {escaped(text)} |\n")) == [flat(text)]


@given(HOSTILE | st.text())
def test_no_address_links_itself_and_nobody_is_mentioned(text: str) -> None:
    assert not re.search(r"https?://|ftp://|www\.|(?<!\w)@\w|\w@[\w-]+\.\w", escaped(text), re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nDCG@10 of xquad-r", "nDCG@10 of xquad-r"),
        ("partition(en=0.7,de=0.3)", "partition(en=0.7,de=0.3)"),
        ("a\n|b", r"a \|b"),
        ("@team, a@b.org", "@\u200bteam, a@\u200bb.org"),
        ("see https://x.org or www.x.org", r"see https\://x.org or www\.x.org"),
        ("1. one", r"1\. one"),
        ("- one", r"\- one"),
        ("+0.05", "+0.05"),
        ("1.0000", "1.0000"),
        ("---", r"\---"),
        ("12) one", r"12\) one"),
        ("<b>&", "&lt;b&gt;&amp;"),
    ],
)
def test_what_it_looks_like(text: str, shown: str) -> None:
    assert escaped(text) == shown
