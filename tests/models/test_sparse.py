from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import save_multi_vector, save_plain, save_splade

from mimo_eval.benchmark import Benchmark
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import run
from mimo_eval.models import sparse
from mimo_eval.models.loading import ModelOptions, catalogue, load_model
from mimo_eval.models.sparse import SparseRetriever
from mimo_eval.protocols import Encoder, Retriever, StoredRetriever

DOCUMENTS = ["abc def", "fed cba abc abc", "g", "xyz", "abc def", "q r s t u v w", ""]
QUERIES = ["abc", "xyz g", "?"]
Model = Callable[..., Path]


@pytest.fixture(scope="module")
def splade(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Make a model folder; one made before with the same settings is given again."""
    root, made = tmp_path_factory.mktemp("splade"), {}

    def make(**config: Any) -> Path:
        key = json.dumps(config)
        if key not in made:
            made[key] = save_splade(root / str(len(made)) / "tiny-splade", **config)
        return made[key]

    return make


def search(model: SparseRetriever, documents: list[str] = DOCUMENTS, queries: list[str] = QUERIES, k: int = 100) -> list[dict]:
    index = model.index(documents, langs=["en"] * len(documents))
    hits = model.search(index, queries, langs=["en"] * len(queries), k=k)
    return [
        {int(d): float(s) for d, s in zip(*row, strict=True) if d >= 0} for row in zip(hits.documents, hits.scores, strict=True)
    ]


def expected(folder: Path, **options: Any) -> tuple[list[dict], Any]:
    """The library's own similarity of its own dense vectors, without what scores 0."""
    from sentence_transformers import SparseEncoder

    encoder = SparseEncoder(str(folder), device="cpu")
    query, document = (
        encode(texts, convert_to_sparse_tensor=False, **options)
        for encode, texts in ((encoder.encode_query, QUERIES), (encoder.encode_document, DOCUMENTS))
    )
    scores = encoder.similarity(query, document).numpy()
    return [{n: float(s) for n, s in enumerate(row) if s > 0} for row in scores], (query, document)


def assert_equal(found: list[dict], wanted: list[dict]) -> None:
    assert [set(row) for row in found] == [set(row) for row in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)  # padding differs with the batch


@pytest.mark.parametrize(
    "config", [{}, {"similarity_fn_name": "cosine"}, {"prompts": {"query": "q: ", "document": "p: "}}, {"max_active_dims": 5}]
)
def test_scores_are_the_librarys_own(splade: Model, config: dict[str, Any]) -> None:
    folder = splade(**config)
    model = load_model(f"sparse({folder})", ModelOptions(device="cpu", batch_size=2))
    assert isinstance(model, StoredRetriever) and not isinstance(model, Encoder)
    wanted, (query, document) = expected(folder)
    assert all(wanted) and len({score for row in wanted for score in row.values()}) > 10
    assert_equal(search(model), wanted)  # type: ignore[arg-type]
    said = model.describe()  # type: ignore[union-attr]
    assert said["mean_active_dims"]["query"] == pytest.approx(float((query != 0).sum(1).float().mean()), abs=0.05)
    assert said["mean_active_dims"]["document"] == pytest.approx(float((document != 0).sum(1).float().mean()), abs=0.05)
    json.dumps(said, allow_nan=False)


def test_texts_are_sparse_and_what_shares_no_dimension_is_not_found(splade: Model) -> None:
    model = SparseRetriever(str(splade()), device="cpu", max_active_dims=2)
    wanted, _ = expected(splade(), max_active_dims=2)
    found = search(model)
    assert_equal(found, wanted)
    assert 0 < sum(map(len, found)) < len(QUERIES) * len(DOCUMENTS)
    assert model.describe()["mean_active_dims"] == {"query": 2, "document": 2}
    assert model.name == "sparse(tiny-splade, max_active_dims=2)"


def test_queries_may_be_capped_by_themselves(splade: Model) -> None:
    model = SparseRetriever(str(splade()), device="cpu", query_active_dims=1)
    search(model)
    assert model.describe()["mean_active_dims"]["query"] == 1 < model.describe()["mean_active_dims"]["document"]


def test_nothing_is_made_dense_and_chunks_change_nothing(splade: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.sparse import csr_matrix

    model = SparseRetriever(str(splade()), device="cpu")
    whole = search(model)
    for name in ("toarray", "todense"):
        monkeypatch.setattr(csr_matrix, name, lambda *args, **kwargs: pytest.fail("made dense"))
    monkeypatch.setattr(sparse, "ENTRIES", 1)
    monkeypatch.setattr(sparse, "PART", 2)
    assert_equal(search(SparseRetriever(str(splade()), device="cpu")), whole)


def test_equal_documents_tie_and_ties_are_not_cut(splade: Model) -> None:
    documents = ["abc", "padding to be sure", "abc", "xyz", "abc"]
    model = SparseRetriever(str(splade()), device="cpu", batch_size=2)
    (every,) = search(model, documents, ["abc"])
    assert every[0] == every[2] == every[4] > every[3]
    for k in (1, 2, 3, 4):
        (found,) = search(model, documents, ["abc"], k=k)
        assert found == {n: score for n, score in every.items() if score >= sorted(every.values())[-k]}


def test_no_documents_and_no_queries(splade: Model) -> None:
    model = SparseRetriever(str(splade()), device="cpu")
    assert search(model, []) == [{}] * 3
    assert search(model, queries=[]) == []


def test_max_length_and_prompts_given_win(splade: Model) -> None:
    options = ModelOptions(device="cpu", max_length=4, query_prompt="", document_prompt="x")
    model = load_model(f"sparse({splade(prompts={'query': 'q: ', 'passage': 'p: '})})", options)
    plain = SparseRetriever(str(splade()), device="cpu")
    assert_equal(search(model, ["a b c d"], ["abc"]), search(plain, ["xa"], ["ab"]))  # type: ignore[arg-type]
    assert model.describe()["prompts"] == {"query": "", "document": "x"}  # type: ignore[union-attr]


def test_the_fingerprint_is_of_the_files_and_of_what_changes_a_score(splade: Model, tmp_path: Path) -> None:
    folder = splade()
    same = SparseRetriever(str(folder), batch_size=1, device="cpu").fingerprint()
    assert SparseRetriever(str(folder)).fingerprint() == same
    for options in (
        {"max_length": 9},
        {"max_active_dims": 3},
        {"query_active_dims": 3},
        {"query_prompt": ""},
        {"dtype": "float16"},
    ):
        assert SparseRetriever(str(folder), **options).fingerprint() != same  # type: ignore[arg-type]
    copy = Path(shutil.copytree(folder, tmp_path / "tiny-splade"))
    assert SparseRetriever(str(copy)).fingerprint() == same
    (copy / "config_sentence_transformers.json").write_text('{"model_type": "SparseEncoder", "similarity_fn_name": "cosine"}')
    assert SparseRetriever(str(copy)).fingerprint() != same
    assert "encoder" not in SparseRetriever(str(folder)).__dict__


def test_a_bare_masked_language_model_is_taken_for_splade(splade: Model) -> None:
    plain = splade().parent / "tiny-splade-plain"
    assert_equal(search(SparseRetriever(str(plain), device="cpu")), search(SparseRetriever(str(splade()), device="cpu")))


def test_an_index_comes_back_as_it_was(splade: Model, tmp_path: Path) -> None:
    model, other = (SparseRetriever(str(splade()), device="cpu") for _ in range(2))
    index = model.index(DOCUMENTS, langs=["en"] * len(DOCUMENTS))
    model.save(index, tmp_path)
    again = other.load(tmp_path)
    assert (index != again).nnz == 0 and index.shape == again.shape
    assert other.describe()["mean_active_dims"]["document"] == model.describe()["mean_active_dims"]["document"]


def test_a_run_is_stored_and_found_again(splade: Model, tmp_path: Path, folders: Callable[..., Path]) -> None:
    documents = {"en": {"a": "abc def", "b": "xyz"}, "de": {"a": "fed cba", "b": "zyx"}}
    data = folders(tmp_path / "toy", documents, {"en": {"q": "abc", "r": "xyz"}}, {"q": {"a": 1}, "r": {"b": 1}})
    benchmark = Benchmark(name="mine", tasks=[{"collection": str(data)}], measures=["RR@10"])  # type: ignore[list-item]
    first, second = (run(f"sparse({splade()})", benchmark, output=tmp_path / "out").result for _ in range(2))
    assert first == second and first.encoded == {"encoded": 4, "read": 0}
    assert 0 < first.frame()["RR@10"].item() <= 1
    capped = run(f"sparse({splade()}, max_active_dims=3)", benchmark, output=tmp_path / "out").result
    assert capped.model != first.model


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "modules.json", "config_sentence_transformers.json"])
def test_a_torn_model_is_an_error_in_one_line(splade: Model, tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(splade(), tmp_path / "torn"))
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError) as caught:
        search(SparseRetriever(str(folder), device="cpu"))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_models_of_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    for make, said in ((save_multi_vector, "MultiVectorEncoder"), (save_plain, "BertModel")):
        folder = make(tmp_path / said)
        with pytest.raises(ModelError, match=rf"^the model '{folder}' is no sparse encoder, but {said}; what it lacks"):
            search(SparseRetriever(str(folder), device="cpu"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="this is not a model's folder"):
        SparseRetriever(str(tmp_path / "empty")).fingerprint()


def test_a_distance_cannot_be_searched(splade: Model) -> None:
    with pytest.raises(ModelError, match="similarity 'euclidean' cannot be searched by sparse products"):
        search(SparseRetriever(str(splade(similarity_fn_name="euclidean")), device="cpu"))


def test_nan_names_the_model_and_the_document(splade: Model) -> None:
    from torch.nn import Parameter

    model = SparseRetriever(str(splade()), device="cpu")
    place = model.encoder.tokenizer.convert_tokens_to_ids("x")
    embeddings = model.encoder[0].auto_model.get_input_embeddings()
    weights = embeddings.weight.detach().clone()  # those of the output stay as they are
    weights[place] = float("nan")
    embeddings.weight = Parameter(weights)
    with pytest.raises(ModelError, match=r"^sparse\(tiny-splade\): NaN or infinity in the vector of document 3 of 4$"):
        search(model, ["abc", "abc", "x", "y"])


@pytest.mark.parametrize("options", [{"max_active_dims": 0}, {"query_active_dims": 1.5}, {"batch_size": 0}, {"max_length": -1}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    name = next(iter(options)).replace("_", " ")
    with pytest.raises(ConfigError, match=rf"{name} must be (a whole number|at least 1)"):
        SparseRetriever("org/any", **options)


def test_it_is_in_the_catalogue_and_needs_a_model() -> None:
    assert {card.name: card.kind for card in catalogue()}["sparse"] == "sparse"
    with pytest.raises(ConfigError, match="the argument 'model' of sparse is missing; it takes model, "):
        load_model("sparse")
    assert isinstance(load_model("sparse(naver/splade-v3)"), Retriever)
