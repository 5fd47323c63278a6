"""Means, differences and verdicts, against numbers computed by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from small_study import write_study

from mimo_eval.study.definition import load_study
from mimo_eval.study.report import page, write_report
from mimo_eval.study.rows import Row, write_row
from mimo_eval.study.scores import Comparison, Scores, adjusted, frame, sample

QUESTIONS = 40


def store(folder, label, fold, values, *, alignment=1.0, preference=None):
    """Write a row as `run_study` does."""
    groups = [f"{fold}-{i}" for i in range(len(values))]
    frame = pd.DataFrame({"test": "asked", "mix": "parallel", "lang": "", "group": groups, "nDCG@20": np.float32(values)})
    if preference is not None:
        frame["LPR"] = np.float32(preference)
    row = Row(
        key="k",
        label=label,
        method=label,
        fold=fold,
        seed=fold,
        stages=[{"name": label, "rows": 8, "steps": 3, "seen": 24, "seconds": 1.5}],
        scores={"asked": {"parallel": {"nDCG@20": float(np.mean(values))}}},
        geometry={
            "alignment": {"value": alignment, "standard_error": 0.1},
            "uniformity": {"value": -2.0, "standard_error": 0.1},
        },
        seconds={"training": 1.0, "tests": 2.0},
        environment={},
    )
    write_row(folder, row, frame)


@pytest.fixture
def scores(tmp_path):
    """MIMO is better by 0.25 on every question, XLCO as good as stage 1."""
    study = load_study(str(write_study(tmp_path)))
    rng = np.random.default_rng(0)
    for fold in (0, 1):
        base = rng.integers(0, 3, QUESTIONS) / 4
        store(tmp_path / "out", "mimo", fold, base + 0.25, alignment=0.5 + fold)
        store(tmp_path / "out", "xlco", fold, base, alignment=1.0)
        store(tmp_path / "out", "stage-1", fold, base[::-1], alignment=0.25 + fold)
    return Scores(study, tmp_path / "out", "asked")


def test_means_are_over_the_questions_of_all_folds(scores):
    found = {mean.run: mean for mean in scores.means()}
    assert found["mimo"].mean == pytest.approx(found["xlco"].mean + 0.25)
    assert found["mimo"].questions == 2 * QUESTIONS
    assert found["mimo"].low < found["mimo"].mean < found["mimo"].high


def test_a_constant_gain_is_settled_and_none_is_not(scores):
    found = {(c.plus, c.minus, c.measure): c for c in scores.comparisons()}
    gain = found[("xlco",), ("mimo",), "nDCG@20"]
    assert gain.difference == gain.low == gain.high == -0.25
    assert gain.p == pytest.approx(1 / 10_001)
    assert gain.verdict == -1
    asked = found[("mimo",), ("xlco",), "nDCG@20"]
    assert asked.text == "Does stage 1 matter?"
    assert asked.difference == 0.25
    assert asked.p_holm == pytest.approx(3 / 10_001)
    assert asked.verdict == 1


def test_geometry_is_settled_where_all_folds_agree(scores):
    found = next(c for c in scores.comparisons() if c.measure == "alignment")
    assert (found.difference, found.low, found.high) == (0.0, -0.5, 0.5)
    assert math.isnan(found.p_holm)
    assert found.verdict == 0
    agreeing = Comparison("", ("a",), ("b",), "t", "", "alignment", -0.2, -0.3, -0.1, math.nan, 2, 2)
    assert agreeing.verdict == 1


def test_a_contrast_of_four_runs_is_the_interaction(tmp_path):
    changes = {"runs": {name: "xlco" for name in "acde"}, "against": [], "path": [], "claims": []}
    contrast = {"text": "interaction", "plus": ["e", "a"], "minus": ["c", "d"]}
    study = load_study(str(write_study(tmp_path, **changes, contrasts=[contrast], trained=1, smoke={})))
    values = {"a": [0.0, 0.5], "c": [0.25, 0.5], "d": [0.25, 1.0], "e": [1.0, 0.25]}
    for label, scores in values.items():
        store(tmp_path / "out", label, 0, scores)
    found = Scores(study, tmp_path / "out", "asked").comparisons()
    assert [c.difference for c in found] == [pytest.approx(((1 + 0 - 0.25 - 0.25) + (0.25 + 0.5 - 0.5 - 1)) / 2)]


def test_runs_without_all_their_folds_are_left_out_and_named(tmp_path):
    study = load_study(str(write_study(tmp_path)))
    for fold in (0, 1):
        store(tmp_path / "out", "mimo", fold, [0.5, 0.25])
    store(tmp_path / "out", "xlco", 0, [0.5, 0.25])
    found = Scores(study, tmp_path / "out", "asked")
    assert list(found.rows) == ["mimo"]
    assert found.unfinished == ["stage-1", "xlco"]
    assert "Not finished, and not shown: stage-1, xlco." in page(found, found.means(), found.comparisons())


def test_where_questions_have_one_language_languages_weigh_alike():
    index = pd.MultiIndex.from_tuples([("en", "1"), ("en", "2"), ("en", "3"), ("fi", "4")], names=["lang", "group"])
    part = sample(pd.Series([0.0, 0.0, 0.75, 1.0], index=index))
    assert float(part.weight @ part.difference) == pytest.approx((0.25 + 1) / 2)


def test_adjusting_is_over_all_that_have_a_p_value():
    rows = [Comparison("", ("a",), ("b",), "t", "m", "nDCG@20", 1, 1, 1, p, 0, 0) for p in (0.01, math.nan, 0.04)]
    assert [row.p_holm for row in adjusted(rows)][0::2] == pytest.approx([0.02, 0.04])
    assert frame(rows)["plus"].tolist() == ["a", "a", "a"]


def test_the_report_is_written_from_the_rows(scores, tmp_path):
    files = write_report(scores, tmp_path / "out")
    assert [file.name for file in files] == [
        "runs.csv",
        "scores.csv",
        "comparisons.csv",
        "alignment-uniformity.png",
        "alignment-uniformity.svg",
        "alignment-uniformity-path.png",
        "alignment-uniformity-path.svg",
        "report.md",
    ]
    assert all(file.stat().st_size for file in files)
    text = files[-1].read_text("utf-8")
    assert "| Does stage 1 matter? | mimo − xlco | mlir nDCG@20 | +0.2500 [+0.2500, +0.2500] | 2 of 2 | < .001 | yes |" in text
    assert "| it aligns | a paper | no number known | mimo − xlco, alignment | +0.0000 [-0.5000, +0.5000] |" in text
    assert "| 1 of 2 | – | not settled |" in text
    runs = pd.read_csv(files[0])
    assert runs["stage 2: seen"].tolist() == [24] * 6
    before = {file: file.read_bytes() for file in files}
    assert {file: file.read_bytes() for file in write_report(scores, tmp_path / "out")} == before


def test_effectiveness_and_preference_are_correlated_over_the_runs(tmp_path):
    study = load_study(str(write_study(tmp_path)))
    for label, score, preference in (("stage-1", 0.2, 0.9), ("xlco", 0.4, 0.8), ("mimo", 0.9, 0.1)):
        for fold in (0, 1):
            store(tmp_path / "out", label, fold, [score, score + fold / 8], preference=[preference] * 2)
    found = Scores(study, tmp_path / "out", "asked")
    r = np.corrcoef([0.2, 0.4, 0.9], [0.9, 0.8, 0.1])[0, 1]
    assert f"Over the 3 runs, mlir nDCG@20 and LPR correlate with r = {r:.2f}" in page(
        found, found.means(), found.comparisons()
    )
