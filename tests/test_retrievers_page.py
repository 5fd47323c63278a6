"""The page on retrievers shows what was measured."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_retrievers", ROOT / "docs" / "retrievers" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(make):
    return json.loads(make.RESULTS.read_text("utf-8"))


def test_the_tables_of_the_page_are_those_of_the_committed_results(make, results):
    page = make.PAGE.read_text("utf-8")
    made = make.tables(results)
    assert all(f"<!-- {name} -->" in page for name in made) and make.written(page, made) == page
    assert make.written(page, {name: "" for name in made}) != page


def test_every_model_was_measured_on_every_collection(make, results):
    wanted = [(make.label(typed), group) for group, models in make.GROUPS.items() for typed in models]
    for collection in ("mini", "xquad-r"):
        assert [(row["model"], row["group"]) for row in results["rows"] if row["collection"] == collection] == wanted
    assert all(row["values"]["MLIR nDCG@20"] is not None for row in results["rows"])


def test_shares_of_foreign_results_by_hand(make):
    found = make.shares({"a": {"a": 0.8, "b": 0.2}, "b": {"b": 0.7, "c": 0.3}, "c": {"c": 1.0}})
    assert found == {"a": 0.0, "b": 0.4, "c": 0.6}


def test_bytes_are_those_on_disk(make):
    import numpy as np

    from mimo_eval.embeddings import STORAGES

    vectors = np.ones((1, make.DIM), np.float32)
    for storage in make.BYTES:
        assert make.size(f"x(storage={storage})") == STORAGES[storage].encode(vectors).nbytes
    assert make.size("x(truncate_dim=64)") == make.size("x") == 1536


def test_the_text_leaves_nothing_open(make):
    assert not re.search(r"\{\w+\}", re.sub(r"`[^`]*`", "", make.PAGE.read_text("utf-8")))
