"""Runs: trained and tested once, gone on with after a kill, made again where the definition has changed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from small_study import write_study

from mimo_eval.errors import ConfigError
from mimo_eval.files import read_json
from mimo_eval.study import running
from mimo_eval.study.definition import load_study
from mimo_eval.study.encoding import Tokens, encoder_of
from mimo_eval.study.rows import DATA, read_questions, read_row, row_path
from mimo_eval.study.running import missing, run_study
from mimo_eval.study.workshop import Workshop
from mimo_eval.training.validation import Student


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run the small study once, in a cache of its own."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(folder / "cache"))
        patch.delenv("MIMO_EVAL_DATA", raising=False)
        study = load_study(str(write_study(folder)))
        told = []
        shop = run_study(study, folder / "out", tell=told.append)
        shop.folder  # noqa: B018  # the cache's place is found while the variable is set
        yield study, folder / "out", shop, told


def counted(monkeypatch):
    """Note which runs are made."""
    made, make = [], running.make
    monkeypatch.setattr(running, "make", lambda shop, run: (made.append((run.label, run.fold.number)), make(shop, run))[1])
    return made


def test_every_method_has_a_row_for_every_fold(finished):
    study, out, _, told = finished
    assert missing(study, out) == []
    rows = {label: [read_row(out, label, fold) for fold in (0, 1)] for label in study.runs}
    assert [row.seed for row in rows["mimo"]] == [3, 4]
    assert [[stage["name"] for stage in row[0].stages] for row in rows.values()] == [
        ["distillation"],
        ["xlco"],
        ["distillation", "joint"],
    ]
    assert {stage["steps"] for label in ("xlco", "mimo") for row in rows[label] for stage in row.stages[-1:]} == {3}
    assert {stage["seen"] for label in ("xlco", "mimo") for row in rows[label] for stage in row.stages[-1:]} == {24}
    assert set(rows["mimo"][0].geometry) == {"alignment", "uniformity"}
    assert set(rows["mimo"][0].scores["asked"]["parallel"]) == {"nDCG@20", "LPR", "OwnShare@10", "RankDistance"}
    assert any("6 rows" in line for line in told)
    kept = read_json(out / DATA)
    found = kept["contamination"]["parallel"]  # sixteen sentences in two languages are asked, but for a question mark
    assert found["matching_lines"] == {"asked": {"exact": 32, "8-gram": 0}}
    assert found["training_lines"] == 96


def test_the_mean_over_questions_is_the_score_of_the_mix(finished):
    study, out, _, _ = finished
    for label in study.runs:
        row, questions = read_row(out, label, 1), read_questions(out, label, 1)
        for mix, measures in row.scores["asked"].items():
            part = questions[questions["mix"] == mix]
            for measure, score in measures.items():
                assert part[measure].mean() == pytest.approx(score, rel=1e-5)


def test_folds_share_stage_1_and_test_each_question_once(finished):
    _, out, _, _ = finished
    logs = [read_row(out, label, fold).stages[0] for label in ("stage-1", "mimo") for fold in (0, 1)]
    assert all(log == logs[0] for log in logs)
    asked = pd.concat([read_questions(out, "mimo", fold) for fold in (0, 1)])
    groups = asked[asked["mix"] == "parallel"]["group"]
    assert sorted(groups) == sorted(f"{i}" for i in range(16))


def test_the_training_part_of_a_fold_has_nothing_of_its_test(finished):
    _, _, shop, _ = finished
    for fold in shop.folds:
        part = shop.training_part(fold)
        assert set(part.queries.group_names()) == set(fold.queries)
        assert set(part.passages.group_names()) == set(fold.passages)
        assert not set(fold.held_out) & set(part.queries.group_names())


def test_a_student_that_is_embedded_by_stored_tokens_gives_the_models_own_vectors(finished):
    _, _, shop, _ = finished
    student, tokens = shop.student(), Tokens()
    texts = ["water house", "Wasser", "", "water house river"]
    mine = encoder_of(student, tokens).encode(texts, role="query", lang="en")
    np.testing.assert_allclose(mine, Student(student).encode(texts, role="query", lang="en"), atol=1e-6)
    again = encoder_of(student, tokens).encode(texts[::-1], role="document", lang="de")
    np.testing.assert_array_equal(again, mine[::-1])


def test_only_rows_that_the_change_concerns_are_made_again(tmp_path, monkeypatch):
    path = write_study(tmp_path, trained=1, mixes=["parallel"])
    made = counted(monkeypatch)
    run_study(load_study(str(path)), tmp_path / "out")
    assert made == [("stage-1", 0), ("xlco", 0), ("mimo", 0)]
    content, told = yaml.safe_load(path.read_text("utf-8")), []
    made.clear()
    run_study(load_study(str(path)), tmp_path / "out", tell=told.append)
    assert made == []
    assert told == ["3 of 3 rows are there"]
    content["runs"] |= {"mimo": "mimo(passes=3)", "more": "infonce"}
    content |= {"title": "new", "against": [], "claims": []}
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    run_study(load_study(str(path)), tmp_path / "out")
    assert made == [("mimo", 0), ("more", 0)]
    made.clear()
    content["stages"]["second"]["lr"] = 0.02
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    run_study(load_study(str(path)), tmp_path / "out")
    assert len(made) == 4


def test_a_killed_study_goes_on_where_it_was(tmp_path, monkeypatch):
    path = write_study(tmp_path, mixes=["parallel"])
    command = [sys.executable, "-m", "mimo_eval.cli.main", "study", str(path), "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ}, stderr=subprocess.DEVNULL)
    first = row_path(tmp_path / "out", "stage-1", 0)
    for _ in range(4800):
        if first.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists()
    there = {row.parent.name + row.stem for row in (tmp_path / "out" / "rows").rglob("*.json")}
    made = counted(monkeypatch)
    study = load_study(str(path))
    run_study(study, tmp_path / "out")
    assert missing(study, tmp_path / "out") == []
    assert len(made) == 6 - len(there)


def test_text_of_a_test_is_taken_out_of_the_training_data(tmp_path):
    path = write_study(tmp_path, tests=[{"collection": str(tmp_path / "data" / "asked"), "mixes": ["parallel"], "folds": 1}])
    pack = tmp_path / "data" / "parallel" / "toy.jsonl"
    asked = (tmp_path / "data" / "asked" / "queries.jsonl").read_text("utf-8").splitlines()
    pack.write_text(pack.read_text("utf-8") + asked[0].replace('"group": "0"', '"group": "leak"') + "\n", "utf-8")
    study = load_study(str(path))
    shop = Workshop(study.model_copy(update={"tests": ()}), None)
    found = shop.checked[1]["parallel"].found["asked"]
    assert found["exact"] + found["8-gram"] >= 1
    kept = shop.prepared.parallel
    assert not any(text.endswith("?") for text in kept.text(np.arange(len(kept))).to_pylist())


def test_a_study_must_divide_a_collection(tmp_path):
    path = write_study(tmp_path)
    content = yaml.safe_load(path.read_text("utf-8"))
    content["recipe"]["data"]["retrieval"] = []
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(ConfigError, match=r"data\.retrieval: a study divides a collection"):
        Workshop(load_study(str(path)), Path())
