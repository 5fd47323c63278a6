"""Fuzz the readers guided by coverage, with atheris: `tox -e fuzz`, or `python tests/fuzz/coverage_guided.py [READER …]`.

Each reader has a process of its own and a folder of inputs, `.fuzz/READER`, from which the next run goes on. An input that
gives neither content nor an error of this package ends the process and is kept beside it; `--again FILE READER` tries it again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

LONGEST = 4096
"""Bytes of an input."""


def fuzz(reader: Any, seconds: int, inputs: Path) -> None:
    """Fuzz one reader; the process ends with it.

    :param reader: of the table.
    :param seconds: for how long.
    :param inputs: folder of all readers' inputs.
    """
    import atheris
    from reader_table import survives

    name = reader.name.replace(" ", "-")
    (inputs / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        os.environ["MIMO_EVAL_CACHE"] = f"{work}/cache"
        path = Path(work) / reader.file
        for number, line in enumerate(["\n".join(reader.lines), *reader.lines]):
            (inputs / name / f"seed-{number}").write_text(line, "utf-8")
            survives(reader.read, path, line.encode())  # what a first call imports counts for no input
        options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=20", "-rss_limit_mb=4096", "-verbosity=0"]
        found = f"-artifact_prefix={inputs}/{name}."
        atheris.Setup([sys.argv[0], *options, found, str(inputs / name)], lambda data: survives(reader.read, path, data))
        atheris.Fuzz()


def each(names: list[str], seconds: int, inputs: Path) -> int:
    """Fuzz readers one after the other.

    :param names: of the readers; all if empty.
    :param seconds: for each.
    :param inputs: folder of their inputs.
    :return: 1 if something was found, 2 if there is no such reader.
    """
    import atheris

    with atheris.instrument_imports(include=["mimo_eval", "yaml"]):
        from reader_table import READERS, quiet
    known = {reader.name: reader for reader in READERS}
    if unknown := set(names) - set(known):
        sys.stderr.write(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return 2
    quiet()
    failed = []
    for name in names or known:
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        if (child := os.fork()) == 0:
            fuzz(known[name], seconds, inputs)
        if os.waitpid(child, 0)[1]:
            failed.append(name)
    sys.stdout.write(f"{len(names or known)} readers, {seconds} s each; failed: {', '.join(failed) or 'none'}\n")
    return int(bool(failed))


def again(name: str, file: Path) -> int:
    """Give one input to a reader.

    :param name: of the reader.
    :param file: the input.
    :return: 0; what goes wrong is a traceback.
    """
    from reader_table import READERS, survives

    (reader,) = (reader for reader in READERS if reader.name == name)
    with tempfile.TemporaryDirectory() as work:
        survives(reader.read, Path(work) / reader.file, file.read_bytes())
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help="all of reader_table.py by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--inputs", type=Path, default=Path(".fuzz"), help="folder of the inputs")
    parser.add_argument("--again", type=Path, metavar="FILE", help="an input to try again")
    given = parser.parse_args()
    return again(given.readers[0], given.again) if given.again else each(given.readers, given.seconds, given.inputs)


if __name__ == "__main__":
    sys.exit(main())
