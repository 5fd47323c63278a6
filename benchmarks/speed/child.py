"""A process that calls one function and prints what it returned and cost, as one line of JSON: see `harness.in_child`."""

from __future__ import annotations

import json
import resource
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter


def main() -> None:
    """Call `module:function` with the arguments in the second word."""
    import psutil

    module, _, name = sys.argv[1].partition(":")
    function = getattr(import_module(module), name)
    before, start = psutil.Process().memory_info().rss, perf_counter()
    value = function(**json.loads(sys.argv[2]))
    seconds = perf_counter() - start
    print(json.dumps({"value": value, "seconds": seconds, "peak": peak(), "before": before}))


def peak() -> int:
    """Return the largest resident size in bytes; not `ru_maxrss` on Linux, which begins with that of the parent."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
