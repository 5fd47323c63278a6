from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mimo_eval.errors import CacheError, DataError
from mimo_eval.results import (
    PoolScores,
    Result,
    SettingScores,
    read_queries,
    read_result,
    result_folder,
    result_key,
    write_result,
)

QUERIES = pd.DataFrame({"query_id": ["en:q"], "lang": ["en"], "nDCG@10": [0.5]})


def example(**changes: Any) -> Result:
    pool = PoolScores(
        name="en",
        documents={"en": 2},
        queries={"en": 1},
        dropped={"why": 3},
        judged=1,
        scores={"en": {"nDCG@10": 0.1, "LPR": None}},
    )
    setting = SettingScores(
        collection="toy",
        setting="multi-monolingual",
        mix="monolingual",
        seed=0,
        main="nDCG@10",
        scores={"nDCG@10": 0.1, "LPR": None},
        table={"en": {"en": {"nDCG@10": 0.1}}},
        left_out={"LPR": "one language"},
        pools=[pool],
    )
    content: dict[str, Any] = {
        "key": "k" * 64,
        "created": "2026-01-01T00:00:00+00:00",
        "model": {"name": "m", "日本": "ü"},
        "fingerprints": {"query": {"p": ""}},
        "benchmark": {"name": "b"},
        "collections": [{"name": "toy"}],
        "settings": [setting],
        "encoded": {"encoded": 3, "read": 0},
        "search": "faiss",
        "timings": {"total": 1.5},
        "peak_memory": 1,
        "environment": {},
    }
    return Result(**{**content, **changes})


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = write_result(tmp_path / "r", example(), QUERIES)
    assert read_result(path) == read_result(tmp_path / "r") == example()
    pd.testing.assert_frame_equal(read_queries(path), QUERIES)
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["queries.parquet", "result.json"]
    assert "日本" in path.read_text("utf-8")


def test_every_field_of_the_schema_is_explained() -> None:
    import inspect

    for model in (PoolScores, SettingScores, Result):
        source = inspect.getsource(model)
        for name in model.model_fields:
            lines = source.split(f"\n    {name}: ")[1].splitlines()
            assert lines[1].strip().startswith('"""'), f"{model.__name__}.{name}"


def spoil(path: Path, **changes: Any) -> Path:
    content = json.loads(path.read_text("utf-8"))
    content.update(changes)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"schema_version": 2}, "schema_version: Input should be 1"),
        ({"key": None}, "key: Input should be a valid string"),
        ({"settings": [{"mix": "parallel"}]}, r"settings\.0\.collection: Field required"),
    ],
)
def test_a_file_that_is_no_result_names_the_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = spoil(write_result(tmp_path, example(), QUERIES), **changes)
    with pytest.raises(DataError, match=f"result.json: not a result: {message}"):
        read_result(path)


def test_torn_and_missing_files_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path / "absent.json")
    path = write_result(tmp_path, example(), QUERIES)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="not a result"):
        read_result(path)
    (tmp_path / "queries.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"queries.parquet: cannot be read .*run the evaluation again"):
        read_queries(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_never_written(tmp_path: Path, value: float) -> None:
    bad = example(timings={"total": value})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_result(tmp_path / "bad", bad, QUERIES)
    assert not (tmp_path / "bad" / "result.json").exists()
    path = write_result(tmp_path, example(), QUERIES)
    assert "NaN" not in path.read_text() and '"LPR": null' in path.read_text()


def test_a_run_killed_between_its_two_files_does_not_look_finished(tmp_path: Path) -> None:
    code = """
    import os, signal, sys
    sys.path.insert(0, sys.argv[2])
    from test_results import QUERIES, example
    from mimo_eval import results
    from pathlib import Path
    write = results.atomic_write
    def killed(path, *args):
        if path.name == "result.json":
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, *args)
    results.atomic_write = killed
    results.write_result(Path(sys.argv[1]), example(), QUERIES)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "r"), str(Path(__file__).parent)]
    assert subprocess.run(command, timeout=240, env=dict(os.environ)).returncode == -signal.SIGKILL
    assert [p.name for p in (tmp_path / "r").iterdir()] == ["queries.parquet"]
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path / "r")


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"queries.parquet: cannot be written \(.*choose another folder"):
        write_result(tmp_path / "file" / "r", example(), QUERIES)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("org/model", "org_model"),
        ("../../x", "x"),
        ("a b:c*", "a_b_c"),
        ("模型", "model"),
        ("", "model"),
        ("x" * 300, "x" * 80),
    ],
)
def test_a_models_name_becomes_a_safe_folder(tmp_path: Path, model: str, name: str) -> None:
    assert result_folder(tmp_path, "mini", model, "0123456789abcdef") == tmp_path / "mini" / name / "0123456789ab"


def test_the_key_depends_on_content_and_not_on_order() -> None:
    assert result_key({"a": 1, "b": [1, 2]}) == result_key({"b": [1, 2], "a": 1})
    assert len({result_key({"a": x}) for x in (1, "1", [1], None, {"a": 1})}) == 5


def test_the_table_has_a_row_per_mix_and_a_column_per_measure() -> None:
    frame = example().frame()
    assert frame.drop(columns="LPR").to_dict("records") == [
        {"model": "m", "collection": "toy", "setting": "multi-monolingual", "mix": "monolingual", "nDCG@10": 0.1}
    ]
    assert frame["LPR"].isna().all()
