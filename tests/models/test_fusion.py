"""Fusion against numbers computed by hand, alone and through an evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import run
from mimo_eval.models.fusion import RRF, ScoreFusion
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.protocols import Combination, CorpusTexts, Hits

LANGUAGES = np.array([0, 0, 0, 1, 1, 1])
"""Of documents 0 to 5."""


class Fixed:
    """A retriever with given scores, by query text and document text."""

    def __init__(self, scores: dict[str, dict[str, float]] | None = None, **attributes: Any) -> None:
        self.scores = scores or {}
        self.__dict__.update(attributes)

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        return list(texts)

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        found = [[(i, self.scores[q][t]) for i, t in enumerate(index) if t in self.scores.get(q, {})] for q in queries]
        documents = np.full((len(queries), len(index)), -1)
        scores = np.zeros((len(queries), len(index)), np.float32)
        for row, hits in enumerate(found):
            for column, (document, score) in enumerate(hits):
                documents[row, column], scores[row, column] = document, score
        return Hits(documents, scores)


def texts_of(languages: np.ndarray = LANGUAGES) -> CorpusTexts:
    return SimpleNamespace(languages=lambda rows: languages[rows])  # type: ignore[return-value]


def hits(*rows: dict[int, float]) -> Hits:
    """Make lists, best first, from document to score."""
    width = max(map(len, rows))
    made = Hits(np.full((len(rows), width), -1), np.full((len(rows), width), -np.inf, np.float32))
    for line, row in enumerate(rows):
        for column, (document, score) in enumerate(sorted(row.items(), key=lambda item: -item[1])):
            made.documents[line, column], made.scores[line, column] = document, score
    return made


def combined(model: Any, *found: Hits, line: int = 0) -> dict[int, float]:
    documents, scores = model.combine(found, texts=texts_of())
    assert documents.shape == scores.shape and scores.dtype == np.float32
    filled = documents[line] >= 0
    assert len(set(documents[line][filled])) == filled.sum()
    return dict(zip(documents[line][filled].tolist(), scores[line][filled].tolist(), strict=True))


def test_rrf_adds_reciprocal_ranks_and_an_absent_document_gets_nothing() -> None:
    found = combined(RRF(Fixed(), Fixed()), hits({4: 9.0, 2: 7.0, 0: 1.0}), hits({2: 0.5, 5: 0.4}))
    assert found == pytest.approx({4: 1 / 61, 2: 1 / 62 + 1 / 61, 0: 1 / 63, 5: 1 / 62})
    assert combined(RRF(Fixed(), Fixed(), k=0), hits({1: 3.0}), hits({1: 1.0})) == {1: 2.0}


def test_lists_of_different_lengths_and_empty_ones_are_joined() -> None:
    first, second = hits({}, {1: 2.0}, {0: 1.0, 3: 0.5}), hits({5: 1.0}, {}, {3: 1.0, 4: 0.9, 0: 0.8})
    model = RRF(Fixed(), Fixed())
    assert combined(model, first, second) == pytest.approx({5: 1 / 61})
    assert combined(model, first, second, line=1) == pytest.approx({1: 1 / 61})
    assert combined(model, first, second, line=2) == pytest.approx({3: 1 / 62 + 1 / 61, 4: 1 / 62, 0: 1 / 61 + 1 / 63})
    assert combined(model, hits({}), hits({})) == {}


def test_the_order_of_the_bases_does_not_change_a_bit() -> None:
    rng = np.random.default_rng(0)
    lists = [hits(*({int(d): float(rng.random()) for d in rng.permutation(50)[:30]} for _ in range(40))) for _ in range(3)]
    model = RRF(Fixed(), Fixed(), Fixed())
    one, other = model.combine(lists, texts=texts_of()), model.combine(lists[::-1], texts=texts_of())
    assert np.array_equal(one.documents, other.documents) and np.array_equal(one.scores, other.scores)


def test_queries_beyond_one_block_are_joined_as_those_within(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    lists = [hits(*({int(d): float(rng.random()) for d in rng.permutation(9)[: i % 5]} for i in range(20))) for _ in range(2)]
    whole = RRF(Fixed(), Fixed()).combine(lists, texts=texts_of())
    monkeypatch.setattr("mimo_eval.models.fusion.BLOCK", 3)
    parts = RRF(Fixed(), Fixed()).combine(lists, texts=texts_of())
    assert np.array_equal(whole.documents, parts.documents) and np.array_equal(whole.scores, parts.scores)


def test_minmax_scales_each_language_of_each_base_by_itself() -> None:
    # language 0: documents 0, 1, 2; language 1: 3, 4, 5
    first, second = hits({0: 10.0, 1: 6.0, 2: 2.0, 3: 1.0, 4: 0.5}), hits({3: 0.9, 0: 0.1})
    found = combined(ScoreFusion(Fixed(), Fixed()), first, second)
    # first: 0 → 1, 1 → 1/2, 2 → 0; 3 → 1, 4 → 0; second: each alone in its language → 1
    assert found == pytest.approx({0: 1.0, 1: 0.25, 2: 0.0, 3: 1.0, 4: 0.0})


def test_without_languages_a_list_is_scaled_as_one() -> None:
    first, second = hits({0: 10.0, 1: 6.0, 2: 2.0, 3: 1.0, 4: 0.0}), hits({3: 0.9, 0: 0.1})
    found = combined(ScoreFusion(Fixed(), Fixed(), weights="3+1", per_language=False), first, second)
    assert found == pytest.approx({0: 0.75, 1: 0.45, 2: 0.15, 3: 0.75 * 0.1 + 0.25, 4: 0.0})


def test_zscore_is_of_mean_zero_and_deviation_one_and_equal_scores_get_zero() -> None:
    found = combined(
        ScoreFusion(Fixed(), Fixed(), normalise="zscore"), hits({0: 3.0, 1: 1.0, 3: 0.1, 4: 0.1, 5: 0.1}), hits({0: 8.0})
    )
    assert found == pytest.approx({0: 0.5, 1: -0.5, 3: 0.0, 4: 0.0, 5: 0.0})


def test_raw_scores_are_added_as_they_are() -> None:
    found = combined(ScoreFusion(Fixed(), Fixed(), weights=[1, 3], normalise="none"), hits({0: 8.0, 3: -4.0}), hits({0: 1.0}))
    assert found == pytest.approx({0: 2.75, 3: -1.0})


def test_negative_scores_and_one_query_beside_another_do_no_harm() -> None:
    found = hits({0: -1.0, 1: -3.0, 2: -2.0}, {0: 100.0, 1: 50.0})
    model = ScoreFusion(Fixed(), Fixed())
    assert combined(model, found, found) == pytest.approx({0: 1.0, 1: 0.0, 2: 0.5})
    assert combined(model, found, found, line=1) == pytest.approx({0: 1.0, 1: 0.0})


def test_names_and_settings_come_from_what_is_typed() -> None:
    model = load_model("rrf(bm25(k1=1.2), hashing, k=10)")
    assert isinstance(model, Combination) and model_name(model) == "rrf(bm25(k1=1.2), hashing, k=10)"
    assert model_name(load_model("rrf(bm25,hashing)")) == "rrf(bm25, hashing)"
    nested = load_model("fuse(rrf(bm25, hashing), bm25, weights=0.25+0.75, normalise=zscore, per_language=false)")
    assert model_name(nested) == ("fuse(rrf(bm25, hashing), bm25, weights=0.25+0.75, normalise=zscore, per_language=false)")
    assert model_name(load_model(model_name(nested))) == model_name(nested)
    assert model_name(load_model("fuse(bm25, hashing, weights=2+2)")) == "fuse(bm25, hashing)"
    json.dumps([nested.describe(), nested.fingerprint()], allow_nan=False)  # type: ignore[union-attr]


def test_what_changes_a_score_is_in_the_fingerprint_if_every_base_has_one() -> None:
    prints = [
        load_model(text).fingerprint()  # type: ignore[union-attr,call-arg]
        for text in ("rrf(bm25, hashing)", "rrf(bm25, hashing, k=1)", "rrf(bm25, hashing(dim=64))", "fuse(bm25, hashing)")
    ]
    assert len({json.dumps(p, sort_keys=True) for p in prints}) == 4
    assert not hasattr(RRF("bm25", Fixed()), "fingerprint")
    assert not hasattr(RRF("bm25", RRF("hashing", Fixed())), "fingerprint")


def test_options_of_the_command_line_reach_the_bases() -> None:
    model = load_model("rrf(org/one, org/two)", ModelOptions(device="cpu", batch_size=5))
    assert [(base.device, base.batch_size) for base in model.bases] == [("cpu", 5), ("cpu", 5)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("rrf(bm25)", r"rrf needs two models or more, such as rrf\(bm25, hashing\); it was given 1"),
        ("fuse()", "fuse needs two models or more"),
        ("rrf(bm25, bm52)", "unknown model 'bm52'; did you mean bm25"),
        ("rrf(bm25, hashing, k=-1)", "k must be a number from 0 to 100000"),
        ("rrf(bm25, hashing, k=many)", "k must be a number"),
        ("rrf(bm25, hashing, depth=3)", "unknown argument 'depth' of rrf; it takes k, device, "),
        ("fuse(bm25, hashing, weights=1+2+3)", "3 weights for 2 models"),
        ("fuse(bm25, hashing, weights=1)", "1 weights for 2 models"),
        ("fuse(bm25, hashing, weights=0+0)", "weights are numbers of at least 0, not all 0"),
        ("fuse(bm25, hashing, weights=-1+2)", "weights are numbers of at least 0"),
        ("fuse(bm25, hashing, weights=nan+1)", "weights are numbers of at least 0"),
        ("fuse(bm25, hashing, weights=a+b)", "weights are numbers of at least 0"),
        ("fuse(bm25, hashing, weights=1e308+1e308)", "weights are numbers of at least 0"),
        ("fuse(bm25, hashing, normalise=max)", "choose minmax, zscore, none"),
        ("fuse(bm25, hashing, per_language=perhaps)", "choose true or false"),
    ],
)
def test_what_does_not_fit_is_refused(typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(typed)


DOCUMENTS = {"en": {"a": "en a", "b": "en b"}, "de": {"a": "de a", "b": "de b"}}


def benchmark(folder: Path, *mixes: str) -> Benchmark:
    return Benchmark(name="toy", tasks=(Task(collection=str(folder), mixes=mixes),), measures=("RR@10", "nDCG@10"), depth=10)


def test_an_evaluation_gives_the_numbers_computed_by_hand(tmp_path: Path, folders: Callable[..., Path]) -> None:
    data = folders(tmp_path / "toy", DOCUMENTS, {"en": {"q": "en q"}}, {"q": {"a": 1}})
    # one: en b, de b, en a; other: de a, en a. rrf: en a 1/63 + 1/62 first, then (1/61 both) en b and de a by id, then de b
    one = Fixed({"en q": {"en b": 3.0, "de b": 2.0, "en a": 1.0}}, name="one")
    other = Fixed({"en q": {"de a": 3.0, "en a": 2.0}}, name="other")
    found = run(RRF(one, other), benchmark(data, "parallel", "monolingual"))
    parallel, mono = (setting.scores for setting in found.result.settings)
    # ties break by id, descending: "en:b" before "de:a", so that the relevant ones stand at 1 and 3
    assert parallel == pytest.approx({"RR@10": 1.0, "nDCG@10": (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))})
    # en alone: one says b, a; other a: 1/62 + 1/61 against 1/61
    assert mono["RR@10"] == 1.0
    assert found.result.model["name"] == "rrf(one, other)" and found.result.model["kind"] == "fusion"
    assert not found.reused


def test_combinations_of_combinations_run_and_are_read_again(tmp_path: Path, folders: Callable[..., Path]) -> None:
    data = folders(tmp_path / "toy", DOCUMENTS, {"en": {"q": "en a"}, "de": {"q": "de a"}}, {"q": {"a": 1}})
    chosen = benchmark(data, "parallel", "cross-lingual", "partition(seed=1)")
    typed = "fuse(rrf(bm25, hashing), hashing, weights=1+2)"
    once = run(typed, chosen, output=tmp_path / "out")
    again = run(typed, chosen, output=tmp_path / "out")
    assert not once.reused and again.reused
    assert [s.scores for s in once.result.settings] == [s.scores for s in again.result.settings]
    assert once.result.settings[0].scores["RR@10"] == 1.0


def test_a_base_that_returns_nan_is_named_and_the_largest_scores_do_no_harm(
    tmp_path: Path, folders: Callable[..., Path]
) -> None:
    data = folders(tmp_path / "toy", DOCUMENTS, {"en": {"q": "en q"}}, {"q": {"a": 1}})
    broken = Fixed({"en q": {"en a": math.nan}}, name="broken")
    with pytest.raises(ModelError, match=r"broken .*NaN or infinity among the scores"):
        run(RRF("bm25", broken), benchmark(data, "parallel"))
    huge = Fixed({"en q": {"en a": 3.4e38}}, name="huge")
    fine = run(ScoreFusion(huge, huge, normalise="none"), benchmark(data, "parallel"))
    assert fine.result.settings[0].scores["RR@10"] == 1.0
