"""The table against peers: what is arithmetic in it, and each of its rows at a size that takes a moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
if (ROOT / "benchmarks" / "speed").is_dir():
    sys.path.append(str(ROOT))
else:
    pytest.skip("only in the repository", allow_module_level=True)

from benchmarks.speed import harness, synthetic  # noqa: E402
from benchmarks.speed.harness import Child, Settings, agree  # noqa: E402
from benchmarks.speed.rows import convert, growth, measures, scoring, search, training  # noqa: E402
from mimo_eval.collections.build import build  # noqa: E402

DATA = os.environ.get("MIMO_EVAL_DATA")
linux = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is watched on Linux")
QUICK, ONCE = (Settings(quick=True, repeats=repeats, data=Path(DATA or ".")) for repeats in (2, 1))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def here(monkeypatch):
    """Call in this process what is otherwise called in one of its own."""

    def call(target, **arguments):
        module, _, name = target.partition(":")
        return Child(getattr(sys.modules[module], name)(**arguments), 2.0, 2**30, 2**20)

    for module in (growth, convert):
        monkeypatch.setattr(module, "in_child", call)


def named(findings):
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize(("power", "factor"), [(1.0, 3.0), (0.5, 0.1), (2.0, 1.0), (0.0, 7.0)])
def test_the_exponent_of_a_power_law_is_found(power, factor):
    sizes = [10, 100, 1000, 5000]
    assert growth.exponent(sizes, [factor * n**power for n in sizes]) == pytest.approx(power, abs=1e-12)


def test_the_exponent_is_that_of_the_line_by_least_squares():
    # logarithms to base 10: x = 0, 1, 2 and y = 0, 0, 3, so the slope is 3/2
    assert growth.exponent([1, 10, 100], [1, 1, 1000]) == pytest.approx(1.5)


def test_growth_is_told_for_all_sizes_and_for_the_larger_half():
    def child(seconds, memory):
        phases = {"build": seconds / 4, "search": seconds * 3 / 4}
        return Child({"seconds": phases, "anonymous": memory}, seconds, 2 * memory, 0)

    costs = [(10.0, 1000), (10.0, 1100), (100.0, 1200), (1000.0, 1999)]
    found = named(growth.findings([10, 100, 1000, 10_000], [child(*cost) for cost in costs]))
    assert found["exponent of time"].values == pytest.approx([0.7])
    assert found["exponent of time from 1,000 on"].values == pytest.approx([1.0])
    assert found["exponent of time from 1,000 on"].detail["largest"] == {"build": "250.0 s", "search": "750.0 s"}
    assert found["peak of memory, largest / smallest"].values == [1.999]
    assert found["peak of memory, largest / smallest"].reached is False
    assert found["memory per document"].values == pytest.approx([999 / 9990])


@pytest.mark.parametrize("difference", [1.1e-6, float("nan"), float("inf")])
def test_times_of_sides_that_differ_are_not_compared(difference):
    agree("scores", 1e-6, 1e-6)
    with pytest.raises(RuntimeError, match="scores differ by"):
        agree("scores", difference, 1e-6)


def test_jobs_take_turns():
    order = []
    seconds = harness.in_turn(3, a=lambda: order.append("a"), b=lambda: order.append("b"))
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}


WATCHED = """
import numpy, psutil
from benchmarks.speed.memory import Memory
with Memory() as memory:
    gone = numpy.ones(2**23)
    looks = psutil.Process(memory._watcher.pid).num_ctx_switches
    before = looks().voluntary
    while looks().voluntary < before + 3:  # it pauses after each look
        gone.sort()
    del gone
print(memory.growth)
"""


@linux
def test_memory_that_is_gone_again_was_seen():
    """In a process of its own, where no other thread takes memory or gives it back."""
    growth = int(subprocess.check_output([sys.executable, "-c", WATCHED], cwd=ROOT))
    assert growth == pytest.approx(2**26, rel=0.1)


def test_a_synthetic_query_is_near_its_relevant_documents_and_no_other():
    source, encoder = synthetic.Synthetic(400, 30), synthetic.TableEncoder(64)
    collection = build(source, "x")
    sides = (("query", collection.queries), ("document", collection.documents))
    vectors = [encoder.encode(texts.read(np.arange(len(texts))), role=role, lang="en") for role, texts in sides]
    queries, documents = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in vectors)
    scores = queries @ documents.T
    relevant = np.take_along_axis(scores, source.relevant, 1)
    assert relevant.mean() > 0.25 and abs(scores.mean()) < 0.05
    assert len(np.unique(documents, axis=0)) == 400 and collection.documents.languages == tuple(sorted(synthetic.LANGUAGES))


@pytest.fixture
def small_search(monkeypatch):
    for name, value in {"QUICK": 90, "QUERIES": 7, "WIDTH": 16, "DEPTH": 5, "SQUARE": 32, "TORCH_TILE": (3, 20)}.items():
        monkeypatch.setattr(search, name, value)


@linux
def test_search_is_compared_with_two_peers(small_search):
    pytest.importorskip("faiss")
    found = named(search.measure(QUICK))
    assert {"ours / faiss.knn", "ours / torch matmul + topk", "ours: memory above the lists"} <= set(found)
    assert all(len(found[f"{side}: share of the machine's sgemm"].values) == 2 for side in ("ours", "faiss", "torch"))


def test_torch_finds_in_tiles_what_a_sort_of_all_scores_finds(small_search):
    rng = np.random.default_rng(0)
    queries, documents = rng.standard_normal((7, 4), np.float32), rng.standard_normal((51, 4), np.float32)
    scores, rows = search.by_torch(queries, documents)
    every = queries @ documents.T
    assert np.array_equal(rows, np.argsort(-every, axis=1)[:, :5])
    assert scores == pytest.approx(-np.sort(-every, axis=1)[:, :5])


def test_a_search_that_finds_something_else_is_no_comparison(small_search, tmp_path):
    pytest.importorskip("faiss")
    prepared = search.prepare(90, tmp_path)
    with pytest.raises(RuntimeError, match="scores of ours and faiss differ"):
        list(search.compared(prepared._replace(documents=prepared.documents[::-1] * 0.9), 1))


@linux
def test_growth_does_the_whole_job_at_every_size(here, monkeypatch):
    for name, value in {"QUICK": (20, 30, 60), "QUERIES": 5, "WIDTH": 8, "DEPTH": 10}.items():
        monkeypatch.setattr(growth, name, value)
    monkeypatch.setitem(os.environ, "MIMO_EVAL_CACHE", "")  # put back what a job leaves in this process
    found = named(growth.measure(ONCE))
    assert len(found["exponent of time"].values) == 1
    assert set(found["exponent of time from 30 on"].detail["largest"]) == {"build", "mix", "encode", "search", "score"}


def test_scoring_agrees_with_ir_measures(monkeypatch):
    monkeypatch.setattr(scoring, "DEPTH", 30)
    given = scoring.Given.invented(12)
    assert len(given.run) == 360 and {len(part) for part in given.relevant.values()} == {scoring.JUDGED}
    assert sorted(given.part(2).run["query_id"].unique()) == sorted(given.part(2).scores) == ["q0", "q1"]
    found = list(scoring.against_ir_measures(given, 2))
    assert [finding.goal for finding in found] == [0.3, 0.3] and all(len(finding.values) == 2 for finding in found)


def test_a_conversion_counts_its_passages(here, monkeypatch):
    monkeypatch.setattr(convert, "QUICK", 4800)
    monkeypatch.setattr(convert, "PER_FILE", 2500)
    monkeypatch.setitem(os.environ, "MIMO_EVAL_CACHE", "")
    found = named(convert.measure(QUICK))
    assert found["rate"].values == [2400.0]  # in the two seconds that `here` says
    assert found["peak of resident memory, imports included"].values == [1.0]


@pytest.mark.slow
def test_both_sides_train(monkeypatch):
    for name, value in {"QUICK": 48, "VOCABULARY": 300, "DIMENSION": 8, "BATCH": 16, "TEACHER": 12}.items():
        monkeypatch.setattr(training, name, value)
    assert list(named(training.measure(Settings(quick=True, repeats=1, data=Path())))) == [
        "stage 1 / MSELoss",
        "stage 2 / MNRL",
    ]


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="MIMO_EVAL_DATA is not set")
def test_language_measures_are_compared_on_a_cut_of_xquad_r(monkeypatch):
    monkeypatch.setattr(measures, "QUICK", 2)
    found = list(measures.measure(ONCE))
    assert [finding.name for finding in found] == ["19 measures / nDCG@10", "MRC@20 / nDCG@10"]
