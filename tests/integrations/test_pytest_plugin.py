"""The plugin, by running pytest on the example that users copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "test_my_model.py"
VERSION = '"version": 1}'


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with the example's test; `run` runs it."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(test_theirs=EXAMPLE.read_text("utf-8"))
    return pytester


def outcomes(run):
    return {name: count for name, count in run.parseoutcomes().items() if name in ("passed", "failed", "skipped", "errors")}


def run(project, *args):
    return project.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:timeout", *args)


def test_without_a_baseline_nothing_passes_for_checked(project):
    found = run(project, "-rs")
    assert outcomes(found) == {"passed": 1, "skipped": 1}
    found.stdout.fnmatch_lines(["*no baseline to check against: give --mimo-baseline DIR"])


def test_a_baseline_is_written_kept_and_broken(project):
    assert outcomes(run(project, "--mimo-baseline", "missing")) == {"passed": 1, "failed": 1}
    written = run(project, "--mimo-baseline", "base", "--mimo-update-baseline")
    assert outcomes(written) == {"passed": 2}
    written.stdout.fnmatch_lines(["*= retrieval =*", "my-model on mini: baseline written to base/mini/my-model"])
    kept = run(project, "--mimo-baseline", "base", "--junitxml", "junit.xml")
    assert outcomes(kept) == {"passed": 2}
    kept.stdout.fnmatch_lines(["my-model on mini: passed (8 tests)"])
    assert 'name="mimo-eval" value="my-model on mini: passed (8 tests)"' in (project.path / "junit.xml").read_text("utf-8")
    worse = (
        EXAMPLE.read_text("utf-8").replace("% 256", "% 3").replace(VERSION, VERSION.replace("1", "2")).replace("> 0.15", "> 0")
    )
    project.makepyfile(test_theirs=worse)
    broken = run(project, "--mimo-baseline", "base")
    assert outcomes(broken) == {"passed": 1, "failed": 1}
    broken.stdout.fnmatch_lines(
        ["my-model on mini got worse:", "nDCG@20 in mini parallel*: * worse by *", "my-model on mini: * failed (8 tests)"]
    )
    assert "Traceback" not in broken.stdout.str()


def test_baselines_are_not_written_in_ci(project, monkeypatch):
    monkeypatch.setenv("CI", "true")
    found = run(project, "--mimo-baseline", "base", "--mimo-update-baseline")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["*a baseline is changed by hand, never in CI*"])


def test_updating_needs_a_place(project):
    found = run(project, "--mimo-update-baseline")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(["*--mimo-update-baseline needs --mimo-baseline DIR*"])


MISTAKES = """
import pytest

def test_language(retrieval):
    retrieval('hashing', languages='xx')

def test_model(retrieval):
    retrieval('nonsense')

def test_score(retrieval):
    retrieval('hashing', languages='en', mixes='monolingual').score('R@3')

@pytest.mark.retrieval(benchmrk='mini')
def test_marker(retrieval):
    pass
"""


def test_a_mistake_is_one_line(project):
    project.makepyfile(test_theirs=MISTAKES)
    found = run(project)
    assert outcomes(found) == {"failed": 3, "errors": 1}
    for said in (
        "'xx' is not a known language; *",
        "unknown model 'nonsense'*",
        "hashing has no R@3 in mlir; see *",
        "*retrieval marker: unknown benchmrk; it takes baseline, benchmark,*",
    ):
        found.stdout.fnmatch_lines([said])
    assert "During handling" not in found.stdout.str()


def test_loading_the_plugin_imports_nothing_heavy(pytester):
    code = "import sys, mimo_eval.integrations.pytest_plugin; print({'torch', 'pandas', 'datasets', 'numpy'} & {*sys.modules})"
    assert pytester.run(sys.executable, "-c", code).outlines[-1] == "set()"
