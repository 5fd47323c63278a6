"""What a study's file may say, and what is said of one that is wrong."""

import pytest
import yaml
from small_study import write_study

from mimo_eval.errors import ConfigError
from mimo_eval.study.definition import load_study, sign, studies
from mimo_eval.training.methods import load_method


def test_a_study_is_read_with_its_defaults(tmp_path):
    study = load_study(str(write_study(tmp_path)))
    assert list(study.runs) == ["stage-1", "xlco", "mimo"]
    assert study.mixes == ("parallel", "monolingual", "cross-lingual")
    assert study.claims[0].measure == "alignment"
    assert study.base().method == "distill"


def test_the_smoke_version_replaces_keys_and_chooses_runs_by_label(tmp_path):
    study = load_study(str(write_study(tmp_path)), smoke=True)
    assert study.name == "small-smoke"
    assert study.runs == {"mimo": "mimo(passes=2)", "xlco": "xlco(passes=2)"}
    assert study.stages["second"].steps == 1
    assert study.stages["second"].batch_size == 8
    assert study.trained == 1


def test_the_studies_of_the_package_are_whole():
    assert "mimo-small" in studies()
    for name in studies():
        for smoke in (False, True):
            study = load_study(name, smoke)
            assert all(load_method(text) for text in study.runs.values())
        assert len(load_study(name, smoke=True).runs) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"against": ["nobody"]}, "'nobody' is none of the runs"),
        ({"path": ["nobody"]}, "'nobody' is none of the runs"),
        ({"runs": {"a b": "mimo"}}, "cannot be the name of a folder"),
        ({"runs": {"mimo": "nothing"}}, "nothing"),
        ({"runs": {"mimo": "mimo(lambda=2)"}}, "lambda must be from 0 to 1"),
        ({"stages": {"second": {}}}, "'distillation' and 'second' are needed"),
        ({"mixes": ["bilingual"]}, "'bilingual' is none of"),
        ({"tests": [{"collection": "mini", "folds": 0}]}, "tests.0.folds"),
        ({"unknown": 1}, "unknown"),
        ({"contrasts": [{"text": "q", "plus": ["mimo"], "minus": ["xlco", "mimo"]}]}, "as many runs"),
        ({"contrasts": [{"text": "q", "plus": ["mimo"], "minus": ["xlco"], "measure": "nDCG@7"}]}, "nDCG@7 is not measured"),
        ({"recipe": {"data": {}, "student": {"kind": "nothing"}}}, "student"),
    ],
)
def test_a_wrong_study_is_refused_with_file_and_reason(tmp_path, changes, message):
    path = write_study(tmp_path, **({"against": [], "path": [], "contrasts": [], "claims": []} | changes))
    with pytest.raises(ConfigError) as error:
        load_study(str(path))
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_is_no_study_and_a_name_that_is_none_are_refused(tmp_path):
    (tmp_path / "list.yaml").write_text(yaml.safe_dump([1, 2]), "utf-8")
    with pytest.raises(ConfigError, match="a mapping of keys"):
        load_study(str(tmp_path / "list.yaml"))
    with pytest.raises(ConfigError, match=r"no study 'nothing'.*mimo-small"):
        load_study("nothing")


def test_a_study_without_a_smoke_version_says_so(tmp_path):
    with pytest.raises(ConfigError, match="no smoke version"):
        load_study(str(write_study(tmp_path, smoke={})), smoke=True)


def test_less_is_better_for_distances_and_more_for_scores():
    assert [sign(name) for name in ("nDCG@20", "LPR", "alignment", "uniformity", "RankDistance")] == [1, 1, -1, -1, -1]
