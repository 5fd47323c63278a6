"""Verdict, or why there is none -> Markdown, JUnit XML, JSON, annotations of GitHub; the terminal's table is the command's."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from mimo_eval.gate.verdict import Kept, Tested, Verdict
from mimo_eval.markdown import escaped

FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""
SHOWN = 20
"""Rows of the Markdown table beside those that failed."""

ANNOTATIONS = 10
"""GitHub shows so many per step."""


def markdown(verdict: Verdict) -> str:
    """Return a summary for people: the verdict, what failed, and the largest drops.

    :param verdict: what a check found.
    :return: GitHub's Markdown.
    """
    head = f"### {'✅ passed' if verdict.passed else '❌ failed'}: {escaped(verdict.model)} on {escaped(verdict.benchmark)}"
    lines = [head, ""]
    rows = sorted(verdict.tested, key=lambda row: (not row.failed, row.p_holm, -row.drop))
    rows = rows[: sum(row.failed for row in rows) + SHOWN]
    if rows:
        lines += ["| where | measure | baseline | result | worse by | 95 % interval | tolerance | p (Holm) | |"]
        lines += ["|:--|:--|--:|--:|--:|:-:|--:|--:|:-:|"]
        lines += ["| " + " | ".join(map(escaped, _cells(row))) + " |" for row in rows]
        lines += ["", f"{len(verdict.tested)} tests, {len(rows)} shown."]
    lines += [f"- {escaped(row.what)}: {row.value:.4g} ({row.limit}) {'❌' if row.failed else '✅'}" for row in verdict.kept]
    lines += ["", *(f"> note: {escaped(note)}" for note in verdict.notes)]
    return "\n".join(lines).rstrip() + "\n"


def markdown_error(message: str) -> str:
    """Return a summary of a check that could not be made.

    :param message: what is wrong.
    :return: GitHub's Markdown.
    """
    return f"### ⚠️ not checked\n\n> {escaped(message)}\n"


def _cells(row: Tested) -> list[str]:
    interval = "" if math.isnan(row.low) else f"{row.low:+.4f} … {row.high:+.4f}"
    scores = [f"{row.baseline:.4f}", f"{row.result:.4f}", f"{row.drop:+.4f}"]
    return [row.place, row.measure, *scores, interval, f"{row.tolerance:g}", f"{row.p_holm:.3g}", "❌" if row.failed else ""]


def junit(verdict: Verdict) -> str:
    """Return JUnit XML: a test case per test, floor and time.

    :param verdict: what a check found.
    :return: the document.
    """
    rows: list[Tested | Kept] = [*verdict.tested, *verdict.kept]
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(f"mimo-eval check {verdict.benchmark}"),
        tests=str(len(rows)),
        failures=str(len(verdict.failures)),
        errors="0",
        skipped="0",
    )
    failures = iter(verdict.failures)
    for row in rows:
        name = f"{row.measure} in {row.place}" if isinstance(row, Tested) else row.what
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(verdict.model), name=_xml(name), time="0")
        if row.failed:
            why = next(failures)
            ElementTree.SubElement(case, "failure", message=_xml(why)).text = _xml(why)
    return _document(suite)


def junit_error(message: str) -> str:
    """Return JUnit XML of a check that could not be made: one test case with an error.

    :param message: what is wrong.
    :return: the document.
    """
    suite = ElementTree.Element("testsuite", name="mimo-eval check", tests="1", failures="0", errors="1", skipped="0")
    case = ElementTree.SubElement(suite, "testcase", classname="mimo-eval", name="check", time="0")
    ElementTree.SubElement(case, "error", message=_xml(message)).text = _xml(message)
    return _document(suite)


def _document(suite: ElementTree.Element) -> str:
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def json_verdict(verdict: Verdict) -> str:
    """Return the verdict as JSON.

    :param verdict: what a check found.
    :return: the document; numbers that are not finite are null.
    """
    return _json(verdict.document())


def json_error(message: str) -> str:
    """Return JSON of a check that could not be made; `passed` is false.

    :param message: what is wrong.
    :return: the document.
    """
    return _json({"passed": False, "error": message})


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _xml(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)


def workflow_commands(verdict: Verdict) -> Iterator[str]:
    """Yield one workflow command of GitHub per failure.

    :param verdict: what a check found.
    :return: lines; the runner reads them from stdout and stderr alike.
    """
    failures = verdict.failures
    shown = failures if len(failures) <= ANNOTATIONS else failures[: ANNOTATIONS - 1]
    for line in shown:
        yield annotation(f"{verdict.model}: {line}", "mimo-eval: regression")
    if len(shown) < len(failures):
        yield annotation(f"{verdict.model}: {len(failures) - len(shown)} more, see the summary", "mimo-eval: regression")


def annotation(message: str, title: str) -> str:
    """Return a workflow command that shows an error; nothing in it can start another command.

    :param message: what is wrong.
    :param title: its heading.
    :return: one line.
    """
    message = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::error title={title.replace(':', '%3A').replace(',', '%2C')}::{message}"
