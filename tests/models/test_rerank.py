"""Re-ranking: against CrossEncoder.predict, and numbers that can be read off."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from build_models import main, save_cross_encoder

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.collections import Collection
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import run
from mimo_eval.mixing import Mix, pools
from mimo_eval.models import rerank
from mimo_eval.models.cross_encoder import CrossEncoderScorer
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.models.pairs import Pairs
from mimo_eval.models.rerank import Rerank
from mimo_eval.protocols import Combination, CorpusTexts, Hits
from mimo_eval.systems import PoolTexts

ROOT = Path(__file__).parent.parent.parent


class Lengths:
    """Scores a pair by the length of its document; remembers what it was asked."""

    name = "lengths"

    def __init__(self, answer: Callable[[list[tuple[str, str]]], Any] | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answer = answer or (lambda pairs: [len(document) for _, document in pairs])

    def predict(self, pairs: list[tuple[str, str]]) -> Any:
        self.asked += pairs
        return self.answer(pairs)

    def fingerprint(self) -> dict[str, Any]:
        return {"model": "lengths"}


TEXTS = ["d", "d" * 5, "d" * 3, "d" * 9, "d" * 2]


def corpus(queries: Sequence[str] = ("q",), revision: str = "r") -> CorpusTexts:
    """Return a corpus whose document i is TEXTS[i]."""
    return SimpleNamespace(  # type: ignore[return-value]
        revision=revision,
        phase=lambda name, total, unit: nullcontext(lambda n: None),
        queries=lambda: [f"text of {query}" for query in queries],
        query_ids=lambda: list(queries),
        documents=lambda rows: [TEXTS[row] for row in rows],
    )


def found(*rows: Sequence[int]) -> list[Hits]:
    documents = np.array(rows)
    return [Hits(documents, np.where(documents >= 0, -np.arange(documents.shape[1], dtype=np.float32), -np.inf))]


def order(hits: Hits, line: int = 0) -> list[int]:
    filled = hits.documents[line] >= 0
    assert np.isfinite(hits.scores[line][filled]).all()
    return hits.documents[line][filled][np.argsort(-hits.scores[line][filled], kind="stable")].tolist()


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cross_encoder(tmp_path_factory.mktemp("rerank") / "tiny-ce")


def test_the_first_are_put_in_order_and_the_rest_keep_theirs_below() -> None:
    hits = Rerank("bm25", Lengths(), depth=3).combine(found([0, 1, 2, 3, 4]), texts=corpus())
    # lengths 1, 5, 3 of the first three; documents 3 and 4 stay behind in their order, one and two below the lowest
    assert order(hits) == [1, 2, 0, 3, 4]
    assert hits.scores.tolist() == [[1, 5, 3, 0, -1]]


@pytest.mark.parametrize("value", [1e-30, 3e7, -2e9, 1e30])
def test_the_rest_keep_their_order_whatever_the_size_of_the_scores(value: float) -> None:
    model = Rerank("bm25", Lengths(lambda pairs: [value] * len(pairs)), depth=2)
    hits = model.combine(found([3, 1, 0, 2, 4]), texts=corpus())
    assert order(hits)[2:] == [0, 2, 4] and len(set(hits.scores[0].tolist())) == 4
    assert hits.scores[0].max() == np.float32(value)


def test_short_and_empty_lists_are_left_as_they_are() -> None:
    model = Rerank("bm25", Lengths(), depth=2)
    hits = model.combine(found([0, 1, 4], [2, -1, -1], [-1, -1, -1]), texts=corpus(("a", "b", "c")))
    assert [order(hits, line) for line in range(3)] == [[1, 0, 4], [2], []]
    nothing = Hits(np.empty((2, 0), np.int64), np.empty((2, 0), np.float32))
    assert model.combine([nothing], texts=corpus(("a", "b"))).documents.shape == (2, 0)


def test_a_pair_is_scored_once_whatever_asks_for_it_and_in_whatever_order() -> None:
    scorer = Lengths()
    model = Rerank("bm25", scorer, depth=2)
    one = model.combine(found([0, 1, 2], [3, 0, 1]), texts=corpus(("a", "b")))
    two = model.combine(found([4, 0, 3], [1, 0, 2]), texts=corpus(("b", "a")))
    assert len(scorer.asked) == len(set(scorer.asked)) == 5
    assert (order(one), order(one, 1), order(two), order(two, 1)) == ([1, 0, 2], [3, 0, 1], [4, 0, 3], [1, 0, 2])
    assert model.describe()["pairs"] == {"scored": 5, "known": 3}
    model.combine(found([0, 1, 2]), texts=corpus(("a",), revision="another"))
    assert len(scorer.asked) == 7


def test_pairs_go_to_the_model_longest_first_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "BLOCK", 4)
    scorer = Lengths()
    hits = Rerank("bm25", scorer, depth=5).combine(found([0, 1, 2, 3, 4]), texts=corpus())
    assert [len(document) for _, document in scorer.asked] == [9, 5, 3, 1, 2]
    assert order(hits) == [3, 1, 2, 4, 0]


def test_what_is_known_of_the_longest_unused_collection_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "REMEMBERED", 3)
    scorer = Lengths()
    model = Rerank("bm25", SimpleNamespace(predict=scorer.predict), depth=2)  # without a fingerprint none is on disk
    for revision in ("a", "b", "a", "c", "a", "b"):
        model.combine(found([0, 1]), texts=corpus(revision=revision))
    assert len(scorer.asked) == 2 * 4  # a, b, c, and b again


def test_pairs_are_kept_for_other_runs_and_a_damaged_file_is_scored_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rerank, "BLOCK", 3)

    def run_again() -> tuple[list[int], dict[str, int], Lengths]:
        scorer = Lengths()
        model = Rerank("bm25", scorer, depth=3)
        hits = model.combine(found([0, 1, 2], [3, 0, 4]), texts=corpus(("b", "ä")))
        return [*order(hits), *order(hits, 1)], model.describe()["pairs"], scorer

    first, counts, _ = run_again()
    assert first == [1, 2, 0, 3, 4, 0] and counts == {"scored": 6, "known": 0}
    files = sorted((cache / "pairs").rglob("*.npz"))
    assert len(files) == 2
    assert run_again()[:2] == (first, {"scored": 0, "known": 6})
    other = Rerank("bm25", Lengths(), depth=1)
    other.combine(found([0, 1, 2]), texts=corpus(("b",), revision="another"))
    assert other.describe()["pairs"]["scored"] == 1
    data = bytearray(files[0].read_bytes())
    data[data.index(b"document.npy") + 150] ^= 1
    files[0].write_bytes(bytes(data))
    again, counts, scorer = run_again()
    assert (again, counts) == (first, {"scored": 3, "known": 3}) and len(scorer.asked) == 3
    assert f"{files[0]}: damaged" in caplog.text


def test_progress_counts_every_pair_that_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerank, "STEP", 2)
    done: list[int] = []
    texts: Any = corpus()
    texts.phase = lambda name, total, unit: nullcontext(lambda n: done.append(n))
    model = Rerank("bm25", Lengths(), depth=5)
    model.combine(found([0, 1, 2, 3, 4]), texts=texts)
    model.combine(found([0, 1, 2, 3, 4]), texts=texts)
    assert done == [2, 2, 1]


def test_pairs_are_found_among_many() -> None:
    rng = np.random.default_rng(0)
    pairs = Pairs()
    known: dict[tuple[int, int], float] = {}
    for _ in range(20):
        queries = rng.permutation(50)[:10]
        documents = np.stack([rng.permutation(60)[:20] for _ in queries]) + 2**32 - 61
        codes = pairs.codes([str(q) for q in queries], documents)
        fresh = pairs.missing(codes)
        expected = [[(int(q), int(d)) not in known for d in row] for q, row in zip(queries, documents, strict=True)]
        assert fresh.tolist() == expected
        scores = rng.random(int(fresh.sum())).astype(np.float32)
        pairs.add(codes[fresh], scores)
        line, column = np.nonzero(fresh)
        known |= {(int(queries[i]), int(documents[i, j])): float(s) for i, j, s in zip(line, column, scores, strict=True)}
        wanted = [[known[int(q), int(d)] for d in row] for q, row in zip(queries, documents, strict=True)]
        assert pairs.scores(codes).tolist() == wanted
    assert len(pairs) == len(known)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda pairs: [math.nan] * len(pairs), "lengths: NaN or infinity as the score of query 'q' and the document that beg"),
        (lambda pairs: [math.inf] + [0] * (len(pairs) - 1), "begins 'ddddd', and 0 more"),
        (lambda pairs: [1.0], "lengths: 1 scores for 2 pairs \\(first query: 'q'\\)"),
        (lambda pairs: np.zeros((len(pairs), 3)), r"expected one score a pair, got an array of shape \(2, 3\)"),
        (lambda pairs: None, "not an array of numbers|expected one score a pair"),
        (lambda pairs: ["high"] * len(pairs), "the scores are not an array of numbers"),
        (lambda pairs: [[1], [1, 2]], "the scores are not an array of numbers"),
    ],
)
def test_unusable_scores_are_refused_and_not_kept(answer: Callable[..., Any], message: str) -> None:
    scorer = Lengths(answer)
    model = Rerank("bm25", scorer, depth=2)
    with pytest.raises(ModelError, match=message):
        model.combine(found([0, 1]), texts=corpus())
    scorer.answer = lambda pairs: [[len(document)] for _, document in pairs]  # one column is one score
    assert order(model.combine(found([0, 1]), texts=corpus())) == [1, 0]


def test_scores_are_those_of_the_cross_encoder(cross_encoder: Path) -> None:
    from sentence_transformers import CrossEncoder

    pairs = [
        ("who ate the fish", "a cat"),
        ("東京", "日本の首都です。" * 20),
        ("x", ""),
        ("who ate the fish", "a dog, perhaps"),
    ]
    expected = CrossEncoder(str(cross_encoder), device="cpu").predict(pairs)
    scorer = CrossEncoderScorer(str(cross_encoder), device="cpu", batch_size=2)
    assert np.asarray(scorer.predict(pairs)) == pytest.approx(expected, abs=1e-6)
    assert len(set(expected.tolist())) == 4
    half = CrossEncoderScorer(str(cross_encoder), device="cpu", dtype="bfloat16")
    assert np.asarray(half.predict(pairs), np.float32) == pytest.approx(expected, abs=0.2)
    assert half.fingerprint() != scorer.fingerprint()
    said = scorer.describe()
    assert said["parameters"] > 1000 and said["max_length"] == 96 and said["source"] == "folder"
    assert not said["trust_remote_code"]
    json.dumps(said, allow_nan=False)


DOCUMENTS = {
    "en": {"a": "cats eat fish", "b": "dogs eat bones"},
    "de": {"a": "katzen fressen fisch", "b": "hunde fressen knochen"},
}
QUERIES = {"en": {"q": "what do cats eat", "r": "who eats bones"}, "de": {"q": "was fressen katzen", "r": "wer frisst knochen"}}


def benchmark(folder: Path, *mixes: str, measures: Sequence[str] = ("RR@10",)) -> Benchmark:
    return Benchmark(name="toy", tasks=(Task(collection=str(folder), mixes=mixes),), measures=tuple(measures), depth=10)


def test_an_evaluation_ranks_as_the_cross_encoder_alone_would(
    tmp_path: Path, folders: Callable[..., Path], cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import CrossEncoder

    oracle = CrossEncoder(str(cross_encoder), device="cpu")
    data = folders(tmp_path / "toy", DOCUMENTS, QUERIES, {"q": {"a": 1}, "r": {"b": 1}})
    ranks = {}
    for lang, group in (("en", "q"), ("en", "r"), ("de", "q"), ("de", "r")):
        right = "a" if group == "q" else "b"
        texts = [(text, name == right) for version in DOCUMENTS.values() for name, text in version.items()]
        scores = oracle.predict([(QUERIES[lang][group], text) for text, _ in texts])
        assert len(set(scores.tolist())) == 4
        ranks[lang, group] = 1 + [texts[i][1] for i in np.argsort(-scores)].index(True)
    monkeypatch.chdir(cross_encoder.parent)
    typed = "rerank(hashing, tiny-ce)"  # a dense base finds every document
    found = run(typed, benchmark(data, "parallel", "cross-lingual", "away(seed=1)"), output=tmp_path / "out")
    assert found.result.settings[0].scores["RR@10"] == pytest.approx(np.mean([1 / rank for rank in ranks.values()]))
    assert found.result.model["name"] == typed and found.result.model["pairs"]["scored"] == 16
    assert found.result.model["pairs"]["known"] > 0
    assert run(typed, benchmark(data, "parallel", "cross-lingual", "away(seed=1)"), output=tmp_path / "out").reused


def test_a_combination_is_a_base_too(tmp_path: Path, folders: Callable[..., Path], cross_encoder: Path) -> None:
    data = folders(tmp_path / "toy", DOCUMENTS, QUERIES, {"q": {"a": 1}, "r": {"b": 1}})
    model = load_model(f"rerank(rrf(bm25, hashing), {cross_encoder}, depth=2)", ModelOptions(device="cpu"))
    assert isinstance(model, Combination) and model_name(model) == "rerank(rrf(bm25, hashing), tiny-ce, depth=2)"
    found = run(model, benchmark(data, "parallel"))
    assert found.result.model["pairs"] == {"scored": 8, "known": 0}
    assert found.result.model["base"]["name"] == "rrf(bm25, hashing)"


def test_equal_content_in_another_order_is_not_taken_for_the_same_rows(collect: Callable[..., Collection]) -> None:
    turned = {lang: dict(reversed(texts.items())) for lang, texts in DOCUMENTS.items()}
    one, two = (collect(d, QUERIES, {"q": {"a": 1}, "r": {"b": 1}}, name) for d, name in ((DOCUMENTS, "one"), (turned, "two")))
    assert one.revision == two.revision
    texts = [PoolTexts(c, pools(c, Mix())[0]) for c in (one, two)]
    assert texts[0].documents(np.array([0])) != texts[1].documents(np.array([0]))
    assert texts[0].revision != texts[1].revision


def test_what_changes_a_score_is_in_the_fingerprint(cross_encoder: Path) -> None:
    prints = [
        Rerank("bm25", str(cross_encoder), **settings).fingerprint()
        for settings in ({}, {"depth": 5}, {"max_length": 8}, {"dtype": "float16"})
    ]
    prints.append(Rerank("hashing", str(cross_encoder)).fingerprint())
    assert len({json.dumps(p, sort_keys=True) for p in prints}) == 5
    assert Rerank("bm25", str(cross_encoder), batch_size=3).fingerprint() == prints[0]
    assert not hasattr(Rerank("bm25", SimpleNamespace(predict=len)), "fingerprint")


def test_options_reach_base_and_re_ranker(cross_encoder: Path) -> None:
    options = ModelOptions(device="cpu", dtype="bfloat16", batch_size=7, query_prompt="q: ", trust_remote_code=True)
    model: Any = load_model(f"rerank(org/dense, {cross_encoder})", options)
    assert (model.bases[0].device, model.bases[0].dtype, model.bases[0].batch_size) == ("cpu", "bfloat16", None)
    assert (model.model.device, model.model.dtype, model.model.batch_size) == ("cpu", "bfloat16", 7)
    assert model.model.trust_remote_code and model.bases[0].trust_remote_code
    assert not load_model(f"rerank(org/dense, {cross_encoder})").model.trust_remote_code  # type: ignore[union-attr]


def test_a_module_names_a_re_ranker(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("a_scorer")
    module.Lengths, module.ready, module.wrong = Lengths, Lengths(), lambda: 5
    module.needs = lambda argument: argument
    monkeypatch.setitem(sys.modules, "a_scorer", module)
    assert load_model("rerank(bm25, a_scorer:ready)").model is module.ready  # type: ignore[union-attr]
    assert model_name(load_model("rerank(bm25, a_scorer:Lengths)")) == "rerank(bm25, lengths)"
    for name in ("wrong", "needs", "missing"):
        with pytest.raises(ConfigError, match=r"has no predict\(pairs\)|cannot be called|cannot be imported"):
            load_model(f"rerank(bm25, a_scorer:{name})")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("rerank(bm25, no-such-folder)", "there is no folder 'no-such-folder' here; a re-ranker is a folder, a hub id"),
        ("rerank(bm25)", "the argument 'model' of rerank is missing; it takes base, model, depth"),
        ("rerank(bm52, org/ce)", "unknown model 'bm52'"),
        ("rerank(bm25, org/ce, depth=0)", "depth must be a whole number of at least 1"),
        ("rerank(bm25, org/ce, depth=2.5)", "depth must be a whole number"),
        ("rerank(bm25, org/ce, batch_size=0)", "batch_size must be a whole number"),
        ("rerank(bm25, org/ce, dtype=int8)", "unknown dtype 'int8'"),
        ("rerank(bm25, org/ce, max_length=0)", "max length must be at least 1"),
        ("rerank(bm25, org/ce, top=5)", "unknown argument 'top' of rerank; it takes base, model, depth, batch_size, "),
    ],
)
def test_what_does_not_fit_is_refused(typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(typed)


def test_a_model_without_a_head_or_with_torn_files_is_an_error_in_one_line(
    tmp_path: Path, bert: Callable[..., Path], cross_encoder: Path
) -> None:
    with pytest.raises(ModelError, match="is no re-ranker: BertModel has nothing that scores a pair"):
        CrossEncoderScorer(str(bert())).predict([("a", "b")])
    labels = CrossEncoderScorer(str(save_cross_encoder(tmp_path / "labels", labels=3)), device="cpu")
    with pytest.raises(ModelError, match=r"labels: expected one score a pair, got an array of shape \(2, 3\)"):
        Rerank("bm25", labels, depth=2).combine(found([0, 1]), texts=corpus())
    torn = save_cross_encoder(tmp_path / "torn")
    weights = torn / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError) as caught:
        CrossEncoderScorer(str(torn)).predict([("a", "b")])
    assert str(caught.value).startswith(f"the model '{torn}' cannot be loaded: ") and "\n" not in str(caught.value)
    long = CrossEncoderScorer(str(cross_encoder), device="cpu", max_length=500)
    with pytest.raises(ModelError, match=r"^tiny-ce\(max_length=500\): cannot score: .*--max-length may help$"):
        long.predict([("a b c " * 100, "d")])


def test_the_models_for_trying_commands_are_written_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tests-cross-encoder"]) == 0
    assert isinstance(load_model("rerank(bm25, tests-cross-encoder)"), Rerank)
    assert main(["tests-cross-encoders"]) == 2 and "known: tests-cross-encoder" in capsys.readouterr().err
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    asked = subprocess.run(
        [sys.executable, "-m", "tests.build_models", "x"], env=env, capture_output=True, text=True, timeout=240
    )
    assert asked.returncode == 2 and "unknown: x" in asked.stderr
