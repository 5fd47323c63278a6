"""Results of one model in one folder: the newest is taken, and what differs is said."""

from __future__ import annotations

import json
import logging
import re

import pytest

from mimo_eval.comparison.pairing import notes, read_sides
from mimo_eval.comparison.stored import labels, locate, newest, read_stored
from mimo_eval.errors import DataError
from mimo_eval.evaluation import run
from mimo_eval.results import ASKED, asked, mark_asked, read_result


def dated(folder, created):
    """Change when a result was made."""
    content = json.loads((folder / "result.json").read_text("utf-8"))
    (folder / "result.json").write_text(json.dumps(content | {"created": created, "checksum": ""}), "utf-8")
    return folder


@pytest.fixture
def two(evaluate):
    """The same name evaluated twice with other weights: the one in March, the other in April."""
    return [
        dated(evaluate("a", wrong), f"2025-0{month}-01T12:34:56+00:00")
        for wrong, month in (((), 4), (("query en query 1",), 3))
    ]


def test_the_newest_result_of_a_model_is_taken_and_said_with_what_differs(two, caplog):
    new, old = two
    assert locate(new.parent) == new / "result.json"
    (said,) = [record.getMessage() for record in caplog.records]
    version = read_result(new).environment["versions"]["mimo-eval"]
    assert said.splitlines() == [
        f"{new.parent}: a: the newest of 2 results is taken: {new.name}, 2025-04-01 12:34 UTC, mimo-eval {version}",
        f"  not {old.name}, 2025-03-01 12:34 UTC, mimo-eval {version}; it differs in wrong: ['query en query 1'] instead of []",
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_one_result_is_named_without_a_word(two, caplog):
    for path in (two[1], two[1] / "result.json"):
        assert locate(path) == two[1] / "result.json"
    assert not caplog.records


def test_other_protocols_are_said_too(two, toy, evaluate, benchmark, caplog):
    small = dated(evaluate("a", chosen=benchmark(toy, depth=5)), "2025-05-01T00:00:00+00:00")
    assert locate(small.parent) == small / "result.json"
    assert "it differs in depth: 10 instead of 5\n" in caplog.text + "\n"


def test_results_of_several_models_are_listed_newest_first_to_choose_from(two, evaluate):
    other = dated(evaluate("b"), "2025-06-01T00:00:00+00:00")
    with pytest.raises(DataError) as refused:
        locate(two[0].parent.parent)
    head, *lines = str(refused.value).splitlines()
    assert head.endswith("holds 3 results, choose one:")
    assert [line.split()[0] for line in lines] == [f"{p.parent.name}/{p.name}" for p in (other, *two)]
    assert f"a on toy: {two[1].name}, 2025-03-01 12:34 UTC" in lines[2] and "; differs in wrong: " in lines[2]
    assert "differs" not in lines[0] + lines[1]


def test_where_one_has_to_be_meant_even_results_of_one_model_are_refused(two):
    with pytest.raises(DataError, match="holds 2 results, choose one"):
        locate(two[0].parent, single=True)


def test_the_newest_of_every_model(two, evaluate):
    other = evaluate("b")
    assert [stored.path.parent for stored in newest(two[0].parent.parent)] == [two[0], other]
    assert [stored.path.parent for stored in newest(two[1])] == [two[1]]


def test_without_one_that_can_be_read_nobody_knows_the_newest(two):
    (two[1] / "result.json").write_text('{"key": ', "utf-8")
    with pytest.raises(DataError, match=rf"{two[1].name}.*cannot be said which of the 2 results .* remove that file"):
        locate(two[0].parent)
    assert locate(two[0]) == two[0] / "result.json"


def test_a_model_that_goes_back_to_what_it_was_has_its_old_result_as_the_newest(toy, benchmark, evaluate, tmp_path):
    """As a nightly job does that evaluates a checkpoint, then another, then the first again, and checks the model's folder."""
    first = evaluate("a")
    second = evaluate("a", ["query en query 1"])
    assert locate(first.parent) == second / "result.json"
    assert not list(tmp_path.rglob(ASKED))
    content = (first / "result.json").read_bytes()
    assert evaluate("a") == first
    assert locate(first.parent) == first / "result.json" and (first / "result.json").read_bytes() == content
    assert evaluate("a", ["query en query 1"]) == second
    assert locate(first.parent) == second / "result.json"


def test_a_models_only_result_gets_no_file_beside_it(evaluate, tmp_path):
    assert evaluate("a") == evaluate("a")
    assert not list(tmp_path.rglob(ASKED))


def test_a_note_that_is_damaged_counts_for_nothing(two, caplog):
    for content in ("{", "[]", "{}"):
        (two[1] / ASKED).write_text(content)
        assert asked(two[1]) == "" and locate(two[0].parent) == two[0] / "result.json"


def test_what_cannot_be_noted_is_said(two, monkeypatch, caplog):
    monkeypatch.setattr("mimo_eval.results.write_json", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
    mark_asked(two[1])
    assert "cannot be noted as the newest result of its model; name this folder itself" in caplog.text


def test_two_results_of_one_name_are_told_apart(two):
    (said,) = notes(read_sides(two))
    assert re.fullmatch(
        rf"two results of one name: a #1 \({two[0].name}, 2025-04-01 .*\) and a #2 \({two[1].name}, 2025-03-01 .*\); "
        r"the second differs in wrong: \['query en query 1'\] instead of \[\]",
        said,
    )
    assert notes(read_sides([two[0], two[0]])) == []


def test_equal_results_are_said_to_be(two, tmp_path):
    (tmp_path / "copy").mkdir()
    for file in two[0].iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    (said,) = notes(read_sides([two[0], tmp_path / "copy"]))
    assert said.endswith("the second is of the same model, data and protocol")


def test_labels(two, evaluate):
    results = [stored.result for stored in read_stored([path / "result.json" for path in (*two, evaluate("b"))])]
    assert sorted(labels(results)) == ["a #1", "a #2", "b"]


def test_models_whose_fingerprints_differ_in_one_role_say_which(evaluate, caplog):
    folders = [evaluate("a", prompts={"query": prompt, "document": ""}) for prompt in ("", "Q: ")]
    locate(folders[0].parent)
    assert (
        "; it differs in query prompt: 'Q: ' instead of ''" in caplog.text or "query prompt: '' instead of 'Q: '" in caplog.text
    )


def test_run_says_nothing_of_other_results(toy, benchmark, evaluate, tmp_path, caplog):
    evaluate("a"), evaluate("a", ["query en query 1"])
    run("hashing(dim=8)", benchmark(toy), output=tmp_path / "results")
    assert not caplog.records
