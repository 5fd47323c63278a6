"""Policies: defaults, rules, and what is refused with file and field."""

from __future__ import annotations

import pytest

from mimo_eval.errors import ConfigError
from mimo_eval.gate import Policy, load_policy


def test_defaults():
    policy = load_policy(None)
    assert (policy.tolerance, policy.alpha, policy.by, policy.measures, policy.prompts) == (0.005, 0.05, "language", (), "same")


def test_measures_and_codes_are_written_one_way():
    policy = Policy(measures="nDCG@20 RR@10", rules=({"language": "deu-Latn", "tolerance": 0.1},))
    assert policy.measures == ("nDCG@20", "RR@10") and policy.rules[0].language == "de"
    assert policy.named() == ("nDCG@20", "RR@10")


def test_a_rule_takes_the_tolerance_of_the_policy_if_it_has_none():
    policy = Policy(tolerance=0.02, rules=({"measure": "LPR", "better": "lower"},))
    place = {"collection": "c", "setting": "mlir", "mix": "parallel", "language": None}
    assert policy.rule(**place, measure="LPR").tolerance == policy.rule(**place, measure="nDCG@20").tolerance == 0.02
    assert policy.rule(**place, measure="LPR").better == "lower"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tolerance: -1", "tolerance: Input should be greater than or equal to 0"),
        ("tolerance: .nan", "tolerance: Input should be a finite number"),
        ("alpha: 1", "alpha: Input should be less than 1"),
        ("tollerance: 1", "tollerance: Extra inputs are not permitted"),
        ("measures: [nDCG@20, Quality]", "measures: Value error, "),
        ("rules: [{measure: nDCG@10 RR@10}]", "rules.0.measure: Value error, 'nDCG@10 RR@10' is 2 measures; name one"),
        ("rules: [{language: klingonian}]", "rules.0.language: Value error, 'klingonian' is not a language code"),
        ("floors: [{measure: nDCG@10}]", "floors.0: Value error, needs at_least or at_most"),
        ("floors: [{at_least: 0.3}]", "floors.0.measure: Field required"),
        ("slower: {thinking: 2}", "slower.thinking"),
        ("slower: {encode: 0}", "slower.encode: Input should be greater than 0"),
        ("- 1", "the file: Input should be"),
        ("a: &x 1\nb: *x", "aliases are not allowed"),
        ("a: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(tmp_path, text, said):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_policy(path)
    assert str(error.value).startswith(f"{path}: ") and said in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "gate.yaml")
