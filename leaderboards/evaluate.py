"""Evaluate the models of the boards anew, add their results by the same door as anybody's submission, and build the boards.

Nothing is taken from the cache, so that the speeds on the boards are of these runs. Nothing is written into the repository
before all models are evaluated, so that every result names the commit and not a checkout with changes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import NamedTuple

import yaml

from mimo_eval import environment
from mimo_eval.analysis import analyse
from mimo_eval.benchmark import load_benchmark
from mimo_eval.errors import MimoEvalError
from mimo_eval.leaderboard import build_board, write_board
from mimo_eval.leaderboard.entries import ModelCard
from mimo_eval.leaderboard.submit import submit
from mimo_eval.models.loading import load_model

HERE = Path(__file__).parent
BOARDS = sorted(path.parent.name for path in HERE.glob("*/models.yaml"))


class Evaluated(NamedTuple):
    """A result that is not on its board yet."""

    board: str
    folder: Path
    card: ModelCard


def main() -> int:
    """Evaluate what the `models.yaml` of each board lists.

    :return: 1 if a model failed; its result stays as it was.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=f"{', '.join(BOARDS)}; all if not given")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("MIMO_EVAL_DATA") or None,
        help="folder with a folder per collection, and with what {data} stands for in models.yaml; else $MIMO_EVAL_DATA",
    )
    parser.add_argument("--only", default="", help="models whose line holds this text")
    parser.add_argument("--work", type=Path, help="folder for vectors and results; with it, what was broken off goes on")
    given = parser.parse_args()
    unknown = sorted({*given.boards} - {*BOARDS})
    if unknown:
        parser.error(f"no board {unknown[0]}; those are {', '.join(BOARDS)}")
    if (environment.describe()["git"] or "").endswith("+"):
        sys.stderr.write("the checkout has changes that are not committed, and every result will say so\n")
    with TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        os.environ["MIMO_EVAL_CACHE"] = str((work / "cache").absolute())
        if given.data:
            os.environ["MIMO_EVAL_DATA"] = str(given.data.absolute())  # for the collections that need a folder
        made, failed = evaluate_all(given.boards or BOARDS, given.data, given.only, work / "results")
        for result in made:
            add(result)
    for board in dict.fromkeys(result.board for result in made):
        write_board(HERE / board, build_board([HERE / board / "results"]))
        sys.stderr.write(f"{board}: built\n")
    return int(failed > 0)


def evaluate_all(boards: list[str], data: Path | None, only: str, output: Path) -> tuple[list[Evaluated], int]:
    """Evaluate the models of some boards.

    :param boards: their names.
    :param data: what {data} in a model's line stands for; models that need it are passed over without.
    :param only: text that a model's line must hold.
    :param output: folder for results.
    :return: the results, and how many models failed.
    """
    made, failed = [], 0
    for board in boards:
        for card in yaml.safe_load((HERE / board / "models.yaml").read_text("utf-8")):
            model = card.pop("model")
            if only not in model:
                continue
            if "{data}" in model and data is None:
                sys.stderr.write(f"{board}: {model}: passed over, give --data FOLDER\n")
                continue
            start = time.monotonic()
            try:
                loaded = load_model(model.format(data=data))
                outcome, _ = analyse(loaded, load_benchmark(board), output=output)
            except MimoEvalError as error:
                sys.stderr.write(f"{board}: {model}: {error}\n")
                failed += 1
                continue
            if outcome.folder is not None:
                made.append(Evaluated(board, outcome.folder, ModelCard(**card)))
            sys.stderr.write(f"{board}: {model}: {time.monotonic() - start:.0f} s\n")
    return made, failed


def add(result: Evaluated) -> None:
    """Put a result on its board; it replaces earlier ones of the same model."""
    done = submit(result.folder, HERE / result.board, result.card)
    done.description.unlink()
    for older in done.folder.parent.iterdir():
        if older != done.folder:
            rmtree(older)


if __name__ == "__main__":
    sys.exit(main())
