import shutil
from pathlib import Path

import pytest

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import run
from mimo_eval.files import write_json
from mimo_eval.leaderboard import build_board, read_board
from mimo_eval.leaderboard.significance import unpack
from mimo_eval.results import read_queries, read_result, write_json_result


@pytest.fixture
def copies(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "copies"))


def spoil(file: Path, **changes: object) -> Path:
    write_json_result(file.parent, read_result(file).model_copy(update=changes))
    return file


def one(folder: Path, model: str = "hashing_dim_64") -> Path:
    return next(folder.glob(f"*/{model}*/*/result.json"))


def test_a_board_says_what_the_results_say(results):
    group = build_board([results], samples=50).groups[0]
    assert [e.kind for e in group.entries] == ["bm25", "dense", "dense"]
    assert group.tested == ["nDCG@20", "LPR"] and [s.mix for s in group.settings] == [
        "parallel",
        "monolingual",
        "cross-lingual",
    ]
    for entry in group.entries:
        result = next(r for f in results.rglob("result.json") if (r := read_result(f)).model["name"] == entry.name)
        for k, setting in enumerate(result.settings):
            assert entry.scores[k]["nDCG@20"] == pytest.approx(setting.scores["nDCG@20"], abs=1e-6)
            means = read_queries(one(results, entry.name.replace("(", "_").replace("=", "_").rstrip(")")))
            mine = means[means["mix"] == setting.mix].groupby(["lang", "pool"], observed=True)["nDCG@20"].mean()
            by_language = mine.groupby("lang", observed=True).mean()
            assert entry.languages[k]["nDCG@20"] == pytest.approx(by_language.tolist(), abs=1e-6)
        low, high = entry.intervals[0]["nDCG@20"][0]
        assert low < entry.scores[0]["nDCG@20"] < high
        assert len(entry.intervals[0]["nDCG@20"]) == 4
    scores = [e.scores[0]["nDCG@20"] for e in group.entries]
    assert scores == sorted(scores, reverse=True)
    assert unpack(group.settings[0].distinct["nDCG@20"][0], 3)[0, 2]


def test_the_table_of_language_pairs_joins_monolingual_and_cross_lingual(results):
    group = build_board([results], samples=10).groups[0]
    assert group.pairs["mini"].queries == ["ar", "de", "zh"]
    result = read_result(one(results, "bm25"))
    entry = next(e for e in group.entries if e.name == "bm25")
    assert entry.pairs["mini"][0][0] == round(result.settings[1].table["ar"]["ar"]["nDCG@20"], 4)
    assert entry.pairs["mini"][0][1] == round(result.settings[2].table["ar"]["de"]["nDCG@20"], 4)


def test_the_same_results_give_the_same_board_in_any_order(results):
    files = sorted(results.rglob("result.json"))
    assert build_board(files, samples=20) == build_board(files[::-1], samples=20) == build_board([results, *files], samples=20)


def test_other_data_depth_or_mixes_are_rankings_of_their_own(copies, small):
    file = one(copies)
    collection = read_result(file).collections[0]
    spoil(file, collections=[{**collection, "revision": "0" * 64}])
    run("bm25", small.model_copy(update={"depth": 50}), output=copies)
    board = build_board([copies], samples=10)
    assert [len(g.entries) for g in board.groups] == [2, 1, 1]
    assert board.groups[0].differs == []
    said = sorted(d for g in board.groups[1:] for d in g.differs)
    assert said[0].startswith("data: mini: 0000") and said[1] == "depth: 50 instead of 100"


def test_the_newest_of_equal_results_stays_and_the_board_says_so(copies):
    file = one(copies)
    other = Path(shutil.copytree(file.parent, file.parent.with_name("again"))) / "result.json"
    spoil(other, created="2099-01-01T00:00:00+00:00")
    group = build_board([copies], samples=10).groups[0]
    assert len(group.entries) == 3 and any(e.created.startswith("2099") for e in group.entries)
    assert any("gives way to a newer one" in note for note in group.notes)


def test_another_prompt_is_another_entry_and_both_are_marked(copies):
    file = one(copies)
    other = Path(shutil.copytree(file.parent, file.parent.with_name("prompted"))) / "result.json"
    result = read_result(other)
    prints = {role: {**content, "prompt": f"{role}: "} for role, content in result.fingerprints.items()}
    for path, new in ((file, result.fingerprints), (other, prints)):
        spoil(path, fingerprints=new, model={**result.model, "revision": "abc"})
    entries = {e.name: e for e in build_board([copies], samples=10).groups[0].entries}
    twins = [e for name, e in entries.items() if name.startswith("hashing(dim=64)")]
    assert len(twins) == 2
    assert sorted(len(e.prompts) for e in twins) == [0, 2]
    assert all("the same model with other prompts is here too" in e.marks for e in twins)
    assert next(e for e in twins if e.prompts).prompts == {"query": "query:", "document": "document:"}


def test_a_card_states_licence_and_link(copies):
    file = one(copies)
    write_json(file.parent / "card.json", {"licence": "MIT", "link": "javascript:alert(1)", "parameters": 7})
    entry = next(e for e in build_board([copies], samples=10).groups[0].entries if e.parameters == 7)
    assert (entry.licence, entry.link) == ("MIT", "")
    write_json(file.parent / "card.json", {"license": "MIT"})
    with pytest.raises(DataError, match=r"card.json: license: Extra inputs"):
        build_board([copies])


def test_what_is_no_result_is_refused(copies, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no result.json here"):
        build_board([tmp_path / "empty"])
    with pytest.raises(DataError, match="there are no results"):
        build_board([])
    with pytest.raises(ConfigError, match="level"):
        build_board([copies], level=1.0)
    file = one(copies)
    queries = file.parent / "queries.parquet"
    shutil.copy(one(copies, "bm25").parent / "queries.parquet", queries)
    with pytest.raises(DataError, match="does not belong to"):
        build_board([copies])
    spoil(file, settings=read_result(file).settings[:1])
    with pytest.raises(DataError, match="not one per mix"):
        build_board([copies])
    spoil(file, benchmark={"name": "x"})
    with pytest.raises(DataError, match="not a result of this version: KeyError"):
        build_board([copies])


def test_a_damaged_board_names_the_field(tmp_path):
    (tmp_path / "board.json").write_text('{"schema_version": 1, "title": 3}')
    with pytest.raises(DataError, match=r"board.json: not a board: title"):
        read_board(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_board(tmp_path / "absent.json")
