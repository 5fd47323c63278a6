"""Memory that a piece of work needs: the peak of what the system cannot take back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

PAUSE = 0.005
"""Seconds between two looks."""


class Memory:
    """Watches anonymous memory during a `with` block; mapped files are the page cache's and can be dropped at any time.

    A process of its own looks, because a thread is not let in while a library computes.
    """

    before: int
    """Bytes at the start."""
    peak: int
    """Most bytes seen."""

    def __enter__(self) -> Memory:
        command = [sys.executable, __file__, str(os.getpid())]
        self._watcher: Any = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._watcher.stdout.readline()  # it looks
        self.before = anonymous()
        return self

    def __exit__(self, *_: object) -> None:
        last = anonymous()
        out, _err = self._watcher.communicate("stop\n")
        self.peak = max(int(out), last)

    @property
    def growth(self) -> int:
        """Bytes by which the peak exceeds what was there at the start."""
        return self.peak - self.before


def anonymous(process: str = "self") -> int:
    """Return a process's anonymous memory in bytes (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def watch(process: str) -> None:
    """Look at a process until a line comes in, and print the most that was seen."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    peak = anonymous(process)
    print("ready", flush=True)
    while not stop.wait(PAUSE):
        peak = max(peak, anonymous(process))
    print(peak)


if __name__ == "__main__":
    watch(sys.argv[1])
