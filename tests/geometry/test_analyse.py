from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.geometry import DIAGNOSTICS, Finding, LabelledVectors, VectorNeed, analyse
from mimo_eval.geometry.diagnostic import plain
from mimo_eval.geometry.uncertainty import MacroMean, clustered_error, jackknife_error

EXPECTED = {
    "alignment",
    "anisotropy",
    "csls_gain",
    "hubness",
    "isoscore",
    "probe",
    "purity",
    "rsim",
    "strong_alignment",
    "uniformity",
    "variance_share",
}


def strict_json(record: object) -> object:
    return json.loads(json.dumps(record, allow_nan=False))


def test_every_module_with_a_diagnostic_is_in_the_table():
    assert set(DIAGNOSTICS) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_diagnostic_says_what_it_is(name):
    entry = DIAGNOSTICS.get(name)
    assert entry.name == name
    assert entry.answers.endswith("?")
    assert entry.source
    assert entry.range[0] < entry.range[1]
    assert all(isinstance(need, VectorNeed) for need in entry.needs)


def test_all_diagnostics_of_parallel_vectors_are_numbers_in_range_that_json_can_hold(cloud):
    record = strict_json(analyse(cloud(offset=0.5, languages=4, items=60), seed=7))
    assert record["languages"] == {"en": 60, "de": 60, "fr": 60, "ja": 60}
    assert (record["n"], record["items"], record["dimensions"], record["seed"]) == (240, 60, 16, 7)
    assert set(record["diagnostics"]) == EXPECTED
    for name, found in record["diagnostics"].items():
        low, high = DIAGNOSTICS.get(name).range
        assert low <= found["value"] <= high, name
        assert math.isfinite(found["standard_error"]), name
        assert found["n"] > 0, name


def test_the_same_seed_gives_the_same_numbers(cloud):
    vectors = cloud(items=100)
    assert analyse(vectors, seed=3, sample=50) == analyse(vectors, seed=3, sample=50)
    assert analyse(vectors, seed=3, sample=50) != analyse(vectors, seed=4, sample=50)


def test_chosen_diagnostics_only_and_near_names(cloud):
    assert list(analyse(cloud(), names=["rsim", "alignment"])["diagnostics"]) == ["rsim", "alignment"]
    with pytest.raises(ConfigError, match="uniformity"):
        analyse(cloud(), names=["uniformty"])


def reasons(vectors: LabelledVectors) -> dict[str, str]:
    found = strict_json(analyse(vectors))["diagnostics"]
    return {name: entry["reason"] for name, entry in found.items() if entry["value"] is None}


def test_one_language_leaves_out_what_compares_languages(cloud):
    missing = reasons(cloud(languages=1))
    assert set(missing) == {"alignment", "csls_gain", "probe", "purity", "rsim", "strong_alignment", "variance_share"}
    assert missing["purity"] == "purity needs vectors in at least two languages"
    assert missing["alignment"].startswith("alignment needs parallel data")


def test_one_item_in_every_language_still_has_an_alignment(cloud):
    assert set(reasons(cloud(items=1))) == EXPECTED - {"alignment"}


@pytest.mark.parametrize("rows", [0, 1], ids=["no rows", "one row"])
def test_next_to_nothing_gives_reasons_for_everything(rows):
    vectors = LabelledVectors(np.ones((rows, 3)), np.zeros(rows, int), np.arange(rows), ("en",))
    assert set(reasons(vectors)) == EXPECTED


def test_one_dimension_does_not_crash():
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(40, 1))
    vectors = LabelledVectors(signs, np.arange(40) % 2, np.arange(40) // 2, ("en", "de"))
    assert "two dimensions" in reasons(vectors)["isoscore"]


def test_equal_vectors_do_not_crash(cloud):
    vectors = cloud()
    equal = LabelledVectors(np.ones((120, 16)), vectors.languages, vectors.groups, vectors.language_names)
    assert {"isoscore", "variance_share", "rsim"} <= set(reasons(equal))


def test_zero_vectors_are_left_out_and_counted(cloud, caplog):
    vectors = cloud()
    broken = vectors.vectors.copy()
    broken[[3, 77]] = 0
    record = analyse(LabelledVectors(broken, vectors.languages, vectors.groups, vectors.language_names))
    assert (record["zero_vectors"], record["n"]) == (2, 118)
    assert not any(entry["value"] is None for entry in record["diagnostics"].values())
    assert "2 of 120 vectors are zero" in caplog.text


def test_nan_is_an_error_that_names_the_row_and_a_reason_for_a_single_diagnostic(cloud):
    vectors = cloud()
    vectors.vectors[5, 1] = np.nan
    with pytest.raises(DataError, match=r"vector 5 \(en\) holds NaN"):
        analyse(vectors)
    assert "vector 5" in DIAGNOSTICS.get("alignment").measure(vectors).reason


def test_languages_without_rows_take_no_part(cloud):
    vectors = cloud()
    wider = LabelledVectors(vectors.vectors, vectors.languages + 1, vectors.groups, ("xx", *vectors.language_names))
    assert analyse(wider) == analyse(vectors)


def test_large_vectors_are_never_held_as_float32(tmp_path):
    """60,000 × 64 stored as float16 (7.3 MiB) is analysed in less than the float32 copy and the work space need."""
    n, d = 60_000, 64
    stored = np.memmap(tmp_path / "vectors", dtype=np.float16, mode="w+", shape=(n, d))
    stored[:] = np.random.default_rng(0).normal(size=(n, d))
    vectors = LabelledVectors(stored, np.arange(n) % 3, np.arange(n) // 3, ("en", "de", "fr"))
    tracemalloc.start()
    analyse(vectors, sample=256, names=["alignment", "purity", "anisotropy", "isoscore", "uniformity", "variance_share"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 2**20


def test_plain_makes_lists_and_none_of_arrays_and_nan():
    record = Finding(float("nan"), 3, details={"matrix": np.array([[1, np.nan]]), "share": np.float32(0.5)}).as_dict()
    assert record == {"value": None, "standard_error": None, "n": 3, "matrix": [[1.0, None]], "share": 0.5}
    assert plain(("a", np.int64(2), float("inf"))) == ["a", 2, None]


def test_the_clustered_error_of_independent_rows_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(size=50)
    assert clustered_error(values, np.arange(50)) == pytest.approx(values.std(ddof=1) / 50**0.5)
    assert clustered_error(np.tile(values, 4), np.tile(np.arange(50), 4)) == pytest.approx(values.std(ddof=1) / 50**0.5)
    assert clustered_error(values, np.zeros(50)) is None


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=30)
    assert jackknife_error((values.sum() - values) / 29) == pytest.approx(values.std(ddof=1) / 30**0.5)
    assert jackknife_error(np.array([1.0, np.nan])) is None


def test_a_macro_mean_of_cells_with_the_same_items_adds_their_influence():
    values = np.random.default_rng(0).normal(size=(20, 2))
    mean = MacroMean(20)
    for column in values.T:
        mean.add_mean(column, np.arange(20))
    expected = values.mean(axis=1).std(ddof=1) / 20**0.5
    assert (mean.value, mean.standard_error) == (pytest.approx(values.mean()), pytest.approx(expected))
