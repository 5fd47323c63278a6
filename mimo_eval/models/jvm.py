"""Java inside this process: the one start of the JVM, and what is asked of it.

A JVM that runs can neither be stopped nor started again; see `java.py` for how a Java that can run Lucene is found.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from mimo_eval.errors import ModelError, require
from mimo_eval.models.java import Java, find_jar, find_java, required_java

SURROGATE = re.compile("[\ud800-\udfff]")


def options(java: Java) -> list[str]:
    """Return the JVM's options. Heap size and the like are the user's, in JAVA_TOOL_OPTIONS, which every JVM reads.

    :param java: which Java.
    :return: options that it understands.
    """
    chosen = [
        "-Xrs",  # leaves SIGINT to Python: otherwise Ctrl-C ends the process without KeyboardInterrupt
        "-Dlog4j2.level=ERROR",
        "-Dorg.apache.logging.log4j.level=ERROR",
    ]
    # newer Javas warn on stderr of what Lucene 9 does to release memory-mapped files
    if java.major >= 22:
        chosen.append("--enable-native-access=ALL-UNNAMED")
    if java.major >= 23:
        chosen.append("--sun-misc-unsafe-memory-access=allow")
    return chosen


_lock = threading.Lock()
_started: dict[str, Any] = {}


def start() -> dict[str, str]:
    """Start Java with Lucene, once per process.

    :return: its version and where it was found, and the jar's name.
    :raises MissingExtraError: if pyjnius, the jar or a suitable Java is missing.
    :raises ModelError: if it was started before this process was forked, runs already without Lucene, or does not start.
    """
    with _lock:
        if not _started:
            _started.update(_start(), pid=os.getpid())
        if _started["pid"] != os.getpid():
            raise ModelError(
                "Java was started before this process was forked, and does not survive that; start workers before the first "
                "use of pyserini, or with multiprocessing's 'spawn'"
            )
        return {name: _started[name] for name in ("java", "jar")}


def _start() -> dict[str, str]:
    config = require("jnius_config", "pyserini")
    jar = find_jar()
    if config.vm_running:
        return _running(jar)
    java = find_java(required_java(jar), jar.name)
    config.set_options(*options(java))
    config.set_classpath(str(jar))
    try:
        with _environment(JAVA_HOME=str(java.home), JVM_PATH=None):
            import_module("jnius")  # this starts the JVM
    except (ImportError, OSError, RuntimeError, SystemError) as error:
        raise ModelError(f"Java {java.version} ({java.home}) does not start: {error}") from error
    _quiet()
    return {"java": f"{java.version} ({java.where})", "jar": jar.stem}


def _running(jar: Path) -> dict[str, str]:
    """Use a JVM that somebody else started, if Lucene is in its class path."""
    if not has_class("io.anserini.search.query.BagOfWordsQueryGenerator"):
        raise ModelError(
            f"Java runs already in this process, without {jar.name}; use pyserini before what started it, or put the jar into "
            "that JVM's class path"
        )
    version = java_class("java.lang.System").getProperty("java.version")
    return {"java": f"{version} (was running)", "jar": jar.stem}


@contextmanager
def _environment(**values: str | None) -> Iterator[None]:
    """Set or remove environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _set(values)
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@cache
def _quiet() -> Any:
    """Silence Lucene's advice to update Lucene; a logger keeps its level as long as somebody holds it."""
    held = java_class("java.util.logging.Logger").getLogger("org.apache.lucene")
    held.setLevel(java_class("java.util.logging.Level").SEVERE)
    return held


@cache
def java_class(name: str) -> Any:
    """Return a Java class; the JVM must run.

    :param name: its full name.
    :return: the class, as pyjnius shows it.
    """
    return import_module("jnius").autoclass(name)


def has_class(name: str) -> bool:
    """Return whether the running JVM knows a class.

    :param name: its full name.
    :return: whether it can be loaded.
    """
    jnius = import_module("jnius")
    try:
        jnius.find_javaclass(name)
    except jnius.JavaException:
        return False
    return True


def java_text(text: str) -> str:
    """Return a text that pyjnius takes; it refuses lone surrogates, which stand in damaged web pages.

    :param text: any text.
    :return: the text, with the replacement character for each lone surrogate.
    """
    return text if text.isascii() else SURROGATE.sub("\ufffd", text)


@contextmanager
def java_errors(what: str) -> Iterator[None]:
    """Turn Java's exceptions into errors that name what was being done.

    :param what: what is being done, as a noun phrase.
    :raises ModelError: in place of a Java exception.
    """
    jnius = import_module("jnius")
    try:
        yield
    except jnius.JavaException as error:
        text = str(error).strip().splitlines()[0].removeprefix("JVM exception occurred: ")
        hint = "; give Java more memory with JAVA_TOOL_OPTIONS=-Xmx8g" if "OutOfMemoryError" in text else ""
        raise ModelError(f"{what}: Java says {text}{hint}") from error
