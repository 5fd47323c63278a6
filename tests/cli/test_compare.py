"""The command: what it prints in each format, and its exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.cli.differences import as_markdown, terminal
from mimo_eval.cli.main import cli
from mimo_eval.comparison import Difference, Report
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import run
from mimo_eval.models.hashing import HashingEncoder

WORDS = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "willow"]
MIXES = ("parallel", "monolingual", "partition")


class HalfGerman:
    """The hashing model behind a wrapper that loses half of every German text."""

    name = "half-german"

    def encode(self, texts, *, role, lang):
        return HashingEncoder(dim=64).encode([t[len(t) // 2 :] if lang == "de" else t for t in texts], role=role, lang=lang)


@pytest.fixture
def results(tmp_path, folders):
    """Write two results on a small collection with markup in its texts, and return their folders."""
    documents = {lang: {w: f"{w} {w} stands in a {lang} wood" for w in WORDS} for lang in ("en", "de")}
    queries = {lang: {w: f"{w} or [bold]what[/bold] tree" for w in WORDS} for lang in ("en", "de")}
    folder = folders(tmp_path / "trees", documents, queries, {w: {w: 1} for w in WORDS})
    task = Task(collection=str(folder), mixes=MIXES, main="RR@10")
    benchmark = Benchmark(name="trees", tasks=(task,), measures=("RR@10", "Success@1", "LPR"), depth=20)
    return [str(run(m, benchmark, output=tmp_path / "out").folder) for m in (HashingEncoder(dim=64), HalfGerman())]


def invoke(*arguments: str):
    return CliRunner().invoke(cli, ["compare", *arguments])


def test_the_table_fits_and_says_which_is_better(results):
    outcome = invoke(*results)
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.output.splitlines()
    assert max(cell_len(line) for line in lines if not line.startswith("   ")) <= 100  # paths are never broken
    assert lines[0] == "A  hashing(dim=64)  (baseline)"
    assert "RR@10 (higher is better), B − A; 12 questions" in lines
    assert "LPR (neither more nor less is better), B − A; 12 questions" in lines
    assert "RR@10 (higher is better), B − A, by query language" in lines
    monolingual = next(line for line in lines if line.startswith(" multi-monolingual"))
    assert " A " in monolingual
    assert "B loses most to A" in outcome.output
    assert "[bold]what[/bold]" in outcome.output
    assert "after Holm over the 12 comparisons" in " ".join(outcome.output.split())


def test_json_holds_everything(results):
    content = json.loads(invoke(*results, "--format", "json", "--by", "corpus", "--seed", "3").stdout)
    assert content["family"] == len(content["differences"]) == 12
    assert (content["seed"], content["level"], content["permutations"], content["benchmark"]) == (3, 0.95, 10_000, "trees")
    assert {m["mix"] for m in content["moved"]} == set(MIXES)
    assert all(m["text"].endswith("tree") for m in content["moved"])
    assert {"low", "high", "p", "p_t", "p_holm", "effect", "stars", "better", "excluded"} <= set(content["differences"][0])
    assert len(content["cautions"]) == 2 and "too narrow" in content["cautions"][1]


def test_csv_has_a_row_per_comparison(results):
    outcome = invoke(*results, "--format", "csv", "--measures", "Success@1", "--by", "setting")
    frame = pd.read_csv(io.StringIO(outcome.stdout))
    assert frame["setting"].tolist() == ["mlir", "multi-monolingual", "partition"]
    assert set(frame["measure"]) == {"Success@1"}
    assert frame["p_t"].between(0, 1).all()


def test_markdown_is_a_table(results):
    lines = invoke(*results, *results[:1], "--format", "markdown", "--all-pairs", "--by", "setting").stdout.splitlines()
    assert lines[0].startswith("| pair | setting | of | measure |")
    assert "| p | p (t-test) | p (Holm) |" in lines[0]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert len(lines) == 2 + 3 * 4  # three pairs; RR@10 in three settings and LPR in one


def test_markdown_shows_names_as_they_are():
    found = report(1)
    found.differences[0] = replace(found.differences[0], second="my_model*<b>|`x`", better="my_model*<b>|`x`", stars="**")
    row = as_markdown(found).splitlines()[-1]
    assert r"| my\_model\*&lt;b&gt;\|\`x\` |" in row and r"| \*\* |" in row


def report(
    family: int, pairs: int = 1, *, permutations: int = 10_000, groups: int = 1190, by: str = "setting", stars=""
) -> Report:
    """Make a report of `family` comparisons of 1,190 queries each, in one setting, some without a value."""
    shape = {"collection": "c", "setting": "s", "mix": "s", "direction": "higher", "stars": stars, "first_mean": 0.5}
    numbers = dict.fromkeys(["second_mean", "difference", "low", "high", "effect"], 0.0) | {"p": 1.0, "p_t": 1.0, "p_holm": 1.0}
    rows = [
        Difference(
            "a", f"m{i % pairs}", scope="setting" if i < pairs else by, name="" if i < pairs else f"l{i}", measure="P@1",
            queries=1190 - i, excluded=i, groups=groups, win=0, tie=1190 - i, loss=0, **shape, **numbers
        )
        for i in range(family)
    ]  # fmt: skip
    results = [{"label": name, "path": name} for name in ["a", *dict.fromkeys(row.second for row in rows)]]
    return Report(results, "b", 10, {"c": "0" * 12}, 0.95, permutations, 0, False, family, rows, [], [])


def printed(found: Report) -> str:
    console = Console(width=100, file=io.StringIO())
    terminal(found, console)
    return " ".join(console.file.getvalue().split())


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            report(2000, 3, by="language"),
            "at least about 0.2. What helps: --by setting or fewer models or --permutations 40000 (e",
        ),
        (report(501), "at least about 0.05. What helps: --permutations 10020 (enough)."),
        (report(499), "p below 0.05 here. For three stars: --permutations 499000 (enough)."),
        (
            report(10, permutations=99),
            "No star is possible here: with 99 permutations and Holm over 10 comparisons, p is at least ",
        ),
        (
            report(1, groups=4),
            "with 4 questions and Holm over 1 comparisons, p is at least about 0.12. What helps: more questions.",
        ),
        (report(60_000, by="language"), "p is at least about 1. What helps: --by setting."),
    ],
    ids=["many", "just none", "just some", "few permutations", "few questions", "more permutations than allowed"],
)
def test_what_stars_cannot_show_is_said(found, said):
    assert said in " ".join(found.cautions)


def test_stars_that_are_possible_need_no_word():
    assert report(1).cautions == report(10).cautions == []
    assert not any("No star" in line for line in report(7, groups=8, stars="*").cautions)


def test_no_star_is_possible_with_the_permutations_below_those_advised():
    """With 20 · family permutations the smallest adjusted p is below 0.05, with one fewer it is 0.05."""
    assert "No star" in report(300, permutations=20 * 300 - 1).cautions[0]
    assert "No star" not in report(300, permutations=20 * 300).cautions[0]


def test_intervals_of_few_questions_are_said_to_be_narrow():
    assert "fewer than 100 questions are too narrow" in printed(report(1, groups=99))
    assert "too narrow" not in printed(report(1, groups=100))
    assert "too narrow" not in printed(report(1, groups=1))  # has no interval


def test_queries_left_out_are_said_once_with_the_largest_number():
    text = printed(report(3, 3))
    assert text.count("left out") == 1
    assert "P@1, s: 2 of 1,190 queries are left out, a or m2 has no value for them" in text


def test_one_setting_shows_intervals_by_language(results):
    outcome = invoke(*results, "--measures", "LPR", "--moved", "0")
    assert "LPR (neither more nor less is better), B − A, by query language; 12 questions" in outcome.output
    assert "Queries on which" not in outcome.output


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [(["--measures", "nDGC@10"], ConfigError), (["--measures", "P@3"], DataError)],
    ids=["unknown", "absent"],
)
def test_mistakes_are_errors_of_the_tree(results, arguments, kind):
    assert isinstance(invoke(*results, *arguments).exception, kind)


@pytest.mark.parametrize("arguments", [["--level", "1"], ["--permutations", "0"], ["--by", "query"], ["--moved", "-1"]])
def test_options_out_of_range_are_usage_errors(results, arguments):
    assert invoke(*results, *arguments).exit_code == 2


def test_exit_codes(results, tmp_path):
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mimo_eval.cli.main", "compare", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=240)

    good = call(*results, "--by", "setting", "--permutations", "100")
    assert (good.returncode, good.stderr) == (0, "")
    missing = call(results[0], str(tmp_path / "nothing"))
    assert missing.returncode == 3
    assert missing.stderr.startswith("error: ")
    assert "Traceback" not in missing.stderr
    assert call(results[0]).returncode == 2
