import csv
import html
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import HOSTILE

from mimo_eval.leaderboard import text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\u202egpj.exe", "a⟨U+202E⟩gpj.exe"),
        ("b\u200bm25", "b⟨U+200B⟩m25"),
        ("two\nlines\tand  more", "two lines and more"),
        ("\x00", "⟨U+0000⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("日本語 عربي", "日本語 عربي"),
        (None, "None"),
    ],
)
def test_a_name_shows_what_is_invisible(given, shown):
    assert text.name(given) == shown


@given(st.text())
def test_a_name_has_one_line_without_controls(given):
    shown = text.name(given)
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in shown)


def test_a_long_name_is_cut():
    assert text.name("x" * 300) == "x" * 199 + "…"


def test_passages_keep_joiners_and_lose_overrides():
    assert text.passage("می\u200cخواهم") == "می\u200cخواهم"
    assert text.passage("a\u202eb\u2066c") == "a⟨U+202E⟩b⟨U+2066⟩c"
    assert text.passage("x" * 10, 5) == "xxxx…"


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "//evil.example",
        "https://",
        "http:///path",
        "https://exa mple.org",
        "https://example.org/\u202e",
        "https://[",
        "file:///etc/passwd",
        "",
        None,
    ],
)
def test_only_web_addresses_are_links(address):
    assert text.link(address) == ""


def test_a_web_address_stays():
    assert text.link("https://huggingface.co/a/b?c=d#e") == "https://huggingface.co/a/b?c=d#e"


@given(st.text(min_size=1))
def test_a_code_span_can_be_read_back(given):
    """By the rules of CommonMark: a fence of backticks longer than any inside, one space off at both ends."""
    shown = text.name(given) or "x"
    span = text.markdown(shown)
    fence = re.match("`+", span)[0]
    inside = span[len(fence) : -len(fence)]
    assert span.endswith(fence) and fence not in re.findall("`+", inside)
    assert not re.search(r"(?<!\\)\|", inside)
    if inside.startswith(" ") and inside.endswith(" ") and inside.strip():
        inside = inside[1:-1]
    assert inside.replace("\\|", "|") == shown


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", " =", "\ufeff="])
def test_no_cell_starts_a_formula(start):
    assert text.cell(f"{start}1+1") == f"'{start}1+1"


def test_other_cells_stay_and_come_back():
    out = io.StringIO()
    csv.writer(out).writerow([text.cell(name) for name in HOSTILE])
    assert [cell.lstrip("'") for cell in next(csv.reader(io.StringIO(out.getvalue())))] == [n.lstrip("'") for n in HOSTILE]


@given(st.text(alphabet="\\{}$&#^_~%<>|`'\"-ab é語", max_size=20))
def test_latex_keeps_no_special(given):
    escaped = text.latex(given)
    left = escaped
    for replacement in sorted(set(text.LATEX.values()), key=len, reverse=True):
        left = left.replace(replacement, "")
    assert not set(left) & set("\\{}$&#^_~%")


@given(st.text())
def test_markup_comes_back_and_holds_no_tag(given):
    escaped = text.markup(given)
    assert html.unescape(escaped) == html.unescape(html.escape(given))
    assert not set(escaped) & set("<>\"'")
