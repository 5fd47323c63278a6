"""The pages do what they say: their Python runs and gives their numbers, their tables and links are true."""

import doctest
import re
from pathlib import Path

import pytest

from mimo_eval.cli.measures import listed
from mimo_eval.geometry import DIAGNOSTICS
from mimo_eval.measures import registry

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def text(name):
    return (ROOT / "docs" / name).read_text("utf-8")


def blocks(page, language):
    """Return (line, code) of every fenced block of a language."""
    return [(page[: m.start(2)].count("\n"), m[2]) for m in FENCE.finditer(page) if m[1] == language]


def sections():
    """Return the level-three sections of the page on measures by the measures they name."""
    parts = re.split(r"^### (.+)$", text("measures.md"), flags=re.M)
    bodies = [re.split(r"^## ", body, flags=re.M)[0] for body in parts[2::2]]
    return {name: body for title, body in zip(parts[1::2], bodies, strict=True) for name in title.split(", ")}


def slug(heading):
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["measures.md", "traps.md"])
def test_python_of_a_page_gives_the_numbers_it_shows(name):
    """All blocks of a page share one namespace, as for a reader who goes through it from the top."""
    pytest.importorskip("sklearn")
    space, report = {}, []
    runner = doctest.DocTestRunner(verbose=False)
    for line, code in blocks(text(name), "python"):
        if ">>>" in code:
            examples = doctest.DocTestParser().get_doctest(code, space, name, name, line)
            runner.run(examples, out=report.append, clear_globs=False)
            space.update(examples.globs)
        else:
            exec(compile(code, name, "exec"), space)
    assert runner.tries > 5
    assert not report, "".join(report)


def test_every_measure_has_a_section():
    named = sections()
    assert set(registry) | set(DIAGNOSTICS) <= set(named)


@pytest.mark.parametrize("name", sorted({*registry, *DIAGNOSTICS}))
def test_a_section_says_all_that_is_promised(name):
    body = sections()[name]
    direction = r"[Bb]etter|\*\*(higher|lower|near)"
    for part in (r"\*\*Answers\.", r"\*\*Range", direction, r"\*\*Needs", r"\*\*Misleads", r"\*\*Source\."):
        assert re.search(part, body), f"{name} lacks {part}"
    assert ">>>" in body, f"{name} lacks an example"


def test_the_table_of_measures_is_that_of_the_command():
    rows = re.findall(r"^\| \[`(.+?)`\]\(#(.+?)\) \| (.+?) \| (.+?) \| (.+?) \| (.*?) ?\|$", text("measures.md"), re.M)
    written = {name: (answers, better, needs) for name, _, answers, _, better, needs in rows}
    assert written == {entry.name: (entry.answers, entry.better, ", ".join(entry.needs)) for entry in listed()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    content = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", found.read_text("utf-8")), re.M)
            assert anchor in map(slug, headings), f"{page.name}: {target}"
