from dataclasses import dataclass, field, replace

import pytest

from mimo_eval.errors import DataError
from mimo_eval.leaderboard import build_board, render
from mimo_eval.leaderboard.outside import MAIN, is_ours, outside_group


@dataclass(frozen=True)
class Row:
    model: str = "org/a"
    subset: str = "deu"
    main_score: float = 0.5
    model_revision: str = "r1"
    task: str = "Belebele"
    dataset_revision: str = "d1"
    split: str = "test"
    measures: dict[str, float] = field(default_factory=dict)
    mteb_version: str = "2.26"


def rows():
    scores = {("org/a", "deu"): 0.5, ("org/a", "fra"): 0.7, ("org/b", "deu"): 0.8, ("org/b", "fra"): 0.6}
    return [Row(m, s, v, measures={"nDCG@10": v, "nDCG@1": v / 2}) for (m, s), v in scores.items()]


def test_a_task_is_a_setting_and_a_subset_a_language():
    group = outside_group(rows(), "MTEB")
    assert [e.name for e in group.entries] == ["org/b", "org/a"]
    assert group.settings[0].main == "nDCG@10" and group.settings[0].languages == ["deu", "fra"]
    assert group.entries[0].scores[0]["nDCG@10"] == 0.7 and group.entries[1].languages[0]["nDCG@10"] == [0.5, 0.7]


def test_other_data_are_another_setting():
    group = outside_group([*rows(), *(replace(r, model="org/c", dataset_revision="d2") for r in rows()[:2])], "MTEB")
    assert [s.mix for s in group.settings] == ["Belebele@d1 test", "Belebele@d2 test"]
    third = next(e for e in group.entries if e.name == "org/c")
    assert third.scores[0]["nDCG@10"] is None and third.scores[1]["nDCG@10"] == pytest.approx(0.6)


def test_a_missing_subset_leaves_no_mean():
    group = outside_group(rows()[:-1], "MTEB")
    assert next(e for e in group.entries if e.name == "org/b").scores[0]["nDCG@10"] is None


def test_a_main_score_that_no_measure_has_stands_by_itself():
    group = outside_group([replace(r, main_score=r.main_score / 3) for r in rows()], "MTEB")
    assert group.settings[0].main == MAIN and group.measures[0].direction == "higher"


def test_contradictions_and_nothing_at_all_are_refused():
    with pytest.raises(DataError, match=r"Belebele, test, deu: two results of org/a at r1 differ"):
        outside_group([*rows(), Row(main_score=0.1)], "MTEB")
    with pytest.raises(DataError, match="no results of MTEB"):
        outside_group([], "MTEB")


def test_it_becomes_a_board_in_every_format():
    board = build_board([], outside=[outside_group(rows(), "MTEB")])
    assert all(render(board).values())


def test_what_is_ours_is_told_by_the_files(tmp_path, results):
    (tmp_path / "Belebele.json").write_text("{}")
    assert is_ours(results) and not is_ours(tmp_path) and not is_ours(tmp_path / "Belebele.json")
