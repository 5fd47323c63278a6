"""The main job in a process of its own, which can be broken at any point: imported once, then forked for every attempt."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mimo_eval import evaluation
from mimo_eval.benchmark import of_folder
from mimo_eval.cache import verify
from mimo_eval.embeddings import shards
from mimo_eval.errors import MimoEvalError
from mimo_eval.results import read_queries, read_result
from mimo_eval.search.flat import engine

MODEL = "rrf(hashing, bm25)"
for module in (
    *("bm25s", "datasets", "langcodes", "pandas", "psutil", "pyarrow.parquet", "regex", "safetensors.numpy", "scipy.sparse"),
    *("scipy.special", "mimo_eval.models.bm25", "mimo_eval.models.fusion", "mimo_eval.models.hashing"),
):
    import_module(module)  # once, not in every fork
engine()  # which looks through all installed packages
shards.CHUNK_ROWS = 4


def attempt(cache: Path, output: Path, data: Path) -> None:
    """Build the collection, encode, index, search, score and write."""
    os.environ["MIMO_EVAL_CACHE"] = str(cache)
    evaluation.run(MODEL, of_folder(data), output=output)


def in_child(work: Callable[[], None], kill_after: float | None = None) -> int:
    """Run something in a fork; return its exit status as `os.waitstatus_to_exitcode` gives it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except MimoEvalError as error:
            sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
            sys.stdout.flush()
            os._exit(error.exit_code)
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def count_events(roots: tuple[str, ...], kill_at: int | None = None) -> Callable[[], int]:
    """Count what is done to files in some folders (open, rename, remove, mkdir); at one of them, be killed."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and str(arguments[0]).startswith(roots):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: seen


def count_flushes(fail_at: int | None = None) -> Callable[[], int]:
    """Count what is flushed to the disk; at one of them, let the disk be full."""
    seen, flush = 0, os.fsync

    def fsync(handle: int) -> None:
        nonlocal seen
        seen += 1
        if seen == fail_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    os.fsync = fsync
    return lambda: seen


def limit_files(size: int) -> None:
    """Make every write beyond a size fail, as a full disk does, also those of libraries."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def outcome(cache: Path, output: Path) -> str:
    """Return everything that must not depend on where a job was broken, as one string."""
    os.environ["MIMO_EVAL_CACHE"] = str(cache)
    (file,) = output.rglob("result.json")
    result, queries = read_result(file, strict=True), read_queries(file, strict=True)
    damaged = [str(checked.damage) for checked in verify() if checked.damage]
    vectors = [path.relative_to(cache).as_posix() + path.read_bytes().hex() for path in cache.glob("vectors/**/*.safetensors")]
    settings = [setting.model_dump(mode="json") for setting in result.settings]
    return json.dumps([settings, queries.to_csv(), damaged, sorted(vectors), sorted(p.name for p in file.parent.iterdir())])
