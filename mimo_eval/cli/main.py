"""`mimo-eval`: commands are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from mimo_eval import __version__
from mimo_eval.errors import MimoEvalError

COMMANDS = {
    "run": "Evaluate models and print their scores.",
    "plan": "Say what an evaluation will cost: texts, tokens, bytes, hours, dollars.",
    "encode": "Encode a collection beforehand, all of it or a share.",
    "compare": "Say whether one result is better than another, and where.",
    "check": "Fail if a result is worse than a baseline.",
    "leaderboard": "Rank results on a page; prepare and check submissions.",
    "show": "Print stored results again, as tables or for programs.",
    "results": "List the results that are stored.",
    "report": "Write a page about one result: where the model fails.",
    "analyze": "Print and draw the geometry behind the scores.",
    "benchmarks": "List the benchmarks, or show one.",
    "models": "List the models that have names, or show one.",
    "measures": "List what is measured, or show one measure whole.",
    "data": "List, fetch, describe, validate, mix and remove collections.",
    "cache": "List, verify and clear what is kept between runs.",
    "train": "Train a model by a recipe.",
    "study": "Compare training methods on the same data, folds and seeds.",
    "mteb": "Evaluate with MTEB, list its mixed tasks, export results to its layout.",
    "score": "Score anybody's TREC run.",
    "card": "Write results into a model card.",
}


KEPT = "what was encoded is kept, run the same command again to go on"
LATER = {
    "run": KEPT,
    "encode": KEPT,
    "analyze": KEPT,
    "mteb": KEPT,
    "data": "what was downloaded is kept, run the same command again to go on",
    "train": "what was encoded and the last checkpoint are kept, run the same command with --resume to go on",
    "study": "the rows that are finished are kept, run the same command again to go on",
}
"""How to go on with a command that was broken off; the others begin anew."""
UNREAD = 141
"""Exit code where nobody reads what is printed any more, as a shell gives it for SIGPIPE."""
VERBOSE = "mimo_eval.verbose"
"""Where a context keeps how often `-v` was given."""


def _louder(ctx: click.Context, param: click.Parameter, count: int) -> None:
    """Say more, the more often `-v` stands before the command and after it."""
    count = ctx.meta[VERBOSE] = ctx.meta.get(VERBOSE, 0) + count
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("mimo_eval").setLevel({0: logging.WARNING, 1: logging.INFO}.get(count, logging.DEBUG))
    if count > 1:
        logging.getLogger().setLevel(logging.DEBUG)


VERBOSITY = click.Option(
    ["-v", "--verbose"],
    count=True,
    expose_value=False,
    callback=_louder,
    help="Say more on stderr; twice for details of the libraries.",
)


def _furnished(command: click.Command, variable: str) -> click.Command:
    """Give the options of a command, and of those in it, a variable each, and the command the option that the whole has.

    :param command: the command.
    :param variable: what the names of its variables begin with, such as MIMO_EVAL_RUN.
    :return: the same command.
    """
    if VERBOSITY in command.params:
        return command
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            option.envvar = f"{variable}_{max(option.opts, key=len).lstrip('-')}".upper().replace("-", "_")
    command.params.append(VERBOSITY)
    for name, part in command.commands.items() if isinstance(command, click.Group) else ():
        _furnished(part, f"{variable}_{name.upper()}")
    return command


class Stopped(click.exceptions.Abort):
    """A command that was broken off by a signal."""

    def __init__(self, command: str | None) -> None:
        super().__init__()
        self.command = command


@contextmanager
def _unread() -> Iterator[None]:
    """End with UNREAD where the reader of what is printed has gone, such as `head`; click would say 1, a regression."""
    try:
        yield
    except BrokenPipeError as error:
        gone = [stream for stream in (sys.stdout, sys.stderr) if _reader_gone(stream)]
        if not gone:  # a server or process that a model talks to
            raise RuntimeError("a connection was broken off") from error
        for stream in gone:  # what is not written yet goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise click.exceptions.Exit(UNREAD) from error


def _reader_gone(stream: Any) -> bool:
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


class LazyGroup(click.Group):
    """A group whose commands live in modules of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command may have been meant, where there is none of a name."""
        unknown = args[0] not in COMMANDS and not ctx.resilient_parsing
        near = get_close_matches(args[0], COMMANDS, n=1, cutoff=0.6) if unknown else []
        if near:
            raise click.UsageError(f"No such command '{args[0]}'; did you mean {near[0]}?", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module."""
        if cmd_name not in COMMANDS:
            return None
        return _furnished(import_module(f"mimo_eval.cli.{cmd_name}").command, f"MIMO_EVAL_{cmd_name.upper()}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the command line, which may print help."""
        with _unread():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what breaks it off carries its name."""
        with _unread():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt as error:
                raise Stopped(ctx.invoked_subcommand) from error


@click.group(
    cls=LazyGroup,
    params=[VERBOSITY],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes, variables, completion: docs/cli.md. Any option can be a variable: MIMO_EVAL_RUN_DEVICE=cpu.",
)
@click.version_option(__version__, prog_name="mimo-eval")
def cli() -> None:
    """Evaluate retrieval models on corpora in many languages.

    One corpus, many languages, queries in any of them.

    Try: mimo-eval run mimo-mini bm25
    """
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    # two libraries whose threads spin while they wait are slower together than one alone
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # the same for Intel's OpenMP, of conda
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # the same for NumPy, whose products come before FAISS's
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


_asked: list[int] = []
"""Signals that have asked the process to end."""


def _terminate(number: int, *_: object) -> None:
    """End as an interrupt does, so that temporary files are removed; Ray lets no other exception out of its calls."""
    _asked.append(number)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; a user's mistake is one message and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)  # what a command gives `ctx.exit`, else nothing
        if code:
            sys.exit(code)
    except click.ClickException as error:
        with suppress(OSError):  # nobody may be reading; the code is to be right all the same
            error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        how, code = ("terminated", 143) if _asked else ("interrupted", 130)
        later = LATER.get(error.command or "") if isinstance(error, Stopped) else None
        with suppress(OSError):
            click.echo(f"\n{how}{f'; {later}' if later else ''}", err=True)
        sys.exit(code)
    except MimoEvalError as error:
        with suppress(OSError):
            click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # a fault of ours must not look like a regression, which is 1
        with suppress(OSError):
            traceback.print_exc()
            click.echo("this is a fault of mimo-eval; please report it with the lines above", err=True)
        sys.exit(70)


if __name__ == "__main__":
    main()
