"""The command line in this process: a new one would import everything anew, for each of many short calls."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from mimo_eval.cli.main import main


def call(*arguments: object, cwd: Path) -> SimpleNamespace:
    """Run a command as a user would; what it sets for the whole process is put back.

    :return: `returncode`, `stdout` and `stderr`.
    """
    out, err, ours = io.StringIO(), io.StringIO(), logging.getLogger("mimo_eval")
    handler, level = signal.getsignal(signal.SIGTERM), ours.level
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr("sys.argv", ["mimo-eval", *map(str, arguments)])
        patch.setattr(warnings, "formatwarning", warnings.formatwarning)
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        finally:
            signal.signal(signal.SIGTERM, handler)
            ours.setLevel(level)
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())
