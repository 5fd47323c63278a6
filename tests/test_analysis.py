"""The geometry behind the scores: computed from stored vectors, written into the result, drawn."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mimo_eval.analysis import analyse, draw
from mimo_eval.benchmark import load_benchmark, of_folder
from mimo_eval.cli.main import cli
from mimo_eval.errors import ConfigError
from mimo_eval.evaluation import changed
from mimo_eval.geometry.alignment import alignment
from mimo_eval.results import read_result

BENCHMARK = changed(load_benchmark("mini"), languages=["de", "en", "fr"], mixes=["parallel", "monolingual", "cross-lingual"])


def test_geometry_is_computed_from_the_stored_vectors_and_written_into_the_result(tmp_path):
    outcome, vectors = analyse("hashing", BENCHMARK, output=tmp_path / "results")
    found = outcome.result.geometry["mini"]
    assert found["languages"] == {"de": 67, "en": 67, "fr": 67}
    labelled = vectors["mini"]
    everything = np.asarray(labelled.vectors[slice(None)])
    pairs = labelled.pairs(0, 1)
    value = alignment(everything[pairs.first], everything[pairs.second])
    assert found["diagnostics"]["alignment"]["matrix"][0][1] == pytest.approx(value, abs=1e-5)
    assert read_result(outcome.folder).geometry == json.loads(json.dumps(outcome.result.geometry))


def test_a_second_analysis_encodes_nothing(tmp_path):
    first, _ = analyse("hashing", BENCHMARK, output=tmp_path / "results")
    second, _ = analyse("hashing", BENCHMARK, output=tmp_path / "results")
    assert second.reused
    assert second.result.geometry == first.result.geometry


def test_a_retriever_has_scores_and_a_reason(tmp_path):
    outcome, vectors = analyse("bm25", BENCHMARK, output=tmp_path / "results")
    assert outcome.result.geometry == {"mini": {"reason": "the model has no vectors of its own"}}
    files = draw([outcome.result], [vectors], tmp_path / "figures")
    names = {file.png.name for file in files}
    assert names == {"mini.bm25.scores.png", "mini.bm25.parallel.composition.png"}


def test_the_composition_of_results_sums_to_one_per_query_language(tmp_path):
    outcome, _ = analyse("hashing", BENCHMARK)
    composition = outcome.result.settings[0].pools[0].composition
    assert list(composition) == ["de", "en", "fr"]
    for shares in composition.values():
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
        assert max(shares.values()) <= 1


def test_a_collection_of_few_texts_is_analysed_as_far_as_it_goes(tmp_path, folders, caplog):
    """Two texts are too few to be projected, and of the three below one is in a language without any translation."""
    two = folders(
        tmp_path / "two", {"de": {"1": "ein rotes Haus"}, "en": {"2": "a red house"}}, {"en": {"q": "red"}}, {"q": {"2": 1}}
    )
    outcome, vectors = analyse("hashing", of_folder(two))
    drawn = draw([outcome.result], [vectors], tmp_path / "figures")
    assert "at least three vectors" in caplog.text and any("scores" in files.png.name for files in drawn)
    rows = [("d1", "de", "ein rotes Haus", "g1"), ("d2", "en", "a red house", "g1"), ("d3", "fr", "un chat noir", "g2")]
    three = tmp_path / "three"
    three.mkdir()
    lines = [json.dumps(dict(zip(("_id", "lang", "text", "group"), row, strict=True))) for row in rows]
    (three / "corpus.jsonl").write_text("\n".join(lines))
    (three / "queries.jsonl").write_text('{"_id": "q", "lang": "en", "text": "red"}')
    (three / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td2\t1\n")
    found = analyse("hashing", of_folder(three))[0].result.geometry["three"]["diagnostics"]
    assert found["alignment"]["n"] == 1 and found["strong_alignment"]["value"] is None


def test_a_folder_that_cannot_be_written_is_found_out_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for folder in ("file/figures", "/proc/figures"):
        done = CliRunner().invoke(cli, ["analyze", "hashing", "-o", folder])
        assert isinstance(done.exception, ConfigError) and "figures cannot be written" in str(done.exception)
    assert not (tmp_path / "results").exists()


def test_the_command_prints_the_table_and_draws_every_figure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["analyze", "hashing", "bm25", "--languages", "de,en,fr", "-o", "drawn", "--checkpoints", "hashing,bm25"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for text in ("alignment", "uniformity", "variance_share", "bm25: the model has no vectors of its own"):
        assert text in done.stdout
    drawn = {path.name for path in (tmp_path / "drawn").iterdir()}
    expected = {
        "alignment-uniformity",
        "hashing.alignment",
        "hashing.projection",
        "hashing.scores",
        "hashing.parallel.composition",
    }
    assert {f"mini.{stem}.{kind}" for stem in expected for kind in ("png", "svg")} <= drawn
