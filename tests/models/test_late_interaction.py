from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import save_multi_vector, save_plain, save_pylate, save_splade

from mimo_eval.benchmark import Benchmark
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import run
from mimo_eval.models import late_interaction
from mimo_eval.models.late_interaction import LateInteraction
from mimo_eval.models.loading import ModelOptions, catalogue, load_model
from mimo_eval.protocols import Encoder, StoredRetriever
from mimo_eval.search.index_store import IndexStore

DOCUMENTS = ["abc def, ghi.", "fed cba abc!", "g h i", "a b c d e f g", "!!! ..."]
QUERIES = ["abc", "g h?"]
BY_PYLATE = [[10.70687, 9.776154, 9.625489, 11.263391, 8.885288], [10.45103, 7.993713, 10.995625, 9.486586, 5.942199]]
"""Scores of QUERIES and DOCUMENTS by PyLate 1.6.0 itself (`rank.rerank`), of the folder that save_pylate writes. (Where a best
match is negative PyLate may take 0, the similarity of its padding, instead; these are all positive.)"""
MAKERS = {"pylate": save_pylate, "own": save_multi_vector}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a model folder; one made before with the same settings is given again."""
    root, made = tmp_path_factory.mktemp("colbert"), {}

    def make(kind: str = "pylate", **config: Any) -> Path:
        key = json.dumps([kind, config])
        if key not in made:
            made[key] = MAKERS[kind](root / str(len(made)) / "tiny-colbert", **config)
        return made[key]

    return make


def exact(path: Path, **options: Any) -> LateInteraction:
    return LateInteraction(str(path), device="cpu", storage="float32", **options)


def search(model: LateInteraction, documents: list[str] = DOCUMENTS, queries: list[str] = QUERIES, k: int = 100) -> np.ndarray:
    """(queries, documents) scores; nan where a document was not found."""
    index = model.index(documents, langs=["en"] * len(documents))
    hits = model.search(index, queries, langs=["en"] * len(queries), k=k)
    scores = np.full((len(queries), len(documents)), np.nan)
    for row, (found, values) in enumerate(zip(*hits, strict=True)):
        scores[row, found[found >= 0]] = values[found >= 0]
    return scores


def brute_force(path: Path, documents: list[str] = DOCUMENTS, dtype: Any = np.float32, **options: Any) -> np.ndarray:
    """MaxSim, pair by pair, of the library's own token vectors."""
    from sentence_transformers import MultiVectorEncoder

    encoder = MultiVectorEncoder(str(path), device="cpu")
    queries = encoder.encode_query(QUERIES, convert_to_numpy=True)
    vectors = [v.astype(dtype).astype(np.float64) for v in encoder.encode_document(documents, convert_to_numpy=True)]
    return np.array([[(q.astype(np.float64) @ d.T).max(axis=1).sum() for d in vectors] for q in queries])


def test_a_pylate_model_scores_as_pylate_does(folder: Callable[..., Path]) -> None:
    model = load_model(f"colbert({folder()}, storage=float32)", ModelOptions(device="cpu", batch_size=2))
    assert isinstance(model, StoredRetriever) and not isinstance(model, Encoder)
    assert search(model) == pytest.approx(np.array(BY_PYLATE), abs=1e-4)  # type: ignore[arg-type]
    said = model.describe()  # type: ignore[union-attr]
    assert said["prompts"] == {"query": "[Q] ", "document": "[D] "} and said["dimension"] == 8
    assert said["similarity"] == "maxsim" and said["kind"] == "colbert"
    json.dumps(said, allow_nan=False)


def test_markers_expansion_and_skiplist_are_pylates(folder: Callable[..., Path]) -> None:
    model = exact(folder())
    index = model.index(["abc def, ghi.", "abc def ghi"], langs=["en"] * 2)
    assert index.tokens.lengths.tolist() == [12, 12]  # [CLS] [D] nine letters [SEP]; punctuation does not count
    assert model.vectors(["abc"], "query", convert_to_numpy=True)[0].shape == (12, 8)  # query_length, filled with [MASK]
    unexpanded = exact(folder(do_query_expansion=False))
    assert unexpanded.vectors(["abc"], "query", convert_to_numpy=True)[0].shape == (6, 8)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_scores_are_those_of_brute_force(folder: Callable[..., Path], kind: str, storage: str) -> None:
    model = LateInteraction(str(folder(kind)), device="cpu", storage=storage)
    assert search(model) == pytest.approx(brute_force(folder(kind), dtype=np.dtype(storage)), rel=1e-5)
    assert search(model) == pytest.approx(brute_force(folder(kind)), abs=1e-2)


def test_scores_are_the_librarys_own(folder: Callable[..., Path]) -> None:
    for config in ({}, {"similarity_fn_name": "meanmaxsim"}, {"prompts": {"query": "q: ", "document": "d: "}}):
        model = exact(folder("own", **config))
        encoder = model.encoder
        wanted = encoder.similarity(encoder.encode_query(QUERIES), encoder.encode_document(DOCUMENTS)).cpu().numpy()
        assert search(model) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("tokens", [1, 13, 30])
def test_chunks_change_nothing(folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    documents = [*DOCUMENTS, "!", *DOCUMENTS[::-1]]
    whole = search(exact(folder("own")), documents)
    monkeypatch.setattr(late_interaction, "TOKENS", tokens)
    monkeypatch.setattr(late_interaction, "ENTRIES", 1)
    monkeypatch.setattr(late_interaction, "PART", 2)
    assert search(exact(folder("own")), documents) == pytest.approx(whole, rel=1e-5, nan_ok=True)


def test_equal_documents_tie_and_ties_are_not_cut(folder: Callable[..., Path]) -> None:
    documents = ["abc", "a much longer text", "abc", "xyz", "abc"]
    model = LateInteraction(str(folder()), device="cpu", batch_size=2)
    scores = search(model, documents)
    assert (scores[:, 0] == scores[:, 2]).all() and (scores[:, 0] == scores[:, 4]).all()
    for k in range(1, 6):
        found = np.isfinite(search(model, documents, k=k))
        assert (found.sum(axis=1) >= k).all() and (found[:, 0] == found[:, 2]).all() and (found[:, 0] == found[:, 4]).all()
    assert model.index(documents, langs=["en"] * 5).tokens.lengths.shape == (3,)  # kept once


class NoTokens:
    """An encoder that has no vector for punctuation."""

    device, similarity_fn_name = "cpu", "maxsim"

    def encode_document(self, texts: list[str], **options: Any) -> list[np.ndarray]:
        return [np.ones((len(text.strip("!?")), 2), np.float32) for text in texts]

    encode_query = encode_document


def test_texts_without_a_token_are_not_found_and_do_no_harm(tmp_path: Path) -> None:
    model = LateInteraction(str(tmp_path))
    model.__dict__["encoder"] = NoTokens()
    wanted = [[np.nan, 6.0, np.nan, 6.0, np.nan], [np.nan] * 5]
    assert search(model, ["!", "ab", "?", "c", "!!"], ["abc", "?"]) == pytest.approx(np.array(wanted), nan_ok=True)
    assert np.isnan(search(model, ["!", "?"], ["abc"])).all()
    assert np.isnan(search(model, ["abc"], ["!"])).all()
    model.save(model.index(["!"], langs=["en"]), tmp_path)
    assert model.load(tmp_path).tokens.lengths.tolist() == [0]


def test_no_documents_and_no_queries(folder: Callable[..., Path]) -> None:
    model = exact(folder())
    assert search(model, []).shape == (2, 0)
    assert search(model, queries=[]).shape == (0, 5)


def test_truncation_keeps_leading_dimensions_and_lengths_and_needs_no_other_index(folder: Callable[..., Path]) -> None:
    whole, cut = exact(folder()), exact(folder(), truncate_dim=3)
    index = whole.index(DOCUMENTS, langs=["en"] * 5)
    found = cut.search(index, QUERIES, langs=["en"] * 2, k=5)
    queries = [vectors[:, :3] for vectors in whole.vectors(QUERIES, "query", convert_to_numpy=True)]
    documents = [vectors[:, :3] for vectors in whole.vectors(DOCUMENTS, "document", convert_to_numpy=True)]
    unit = [[v / np.linalg.norm(v, axis=1, keepdims=True) for v in side] for side in (queries, documents)]
    wanted = np.array([[(q @ d.T).max(axis=1).sum() for d in unit[1]] for q in unit[0]])
    scores = np.zeros((2, 5))
    np.put_along_axis(scores, found.documents, found.scores, 1)
    assert scores == pytest.approx(wanted, abs=1e-5)
    assert IndexStore(cut).folder == IndexStore(whole).folder and cut.fingerprint() != whole.fingerprint()
    with pytest.raises(ConfigError, match="--truncate-dim 9, but the model's vectors have 8 dimensions"):
        exact(folder(), truncate_dim=9).search(index, QUERIES, langs=["en"] * 2, k=5)


def test_max_length_is_of_documents(folder: Callable[..., Path]) -> None:
    model = exact(folder(), max_length=5)
    assert model.index(["abcdefghi"], langs=["en"]).tokens.lengths.tolist() == [5]
    assert model.vectors(["abc"], "query", convert_to_numpy=True)[0].shape == (12, 8)


def test_an_index_comes_back_as_it_was_mapped_into_memory(folder: Callable[..., Path], tmp_path: Path) -> None:
    model = LateInteraction(str(folder()), device="cpu")
    documents = [*DOCUMENTS, DOCUMENTS[0]]
    index = model.index(documents, langs=["en"] * 6)
    assert isinstance(index.tokens.vectors, np.memmap) and index.tokens.vectors.dtype == np.float16
    model.save(index, tmp_path)
    again = LateInteraction(str(folder()), device="cpu").load(tmp_path)
    assert isinstance(again.tokens.vectors, np.memmap)
    one, other = (model.search(i, QUERIES, langs=["en"] * 2, k=9) for i in (index, again))
    assert (one.documents == other.documents).all() and (one.scores == other.scores).all()


def test_the_fingerprint_is_of_the_files_and_of_what_changes_a_score(folder: Callable[..., Path], tmp_path: Path) -> None:
    same = LateInteraction(str(folder()), batch_size=1).fingerprint()
    assert LateInteraction(str(folder()), device="cpu").fingerprint() == same
    for options in ({"max_length": 9}, {"storage": "float32"}, {"document_prompt": ""}, {"dtype": "bfloat16"}):
        assert LateInteraction(str(folder()), **options).fingerprint() != same  # type: ignore[arg-type]
    copy = Path(shutil.copytree(folder(), tmp_path / "tiny-colbert"))
    assert LateInteraction(str(copy)).fingerprint() == same
    shutil.copy(copy / "model.safetensors", copy / "1_Dense/model.safetensors")
    assert LateInteraction(str(copy)).fingerprint() != same


def test_a_run_is_stored_and_found_again(folder: Callable[..., Path], tmp_path: Path, folders: Callable[..., Path]) -> None:
    documents = {"en": {"a": "abc def", "b": "xyz"}, "de": {"a": "fed cba", "b": "zyx"}}
    data = folders(tmp_path / "toy", documents, {"en": {"q": "abc", "r": "xyz"}}, {"q": {"a": 1}, "r": {"b": 1}})
    benchmark = Benchmark(name="mine", tasks=[{"collection": str(data)}], measures=["RR@10"])  # type: ignore[list-item]
    first, second = (run(f"colbert({folder()})", benchmark, output=tmp_path / "out").result for _ in range(2))
    assert first == second and first.encoded == {"encoded": 4, "read": 0}
    assert 0 < first.frame()["RR@10"].item() <= 1


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "modules.json", "1_Dense/model.safetensors"])
def test_a_torn_model_is_an_error_in_one_line(folder: Callable[..., Path], tmp_path: Path, file: str) -> None:
    copy = Path(shutil.copytree(folder(), tmp_path / "torn"))
    data = (copy / file).read_bytes()
    (copy / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError) as caught:
        search(exact(copy))
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)


def test_models_of_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    for make, said in ((save_splade, "SparseEncoder"), (save_plain, "BertModel")):
        path = make(tmp_path / said)
        with pytest.raises(ModelError, match=rf"^the model '{path}' is no late interaction model, but {said}; what it lacks"):
            search(exact(path))


def test_nan_names_the_model_and_the_document(folder: Callable[..., Path]) -> None:
    model = exact(folder("own"))
    place = model.encoder.tokenizer.convert_tokens_to_ids("x")
    model.encoder[0].auto_model.get_input_embeddings().weight.data[place] = float("nan")
    with pytest.raises(ModelError, match=r"^colbert\(.*\): NaN or infinity in a vector of document 2 of 3 different ones$"):
        search(model, ["abc", "abc", "x", "y"])


def test_an_unknown_storage_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"colbert\(storage=int8\): choose float16 or float32"):
        load_model("colbert(org/any, storage=int8)")


def test_it_is_in_the_catalogue() -> None:
    assert {card.name: card.kind for card in catalogue()}["colbert"] == "late interaction"
