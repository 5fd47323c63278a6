"""Two encoders whose every rank is known, on a folder collection whose languages have different numbers of queries."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
from scipy import stats

from mimo_eval.comparison import Difference, Report, compare
from mimo_eval.errors import ConfigError
from mimo_eval.measures import Direction, direction
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.results import read_result


class Shuffled:
    """The hashing model behind a wrapper that loses the beginning of German texts."""

    name = "wrapped"

    def __init__(self):
        self.inner = HashingEncoder(dim=64)

    def encode(self, texts, *, role, lang):
        return self.inner.encode([t[len(t) // 2 :] if lang == "de" else t for t in texts], role=role, lang=lang)


def row(report: Report, name: str = "", measure: str = "Success@1", **keys) -> Difference:
    found = [d for d in report.differences if d.name == name and d.measure == measure]
    found = [d for d in found if all(getattr(d, key) == value for key, value in keys.items())]
    assert len(found) == 1
    return found[0]


def test_the_difference_is_that_of_the_macro_means(evaluate):
    """One of two German and one of eight English queries wrong: 1 - (1/2 + 7/8)/2 = 5/16, not 2/10 as over queries."""
    good = evaluate("good")
    bad = evaluate("bad", {"query de query 0", "query en query 5"})
    report = compare([good, bad], moved=0)
    whole = row(report)
    assert (whole.first_mean, whole.second_mean) == (1, pytest.approx(11 / 16))
    assert whole.difference == pytest.approx(-5 / 16)
    assert whole.second_mean == pytest.approx(read_result(bad).settings[0].scores["Success@1"])
    assert row(report, "de").difference == pytest.approx(-1 / 2)
    assert row(report, "en").difference == pytest.approx(-1 / 8)
    assert (whole.win, whole.tie, whole.loss) == (0, 8, 2)
    assert (whole.queries, whole.groups) == (10, 8)


def test_the_t_test_is_that_of_the_macro_mean(evaluate):
    """Weighted sums -1/4 (g0), -1/16 (g5) and six 0; g0 and g1 weigh 5/16, the others 1/16."""
    report = compare([evaluate("good"), evaluate("bad", {"query de query 0", "query en query 5"})], moved=0)
    sums, weights = -np.array([4, 0, 0, 0, 0, 1, 0, 0]) / 16, np.array([5, 5, 1, 1, 1, 1, 1, 1]) / 16
    statistic = -5 / 16 / np.sqrt(8 / 7 * ((sums + weights * 5 / 16) ** 2).sum())
    assert row(report).p_t == pytest.approx(2 * stats.t.cdf(statistic, 7))


def test_cells_are_corpora_and_languages(toy, evaluate, benchmark):
    """Cross-lingual has two corpora, de-en with two queries and en-de with eight; each counts one half."""
    chosen = benchmark(toy, ("cross-lingual",), ("Success@1",))
    good, bad = evaluate("good", chosen=chosen), evaluate("bad", {"query de query 0"}, chosen=chosen)
    report = compare([good, bad], by="corpus", moved=0)
    assert row(report).difference == pytest.approx(-1 / 4)
    assert row(report).second_mean == pytest.approx(read_result(bad).settings[0].scores["Success@1"])
    assert {d.scope for d in report.differences} == {"setting", "language"}  # each corpus is one language's: shown once


def test_corpora_are_compared_if_asked(tmp_path, folders, evaluate, benchmark, texts):
    """English with German and with French: one of eight English queries is wrong in both, that is in two of four cells."""
    langs, qrels = ["en", "de", "fr"], {f"g{i}": {f"g{i}": 1} for i in range(8)}
    folder = folders(tmp_path / "three", texts(langs), texts(langs, word="query"), qrels)
    chosen = benchmark(folder, ("bilingual",), ("Success@1",))
    paths = [evaluate("good", chosen=chosen), evaluate("bad", {"query en query 1"}, chosen=chosen)]
    found = {d.name: (d.scope, d.difference) for d in compare(paths, by="corpus", moved=0).differences}
    assert {name for name, (scope, _) in found.items() if scope == "corpus"} == {"en+de", "en+fr"}
    differences = [found[name][1] for name in ("", "en", "de", "en+de")]
    assert differences == pytest.approx([-1 / 16, -1 / 8, 0, -1 / 16])
    assert {d.scope for d in compare(paths, by="setting", moved=0).differences} == {"setting"}


def test_what_few_questions_cannot_show_is_part_of_the_report(evaluate):
    """Also for those who do not read it in the terminal; paths may be strings."""
    report = compare([str(evaluate("good")), str(evaluate("bad", {"query de query 0"}))], moved=0)
    assert report.cautions[-1].startswith("Bootstrap intervals of fewer than 100 questions are too narrow")
    assert report.document()["cautions"] == report.cautions


@pytest.mark.parametrize("given", [{"permutations": 0}, {"permutations": 1_000_001}, {"level": 1.0}, {"by": "pool"}])
def test_options_out_of_range_are_refused_with_the_range(evaluate, given):
    with pytest.raises(ConfigError, match=r"level must lie in \(0, 1\), permutations in 1 to 1,000,000, and by be "):
        compare([evaluate("good")] * 2, **given)


def test_the_same_result_twice_differs_in_nothing(toy, evaluate, benchmark):
    path = evaluate(HashingEncoder(dim=64), chosen=benchmark(toy, ("parallel", "partition"), ("nDCG@10", "RR@10", "LPR")))
    report = compare([path, path], measures="nDCG@10 RR@10", by="corpus")
    assert [r["label"] for r in report.results] == ["hashing(dim=64) #1", "hashing(dim=64) #2"]
    for found in report.differences:
        assert (found.difference, found.p, found.p_t, found.p_holm) == (0, 1, 1, 1)
        assert (found.stars, found.better) == ("", None)
        assert (found.low, found.high, found.effect, found.win, found.loss) == (0, 0, 0, 0, 0)
    assert report.moved == []


def test_hashing_against_a_wrapper_that_harms_german(tmp_path, folders, evaluate, benchmark):
    """Only German can move, and the setting moves by half of it."""
    words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "willow"]
    plain = {lang: {w: f"{w} {w} stands in a {lang} wood" for w in words} for lang in ("en", "de")}
    asked = {lang: {w: f"{w} or what tree" for w in words} for lang in ("en", "de")}
    folder = folders(tmp_path / "trees", plain, asked, {w: {w: 1} for w in words})
    chosen = benchmark(folder, ("monolingual",), ("RR@10",))
    report = compare([evaluate(HashingEncoder(dim=64), chosen=chosen), evaluate(Shuffled(), chosen=chosen)])
    german = row(report, "de", "RR@10")
    assert german.difference < -0.2
    assert (german.better, german.stars) == ("hashing(dim=64)", "**")
    assert german.low < german.difference < german.high < 0
    assert row(report, "en", "RR@10").difference == 0
    assert row(report, "", "RR@10").difference == pytest.approx(german.difference / 2)


def test_more_languages_of_the_same_questions_do_not_lower_p(tmp_path, folders, evaluate, benchmark, texts):
    p = []
    for langs in (["en"], ["en", "de", "es", "fr"]):
        folder = folders(
            tmp_path / "-".join(langs), texts(langs), texts(langs, word="query"), {f"g{i}": {f"g{i}": 1} for i in range(8)}
        )
        wrong = {f"query {lang} query {i}" for lang in langs for i in (0, 1, 2)}
        chosen = benchmark(folder, ("monolingual",), ("Success@1",))
        found = row(compare([evaluate("good", chosen=chosen), evaluate("bad", wrong, chosen=chosen)], moved=0))
        assert found.groups == 8
        p.append(found.p)
    assert p[0] == p[1] == pytest.approx(2 / 8, abs=0.02)  # of the 2^3 signs of the three that differ, two reach the sum


def test_three_results_are_compared_with_the_first_or_all_with_all(evaluate):
    wrongs = [set(), {"query en query 1"}, {"query en query 1", "query en query 2"}]
    paths = [evaluate(f"m{i}", wrong) for i, wrong in enumerate(wrongs)]
    first = compare(paths, measures="Success@1", moved=0)
    assert {(d.first, d.second) for d in first.differences} == {("m0", "m1"), ("m0", "m2")}
    every = compare(paths, measures="Success@1", moved=0, all_pairs=True)
    assert {(d.first, d.second) for d in every.differences} == {("m0", "m1"), ("m0", "m2"), ("m1", "m2")}
    assert row(every, second="m2", first="m1").difference == pytest.approx(-1 / 16)


def test_holm_takes_all_that_is_shown_as_one_family(evaluate):
    """Setting, de and en for two measures: six; with the setting alone two. Numbers before Holm stay the same."""
    paths = [evaluate("a"), evaluate("b", {f"query en query {i}" for i in range(7)})]
    wide, narrow = (compare(paths, by=by, moved=0, permutations=2000) for by in ("language", "setting"))
    assert (wide.family, narrow.family) == (6, 2)
    assert row(wide).p == row(narrow).p == pytest.approx(2 / 2**7, abs=0.008)
    assert row(narrow).p_holm == pytest.approx(min(1, 2 * row(narrow).p))
    assert row(wide, "en").p_holm == pytest.approx(min(1, 6 * row(wide, "en").p))


def test_the_seed_decides(evaluate):
    paths = [evaluate("a"), evaluate("b", {"query en query 1", "query en query 2"})]
    draws = [row(compare(paths, seed=seed, permutations=500, moved=0)).p for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_queries_without_a_value_in_one_are_dropped_from_both_and_counted(evaluate, edited):
    """Two of the English queries have no value in the second result; cells are averaged over what is left."""
    good, bad = (evaluate(n, w) for n, w in (("good", set()), ("bad", {"query en query 5"})))

    def drop(frame):
        frame.loc[frame["query_id"].isin(["en:g0", "en:g1"]), "Success@1"] = np.nan
        return frame

    found = row(compare([good, edited(bad, drop)], moved=0))
    assert (found.queries, found.excluded) == (8, 2)
    assert found.difference == pytest.approx(-(1 / 6) / 2)


def test_measures_know_which_way_is_better():
    known = {"RankDistance": Direction.LOWER, "nDCG@10": Direction.HIGHER, "LPR": Direction.NONE, "Judged@10": Direction.NONE}
    assert {name: direction(name) for name in known} == known
    assert direction("OfAPlugin@3") is Direction.NONE


def test_lower_is_better_and_neither_is_better(toy, evaluate, edited, benchmark):
    """All queries have a larger distance in the second result: the sign stays, the first is better."""
    path = evaluate("a", chosen=benchmark(toy, measures=("RankDistance", "LPR")))

    def worse(frame):
        frame["RankDistance"] += 5.0
        frame["LPR"] = 1.0 - frame["LPR"]
        return frame

    report = compare([path, edited(path, worse)], by="setting", moved=1)
    distance = row(report, measure="RankDistance")
    assert (distance.difference, distance.better, distance.stars) == (pytest.approx(5), "a #1", "*")
    assert (distance.win, distance.loss, distance.direction) == (0, 10, "lower")
    assert math.isinf(distance.effect)
    assert row(report, measure="LPR").better is None
    assert [m.better for m in report.moved] == [False]


def test_queries_that_moved_have_their_texts(evaluate):
    good = evaluate("good", {"query de query 1"})
    bad = evaluate("bad", {"query en query 5"})
    moved = compare([good, bad]).moved
    assert [(m.query_id, m.better, m.text) for m in moved] == [("de:g1", True, "de query 1"), ("en:g5", False, "en query 5")]
    assert (moved[0].first_score, moved[0].second_score, moved[0].difference) == (0, 1, 1)


def test_no_more_are_returned_than_asked_for(evaluate):
    paths = [evaluate("a"), evaluate("b", {f"query en query {i}" for i in range(5)})]
    assert [m.query_id for m in compare(paths, moved=2).moved] == ["en:g0", "en:g1"]
    assert compare(paths, moved=0).moved == []


def test_without_the_collection_there_are_ids_and_the_reason(toy, evaluate):
    paths = [evaluate("a"), evaluate("b", {"query en query 5"})]
    shutil.move(toy, toy.parent / "elsewhere")
    report = compare(paths)
    assert [(m.query_id, m.text) for m in report.moved] == [("en:g5", None)]
    assert any(note.startswith("no texts of toy: ") for note in report.notes)


def test_texts_are_found_in_the_folder_that_the_user_names(toy, evaluate, benchmark):
    paths = [
        evaluate(name, wrong, chosen=benchmark("folder"), data=toy) for name, wrong in (("a", ()), ("b", {"query en query 5"}))
    ]
    assert compare(paths).moved[0].text is None
    assert compare(paths, data=toy).moved[0].text == "en query 5"


def test_a_collection_of_another_revision_gives_no_texts(toy, evaluate):
    paths = [evaluate("a"), evaluate("b", {"query en query 5"})]
    queries = toy / "queries.jsonl"
    queries.write_text(queries.read_text("utf-8").replace("en query 5", "en question 5"), "utf-8")
    report = compare(paths)
    assert report.moved[0].text is None
    assert any("revision" in note and read_result(paths[0]).collections[0]["revision"][:12] in note for note in report.notes)
