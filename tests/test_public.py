"""What `import mimo_eval` offers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import mimo_eval

SOURCE = ast.parse(Path(inspect.getfile(mimo_eval)).read_text("utf-8"))


def test_every_public_name_is_there_and_listed() -> None:
    for name in mimo_eval.__all__:
        assert getattr(mimo_eval, name) is not None
    assert set(mimo_eval.__all__) <= set(dir(mimo_eval))
    assert set(mimo_eval.__all__) == {*mimo_eval._PLACES, "__version__"}


def test_editors_find_each_name_where_it_comes_from() -> None:
    checked = next(node for node in SOURCE.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    found = {name: place.partition(":") for name, place in mimo_eval._PLACES.items()}
    assert seen == {name: (f"mimo_eval.{module}", other or name) for name, (module, _, other) in found.items()}


def test_public_functions_say_what_they_take_and_return() -> None:
    for name in mimo_eval.__all__:
        value = getattr(mimo_eval, name)
        assert name == "__version__" or inspect.getdoc(value), name
        if inspect.isfunction(value):
            assert ":return:" in (value.__doc__ or ""), name
            kinds = {parameter.kind for parameter in inspect.signature(value).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{name}: a typing mistake in an argument is not seen"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mimo_eval' has no attribute 'evalute'"):
        _ = mimo_eval.evalute  # type: ignore[attr-defined]


def test_a_mistyped_argument_is_named() -> None:
    with pytest.raises(TypeError, match="evaluate\\(\\) got an unexpected keyword argument 'language'"):
        mimo_eval.evaluate("bm25", language="en")  # type: ignore[call-arg]


def test_importing_the_package_and_catching_its_errors_imports_nothing_heavy() -> None:
    code = (
        "import sys, mimo_eval; mimo_eval.MimoEvalError; dir(mimo_eval); print(*{'numpy', 'pandas', 'torch'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
