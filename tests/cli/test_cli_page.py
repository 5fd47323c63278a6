"""docs/cli.md is true: codes, variables, what prints JSON, a line of a log."""

from __future__ import annotations

import re
from pathlib import Path

import click
from test_help import commands

from mimo_eval import errors
from mimo_eval.cli import main, progress
from mimo_eval.cli.progress import Counted

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
READ = re.compile(r"""environ(?:\.get\(|\[)["'](\w+)["']|["'](\w+)["'] (?:not )?in environ|^VARIABLE = "(\w+)\"""", re.M)
NOT_FOR_USERS = {"PATH", "RAY_TMPDIR", "RAY_USE_TLS"}
"""Read, but set by what they belong to."""
OURS = {"MIMO_EVAL_CACHE", "MIMO_EVAL_DATA", "MIMO_EVAL_STORE"}


def section(title):
    return re.split(r"^## ", PAGE.split(f"## {title}\n")[1], flags=re.M)[0]


def test_every_exit_code_is_listed():
    own = {error.exit_code for error in vars(errors).values() if isinstance(error, type) and issubclass(error, Exception)}
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.M)]
    assert listed == sorted({0, 70, 130, 143, main.UNREAD} | own)


def test_only_a_regression_ends_with_1():
    """The root of the errors has that code, so it is never raised itself."""
    found = [
        (path.name, line.strip())
        for path in (ROOT / "mimo_eval").rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
    ]
    assert not [each for each in found if re.search(r"raise MimoEvalError\b", each[1])]
    assert [name for name, line in found if re.search(r"exit\(.*\b1\b", line) and "import" not in line] == ["check.py"]


def test_every_variable_that_is_read_is_listed():
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "mimo_eval").rglob("*.py"))
    read = {name for names in READ.findall(source) for name in names if name} - NOT_FOR_USERS
    listed = {
        name for cell in re.findall(r"^\| (`.+?) \|", section("Variables"), re.M) for name in re.findall(r"`(\w+)`", cell)
    }
    assert read >= OURS
    assert {name for name in read if not name.startswith("SLURM_ARRAY_TASK_")} <= listed
    assert {name for name in listed if name.startswith("MIMO_EVAL_")} == OURS


def test_variables_of_options_are_those_of_options():
    known = {option.envvar for path, command in commands() for option in command.params if isinstance(option, click.Option)}
    named = set(re.findall(r"\bMIMO_EVAL_\w+", PAGE)) - OURS - {"MIMO_EVAL_COMPLETE", "MIMO_EVAL_"}
    assert len(named) == 3 and named <= known


def test_all_that_prints_json_is_listed():
    said = re.search(r"`--format json` on (.+?)\. Sizes", section("For programs"), re.S)[1]
    listed = set()
    for names in re.findall(r"`(.+?)`", said):
        *group, last = names.split()
        listed |= {" ".join([*group, name]) for name in last.split("|")}
    real = {
        " ".join(path)
        for path, command in commands()
        for option in command.params
        if option.name == "layout" and "json" in option.type.choices
    }
    assert listed == real


def test_the_line_of_a_log_is_one(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    counted = Counted("my-checkpoint: encode miracl", 4_100_000, "texts")
    now[0], counted.done = 1_216_000 / 812, 1_216_000
    assert counted.line() in PAGE
    assert f"every {progress.SECONDS:.0f} seconds" in PAGE
