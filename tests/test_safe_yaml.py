"""YAML of bounded size, depth and numbers, without aliases and tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimo_eval.errors import ConfigError
from mimo_eval.safe_yaml import read_yaml


def put(folder: Path, text: str) -> Path:
    (folder / "f").write_text(text, "utf-8")
    return folder / "f"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: [*x, *x]", "aliases are not allowed"),
        ("a: &a\n  b: *a", "aliases are not allowed"),
        ("[" * 60 + "]" * 60, "nested deeper than 50 levels"),
        ("[" * 900_000, "nested deeper than 50 levels"),
        ("\n".join("  " * depth + "a:" for depth in range(60)), "nested deeper than 50 levels"),
        ("? " * 60 + "a", "nested deeper than 50 levels"),
        ("n: " + "9" * 5000, "a number of 5,000 characters"),
        ("n: 1" + ":01" * 100_000, "a number of 300,001 characters"),
        ("n: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("n: !!python/name:os.system", "could not determine a constructor"),
        ("n: !!binary é", "failed to convert base64"),
        ("a: \0", "special characters are not allowed"),
        ("a: [", "while parsing"),
        ("#" * 1_000_001, "larger than 1,000,000 bytes"),
    ],
)
def test_yaml_that_a_person_did_not_write_is_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(put(tmp_path, text))
    assert "\n" not in str(caught.value) and "f: " in str(caught.value)


def test_yaml_of_usual_depth_is_read(tmp_path):
    assert read_yaml(put(tmp_path, "[" * 50 + "]" * 50)) is not None
    assert read_yaml(put(tmp_path, "a: {b: [1, 0x1F, 1e3, 2026-01-01]}"))["a"]["b"][:2] == [1, 31]
    assert read_yaml(put(tmp_path, "")) is None
