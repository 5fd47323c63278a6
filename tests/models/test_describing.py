"""What is said of a model: its docstring, and each of its arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimo_eval.errors import ConfigError
from mimo_eval.models.describing import HUB, Argument, found, listed
from mimo_eval.models.loading import MODELS


class Mine:
    """Turn texts into `numbers`.

    Slowly.

    :param words: how many,
        and which.
    :param again: twice; once if None.
    :raises ValueError: never.
    """

    def __init__(self, *words: str, again: bool = False, weight: float | None = None, **rest: int) -> None: ...


MADE = Mine("a")


def test_an_object_is_described_by_its_class() -> None:
    entry = found("tests.models.test_describing:MADE")
    assert entry.about == found("tests.models.test_describing:Mine").about and entry.arguments == []


def arguments(name: str) -> dict[str, Argument]:
    return {argument.name: argument for argument in found(name).arguments}


@pytest.mark.parametrize("name", [*MODELS, HUB, "mteb"])
def test_every_argument_of_every_model_has_a_meaning(name: str) -> None:
    entry = found(name)
    assert entry.about
    assert [argument.name for argument in entry.arguments if not argument.meaning] == []


def test_the_list_is_that_of_the_registry() -> None:
    assert [entry.name for entry in listed()] == MODELS.names()


def test_a_docstring_is_taken_apart() -> None:
    entry = found("tests.models.test_describing:Mine")
    assert entry.about == "Turn texts into numbers.\n\nSlowly."
    words, again, weight, rest = entry.arguments
    assert (words.meaning, words.required, words.written) == ("how many, and which.", True, "WORDS…")
    assert (again.meaning, again.written) == ("twice; once if not given.", "again=false")
    assert (weight.meaning, weight.required, weight.written) == ("", False, "weight=…")
    assert (rest.required, rest.written) == (False, "…")


def test_arguments_are_written_with_their_defaults() -> None:
    assert [argument.written for argument in arguments("rerank").values()] == [
        *("BASE", "MODEL", "depth=100", "batch_size=32", "revision=…", "…"),
    ]
    assert arguments("api")["url"].written == "URL…" and arguments("api")["model"].written == "model=…"


def test_what_a_class_says_for_those_that_extend_it_is_shared() -> None:
    lir = arguments("lir")
    assert {name for name, argument in lir.items() if not argument.shared} == {"rank", "query_rank"}
    shared = {name: [a.meaning for a in arguments(name).values() if a.shared] for name in ("centering", "lir", "shift")}
    assert shared["lir"] == shared["shift"] == shared["centering"] and len(shared["lir"]) == 5
    of_the_hub = {a.name for a in arguments(HUB).values() if a.shared}
    assert of_the_hub == {a.name for a in arguments("sparse").values() if a.shared} - {"model"}
    assert of_the_hub >= {"device", "dtype", "revision"} and "model" not in arguments(HUB)


def test_a_hub_id_a_folder_and_a_scheme_are_found(tmp_path: Path) -> None:
    assert found("org/model(dtype=float16)").kind == found(str(tmp_path)).kind == "dense"
    assert found("mteb:org/model").name == "mteb:NAME" and "task" in arguments("mteb:org/model(task=X)")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rff", r"unknown model 'rff'; did you mean rrf"),
        ("", "unknown model ''"),
        ("no_such_module_here:Model", "cannot be imported"),
        ("builtins:dict", "is not a model, nor a function that makes one"),
    ],
)
def test_what_is_no_model_is_said(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        found(name)
