"""How commands end: exit codes, what is said after Ctrl-C, output that nobody reads; options before and after a command."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from mimo_eval.cli import main


@pytest.fixture
def command(monkeypatch):
    """Let a command of the table do something else."""

    def make(name, does):
        made = click.Command(name, callback=does, params=[click.Argument(["words"], nargs=-1, expose_value=False)])
        monkeypatch.setattr(main.cli, "get_command", lambda ctx, called: made if called == name else None)

    return make


@pytest.fixture
def run(monkeypatch):
    """Run `main`, and return its exit code."""
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)

    def ended(*arguments):
        monkeypatch.setattr(sys, "argv", ["mimo-eval", *arguments])
        with pytest.raises(SystemExit) as done:
            main.main()
        return done.value.code

    return ended


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["run"], "what was encoded is kept, run the same command again to go on"),
        (["run", "train"], "what was encoded is kept, run the same command again to go on"),
        (
            ["-v", "-v", "train"],
            "what was encoded and the last checkpoint are kept, run the same command with --resume to go on",
        ),
        (["study"], "the rows that are finished are kept, run the same command again to go on"),
        (["data"], "what was downloaded is kept, run the same command again to go on"),
        (["compare"], ""),
        (["leaderboard"], ""),
    ],
)
def test_an_interrupted_command_says_how_to_go_on_with_it(command, run, capsys, line, said):
    command(next(word for word in line if word != "-v"), interrupt)
    assert run(*line) == 130
    assert capsys.readouterr().err == (f"\ninterrupted; {said}\n" if said else "\ninterrupted\n")


@pytest.mark.parametrize("code", [1, 5])
def test_the_exit_code_that_a_command_asks_for_is_its_exit_code(command, run, code):
    command("run", lambda: click.get_current_context().exit(code))
    assert run("run") == code


@pytest.mark.parametrize("arguments", [["cache", "path"], ["--help"], ["benchmarks"]])
def test_output_that_nobody_reads_does_not_end_with_the_code_of_a_regression(arguments):
    read, write = os.pipe()
    os.close(read)
    line = [sys.executable, "-m", "mimo_eval.cli.main", *arguments]
    done = subprocess.run(line, stdout=write, stderr=subprocess.PIPE, text=True, timeout=240)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_that_nobody_reads_keeps_its_code():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "mimo_eval.cli.main", "nope"], stdout=write, stderr=write, timeout=240)
    os.close(write)
    assert done.returncode == 2


def test_a_connection_that_breaks_is_a_fault_and_no_reader_that_left(command, run, capfd):
    def fail():
        raise BrokenPipeError(32, "Broken pipe")

    command("run", fail)
    assert run("run") == 70
    assert "a connection was broken off" in capfd.readouterr().err


@pytest.mark.parametrize("line", [["-v", "cache", "path"], ["cache", "-v", "path"], ["cache", "path", "-v"]])
def test_more_is_said_wherever_the_option_stands(line):
    logger = logging.getLogger("mimo_eval")
    assert CliRunner().invoke(main.cli, line).exit_code == 0
    assert logger.level == logging.INFO
    assert CliRunner().invoke(main.cli, ["cache", "path"]).exit_code == 0
    assert logger.level == logging.WARNING


@pytest.mark.parametrize(
    ("typed", "offered"), [("ru", ["run"]), ("run --de", ["--depth", "--device"]), ("data f", ["fetch"]), ("rum --d", [])]
)
def test_the_shell_completes_commands_and_options(typed, offered):
    asked = {
        "_MIMO_EVAL_COMPLETE": "bash_complete",
        "COMP_WORDS": f"mimo-eval {typed}",
        "COMP_CWORD": str(1 + typed.count(" ")),
    }
    code = "import sys; sys.argv = ['mimo-eval']; from mimo_eval.cli.main import main; main()"
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env={**os.environ, **asked}, capture_output=True, text=True, timeout=240)
    assert (done.stdout.split(), done.stderr) == ([f"plain,{word}" for word in offered], "")
