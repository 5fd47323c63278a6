import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mimo_eval.benchmark import load_benchmark
from mimo_eval.errors import DataError
from mimo_eval.evaluation import run
from mimo_eval.leaderboard import build_board
from mimo_eval.leaderboard.entries import ModelCard
from mimo_eval.leaderboard.submit import submit
from mimo_eval.results import read_queries, read_result, result_key

CARD = ModelCard(licence="Apache-2.0", link="https://example.org/model")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result of the whole benchmark `mini`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        outcome = run("hashing(dim=32)", load_benchmark("mini"), output=tmp_path_factory.mktemp("whole"))
    assert outcome.folder is not None
    return outcome.folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "result"))


def edit(folder: Path, change) -> Path:
    content = json.loads((folder / "result.json").read_text("utf-8"))
    change(content)
    (folder / "result.json").write_text(json.dumps(content), "utf-8")
    return folder


def test_a_valid_result_becomes_a_folder_that_builds_the_same_board(whole, tmp_path):
    done = submit(whole, tmp_path / "out", CARD)
    assert done.warnings == []
    assert sorted(p.name for p in done.folder.iterdir()) == ["card.json", "queries.parquet", "result.json"]
    assert read_result(done.folder) == read_result(whole)
    kept = read_queries(done.folder)
    assert list(kept.columns)[7:] == ["nDCG@20", "LPR"] and len(kept) == len(read_queries(whole))
    assert (done.folder / "queries.parquet").stat().st_size < (whole / "queries.parquet").stat().st_size / 2
    mine, full = (build_board([p], samples=10).groups[0].entries[0] for p in (done.folder, whole))
    assert mine.scores == full.scores and mine.licence == "Apache-2.0" and mine.link == CARD.link
    text = done.description.read_text("utf-8")
    assert "`hashing(dim=32)`" in text and "| `parallel` | `nDCG@20` |" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hashing(dim=32)", []),
        ("rrf(bm25, hashing(dim=32))", []),
        ("rrf(bm25, my/model)", ["no licence is stated (--licence)", "no address is stated (--link)"]),
    ],
)
def test_what_is_missing_is_said_and_does_not_stop(copy, tmp_path, name, said):
    def change(result):
        result["model"]["name"] = name
        versions, benchmark = result["environment"]["versions"], dict(result["benchmark"])
        content = {key: value for key, value in benchmark.items() if key not in ("title", "source", "protocol")}
        parts = {"version": versions["mimo-eval"], "model": [name, result["fingerprints"]], "benchmark": content}
        result["key"] = result_key({**parts, "data": [collection["revision"] for collection in result["collections"]]})

    assert submit(edit(copy, change), tmp_path / "out", ModelCard()).warnings == said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["settings"][0]["scores"].update({"nDCG@20": 0.99}), "the file was edited"),
        (lambda r: r["settings"][0]["pools"][0]["scores"]["de"].update({"nDCG@20": 0.99}), "the mean of its cells"),
        (lambda r: r["model"].update(name="another"), "key: it does not belong to this model"),
        (lambda r: r["collections"][0].update(revision="0" * 64), "key: it does not belong"),
        (lambda r: r["benchmark"].update(depth=10), "benchmark: depth is not that of mini"),
        (lambda r: r["benchmark"]["measures"].remove("LPR"), "measures are missing: LPR"),
        (lambda r: r["benchmark"].update(name="mine"), "benchmark: mine does not come with mimo-eval"),
        (lambda r: r["settings"].pop(), "not one per mix"),
        (lambda r: r["settings"][0]["pools"][0]["scores"].pop("de"), "no scores for queries in de"),
        (lambda r: r["model"].update(prompts={"query": "q: ", "document": ""}), "prompts: the query prompt"),
        (lambda r: (r["model"].update(name="my:Model"), r.update(fingerprints={})), "declare it with --prompts"),
    ],
)
def test_a_result_that_is_not_what_it_says_is_refused_and_nothing_is_written(copy, tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        submit(edit(copy, change), tmp_path / "out", CARD)
    assert not (tmp_path / "out").exists()


def test_what_is_no_result_of_this_version_is_refused_beside_a_board_too(whole, copy, tmp_path):
    with pytest.raises(DataError, match="not a result of this version"):
        submit(edit(copy, lambda r: r["benchmark"].pop("depth")), tmp_path / "out", CARD, board=[whole])


def test_foreign_per_query_scores_are_refused(copy, tmp_path):
    frame = pd.read_parquet(copy / "queries.parquet")
    frame["nDCG@20"] = frame["nDCG@20"] * 0.9
    frame.to_parquet(copy / "queries.parquet")
    with pytest.raises(DataError, match="does not belong to"):
        submit(copy, tmp_path / "out", CARD)


def test_a_bad_link_is_refused(copy, tmp_path):
    with pytest.raises(DataError, match="not an http"):
        submit(copy, tmp_path / "out", ModelCard(link="javascript:alert(1)"))


def test_it_must_be_comparable_with_the_board(whole, copy, tmp_path):
    other = edit(copy, lambda r: r["collections"][0].update(revision="0" * 64))
    with pytest.raises(DataError, match="unlike the board, data: mini"):
        submit(whole, tmp_path / "out", CARD, board=[other])
    assert submit(whole, tmp_path / "out", CARD, board=[whole]).folder.is_dir()


def test_a_model_without_fingerprint_declares_its_prompts(copy, tmp_path):
    edit(copy, lambda r: (r["model"].update(name="my:Model"), r.update(fingerprints={})))
    done = submit(copy, tmp_path / "out", ModelCard(prompts="none", licence="MIT", link=CARD.link))
    assert done.warnings == ["the model has no fingerprint: nothing ties the result to its weights"]
