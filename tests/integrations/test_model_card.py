"""Results in model cards: what the hub reads, what stays, what is escaped, what is refused."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.evaluation import run
from mimo_eval.integrations.model_card import BEGIN, END, Section, eval_results, section, update_card, updated
from mimo_eval.models.hashing import HashingEncoder

OTHERS = """---
license: mit  # theirs
model-index:
- name: My model
  results:
  - task: {type: text-retrieval}
    dataset: {type: other, name: Other}
    metrics:
    - {type: ndcg_at_10, value: 0.5}
# a comment
tags:
- x
---
# My model

Text with `---` and

---
more.
"""
SECTION = Section(
    [{"dataset": {"type": "c", "config": "m", "split": "test"}, "source": {"name": "mimo-eval"}}], f"{BEGIN}\nnew\n{END}"
)


@pytest.fixture
def result(trees):
    task = Task(collection=str(trees), mixes=("parallel", "partition(seed=1)"))
    return run(HashingEncoder(dim=16), Benchmark(name="trees", tasks=(task,), measures=("nDCG@20", "LPR", "R@100"))).result


def metadata(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_hub_s_library_reads_it(result):
    card = ModelCard(updated("", "hashing", section([result])))
    name, evaluations = model_index_to_eval_results(metadata(str(card))["model-index"])
    assert name == "hashing"
    first = evaluations[0]
    assert (first.metric_type, first.dataset_type, first.dataset_config) == ("ndcg_at_20", "trees", "parallel")
    assert first.metric_value == result.settings[0].scores["nDCG@20"] and first.source_name == "mimo-eval"
    assert {e.metric_type for e in evaluations} == {"ndcg_at_20", "lpr", "recall_at_100"}
    assert len(first.dataset_revision) == 32


def test_what_others_wrote_stays(result):
    text = updated(OTHERS, "hashing", section([result]))
    assert "license: mit  # theirs" in text and "# a comment\ntags:\n- x\n---\n" in text
    assert "Text with `---` and\n\n---\nmore.\n" in text
    index = metadata(text)["model-index"]
    assert index[0]["name"] == "My model" and index[0]["results"][0]["dataset"]["type"] == "other"
    assert [r["dataset"].get("config") for r in index[0]["results"]] == [None, "parallel", "partition(seed=1)"]


def test_writing_twice_is_writing_once_and_other_results_of_ours_stay(result):
    once = updated(OTHERS, "hashing", section([result]))
    assert updated(once, "hashing", section([result])) == once
    more = updated(once, "hashing", SECTION)
    assert [r["dataset"].get("type") for r in metadata(more)["model-index"][0]["results"]] == ["other", "trees", "trees", "c"]
    assert more.count(BEGIN) == 1 and "\nnew\n" in more


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"---\nX---\n{BEGIN}"),
        ("# T\n", f"---\nX---\n\n# T\n\n{BEGIN}"),
        ("# T", f"---\nX---\n\n# T\n\n{BEGIN}"),
        ("---\na: 1\n---\n# T\n", f"---\na: 1\nX---\n# T\n\n{BEGIN}"),
        ("---\n---\n", f"---\nX---\n{BEGIN}"),
        (f"a\n{BEGIN}\nold\n{END}\nz\n", f"---\nX---\n\na\n{BEGIN}"),
        ("---\nmodel-index: []\nz: 1\n---\n", f"---\nXz: 1\n---\n{BEGIN}"),
    ],
)
def test_cards_of_any_shape(before, after):
    text = updated(before, "m", SECTION)
    index = yaml.safe_dump({"model-index": metadata(text)["model-index"]}, sort_keys=False)
    assert text.replace(index, "X").startswith(after)
    assert updated(text, "m", SECTION) == text
    assert "old" not in text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("---\na: 1\n", "do not end"),
        ("---\na: [\n---\n", "not YAML"),
        ("---\n- a\n---\n", "not a list of keys"),
        ("---\nmodel-index: 5\n---\n", "its model-index is not"),
        ("---\nmodel-index: [{name: x, results: [5]}]\n---\n", "its model-index is not"),
        ('---\n{"model-index": [{name: x, results: []}]}\n---\n', "cannot be replaced"),
        (f"{BEGIN}\n", "do not stand once each"),
        (f"{END}\n{BEGIN}\n", "do not stand once each"),
        (f"{BEGIN}{END}{BEGIN}{END}", "do not stand once each"),
    ],
)
def test_a_card_that_cannot_be_changed_is_left_alone(tmp_path, result, text, why):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(DataError, match=why):
        update_card(path, [result])
    assert path.read_text() == text


def test_a_file_is_written_only_if_something_changes(tmp_path, result):
    path = tmp_path / "README.md"
    assert update_card(path, [result]) and not update_card(path, [result])
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read as UTF-8"):
        update_card(path, [result])
    path.write_bytes(b"# T\r\n")
    with pytest.raises(DataError, match="CR-LF"):
        update_card(path, [result])


def test_names_and_prompts_cannot_break_the_card(result):
    evil = f"a|b`*_<script>{END}\n# [x](y)"
    result.settings[0].collection = result.collections[0]["name"] = evil
    result.settings[1].collection = evil
    result.model["prompts"] = {"query": f"`` {END} x\ny", "document": ""}
    made = section([result])
    assert made.markdown.count(BEGIN) == made.markdown.count(END) == 1
    rows = [line for line in made.markdown.splitlines() if line.startswith("| a")]
    assert len(rows) == 2 and all(len(row.replace("\\|", "").split("|")) == 7 for row in rows)
    assert "<script>" not in made.markdown
    text = updated("", "m", made)
    assert updated(text, "m", made) == text
    assert metadata(text)["model-index"][0]["results"][0]["dataset"]["type"] == evil


def test_one_model_a_card(result):
    other = result.model_copy(update={"model": {"name": "other"}})
    with pytest.raises(ConfigError, match="of one model; these results are of hashing"):
        section([result, other])
    with pytest.raises(DataError, match="no score"):
        section([result.model_copy(update={"settings": []})])


def test_eval_results_are_what_mteb_writes(result):
    pytest.importorskip("mteb")
    from mteb._hf_integration.eval_result_model import HFEvalResults

    content = yaml.safe_load(eval_results([result], "org/data"))
    checked = HFEvalResults.model_validate(content)
    assert len(checked) == 2 and checked[0].value == result.settings[0].scores["nDCG@20"]
    assert checked[0].dataset.task_id == "trees:parallel"
    with pytest.raises(ConfigError, match="not the id of a data set"):
        eval_results([result], "data")


def test_a_file_of_eval_results_is_of_one_model_and_not_empty(result):
    other = result.model_copy(update={"model": {**result.model, "name": "other"}})
    with pytest.raises(ConfigError, match=r"of one model; these results are of hashing.*, other"):
        eval_results([result, other], "org/data")
    with pytest.raises(DataError, match="no score"):
        eval_results([result.model_copy(update={"settings": []})], "org/data")
