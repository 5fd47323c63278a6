"""`mimo-eval`: commands are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
import warnings
from difflib import get_close_matches
from importlib import import_module

import click

from mimo_eval import __version__
from mimo_eval.errors import MimoEvalError

COMMANDS = {
    "run": "Evaluate models and print their scores.",
    "plan": "Say what an evaluation will cost: texts, tokens, bytes, hours, dollars.",
    "encode": "Encode a collection beforehand, all of it or a share.",
    "compare": "Say whether one result is better than another, and where.",
    "check": "Fail if a result is worse than a baseline.",
    "leaderboard": "Rank results on a page, or prepare one for a board.",
    "report": "Write a page about one result: where the model fails.",
    "analyze": "Print and draw the geometry behind the scores.",
    "benchmarks": "List the benchmarks, or show one.",
    "models": "List the models that need no download, and those of plugins.",
    "measures": "List what is measured, or show one measure whole.",
    "data": "List, fetch, describe, validate, mix and remove collections.",
    "cache": "List, verify and clear what is kept between runs.",
    "train": "Train a model by a recipe.",
    "study": "Compare training methods on the same data, folds and seeds.",
    "mteb": "Evaluate with MTEB, list its mixed tasks, export results to its layout.",
    "score": "Score anybody's TREC run.",
    "card": "Write results into a model card.",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command may have been meant, where there is none of a name."""
        near = get_close_matches(args[0], COMMANDS, n=1, cutoff=0.6) if args[0] not in COMMANDS else []
        if near:
            raise click.UsageError(f"No such command '{args[0]}'; did you mean {near[0]}?", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"mimo_eval.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "MIMO_EVAL"})
@click.version_option(__version__, prog_name="mimo-eval")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for details of the libraries.")
def cli(verbose: int) -> None:
    """Evaluate retrieval models on corpora in many languages.

    One corpus, many languages, queries in any of them. Try: mimo-eval run hashing bm25
    """
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if verbose > 1 else logging.WARNING, format="%(message)s")
    logging.getLogger("mimo_eval").setLevel(level)
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


def _later() -> str:
    """Say how to go on with what was broken off."""
    if "train" in sys.argv[1:3]:
        return "what was encoded and the last checkpoint are kept, run the same command with --resume to go on"
    return "what was encoded is kept, run the same command again to go on"


def main() -> None:
    """Run the command line; a user's mistake is one message and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        how, code = ("terminated", 143) if _asked else ("interrupted", 130)
        click.echo(f"\n{how}; {_later()}", err=True)
        sys.exit(code)
    except BrokenPipeError:  # the reader of stdout has gone, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MimoEvalError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # a fault of ours must not look like a regression, which is 1
        traceback.print_exc()
        click.echo("this is a fault of mimo-eval; please report it with the lines above", err=True)
        sys.exit(70)


if __name__ == "__main__":
    main()
