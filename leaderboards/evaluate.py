"""Evaluate the models of a board and put their results into it, through the same door as anybody's submission."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import yaml

from mimo_eval.analysis import analyse
from mimo_eval.benchmark import load_benchmark
from mimo_eval.errors import MimoEvalError
from mimo_eval.leaderboard.entries import ModelCard
from mimo_eval.leaderboard.submit import submit
from mimo_eval.models.loading import load_model

HERE = Path(__file__).parent


def main() -> int:
    """Evaluate what `models.yaml` lists.

    :return: the number of models that failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("board", choices=sorted(path.parent.name for path in HERE.glob("*/models.yaml")))
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=FOLDER", help="what {NAME} in models.yaml stands for"
    )
    parser.add_argument("--data", type=Path, help="folder of the collection's files, where it has any")
    parser.add_argument("--only", default="", help="models whose line holds this text")
    given = parser.parse_args()
    folders = dict(pair.split("=", 1) for pair in given.set)
    listed = yaml.safe_load((HERE / given.board / "models.yaml").read_text("utf-8"))
    failed = 0
    for card in listed:
        model = card.pop("model")
        if given.only not in model:
            continue
        try:
            evaluate(model.format_map(folders), given.board, given.data, ModelCard(**card))
        except KeyError as error:
            sys.stderr.write(f"{model}: passed over, give --set {error.args[0]}=FOLDER\n")
        except MimoEvalError as error:
            sys.stderr.write(f"{model}: {error}\n")
            failed += 1
    return failed


def evaluate(model: str, board: str, data: Path | None, card: ModelCard) -> None:
    """Evaluate one model; its result replaces earlier ones of the same name.

    :param model: as `mimo-eval run` takes it.
    :param board: name of board and benchmark.
    :param data: folder of the collection's files.
    :param card: what the result does not say.
    """
    with TemporaryDirectory() as temporary:
        outcome, _ = analyse(load_model(model), load_benchmark(board), data=data, output=Path(temporary))
        if outcome.folder is None:
            return
        done = submit(outcome.folder, HERE / board, card)
        done.description.unlink()
        for older in done.folder.parent.iterdir():
            if older != done.folder:
                rmtree(older)
    sys.stderr.write(f"{done.folder.relative_to(HERE)}\n")


if __name__ == "__main__":
    sys.exit(main())
