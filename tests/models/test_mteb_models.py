"""Models of MTEB's in our evaluation: by name, as objects, with their prompts, and equal to MTEB's own numbers."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import run
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.protocols import Encoder, Retriever

mteb = pytest.importorskip("mteb")

from mteb.models.abs_encoder import AbsEncoder  # noqa: E402
from mteb.models.model_meta import ModelMeta, ScoringFunction  # noqa: E402

from mimo_eval.models.mteb_adapters import MtebEncoder, MtebRetriever, in_languages  # noqa: E402
from mimo_eval.models.mteb_models import GENERIC, adapt, task_metadata  # noqa: E402

RANDOM, BM25S = "mteb:mteb/baseline-random-encoder", "mteb:mteb/baseline-bm25s"
DOCUMENTS = {"en": {"a": "one two", "b": "three"}, "de": {"a": "eins zwei", "b": "drei"}}
QUERIES = {"en": {"q": "two"}, "de": {"q": "zwei"}}


@pytest.fixture
def benchmark(tmp_path, folders):
    data = folders(tmp_path / "numbers", DOCUMENTS, QUERIES, {"q": {"a": 1}})
    return Benchmark(name="numbers", tasks=(Task(collection=str(data)),), measures=("nDCG@10", "RR@10"))


def meta(**changes):
    usual = {"name": "org/toy", "revision": "1", "similarity_fn_name": ScoringFunction.COSINE}
    return ModelMeta.create_empty(overwrites={**usual, **changes})


class Prompted(AbsEncoder):
    """Looks prompts up as MTEB's wrappers do; a vector is the lengths of prompt and text."""

    def __init__(self, prompts=None, **changes):
        self.mteb_model_meta, self.model_prompts, self.seen = meta(**changes), prompts, []

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        name = self.get_prompt_name(task_metadata, prompt_type)
        prompt = (self.model_prompts or {}).get(name, "")
        texts = [text for batch in inputs for text in batch["text"]]
        self.seen += [(prompt + text, task_metadata.eval_langs, hf_subset in task_metadata.hf_subsets) for text in texts]
        return np.array([[len(prompt) + 1.0, len(text)] for text in texts])


class Searching:
    """A SearchProtocol: scores are positions in the corpus; it holds one index at a time."""

    def __init__(self):
        self.mteb_model_meta, self.corpus, self.indexed = meta(name="org/searching", revision=None), None, []

    def index(self, corpus, *, task_metadata, hf_split, hf_subset, encode_kwargs, num_proc, **kwargs):
        self.corpus = corpus
        self.indexed.append((len(corpus), task_metadata.eval_langs))

    def search(self, queries, *, task_metadata, hf_split, hf_subset, top_k, encode_kwargs, num_proc, top_ranked=None, **kwargs):
        ranked = {name: float(place) for place, name in enumerate(self.corpus["id"])}
        return {query: dict(list(ranked.items())[:top_k]) for query in queries["id"]}


class Crossing:
    """A CrossEncoderProtocol."""

    def __init__(self, model_name="x", revision=None, device=None):
        self.mteb_model_meta = meta(name="org/cross", model_type=["cross-encoder"])

    def predict(self, inputs1, inputs2, **kwargs):
        raise AssertionError


def test_a_model_of_mteb_s_is_evaluated_by_name(benchmark, tmp_path):
    model = load_model(RANDOM)
    assert isinstance(model, Encoder) and model_name(model) == RANDOM
    first = run(model, benchmark, output=tmp_path / "out")
    assert first.result.encoded == {"encoded": 6, "read": 0}
    assert run(load_model(RANDOM), benchmark, output=tmp_path / "out").reused
    assert first.result.model["kind"] == "dense" and first.result.model["mteb"] == mteb.__version__
    assert first.folder.parent.name == "mteb_mteb_baseline-random-encoder"


def test_a_search_model_ranks_the_whole_mixed_corpus(benchmark):
    model = load_model(BM25S)
    assert isinstance(model, Retriever) and not isinstance(model, Encoder)
    assert not model.per_language
    found = run(model, benchmark).result.settings[0]
    assert found.pools[0].scores["en"]["RR@10"] == found.pools[0].scores["de"]["RR@10"] == 1


@pytest.mark.parametrize("name", [RANDOM, BM25S])
def test_scores_equal_those_of_mteb_evaluate(benchmark, name):
    """The same model the one way and the other, on a corpus of the same definition."""
    from dataclasses import replace

    from mimo_eval.integrations.mteb.definitions import XQUAD, Definition
    from mimo_eval.integrations.mteb.tasks import task_class

    origin = replace(XQUAD, twin="", collection=benchmark.tasks[0].collection, languages=("en", "de"))
    task = task_class(Definition("NumbersMixedRetrieval", origin, "parallel"))()
    theirs = mteb.evaluate(mteb.get_model(name[5:]), task, cache=None, show_progress_bar=False, co2_tracker=False)
    mine = run(name, benchmark).result.settings[0].pools[0].scores
    for row in theirs[0].scores["test"]:
        assert row["nDCG@10"] == pytest.approx(mine[row["hf_subset"]]["nDCG@10"], abs=1e-6)


def test_prompts_are_chosen_as_mteb_does_and_decide_the_fingerprint():
    prompts = {"query": "q: ", "document": "d: ", "Retrieval-query": "r: ", "MIRACLRetrieval-query": "m: "}
    plain, chosen = Prompted(prompts), Prompted(prompts)
    ours, miracl = adapt(plain), adapt(chosen, task="MIRACLRetrieval")
    for model in (ours, miracl):
        model.encode([" x "], role="query", lang="de")
        model.encode(["y"], role="document", lang="zh")
    assert plain.seen == [("r: x", ["deu-Latn"], True), ("d: y", ["zho-Hans"], True)]
    assert [text for text, *_ in chosen.seen] == ["m: x", "d: y"]
    assert ours.describe()["prompts"] == {"query": "r: ", "document": "d: "}
    assert miracl.describe()["prompts_of_task"] == "MIRACLRetrieval"
    assert ours.fingerprint("query") != miracl.fingerprint("query") != miracl.fingerprint("document")


def test_the_instruction_of_last_resort_is_that_of_retrieval():
    from mteb.abstasks.abstask import get_abstask_prompt

    assert task_metadata(None).name == GENERIC and get_abstask_prompt(GENERIC) == "Retrieve text based on user query."
    with pytest.raises(ConfigError, match="task=MIRACLRetrival"):
        adapt(Prompted(), task="MIRACLRetrival")


def test_another_task_s_prompts_leave_the_model_as_it_was():
    model = adapt(Prompted({"A-query": "a: "}))
    other = model.for_task(task_metadata(None).model_copy(update={"name": "A"}))
    other.encode(["x"], role="query", lang="en")
    model.encode(["x"], role="query", lang="en")
    assert [text for text, *_ in model.described.model.seen] == ["a: x", "x"]


def test_without_a_revision_nothing_is_kept(benchmark):
    model = adapt(Prompted(revision=None))
    assert not hasattr(model, "fingerprint") and hasattr(adapt(Prompted()), "fingerprint")
    assert [run(model, benchmark).result.encoded["encoded"] for _ in range(2)] == [6, 6]


def test_settings_that_json_cannot_hold_are_named_without_addresses():
    model = adapt(Prompted(loader_kwargs={"template": test_without_a_revision_nothing_is_kept, "odd": ScoringFunction}))
    assert "0x" not in str(model.fingerprint("query")) and "test_without_a_revision" in str(model.fingerprint("query"))


@pytest.mark.parametrize(
    ("named", "kind", "similarity"),
    [
        (ScoringFunction.DOT_PRODUCT, MtebEncoder, "dot"),
        (ScoringFunction.COSINE, MtebEncoder, "cosine"),
        (None, MtebRetriever, None),
        (ScoringFunction.EUCLIDEAN, MtebRetriever, None),
    ],
)
def test_another_similarity_is_left_to_mteb_s_search(benchmark, named, kind, similarity):
    class Own(Prompted):
        def similarity(self, a, b):
            return np.asarray(a) @ np.asarray(b).T

    model = adapt(Own(similarity_fn_name=named))
    assert isinstance(model, kind) and getattr(model, "similarity", None) == similarity
    assert 0 < run(model, benchmark).result.settings[0].scores["nDCG@10"] <= 1


def test_an_object_with_mteb_s_protocols_needs_no_name(benchmark):
    assert model_name(load_model(Prompted())) == "mteb:org/toy"
    assert run(Prompted(), benchmark).result.encoded["encoded"] == 6
    searching = Searching()
    found = run(searching, benchmark)
    assert searching.indexed == [(4, ["deu-Latn", "eng-Latn"])] and found.result.model["name"] == "mteb:org/searching"


def test_a_model_that_holds_one_index_is_given_it_again():
    search = Searching()
    model = adapt(search)
    first = model.index(["a", "b"], langs=["en", "en"])
    second = model.index(["c"], langs=["de"])
    assert model.search(first, ["q"], langs=["en"], k=5).documents.tolist() == [[0, 1]]
    assert model.search(second, ["q"], langs=["en"], k=5).documents.tolist() == [[0]]
    assert [size for size, _ in search.indexed] == [2, 1, 2, 1]


def test_a_module_s_class_is_taken(benchmark, monkeypatch):
    module = types.ModuleType("my_mteb_models")
    module.Mine, module.number = Prompted, int
    monkeypatch.setitem(sys.modules, "my_mteb_models", module)
    model = load_model("mteb:my_mteb_models:Mine")
    assert model.name == "mteb:my_mteb_models:Mine" and run(model, benchmark).result.encoded["encoded"] == 6
    with pytest.raises(ConfigError, match="no mteb_model_meta"):
        load_model("mteb:my_mteb_models:number")
    with pytest.raises(ConfigError, match="cannot be imported"):
        load_model("mteb:my_mteb_models:Absent")


def test_a_cross_encoder_is_told_where_it_belongs():
    with pytest.raises(ConfigError, match="rerank"):
        load_model(Crossing())


def test_options_reach_the_model():
    model = load_model(RANDOM, ModelOptions(batch_size=2, device="cpu"))
    assert model.described.batch_size == 2
    assert load_model(f"{RANDOM}(batch_size=3, task=MIRACLRetrieval)").described.task.name == "MIRACLRetrieval"
    with pytest.raises(ConfigError, match="unknown argument 'depth' of mteb; it takes name, task, revision"):
        load_model(f"{RANDOM}(depth=3)")


def test_it_can_be_part_of_a_combination(benchmark):
    assert run(f"rrf(bm25, {RANDOM})", benchmark).result.settings[0].scores["RR@10"] > 0


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("mteb:org/absent", ConfigError, "unknown to mteb, and not found on the hub"),
        ("mteb:", ConfigError, "a name is missing"),
        (f"{RANDOM}(revision=9)", ConfigError, "revision 9 not found"),
    ],
)
def test_a_wrong_name_is_one_line(name, kind, why):
    with pytest.raises(kind, match=why) as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


def test_code_of_a_repository_runs_only_if_allowed(monkeypatch):
    remote = meta(name="org/remote", loader=Prompted, loader_kwargs={"trust_remote_code": True})
    monkeypatch.setitem(sys.modules["mteb.models.get_model_meta"].MODEL_REGISTRY, "org/remote", remote)
    with pytest.raises(ConfigError, match="--trust-remote-code"):
        load_model("mteb:org/remote")


def test_a_model_that_cannot_be_loaded_says_why(monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("no weights")

    monkeypatch.setitem(
        sys.modules["mteb.models.get_model_meta"].MODEL_REGISTRY, "org/broken", meta(name="org/broken", loader=broken)
    )
    with pytest.raises(ModelError, match="org/broken cannot be loaded: OSError: no weights"):
        load_model("mteb:org/broken")


def test_a_model_that_fails_is_named():
    class Failing(Prompted):
        def encode(self, *args, **kwargs):
            raise RuntimeError("out of memory")

    with pytest.raises(ModelError, match="mteb:org/toy: encode of mteb failed: RuntimeError: out of memory"):
        adapt(Failing()).encode(["x"], role="query", lang="en")


def test_texts_of_an_unknown_language_are_in_those_of_the_task():
    task = task_metadata(None).model_copy(update={"eval_langs": {"a": ["zho-Hans"], "b": ["deu-Latn", "eng-Latn"]}})
    assert in_languages(task, ["und"]).eval_langs == ["deu-Latn", "eng-Latn", "zho-Hans"]
    assert in_languages(task, ["und", "de"]).eval_langs == ["deu-Latn"]
