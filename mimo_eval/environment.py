"""What a number was made with: versions, platform, threads, memory."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mimo_eval import __version__

PACKAGES = (
    "bm25s", "datasets", "faiss-cpu", "faiss-gpu", "ir-measures", "numpy", "pandas", "sentence-transformers", "torch",
    "transformers",
)  # fmt: skip
CGROUP = Path("/sys/fs/cgroup")
"""Where a container sees the limits of its own control group (version 2)."""


def describe() -> dict[str, Any]:
    """Return versions, platform and threads, as a result carries them."""
    versions = {"mimo-eval": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "git": _git(),
    }


def in_ci() -> bool:
    """Say whether this runs in continuous integration: `$CI` is set, and not to 0 or false."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _git() -> str | None:
    """Return the commit of a checkout of this package, with `+` if it was changed; None for an installed one."""
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=5
        )
        status = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=folder, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "") if commit.returncode == 0 else None


def has_onednn() -> bool:
    """Say whether torch has the matrix products of oneDNN for this processor; it imports torch."""
    import torch

    there = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()
    return there and torch.backends.mkldnn.enabled and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def available_memory() -> int:
    """Return the bytes that this process may still take: of the machine, or of the container if that has fewer."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text("utf-8")) for name in ("max", "current"))
    except (OSError, ValueError):  # no such files, or no limit: `max`
        return free
    return max(0, min(free, limit - used))


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    import psutil

    info = psutil.Process().memory_info()
    if platform.system() == "Windows":
        return int(getattr(info, "peak_wset"))  # noqa: B009  # an attribute of Windows alone
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if platform.system() == "Darwin" else 1024)
