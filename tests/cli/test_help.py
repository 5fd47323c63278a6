"""What `--help` says: every option has a phrase of its own and its default, and no summary is cut."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from mimo_eval.cli.main import cli

FRAGMENT = re.compile(r"(Of|And|Such|Its|Beside|Down)\b")


def commands(command=cli, path=()):
    """Yield every command with the words that call it."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from commands(command.get_command(click.Context(command), name), (*path, name))
    yield path, command


OPTIONS = [
    pytest.param(option, id=" ".join((*path, option.opts[-1])))
    for path, command in commands()
    for option in command.params
    if isinstance(option, click.Option)
]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_says_what_it_is_and_its_default(option):
    assert option.help and len(option.help.split()) >= 3, "a phrase"
    assert not FRAGMENT.match(option.help) and option.help.endswith("."), "a phrase with a subject, and whole"
    default = option.to_info_dict()["default"]
    if default not in (None, False, "", ()) and not option.count:
        assert option.show_default, f"default {default} is shown"


@pytest.mark.parametrize("path", [path for path, command in commands() if isinstance(command, click.Group)], ids=" ".join)
def test_no_summary_is_cut(path):
    _, _, summaries = CliRunner().invoke(cli, [*path, "--help"]).stdout.partition("Commands:\n")
    assert summaries and not [line for line in summaries.splitlines() if line.endswith("...")]


def test_an_option_can_be_set_by_a_variable():
    done = CliRunner().invoke(cli, ["data", "list"], env={"MIMO_EVAL_DATA_LIST_FORMAT": "json"}, catch_exceptions=False)
    assert done.stdout.startswith("[")
