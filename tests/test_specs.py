"""Names with arguments."""

from __future__ import annotations

import inspect
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_eval.errors import ConfigError
from mimo_eval.specs import Spec, arguments, check_arguments, parse_spec, python_names


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


FUNCTIONS = [
    lambda: 0,
    lambda a: 0,
    lambda a, b=1: 0,
    lambda a=0, /, b=1: 0,
    lambda *a: 0,
    lambda a, *b, c, d=1: 0,
    lambda a, *, c: 0,
    lambda a=1, **c: 0,
    lambda *a, b, **c: 0,
]


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from("abcdx"), st.integers(), max_size=3),
)
def test_what_is_refused_is_what_python_refuses(function, given_, named):
    """But in words of who typed it: no function's name, and no value."""
    fits = False
    with suppress(TypeError):
        inspect.signature(function).bind(*given_, **named)
        fits = True
    try:
        check_arguments("it", function, given_, named)
    except ConfigError as error:
        assert not fits
        assert "lambda" not in str(error)
    else:
        assert fits


def test_a_word_that_python_keeps_for_itself_is_an_argument_without_its_underscore():
    def function(lambda_=0.2, plain_=1):
        return lambda_, plain_

    assert arguments(function) == ["lambda", "plain_"]
    check_arguments("it", function, (), {"lambda": 0.5})
    assert function(**python_names(function, {"lambda": 0.5, "plain_": 2})) == (0.5, 2)
    assert python_names(lambda **others: 0, {"from": 1}) == {"from": 1}
    with pytest.raises(
        ConfigError, match=r"unknown argument 'lamda' of it \(did you mean 'lambda'\?\); it takes lambda, plain_$"
    ):
        check_arguments("it", function, (), {"lamda": 0.5})


def test_what_the_caller_gives_is_no_argument_of_users():
    for function in (lambda data, wanted, level=1: 0, lambda data, wanted, level=1, **others: 0):
        check_arguments("it", function, (), {"level": 2}, ours=("data", "wanted"))
        with pytest.raises(ConfigError, match=r"unknown argument 'data' of it; it takes level$"):
            check_arguments("it", function, (), {"data": "x"}, ours=("data", "wanted"))


@pytest.mark.parametrize(
    ("given_", "named", "message"),
    [
        ([], {"rank": 1}, r"unknown argument 'rank' of lir; it takes base, size"),
        ([], {"sise": 1}, r"unknown argument 'sise' of lir \(did you mean 'size'\?\); it takes base, size"),
        ([], {"size": 1}, r"the argument 'base' of lir is missing; it takes base, size"),
        (["a"], {"base": "b"}, r"the argument 'base' of lir is given twice, by its place and by its name"),
        (["a", "b"], {}, r"too many arguments of lir without a name, 2 instead of 1; it takes base, size"),
    ],
)
def test_a_wrong_argument_is_named_with_those_there_are(given_, named, message):
    def function(base, *, size=3):
        return base, size

    assert arguments(function) == ["base", "size"]
    with pytest.raises(ConfigError, match=message):
        check_arguments("lir", function, given_, named)
