"""Names with arguments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_eval.errors import ConfigError
from mimo_eval.specs import Spec, parse_spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("bm25", Spec("bm25")),
        ("org/model-v1.5", Spec("org/model-v1.5")),
        (" bm25 ( ) ", Spec("bm25")),
        ("bm25(k1=0.9, b = 1)", Spec("bm25", (), {"k1": 0.9, "b": 1})),
        ("rrf(bm25, m(d=2), k=60)", Spec("rrf", (Spec("bm25"), Spec("m", (), {"d": 2})), {"k": 60})),
        ("f(a,)", Spec("f", (Spec("a"),))),
        ("f(x=TRUE,y=false,z=True1)", Spec("f", (), {"x": True, "y": False, "z": "True1"})),
        ("module:Class.attr", Spec("module:Class.attr")),
    ],
)
def test_names_and_arguments_are_read(text, spec):
    assert parse_spec(text) == spec
    assert parse_spec(str(spec)) == spec


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("0", 0),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("2.", 2.0),
        ("007", "007"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("12e4567", "12e4567"),  # a git revision, not infinity
        ("1234567890123456789012", "1234567890123456789012"),
        ("٣", "٣"),
        ("v1.0", "v1.0"),
    ],
)
def test_values_are_numbers_only_if_written_as_numbers(value, read):
    found = parse_spec(f"f(x={value})").kwargs["x"]
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a name is missing at position 1"),
        ("   ", "a name is missing"),
        ("f(", "a closing bracket is missing"),
        ("f(a", "a closing bracket is missing"),
        ("f(a))", r"unexpected '\)'"),
        ("f(a) b", "unexpected 'b'"),
        ("f(,)", "a name is missing at position 3"),
        ("f(a,,b)", "a name is missing at position 5"),
        ("f(a b)", "a comma is missing at position 5"),
        ("f(x=1 y=2)", "a comma is missing"),
        ("f(x=)", "a value is missing at position 5"),
        ("f(=1)", "a name is missing"),
        ("f(x=1,x=2)", "x is given twice"),
        ("f(g(a)=1)", r"g\(a\) is given a value"),
        ("f(" * 30, "nested deeper than 20"),
        ("f(" * 100_000, "nested deeper than 20"),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_place(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_spec(text)


@given(st.text(alphabet="ab(),= 1.", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        spec = parse_spec(text)
    except ConfigError:
        return
    assert parse_spec(str(spec)) == spec
