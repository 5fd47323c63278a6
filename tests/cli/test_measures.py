"""`mimo-eval measures`: the list, and one measure whole."""

import json
import math

import pytest
from click.testing import CliRunner

from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError
from mimo_eval.geometry import DIAGNOSTICS
from mimo_eval.measures import describe
from mimo_eval.reference import found, listed


def call(*arguments):
    done = CliRunner().invoke(cli, ["measures", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_list_holds_every_declaration_and_diagnostic():
    names = [entry.name for entry in listed()]
    assert names == [declaration.name for declaration in describe()] + DIAGNOSTICS.names()


def test_the_table_fits_and_explains_its_needs():
    table = call()
    assert max(map(len, table.splitlines())) <= 120
    for entry in listed():
        assert entry.name in table
    for words in ("full ranking: the rank of every relevant document", "from 2", "−100 to 100", "near chance", "neither"):
        assert words in table


def test_brackets_in_names_are_not_read_as_mark_up(monkeypatch):
    entry = listed()[0]
    odd = entry.__class__(**{**entry.__dict__, "name": "odd[bold]", "source": "[red]x"})
    monkeypatch.setattr("mimo_eval.reference.listed", lambda: [odd])
    assert "odd[bold]" in call()
    assert "[red]x" in call()


def test_json_has_ranges_as_numbers():
    records = {record["name"]: record for record in json.loads(call("--format", "json"))}
    assert records["RankDistance"]["range"] == [1, None]
    assert records["RankDistance"]["needs"]["full ranking"] == "the rank of every relevant document"
    assert records["alignment"] == {
        "name": "alignment",
        "kind": "geometry",
        "answers": DIAGNOSTICS.get("alignment").answers,
        "range": [0, 4],
        "better": "lower",
        "needs": {"translations": "parallel data: an item in at least two languages"},
        "source": DIAGNOSTICS.get("alignment").source,
    }
    assert [records[name]["better"] for name in ("LPR", "CX", "Judged@10", "hubness")] == ["neither"] * 3 + ["near zero"]


def test_markdown_is_one_row_per_measure():
    lines = call("--format", "markdown").splitlines()
    assert len(lines) == 2 + len(listed())
    assert {line.replace("\\|", "").count("|") for line in lines} == {7}


def test_one_measure_is_shown_with_its_parameters_and_definition():
    shown = call("PEER")
    for words in (
        "PEER(compat=True)@20",
        "weights: relevance level to weight",
        "by default False",
        "LPR or RankDistance",
        "SIGIR",
    ):
        assert words in shown
    assert "Kruskal-Wallis" in shown
    assert "`" not in shown and "*" not in shown
    assert "gain: worth of another language, from 0 to 1 (required)" in call("LangNDCG")


@pytest.mark.parametrize("name", ["LangNDCG(gain=0.25)@5", "uniformity", "nDCG", "MAP", "ERR@5"])
def test_a_measure_is_found_however_it_is_written(name):
    assert found(name)
    assert call(name)


def test_each_way_of_writing_has_its_own_range():
    raw, normalised = found("MaxR")
    assert (raw.better, normalised.better) == ("lower", "higher")
    assert math.isinf(raw.range[1])
    assert normalised.range == (0, 100)
    assert list(normalised.needs)[-1] == "corpus size"


@pytest.mark.parametrize(
    ("name", "near"), [("lpr", "LPR"), ("peer@20", "PEER"), ("unifomity", "uniformity"), ("qqqqqq", "lists them")]
)
def test_an_unknown_name_names_its_neighbours(name, near):
    with pytest.raises(ConfigError, match=near):
        found(name)
