"""`mimo-eval score`: what it prints, and exit codes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from mimo_eval.cli.main import cli

RUN = "en:q Q0 en:a 1 9 t\nen:q Q0 de:b 2 8 t\nen:q Q0 de:a 3 7 t\nde:q Q0 en:a 1 9 t\nde:q Q0 de:a 2 8 t\n"
QRELS = "en:q 0 en:a 1\nen:q 0 de:a 1\nde:q 0 en:a 1\nde:q 0 de:a 1\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "run.trec.gz").write_bytes(gzip.compress(RUN.encode()))
    (tmp_path / "qrels.txt").write_text(QRELS)
    return str(tmp_path / "run.trec.gz"), str(tmp_path / "qrels.txt")


def invoke(files, *arguments):
    return CliRunner().invoke(cli, ["score", files[0], "--qrels", files[1], *arguments])


def test_the_table_has_a_row_per_measure_and_a_column_per_language(files):
    done = invoke(files, "--measures", "nDCG@20 LPR RankDistance")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["measure", "all", "queries", "mean", "of", "languages", "de", "en"]
    assert lines[2] == ["LPR", "0.5000", "0.5000", "0.0000", "1.0000"]
    assert lines[3] == ["RankDistance", "1.5000", "1.5000", "1.0000", "2.0000"]
    assert "languages from the ids" in done.stderr


def test_other_formats_and_scores_of_each_query(files, tmp_path):
    content = json.loads(invoke(files, "--format", "json", "--measures", "RR LPR", "--languages", "none").stdout)
    assert content["means"] == {"RR": 1.0} and "LPR" in content["left_out"] and content["queries"] == 2
    lines = invoke(files, "--format", "csv", "--measures", "LPR", "--queries", str(tmp_path / "q.csv")).stdout.splitlines()
    assert lines == ["of,LPR", "all queries,0.5", "mean of languages,0.5", "de,0.0", "en,1.0"]
    assert pd.read_csv(tmp_path / "q.csv").values.tolist() == [["de:q", "de", 0.0], ["en:q", "en", 1.0]]


def test_a_wrong_file_is_exit_code_3_and_nothing_is_written(files, tmp_path):
    (tmp_path / "qrels.txt").write_text(QRELS + "en:q 0 en:a\n")
    command = [sys.executable, "-m", "mimo_eval.cli.main", "score", files[0], "--qrels", files[1], "--queries"]
    done = subprocess.run([*command, str(tmp_path / "q.csv")], capture_output=True, text=True, timeout=240)
    assert done.returncode == 3 and "qrels.txt:5" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "q.csv").exists()
