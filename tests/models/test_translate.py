"""Translate-then-retrieve with a dictionary of a few words."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import run
from mimo_eval.models.bm25 import BM25
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.models.translate import Queries, TranslatedEncoder, TranslatedRetriever, Translator, translate
from mimo_eval.protocols import Combination, Encoder, Retriever, StoredRetriever

WORDS = {"katze": "cat", "hund": "dog", "fisch": "fish", "chat": "cat", "chien": "dog", "poisson": "fish"}


class Toy:
    """Translates word by word; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, list[str]]] = []

    def translate(self, texts: Sequence[str], *, source: str, target: str) -> list[str]:
        self.asked.append((source, target, list(texts)))
        return [" ".join(WORDS.get(word, word) for word in text.split()) for text in texts]


class Known(Toy):
    """The same with a fingerprint."""

    version = 1

    def fingerprint(self) -> dict[str, Any]:
        return {"translator": "toy", "version": self.version}


def word_for_word(texts: Sequence[str], *, source: str, target: str) -> list[str]:
    return Toy().translate(texts, source=source, target=target)


DOCUMENTS = {"en": {"a": "a cat sleeps", "b": "a dog barks", "c": "a fish swims"}}
QUERIES = {"en": {"a": "cat", "b": "dog"}, "de": {"a": "katze", "b": "hund"}, "fr": {"a": "chat", "b": "chien", "c": "poisson"}}
QRELS = {"a": {"a": 1}, "b": {"b": 1}, "c": {"c": 1}}


@pytest.fixture
def toy(tmp_path: Path, folders: Callable[..., Path]) -> Benchmark:
    data = folders(tmp_path / "toy", DOCUMENTS, QUERIES, QRELS)
    mixes = ("parallel", "cross-lingual")
    return Benchmark(name="toy", tasks=(Task(collection=str(data), mixes=mixes),), measures=("RR@10",), depth=10)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    made: Any = ModuleType("mine")
    made.Toy, made.Known, made.ready, made.word_for_word = Toy, Known, Known(), word_for_word
    made.nothing, made.Needs = 5, type("Needs", (Toy,), {"__init__": lambda self, argument: None})
    monkeypatch.setitem(sys.modules, "mine", made)
    return made


@pytest.mark.parametrize("base", ["bm25", "bm25(analyzers=neutral)", "hashing"])
@pytest.mark.parametrize("translator", ["mine:Toy", "mine:ready", "mine:word_for_word"])
def test_translated_queries_find_what_foreign_ones_do_not(toy: Benchmark, module: Any, base: str, translator: str) -> None:
    plain = run(base, toy).result.settings[1].scores["RR@10"]
    translated = run(f"translate({base}, {translator})", toy).result
    assert [s.scores["RR@10"] for s in translated.settings] == [1.0, 1.0]
    assert plain is not None and plain < 1


def test_the_kind_is_that_of_the_base_and_the_name_says_what_is_done(module: Any) -> None:
    encoder, retriever = load_model("translate(hashing, mine:Toy)"), load_model("translate(bm25(k1=1.2), mine:Toy, to=deu)")
    assert isinstance(encoder, Encoder) and not isinstance(encoder, Retriever | Combination)
    assert isinstance(retriever, Retriever) and not isinstance(retriever, Encoder | Combination)
    assert (model_name(encoder), model_name(retriever)) == ("translate(hashing, Toy)", "translate(bm25(k1=1.2), Toy, to=de)")
    assert isinstance(Toy(), Translator)
    assert model_name(load_model("rrf(translate(bm25, mine:Toy), hashing)")) == "rrf(translate(bm25, Toy), hashing)"


def test_what_the_base_says_of_its_corpus_holds_for_its_translation() -> None:
    neutral = translate(BM25(analyzers="neutral", merge="rrf"), Toy())
    assert isinstance(neutral, TranslatedRetriever) and not neutral.per_language and neutral.merge == "rrf"

    class Dot(HashingEncoder):
        similarity = "dot"

    dot = translate(Dot(), Toy())
    assert isinstance(dot, TranslatedEncoder) and dot.similarity == "dot"


def test_documents_are_not_translated_and_queries_in_the_target_language_are_not_either() -> None:
    translator = Toy()
    model = translate(HashingEncoder(), translator)
    assert isinstance(model, TranslatedEncoder)
    plain = HashingEncoder()
    assert np.array_equal(
        model.encode(["katze"], role="document", lang="de"), plain.encode(["katze"], role="document", lang="de")
    )
    assert np.array_equal(model.encode(["katze"], role="query", lang="en"), plain.encode(["katze"], role="query", lang="en"))
    assert translator.asked == []
    assert np.array_equal(model.encode(["katze"], role="query", lang="de"), plain.encode(["cat"], role="query", lang="en"))
    assert translator.asked == [("de", "en", ["katze"])]


def test_a_retriever_is_asked_in_the_target_language_and_in_the_order_given() -> None:
    class Echo:
        def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
            return list(zip(texts, langs, strict=True))

        def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Any:
            return index, list(queries), list(langs), k

    model = translate(Echo(), Toy(), to="en")  # type: ignore[arg-type]
    assert isinstance(model, TranslatedRetriever)
    index = model.index(["hund"], langs=["de"])
    said = model.search(index, ["hund", "dog", "chien", "katze"], langs=["de", "en", "fr", "de"], k=3)
    assert said == ([("hund", "de")], ["dog", "dog", "dog", "cat"], ["en"] * 4, 3)


def test_a_query_is_translated_once_per_language_and_all_are_counted(toy: Benchmark) -> None:
    translator = Toy()
    result = run(translate("bm25", translator), toy).result
    assert sorted(translator.asked) == [("de", "en", ["katze", "hund"]), ("fr", "en", ["chat", "chien", "poisson"])]
    counts = result.model["queries"]
    assert counts["translated"] == 5 and counts["in the target language"] == 2
    queries = Queries(translator, "toy", "en")
    assert queries.translated(["hund", "hund", "katze"], "de") == ["dog", "dog", "cat"]
    assert queries.translated(["katze"], "de") == ["cat"] and queries.translated(["katze"], "nl") == ["cat"]
    assert queries.counts == {"translated": 3, "known": 2, "in the target language": 0}
    json.dumps(result.model, allow_nan=False)
    assert result.model["base"]["name"] == "bm25" and result.model["to"] == "en"


def test_an_index_is_kept_and_serves_any_translator(toy: Benchmark, cache: Path) -> None:
    class Other(Known):
        version = 2

    made = [translate(BM25(), Known()), translate(BM25(), Known()), translate(BM25(merge="rrf"), Other())]
    assert [run(model, toy).result.encoded for model in made] == [{"encoded": 3, "read": 0}] + [{"encoded": 0, "read": 3}] * 2
    prints = [json.dumps(model.fingerprint(), sort_keys=True) for model in made]  # type: ignore[call-arg]
    assert prints[0] == prints[1] != prints[2]
    assert not isinstance(translate(BM25(), Toy()), StoredRetriever)


def test_a_truncated_base_is_truncated_behind_a_translator(toy: Benchmark) -> None:
    class Short(HashingEncoder):
        def fingerprint(self, role: Any) -> dict[str, Any]:
            return {**super().fingerprint(role), "storage": "int8", "reading": {"truncate_dim": 16}}

    model = translate(Short(dim=64), Known())
    run(model, toy)
    assert all(model.fingerprint(role)["reading"] == {"truncate_dim": 16} for role in ("query", "document"))  # type: ignore


def test_vectors_are_kept_if_the_translator_can_be_told_apart(toy: Benchmark, tmp_path: Path, cache: Path) -> None:
    unknown = run(translate("hashing", Toy()), toy, output=tmp_path / "out").result
    assert unknown.fingerprints == {} and not list(cache.glob("vectors/*"))
    known = run(translate("hashing", Known()), toy, output=tmp_path / "out")
    assert known.result.encoded == {"encoded": 10, "read": 0}
    assert run(translate("hashing", Known()), toy, output=tmp_path / "out").reused
    translator = Known()
    translator.version = 2
    other = run(translate("hashing", translator), toy, output=tmp_path / "out")
    assert not other.reused
    assert other.result.encoded == {"encoded": 7, "read": 3}  # documents have the base's own vectors
    assert run("hashing", toy).result.encoded == {"encoded": 7, "read": 3}


def test_what_changes_a_query_is_in_the_fingerprint() -> None:
    made = [translate("bm25", Known()), translate("bm25", Known(), to="de"), translate("bm25(k1=2)", Known())]
    assert len({json.dumps(m.fingerprint(), sort_keys=True) for m in made}) == 3  # type: ignore[call-arg]
    assert not hasattr(translate("bm25", Toy()), "fingerprint")

    class Bare:
        def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
            return np.ones((len(texts), 2))

    assert not hasattr(translate(Bare(), Known()), "fingerprint")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda texts: texts[1:], r"toy: 1 translations from de to en for 2 queries \(first query: 'hund'\)"),
        (lambda texts: [*texts, "x"], "toy: 3 translations from de to en for 2 queries"),
        (lambda texts: ["dog", " "], "toy: the translation from de to en of the query 'katze' is empty"),
        (lambda texts: ["dog", None], "of the query 'katze' is no text but NoneType"),
        (lambda texts: "dog cat", "toy: expected a list of translations from de to en, got str"),
        (lambda texts: None, "toy: expected a list of translations from de to en, got NoneType"),
        (lambda texts: {}["no"], r"toy: cannot translate from de to en: KeyError: 'no' \(first query: 'hund'\)"),
    ],
)
def test_unusable_translations_are_refused_and_not_kept(answer: Callable[..., Any], message: str) -> None:
    translator = Toy()
    translator.translate = lambda texts, *, source, target: answer(texts)  # type: ignore[method-assign]
    queries = Queries(translator, "toy", "en")
    with pytest.raises(ModelError, match=message):
        queries.translated(["hund", "katze", "hund"], "de")
    del translator.translate
    assert queries.translated(["hund", "katze"], "de") == ["dog", "cat"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("translate(bm25, mine)", "'mine' is no translator; write module:attribute"),
        ("translate(bm25, mine:nothing)", r"'mine:nothing' has no translate\(texts"),
        ("translate(bm25, mine:absent)", "'mine:absent' cannot be imported"),
        ("translate(bm25, mine:Needs)", "'mine:Needs' cannot be made without arguments"),
        ("translate(bm25)", "the argument 'translator' of translate is missing; it takes base, translator, to"),
        ("translate(bm25, mine:Toy, to=klingonish)", r"translate\(to=klingonish\): .*not a"),
        ("translate(bm25, mine:Toy, to=7)", r"translate\(to=7\)"),
        ("translate(bm25, mine:Toy, from=de)", "unknown argument 'from' of translate; it takes base, translator, to, "),
        ("translate(bm52, mine:Toy)", "unknown model 'bm52'"),
        ("translate(rrf(bm25, hashing), mine:Toy)", "translate its parts, such as rrf"),
    ],
)
def test_what_does_not_fit_is_refused(module: Any, typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(typed)


def test_options_of_the_command_line_reach_the_base(module: Any) -> None:
    model: Any = load_model("translate(org/dense, mine:Toy)", ModelOptions(device="cpu", query_prompt="q: "))
    assert (model.base.device, model.base.prompt("query")) == ("cpu", "q: ")
