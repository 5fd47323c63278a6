"""The verdict: beyond the tolerance and significant, floors, times, and what cannot be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mimo_eval.comparison import compare
from mimo_eval.errors import ConfigError, DataError, MissingBaselineError
from mimo_eval.gate import Policy, check, write_baseline
from mimo_eval.results import read_queries, read_result, write_json_result, write_result
from mimo_eval.statistics import holm


def asked(lang, numbers=range(8)):
    """Name queries as the known model knows them."""
    return {f"query {lang} ask {i}" for i in numbers}


def row(verdict, mix, name=""):
    return next(r for r in verdict.tested if (r.mix, r.name) == (mix, name))


def change(folder, edit):
    """Edit a result's JSON file through its schema."""
    loaded = read_result(folder)
    edit(loaded)
    write_json_result(folder, loaded)
    return folder


def test_nothing_changed_passes(result):
    folder = result()
    verdict = check(folder, folder)
    assert verdict.passed and not verdict.failures
    assert [(r.mix, r.name) for r in verdict.tested] == [("parallel", n) for n in ("", "de", "en")] + [
        ("monolingual", n) for n in ("", "de", "en")
    ]
    assert all(r.drop == 0 and r.p == 1 == r.p_holm for r in verdict.tested)


def test_a_language_that_got_worse_fails_and_the_other_does_not(result):
    verdict = check(result(asked("de")), result())
    german = row(verdict, "monolingual", "de")
    # a wrong query is as near to every document: ties are broken by descending id, so question 7 is right all the same
    assert german.failed and german.baseline == 1 and german.drop > 0.2 and german.groups == 8
    # of the 2^7 ways to exchange the seven questions that differ, one gives a drop as large
    assert german.p == pytest.approx(1 / 128, rel=0.2)
    assert not row(verdict, "monolingual", "en").failed
    assert "monolingual de" in " ".join(verdict.failures)


def test_p_values_are_adjusted_over_all_tests(result):
    verdict = check(result(asked("de")), result())
    assert np.allclose([r.p_holm for r in verdict.tested], holm(np.array([r.p for r in verdict.tested])))


def test_a_drop_that_is_not_significant_passes(result):
    verdict = check(result(asked("de", [0])), result())
    german = row(verdict, "monolingual", "de")
    assert german.drop > german.tolerance and german.p > 0.4  # one of eight: half of the patterns reach it
    assert verdict.passed


def test_a_significant_drop_within_the_tolerance_passes(result):
    verdict = check(result(asked("de")), result(), Policy(tolerance=1.0))
    assert row(verdict, "monolingual", "de").p_holm < 0.05 and verdict.passed


def test_a_gain_never_fails(result):
    verdict = check(result(), result(asked("de") | asked("en")))
    assert verdict.passed and all(r.drop < 0 and r.p > 0.9 for r in verdict.tested)


def test_the_first_rule_that_fits_decides(result):
    rules = ({"setting": "multi-monolingual", "language": "de", "tolerance": 1}, {"language": "de", "ignore": True})
    verdict = check(result(asked("de")), result(), Policy(rules=rules))
    assert row(verdict, "monolingual", "de").tolerance == 1
    assert ("parallel", "de") not in {(r.mix, r.name) for r in verdict.tested}


def test_lpr_needs_a_rule_that_says_which_way_is_better(result):
    folder = result()
    with pytest.raises(ConfigError, match="LPR does not say which way is better"):
        check(folder, folder, Policy(measures="LPR"))
    verdict = check(folder, folder, Policy(measures="LPR", rules=({"measure": "LPR", "better": "lower"},)))
    assert {r.measure for r in verdict.tested} == {"LPR"} and verdict.tested[0].better == "lower"


def test_a_rule_may_add_a_measure_to_the_main_ones(result):
    folder = result()
    verdict = check(folder, folder, Policy(rules=({"measure": "LPR", "better": "lower", "setting": "mlir"},)))
    assert {(r.mix, r.measure) for r in verdict.tested} == {
        ("parallel", "LPR"),
        ("parallel", "nDCG@10"),
        ("monolingual", "nDCG@10"),
    }


def test_a_rule_that_fits_nothing_is_refused(result):
    folder = result()
    with pytest.raises(ConfigError, match=r"'language': 'fr'.* fits nothing"):
        check(folder, folder, Policy(rules=({"language": "fr", "tolerance": 0.1},)))


def test_a_policy_by_which_nothing_can_fail_is_refused(result):
    folder = result()
    with pytest.raises(ConfigError, match="it would pass anything"):
        check(folder, folder, Policy(rules=({"ignore": True},)))
    assert check(folder, folder, Policy(rules=({"ignore": True},), floors=({"measure": "nDCG@10", "at_least": 0},))).passed
    # six tests: 6 / (119 + 1) is alpha itself, 6 / (120 + 1) below
    with pytest.raises(ConfigError, match=r"6 tests: 119 permutations .* set `permutations: 480`"):
        check(folder, folder, Policy(permutations=119))
    assert check(folder, folder, Policy(permutations=120)).passed


@pytest.mark.parametrize(("alpha", "said"), [(6 / 256, True), (6 / 255, False)])
def test_tests_of_too_few_questions_are_named(result, alpha, said):
    # eight questions: the smallest one-sided p is 1 / 2^8, and Holm takes it six times
    notes = check(result(), result(), Policy(alpha=alpha)).notes
    assert ("6 of 6 tests cannot fail: 8 questions or fewer" in " ".join(notes)) is said


def test_floors(result):
    folder = result(asked("de"))
    floors = ({"measure": "nDCG@10", "setting": "monolingual", "language": "de", "at_least": 0.99},)
    verdict = check(folder, folder, Policy(floors=floors))
    assert not verdict.passed and "at least 0.99" in verdict.failures[0]
    assert check(folder, folder, Policy(floors=({"measure": "nDCG@10", "setting": "mlir", "at_most": 1},))).passed
    with pytest.raises(DataError, match="fits no score"):
        check(folder, folder, Policy(floors=({"measure": "nDCG@10", "language": "fr", "at_least": 0},)))


@pytest.mark.parametrize(("seconds", "passed"), [(2.0, True), (2.1, False)])
def test_times_of_encoding_are_per_text(result, seconds, passed):
    before = change(result(name="a"), lambda r: (r.timings.update(encode=1.0), r.encoded.update(encoded=10)))
    after = change(result(name="b"), lambda r: (r.timings.update(encode=seconds * 2), r.encoded.update(encoded=20)))
    assert check(after, before, Policy(slower={"encode": 2.0})).passed is passed


def test_a_time_that_was_not_taken_does_not_pass(result):
    before = result()
    after = change(result(name="again"), lambda r: r.encoded.update(encoded=0, read=32))
    with pytest.raises(DataError, match="read from the store; run it again with an empty"):
        check(after, before, Policy(slower={"encode": 2.0}))
    with pytest.raises(DataError, match="no time of 'index'"):
        check(after, before, Policy(slower={"index": 2.0}))


def test_no_baseline(result, tmp_path):
    with pytest.raises(MissingBaselineError, match="--update"):
        check(result(), tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingBaselineError, match="no baseline here"):
        check(result(), tmp_path / "empty")


def test_other_prompts_are_no_regression(result):
    before, after = result(), result(prompt="query: ")
    with pytest.raises(DataError, match="the query prompt was '' in the baseline and is 'query: ' now"):
        check(after, before)
    verdict = check(after, before, Policy(prompts="any"))
    assert verdict.passed


def test_other_depth_and_other_languages_are_refused(result, benchmark):
    before = result()
    with pytest.raises(DataError, match="depth: 10 and 5"):
        check(result(chosen=benchmark.model_copy(update={"depth": 5})), before)
    task = benchmark.tasks[0].model_copy(update={"languages": ("en",)})
    with pytest.raises(DataError, match="languages: de, en and en"):
        check(result(chosen=benchmark.model_copy(update={"tasks": (task,)})), before)


def test_other_data_are_refused(result, toy, benchmark):
    before = result()
    path = toy / "corpus.jsonl"
    path.write_text(path.read_text("utf-8").replace("de text 3", "de changed 3"), "utf-8")
    with pytest.raises(DataError, match="revision"):
        check(result(name="other"), before)


def test_a_score_that_is_missing_does_not_pass(result):
    def lose(loaded):
        loaded.settings[1].pools[0].scores["de"]["nDCG@10"] = None
        loaded.settings[1].left_out["nDCG@10"] = "the run was cut"

    with pytest.raises(DataError, match=r"nDCG@10 is missing in toy monolingual de de.*the run was cut"):
        check(change(result(name="lacking"), lose), result())


def silence(folder, query, mix="parallel", measure="LPR"):
    """Take the value of one query out of a result, its averages kept in step."""
    loaded, frame = read_result(folder), read_queries(folder)
    frame.loc[(frame["query_id"] == query) & (frame["mix"] == mix), measure] = np.nan
    for setting in (s for s in loaded.settings if s.mix == mix):
        cells = frame[frame["mix"] == mix].groupby(["pool", "lang"], observed=True)[measure].mean()
        setting.scores[measure] = float(cells.mean())
    return write_result(folder.parent / "silenced", loaded, frame).parent


@pytest.mark.parametrize(("allowed", "passed"), [(0, False), (0.05, False), (0.0625, True), (1, True)])
def test_a_query_that_loses_its_value_does_not_pass_unseen(result, allowed, passed):
    """One of 16 questions has no LPR any more: the paired test cannot see it, and the mean may even be better for it."""
    before = result()
    policy = Policy(measures="nDCG@10 LPR", lost=allowed, rules=({"measure": "LPR", "better": "higher"},))
    verdict = check(silence(before, "de:g3"), before, policy)
    assert verdict.passed is passed
    (kept,) = verdict.kept
    assert kept.value == 1 / 16
    assert ("no value now, 1 in number, such as de:g3: 0.0625, must be at most" in "".join(verdict.failures)) is not passed
    (note,) = [note for note in verdict.notes if "LPR in parallel" in note]
    assert "1 of 16 queries, such as de:g3, have a value in known #1 and none in known #2" in note


def test_values_that_are_new_or_ignored_fail_nothing(result):
    folder = result()
    lacking = silence(folder, "de:g3")
    rules = ({"measure": "LPR", "better": "higher"},)
    assert check(folder, lacking, Policy(measures="nDCG@10 LPR", rules=rules)).passed
    assert check(lacking, folder, Policy(measures="nDCG@10 LPR", rules=({"measure": "LPR", "ignore": True},))).passed


def test_lost_values_are_counted_where_the_rules_test_them(result):
    """A language is ignored, or the measure is named for one language or setting alone."""
    before = result()
    lacking = silence(before, "de:g3")

    def kept(measures, *rules):
        complete = tuple({"measure": "LPR", "better": "higher", **rule} for rule in rules)
        return check(lacking, before, Policy(measures=measures, rules=complete))

    assert not kept("nDCG@10 LPR", {"language": "de", "ignore": True}, {}).kept
    (english,) = kept("nDCG@10 LPR", {"language": "en", "ignore": True}, {}).kept
    assert english.value == 1 / 8
    assert not kept((), {"language": "en"}).kept
    (named,) = kept((), {"setting": "parallel"}).kept
    assert named.value == 1 / 16


def test_a_measure_that_the_baseline_lacks_is_refused_with_the_command_that_makes_it_again(result, tmp_path):
    """A baseline is kept small: the result has LPR, the baseline of another policy does not."""
    folder = result()
    kept = write_baseline(folder, tmp_path / "base", Policy())
    policy = Policy(rules=({"measure": "LPR", "better": "lower"},))
    with pytest.raises(DataError) as error:
        check(folder, kept, policy)
    assert str(error.value).startswith(f"{kept}: the baseline has no LPR, which the policy names")
    assert f"mimo-eval check RESULT --baseline {kept.parent} --policy POLICY --update" in str(error.value)
    assert check(folder, write_baseline(folder, kept.parent, policy), policy).passed


def test_a_measure_that_the_result_lacks_is_refused_with_the_option_that_computes_it(result, tmp_path):
    before, policy = result(), Policy(measures="nDCG@10 LPR")
    after = write_baseline(before, tmp_path / "without", Policy())
    with pytest.raises(DataError) as error:
        check(after, before, policy)
    assert str(error.value).startswith(f"{after}: was not evaluated with LPR")
    assert "--measures 'nDCG@10 LPR'" in str(error.value)


def test_the_document_is_json(result):
    content = json.loads(json.dumps(check(result(), result()).document(), allow_nan=False))
    assert content["passed"] is True and content["tested"][0]["measure"] == "nDCG@10"


def test_a_baseline_is_small_and_serves_as_the_result_itself(result, tmp_path):
    before, after = result(), result(asked("de", range(6)))
    folder = write_baseline(before, tmp_path / "base", Policy()).parent
    direct, kept = check(after, before), check(after, folder)
    assert direct.tested == kept.tested
    stored = read_result(folder)
    assert set(stored.settings[0].scores) == {"nDCG@10"} and not stored.settings[0].pools[0].composition
    lines = (folder / "summary.tsv").read_text("utf-8").splitlines()
    assert lines[0] == "collection\tsetting\tmix\tlanguage\tmeasure\tscore"
    assert lines[1] == "toy\tmlir\tparallel\tall\tnDCG@10\t1.0000"
    assert len(lines) == 1 + 2 * 3


def test_a_baseline_keeps_what_the_policy_names(result, tmp_path):
    policy = Policy(rules=({"measure": "LPR", "better": "lower"},))
    stored = read_result(write_baseline(result(), tmp_path / "base", policy))
    assert set(stored.settings[0].scores) == {"nDCG@10", "LPR"}
    with pytest.raises(DataError, match=r"was not evaluated with R@100"):
        write_baseline(result(), tmp_path / "base", Policy(measures="R@100"))


def test_a_baseline_does_not_replace_a_file_that_is_no_result(result, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "result.json").write_text("{}")
    with pytest.raises(DataError, match="not a result"):
        write_baseline(result(), tmp_path / "base", Policy())


def test_baselines_can_be_compared_as_results_are(result, tmp_path):
    folders = [write_baseline(result(w, name=n), tmp_path / n, Policy()).parent for n, w in (("a", ()), ("b", asked("de")))]
    assert {row.measure for row in compare(folders, moved=0).differences} == {"nDCG@10"}
