"""The one start of Java."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mimo_eval.errors import MissingExtraError, ModelError
from mimo_eval.models import jvm
from mimo_eval.models.java import Java

JAVA_25 = Java("PATH", Path("java"), Path("home"), "25.0.2", 25)


def test_missing_pyjnius_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jnius_config", None)
    with pytest.raises(MissingExtraError, match=r"jnius_config.*pip install 'mimo-eval\[pyserini\]'"):
        jvm._start()


def test_newer_options_are_kept_from_older_javas():
    assert "-Xrs" in jvm.options(JAVA_25)
    assert {option for option in jvm.options(JAVA_25) if option.startswith("--")} == {
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    }
    assert not any(option.startswith("--") for option in jvm.options(JAVA_25._replace(major=21)))


def test_a_jvm_that_runs_without_lucene_is_an_error(monkeypatch):
    monkeypatch.setattr(jvm, "has_class", lambda name: False)
    with pytest.raises(ModelError, match=r"Java runs already in this process, without a\.jar"):
        jvm._running(Path("a.jar"))


def test_a_jvm_that_somebody_else_started_with_lucene_is_used():
    """pyserini itself, for example, imported earlier by the user."""
    code = (
        "import os\nfrom mimo_eval.models import java, jvm\njar = java.find_jar()\n"
        "found = java.find_java(java.required_java(jar))\nos.environ['JAVA_HOME'] = str(found.home)\n"
        "import jnius_config\njnius_config.set_classpath(str(jar))\nimport jnius\nprint(jvm.start()['java'] == "
        "f'{found.version} (was running)')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout == "True\n", done.stderr


def test_the_real_thing_starts_once():
    first = jvm.start()
    assert first == jvm.start()
    assert first["jar"].startswith("anserini-")
    assert jvm.has_class("org.apache.lucene.index.IndexWriter") and not jvm.has_class("org.apache.lucene.NoSuchThing")
