"""`python -m mimo_eval.integrations.mteb run -m … -t …`: MTEB's own command line with this package's tasks registered."""

from __future__ import annotations

import sys

from mimo_eval.errors import MimoEvalError
from mimo_eval.integrations.mteb.registry import register


def main() -> None:
    """Register the tasks and hand over; a mistake that this package finds is one message and an exit code."""
    try:
        register()
        from mteb.cli import main as mteb_main

        mteb_main()
    except MimoEvalError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
