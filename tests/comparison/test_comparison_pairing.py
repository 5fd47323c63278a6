"""What is not compared, and what the refusal says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mimo_eval.comparison import compare
from mimo_eval.comparison.pairing import notes, read_sides
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.results import QUERIES, read_queries, read_result

GROUPS = [f"g{i}" for i in range(8)]


def rewritten(folder: Path, change, name: str = "rewritten") -> Path:
    """Copy a result with another result.json."""
    target = folder.parent / name
    shutil.copytree(folder, target)
    content = json.loads((target / "result.json").read_text("utf-8"))
    change(content)
    (target / "result.json").write_text(json.dumps(content), "utf-8")
    return target


def test_other_data_are_refused_and_named(tmp_path, folders, evaluate, texts, benchmark):
    """A document more: the revision differs, and the message says in which language, with both numbers."""
    more = texts(["en", "de"])
    more["de"]["g9"] = "de text 7"
    queries = {**texts(["en"], word="query"), **texts(["de"], GROUPS[:2], "query")}
    other = folders(tmp_path / "other" / "toy", more, queries, {g: {g: 1} for g in GROUPS})
    paths = [evaluate("a"), evaluate("b", chosen=benchmark(other))]
    with pytest.raises(DataError) as error:
        compare(paths)
    revisions = [read_result(path).collections[0]["revision"][:16] for path in paths]
    assert f"toy: revision: {revisions[0]} and {revisions[1]}" in str(error.value)
    assert "toy: documents in de: 8 and 9" in str(error.value)
    assert "documents in en" not in str(error.value)
    assert str(paths[1]) in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"depth": 9}, "depth: 10 and 9"),
        ({"name": "toy2"}, "benchmark: toy and toy2"),
        ({"mixes": ("partition",)}, "toy: mixes: parallel and partition"),
    ],
    ids=["depth", "benchmark", "mix"],
)
def test_other_protocols_are_refused_and_named(toy, evaluate, change, said, benchmark):
    first = evaluate("a", chosen=benchmark(toy, measures=("Success@1",)))
    second = evaluate("b", chosen=benchmark(toy, **{"measures": ("Success@1",), **change}))
    with pytest.raises(DataError, match=said):
        compare([first, second])


def test_other_seeds_are_refused_and_named(toy, evaluate, benchmark):
    paths = [evaluate("a", chosen=benchmark(toy, (mix,), ("Success@1",))) for mix in ("partition", "partition(seed=1)")]
    with pytest.raises(DataError, match=r"toy: mixes: partition and partition\(seed=1\)"):
        compare(paths)
    other = rewritten(paths[0], lambda content: content["settings"][0].update(seed=3))
    with pytest.raises(DataError, match="toy: seed of partition: 0 and 3"):
        compare([paths[0], other])


def test_other_counts_are_refused_and_named(evaluate):
    path = evaluate("a")
    other = rewritten(path, lambda content: content["collections"][0]["counts"].update(judgements=7))
    with pytest.raises(DataError, match="toy: judgements: 8 and 7"):
        compare([path, other])


def test_a_query_of_one_result_only_is_named(evaluate, edited):
    path = evaluate("a")
    other = edited(path, lambda frame: frame.assign(query_id=frame["query_id"].replace("en:g3", "en:g99")))
    with pytest.raises(DataError, match=r"parallel: query en:g3 is only in a #1"):
        compare([path, other])


def test_a_measure_that_one_lacks_is_refused_with_what_both_have(toy, evaluate, benchmark):
    paths = [evaluate("a", chosen=benchmark(toy, measures=m)) for m in (("Success@1", "RR@10"), ("Success@1", "P@5"))]
    assert compare(paths, moved=0).differences[0].difference == 0
    with pytest.raises(DataError, match=r"(?s)with RR@10; they have.*Success@1, RR@10.*Success@1, P@5"):
        compare(paths, measures="RR@10")


def test_a_measure_left_out_says_why(toy, evaluate, benchmark):
    """Monolingual corpora have no language to prefer."""
    path = evaluate("a", chosen=benchmark(toy, ("monolingual", "parallel")))
    with pytest.raises(DataError, match="LPR is not compared in monolingual: the corpus has one language"):
        compare([evaluate("a", chosen=benchmark(toy, ("monolingual",)))] * 2, measures="LPR")
    noted = compare([path, path], measures="LPR", moved=0).notes
    assert len(noted) == 1
    assert noted[0].startswith("LPR is not compared in monolingual:")


@pytest.mark.parametrize("measure", ["nDGC@10", "nDCG@0", ""])
def test_a_measure_that_does_not_exist(evaluate, measure):
    path = evaluate("a")
    with pytest.raises(ConfigError):
        compare([path, path], measures=measure)


def test_options_out_of_range(evaluate):
    path = evaluate("a")
    for options in ({"level": 1.0}, {"permutations": 0}, {"by": "query"}):
        with pytest.raises(ConfigError):
            compare([path, path], **options)
    with pytest.raises(ConfigError, match="two or more"):
        compare([path])


def test_other_prompts_are_noted(evaluate):
    paths = [evaluate(name, prompts={"query": prompt, "document": ""}) for name, prompt in (("a", ""), ("b", "Q: "))]
    assert notes(read_sides(paths)) == ["query prompts differ: '' (a) and 'Q: ' (b)"]


def test_results_are_found_by_file_folder_or_the_folder_around(evaluate):
    path = evaluate("a")
    assert {side.path for side in read_sides([path, path / "result.json", path.parent])} == {path / "result.json"}


def test_what_is_not_a_result(tmp_path, evaluate):
    path = evaluate("a")
    (tmp_path / "other.json").write_text('{"a": 1}', "utf-8")
    (tmp_path / "empty").mkdir()
    for other, said in (("other.json", "not a result"), ("nothing.json", "cannot be read"), ("empty", "no result.json here")):
        with pytest.raises(DataError, match=said):
            compare([path, tmp_path / other])
    with pytest.raises(DataError, match="not a result of this version"):
        compare([path, rewritten(path, lambda content: content["collections"][0].pop("revision"))])


def test_missing_or_foreign_query_scores(evaluate):
    path = evaluate("a")
    other = shutil.copytree(path, path.parent / "other")
    (other / QUERIES).unlink()
    with pytest.raises(DataError, match=r"queries\.parquet: cannot be read"):
        compare([path, other])
    scores = read_queries(path)
    changes = {
        "short": scores.iloc[:-1],
        "long": pd.concat([scores, scores.iloc[:1]]),
        "changed": scores.assign(**{"Success@1": 0.0}),
        "column": scores.drop(columns="Success@1"),
        "mix": scores.assign(mix="union"),
    }
    for frame in changes.values():
        frame.to_parquet(other / QUERIES)
        with pytest.raises(DataError, match="does not belong to"):
            compare([path, other])
