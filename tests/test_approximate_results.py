"""Results of approximate search: marked wherever they are shown, and never compared with those of another search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.cli.run import index_lines
from mimo_eval.cli.tables import FORMATS
from mimo_eval.comparison import compare
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import evaluate, run
from mimo_eval.gate import Policy, check
from mimo_eval.integrations.model_card import section
from mimo_eval.leaderboard import build_board
from mimo_eval.leaderboard.report import result_page
from mimo_eval.leaderboard.schema import Board
from mimo_eval.leaderboard.submit import ModelCard, submit
from mimo_eval.results import read_result

GROUPS = [f"g{i}" for i in range(60)]


class Known:
    """Vectors by the text's own number; a query lies near its answer, but not always nearest."""

    def __init__(self, name: str = "known") -> None:
        self.name, self.texts = name, 0

    def encode(self, texts, *, role, lang):
        self.texts += len(texts)
        made = [np.random.default_rng(int(text.split()[-1])).normal(size=8) for text in texts]
        noise = [np.random.default_rng([len(text), ord(text[0])]).normal(size=8) for text in texts]
        return np.array(made, np.float32) + (0.4 if role == "query" else 0.0) * np.array(noise, np.float32)

    def fingerprint(self, role):
        return {"model": self.name}


class Nameless(Known):
    """The same without a fingerprint: nothing of it is kept."""

    fingerprint = property()


@pytest.fixture
def benchmark(tmp_path: Path, folders: Callable[..., Path]) -> Benchmark:
    texts = {kind: {lang: {g: f"{lang} {kind} {g[1:]}" for g in GROUPS} for lang in ("en", "de")} for kind in ("text", "ask")}
    toy = folders(tmp_path / "toy", texts["text"], texts["ask"], {g: {g: 1} for g in GROUPS})
    task = Task(collection=str(toy), mixes=("parallel", "monolingual"), main="nDCG@10")
    return Benchmark(name="toy", tasks=(task,), measures=("nDCG@10", "RankDistance"), depth=10)


@pytest.fixture
def result(tmp_path: Path, benchmark: Benchmark, cache: Path) -> Callable[..., Path]:
    """Evaluate a model by some index; return the result's folder."""

    def make(index: str | None = None, name: str = "known") -> Path:
        folder = run(Known(name), benchmark, output=tmp_path / "results", index=index).folder
        assert folder is not None
        return folder

    return make


def test_a_result_says_what_searched_and_how_well(result: Callable[..., Path]) -> None:
    exact, near = read_result(result()), read_result(result("IVF1,SQ4:nprobe=1"))
    assert (exact.index, exact.approximate, exact.searched, exact.label) == ("", [], "exact", "known")
    assert near.index == "IVF1,SQ4:nprobe=1" and near.searched == "approximate (IVF1,SQ4:nprobe=1)"
    (said,) = near.approximate
    assert set(said.recall) == {"en", "de"} and said.overall.queries == 2 * 100
    assert 0.9 < said.overall.at_depth <= 1 and said.relevant == 120 * 2 + 120 and said.exact == {}
    assert near.key != exact.key and near.label == "known (≈ IVF1,SQ4:nprobe=1)"
    (line,) = index_lines(near)
    assert line.startswith("known on toy: approximate search by IVF1,SQ4:nprobe=1: recall against exact search: @10 ")
    assert f"{said.missed} of 360 relevant documents missed" in line and index_lines(exact) == []


def test_measures_of_the_full_ranking_are_left_out(result: Callable[..., Path]) -> None:
    exact, near = (read_result(result(index)).settings[0] for index in (None, "HNSW2:efSearch=1"))
    assert exact.scores["RankDistance"] is not None and "RankDistance" not in near.scores
    assert "where the run is cut" in near.left_out["RankDistance"]
    assert near.scores["nDCG@10"] is not None


def test_a_known_result_is_read_again_and_vectors_are_shared(
    result: Callable[..., Path], benchmark: Benchmark, tmp_path: Path
) -> None:
    result("HNSW8")
    model = Known()
    again = run(model, benchmark, output=tmp_path / "results", index="HNSW8")
    other = run(model, benchmark, output=tmp_path / "results", index="HNSW8:efSearch=99")
    assert again.reused and not other.reused and model.texts == 0


def test_flat_is_the_exact_search_that_it_says(result: Callable[..., Path], benchmark: Benchmark, tmp_path: Path) -> None:
    result()
    assert run(Known(), benchmark, output=tmp_path / "results", index="Flat").reused


def test_indexes_of_a_model_without_fingerprint_are_not_kept(benchmark: Benchmark, cache: Path) -> None:
    assert run(Nameless(), benchmark, index="HNSW8").result.approximate
    assert not list((cache / "indexes").glob("*"))


def test_a_benchmark_too_small_for_the_index_is_searched_exactly(benchmark: Benchmark, cache: Path) -> None:
    with pytest.warns(UserWarning, match="--index IVF4,Flat: search is exact; .*: 60 vectors are too few .* needs 156"):
        found = run(Known(), benchmark, index="IVF4,Flat").result
    assert found.searched == "exact" and found.index == "IVF4,Flat" and found.settings[0].scores["RankDistance"] is not None


def test_only_what_has_vectors_takes_an_index(benchmark: Benchmark, cache: Path) -> None:
    with pytest.raises(ConfigError, match="bm25 has no vectors that an index could hold"):
        run("bm25", benchmark, index="HNSW8")
    found = run("rrf(bm25, hashing(dim=32))", benchmark, index="HNSW8").result
    assert [a.model for a in found.approximate] == ["hashing(dim=32)"]


def test_every_table_and_page_marks_it(result: Callable[..., Path], benchmark: Benchmark) -> None:
    folder = result("HNSW8")
    near = read_result(folder)
    assert "approximate (HNSW8), recall 1.0000 on toy" in result_page(folder)
    assert all("HNSW8" in layout([near]) for layout in FORMATS.values())
    assert evaluate(Known(), benchmark, index="HNSW8")["model"].tolist() == 2 * ["known (≈ HNSW8)"]


def test_other_searches_are_not_compared(result: Callable[..., Path]) -> None:
    exact, near, nearer = result(), result("HNSW8"), result("HNSW8:efSearch=99")
    for pair in ([exact, near], [near, nearer]):
        with pytest.raises(
            DataError, match=r"they differ in\n  search: .*\nevaluate both with the same --index, or both without"
        ):
            compare(pair)
        with pytest.raises(DataError, match="evaluate both with the same --index, or both without"):
            check(pair[1], pair[0], Policy())
    assert compare([near, result("HNSW8", "other")]).differences
    assert check(near, near, Policy()).passed


def test_a_board_keeps_them_apart_and_takes_none(result: Callable[..., Path], tmp_path: Path) -> None:
    paths = [result(), result(name="other"), result("HNSW8")]
    board = build_board(paths, samples=20)
    assert isinstance(board, Board)
    assert [[e.name for e in group.entries] for group in board.groups] in (
        [["known", "other"], ["known"]],
        [["other", "known"], ["known"]],
    )
    assert board.groups[1].entries[0].marks == ["approximate (HNSW8) search"]
    assert board.groups[1].differs == ["approximate search: HNSW8 instead of none"]
    with pytest.raises(DataError, match=r"search: a board takes scores of exact search, not approximate \(HNSW8\)"):
        submit(paths[2], tmp_path / "board", ModelCard())


def test_places_that_cannot_mark_it_refuse_it(result: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"a model card takes scores of exact search, .* evaluate known without --index"):
        section([read_result(result("HNSW8"))])
