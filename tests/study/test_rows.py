"""Rows: what a question's score is, and that half-written or damaged files are not taken for results."""

import json

import numpy as np
import pandas as pd
import pytest

from mimo_eval.errors import DataError
from mimo_eval.study.rows import Row, per_question, read_questions, read_row, row_path, taken, write_row


def queries(lines):
    return pd.DataFrame(lines, columns=["pool", "query_id", "lang", "group", "nDCG@20", "LPR"])


def row(**changes):
    content = {"key": "k", "label": "mimo", "method": "mimo", "fold": 0, "seed": 42, "stages": [], "scores": {}, "geometry": {}}
    return Row(**{**content, "seconds": {}, "environment": {}, **changes})


def test_a_questions_score_is_the_mean_over_its_languages_and_corpora():
    frame = queries(
        [
            ("a", "en:1", "en", "1", 1.0, 1.0),
            ("b", "en:1", "en", "1", 0.5, None),
            ("a", "de:1", "de", "1", 0.0, 0.0),
            ("a", "fi:2", "fi", "2", 0.25, None),
        ]
    )
    found = per_question(frame, "toy", "parallel", ("nDCG@20", "LPR", "nDCG@10"))
    assert found.columns.tolist() == ["test", "mix", "lang", "group", "nDCG@20", "LPR"]
    assert found["group"].tolist() == ["1", "2"]
    assert found["lang"].tolist() == ["", "fi"]
    assert found["nDCG@20"].tolist() == [0.5, 0.25]
    assert found["LPR"][0] == 0.5
    assert np.isnan(found["LPR"][1])


def test_a_row_is_read_as_it_was_written(tmp_path):
    frame = per_question(queries([("", "en:1", "en", "1", 0.5, 1.0)]), "toy", "parallel", ("nDCG@20",))
    write_row(tmp_path, row(), frame)
    assert read_row(tmp_path, "mimo", 0) == row()
    pd.testing.assert_frame_equal(read_questions(tmp_path, "mimo", 0), frame)
    assert read_row(tmp_path, "mimo", 1) is None


def test_a_row_without_a_record_is_not_there(tmp_path):
    frame = per_question(queries([("", "en:1", "en", "1", 0.5, 1.0)]), "toy", "parallel", ("nDCG@20",))
    write_row(tmp_path, row(), frame)
    row_path(tmp_path, "mimo", 0).unlink()
    assert read_row(tmp_path, "mimo", 0) is None


def test_damaged_rows_are_named_with_the_remedy(tmp_path):
    path = row_path(tmp_path, "mimo", 0)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"label": "mimo"}), "utf-8")
    with pytest.raises(DataError, match="remove it, and it is made again"):
        read_row(tmp_path, "mimo", 0)
    with pytest.raises(DataError, match=r"fold-1\.parquet: cannot be read"):
        read_questions(tmp_path, "mimo", 0)
    path.with_suffix(".parquet").write_bytes(b"PAR1 not a table")
    with pytest.raises(DataError, match=r"fold-1\.parquet: cannot be read"):
        read_questions(tmp_path, "mimo", 0)
    pd.DataFrame({"other": [1]}).to_parquet(path.with_suffix(".parquet"))
    with pytest.raises(DataError, match="no scores of a study"):
        read_questions(tmp_path, "mimo", 0)


def test_a_row_that_another_process_is_at_is_not_taken(tmp_path):
    with taken(tmp_path / "lock") as first, taken(tmp_path / "lock") as second:
        assert first
        assert not second
    with taken(tmp_path / "lock") as later:
        assert later
