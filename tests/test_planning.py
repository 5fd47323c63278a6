from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mimo_eval import planning
from mimo_eval.benchmark import Benchmark, Task, of_folder
from mimo_eval.cli.plan import command
from mimo_eval.collections import load
from mimo_eval.encoding import encode_collection
from mimo_eval.errors import ConfigError
from mimo_eval.models.loading import load_model
from mimo_eval.planning import Need, plan, token_counter


@pytest.fixture
def folder(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    documents = {lang: {f"g{i}": f"{lang} passage {i}" for i in range(6)} for lang in ("de", "en")}
    queries = {lang: {f"q{i}": f"{lang} question {i}" for i in range(3)} for lang in ("de", "en")}
    return folders(tmp_path / "toy", documents, queries, {f"q{i}": {f"g{i}": 1} for i in range(3)})


class Words:
    """As a tokeniser of transformers is called: two special tokens around the words."""

    def __call__(self, texts: Sequence[str], **_: object) -> dict[str, list[list[int]]]:
        return {"input_ids": [[0, *range(len(text.split())), 0] for text in texts]}


class Toy:
    """An encoder of 10 dimensions with a tokeniser and a prompt."""

    name = "toy"

    class encoder:
        tokenizer = Words()
        max_seq_length = 6

    def prompt(self, role: str) -> str:
        return "query : " if role == "query" else ""

    def fingerprint(self, role: str) -> dict[str, object]:
        return {"model": "toy"}

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        return np.ones((len(texts), 10), np.float32)


def test_what_a_collection_that_is_here_needs(folder: Path) -> None:
    model = Toy()
    load(str(folder))
    query, document = plan(model, of_folder(folder))
    assert (query.role, query.texts, query.stored, query.lacking) == ("query", 6, 0, 6)
    assert (document.texts, document.counted) == (12, "counted")
    assert query.tokens_per_text == 6  # 2 of the prompt, 3 words, 2 special ones, cut to 6
    assert document.tokens_per_text == 5
    assert document.size == 12 * (10 * 4 + 16 + 4)
    encode_collection(model, load(str(folder)), ["document"])
    query, document = plan(model, of_folder(folder))
    assert (query.stored, document.stored) == (0, 12)
    assert document.seconds == 0


def test_a_rate_from_elsewhere_holds_for_documents_and_scales_with_their_tokens(folder: Path) -> None:
    load(str(folder))
    document = plan(Toy(), of_folder(folder), rate=50)[1]
    assert document.rate == pytest.approx(50)
    assert document.seconds == pytest.approx(12 / 50)
    longer = plan(Toy(), of_folder(folder), rate=50, tokens_per_text=20)[1]
    assert longer.tokens == pytest.approx(12 * 20)
    assert longer.rate == pytest.approx(50)


def test_longer_texts_take_longer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "trial", lambda model, role, sample: planning.Trial(5.0, 60.0, 100.0))
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


def test_no_tokeniser_no_tokens() -> None:
    assert token_counter(load_model("hashing"), "query") is None


def test_the_command_says_hours_and_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    need = Need("m", "c", "document", 7_200_000, 0, 100.0, 1000.0, 100.0, "c", "counted")
    monkeypatch.setattr(planning, "plan", lambda *_: [need])
    shown = CliRunner().invoke(command, ["hashing", "--gpus", "4", "--price-per-hour", "2.5"]).output
    assert "5.00 hours on 4 devices; vectors 7.2 GB" in shown
    assert "$50.00 at $2.5 an hour and device" in shown
    assert "720.0 M" in shown
