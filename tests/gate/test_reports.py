"""Markdown, JUnit and annotations, with names that try to be more than text."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from mimo_eval.gate import check, reports

EVIL = "<script>|`@team`\n::error::x\x00\ud7ff"


@pytest.fixture
def verdict(result):
    return check(result({f"query de ask {i}" for i in range(8)}), result())


@pytest.fixture
def evil(verdict):
    return replace(verdict, model=EVIL, tested=[replace(row, mix=EVIL) for row in verdict.tested], notes=[EVIL])


def test_markdown(verdict):
    lines = reports.markdown(verdict).splitlines()
    assert lines[0] == "### ❌ failed: known on toy"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(verdict.tested)
    assert table[2].startswith("| toy parallel de | nDCG@10 | 1.0000 | ") and table[2].endswith("| ❌ |")


def test_markdown_is_inert(evil):
    text = reports.markdown(evil)
    assert "<script>" not in text and "@team" not in text and "\n::error" not in text
    cells = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert cells == {10}


def test_junit(verdict):
    root = ElementTree.fromstring(reports.junit(verdict))
    suite = root.find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == (str(len(verdict.tested)), str(len(verdict.failures)))
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert failed == {f"{r.measure} in {r.place}" for r in verdict.tested if r.failed}


def test_junit_holds_only_what_xml_can(evil):
    root = ElementTree.fromstring(reports.junit(evil))
    assert "\x00" not in root.find("testsuite/testcase").get("classname")


def test_a_check_that_could_not_be_made_is_an_error_and_not_a_pass():
    case = ElementTree.fromstring(reports.junit_error(EVIL)).find("testsuite[@errors='1']/testcase")
    assert case.find("error").get("message").startswith("<script>|`@team`")
    assert json.loads(reports.json_error(EVIL)) == {"passed": False, "error": EVIL}
    text = reports.markdown_error(EVIL)
    assert text.startswith("### ⚠️ not checked") and "<script>" not in text and "@team" not in text


def test_an_annotation_is_one_command(evil):
    lines = list(reports.workflow_commands(evil))
    assert len(lines) == len(evil.failures) and all(line.count("\n") == 0 for line in lines)
    assert all(line.startswith("::error title=mimo-eval%3A regression::") for line in lines)


def test_github_shows_ten_annotations(verdict):
    many = replace(verdict, tested=[replace(row, failed=True) for row in verdict.tested for _ in range(3)])
    lines = list(reports.workflow_commands(many))
    assert len(lines) == 10 and "9 more, see the summary" in lines[-1]
