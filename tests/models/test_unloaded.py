"""What a model's files say without its weights is what the loaded model says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from build_models import save_cross_encoder
from tiny import save_multi_vector, save_splade

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.evaluation import run
from mimo_eval.models.cross_encoder import CrossEncoderScorer
from mimo_eval.models.dense import SentenceTransformerEncoder
from mimo_eval.models.sources import ModelFiles, dimension
from mimo_eval.models.transformer import TransformerModel
from mimo_eval.models.unloaded import parameters, width

Bert = Callable[..., Path]
TEXTS = ["a", "", "bad cab " * 30, "deaf: fade"]


def saved(folder: Path, modules: list[Any]) -> Path:
    """Save a SentenceTransformer of some modules."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def behind(bert: Path, make: Callable[..., list[Any]]) -> list[Any]:
    """Return a transformer with other modules behind it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    return [SentenceTransformer(str(bert), device="cpu")[0], *make(modules)]


@pytest.mark.parametrize(
    ("make", "wide"),
    [
        (lambda m: [m.Pooling(16)], 16),
        (lambda m: [m.Pooling(16, ("mean", "max")), m.Normalize()], 32),
        (lambda m: [m.Pooling(16, "cls"), m.Dense(16, 24), m.LayerNorm(24), m.Dropout(0.1), m.Normalize()], 24),
    ],
)
def test_the_width_is_that_of_the_loaded_model(bert: Bert, tmp_path: Path, make: Any, wide: int) -> None:
    encoder = SentenceTransformerEncoder(str(saved(tmp_path / "model", behind(bert(), make))), device="cpu")
    assert encoder.width == wide and "encoder" not in vars(encoder)
    assert dimension(encoder.encoder) == wide == encoder.width


def static() -> Any:
    """Return a static embedding of two words in seven dimensions."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    return StaticEmbedding(Tokenizer(WordLevel({"a": 0, "b": 1}, "a")), embedding_dim=7)


def test_the_width_of_a_static_model_stands_in_the_head_of_its_weights(tmp_path: Path) -> None:
    encoder = SentenceTransformerEncoder(str(saved(tmp_path / "static", [static()])), device="cpu")
    assert encoder.width == 7 and encoder.count_tokens(TEXTS, "query") is None
    assert dimension(encoder.encoder) == 7 and encoder.count_tokens(TEXTS, "query") is None


SIZE = 45 * 16 + 40 * 16 + 2 * 16 + 32 + 2 * (3 * 272 + 272 + 32 + 544 + 528 + 32) + 272
"""Parameters of the tiny BERT: three embeddings and a norm, two layers, the pooler."""


@pytest.mark.parametrize("options", [{}, {"max_length": 9}, {"truncate_dim": 5}])
def test_size_and_limits_are_those_of_the_loaded_model(bert: Bert, options: dict[str, Any]) -> None:
    encoder = SentenceTransformerEncoder(str(bert(similarity_fn_name="dot")), device="cpu", **options)
    said = encoder.describe()
    assert not encoder.is_loaded
    assert said["parameters"] == SIZE == sum(p.numel() for p in encoder.encoder.parameters())
    assert said["max_length"] == options.get("max_length", 32) == encoder.encoder.max_seq_length
    assert said["dimension"] == options.get("truncate_dim", 16)
    assert said["similarity"] == "dot" == encoder.encoder.similarity_fn_name
    assert encoder.describe() == said | {"device": "cpu"}


def test_of_other_modules_the_size_is_that_of_the_loaded_model_too(bert: Bert, tmp_path: Path) -> None:
    modules = behind(bert(), lambda m: [m.Pooling(16), m.Dense(16, 24), m.LayerNorm(24)])
    cross_encoder = save_cross_encoder(tmp_path / "tiny-ce")
    plain = bert().parent / "tiny-bert-plain"
    models: list[TransformerModel] = [
        SentenceTransformerEncoder(str(saved(tmp_path / "dense", modules)), device="cpu"),
        SentenceTransformerEncoder(str(saved(tmp_path / "static", [static()])), device="cpu"),
        SentenceTransformerEncoder(str(plain), device="cpu"),
        CrossEncoderScorer(str(cross_encoder), device="cpu"),
    ]
    for model in models:
        said = model.describe()
        assert not model.is_loaded
        loaded = model.loaded()
        assert {name: said.get(name) for name in loaded} == loaded
        assert model.describe() == said | {"device": "cpu"}
    lengths = [model.describe().get("max_length") for model in models]
    assert lengths == [32, None, 40, 96]  # a static model takes texts of any length


def test_the_size_of_a_large_model_lies_in_several_files(bert: Bert, tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = Path(shutil.copytree(bert(), tmp_path / "large"))
    (folder / "model.safetensors").unlink()
    AutoModel.from_pretrained(bert()).save_pretrained(folder, max_shard_size="10KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert parameters(ModelFiles(str(folder))) == SIZE


def test_what_the_files_do_not_say_is_said_by_the_loaded_model_alone(bert: Bert, tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = Path(shutil.copytree(bert(), tmp_path / "pickled"))
    (folder / "model.safetensors").unlink()
    AutoModel.from_pretrained(bert()).save_pretrained(folder, safe_serialization=False)
    if list(folder.glob("model*.safetensors")):  # as newer versions of transformers write nothing else
        import torch
        from safetensors.torch import load_file

        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    encoder = SentenceTransformerEncoder(str(folder), device="cpu", allow_pickled_weights=True)
    assert "parameters" not in encoder.describe()
    assert encoder.encoder and encoder.describe()["parameters"] == SIZE


@pytest.mark.parametrize("damage", ["cut", "adapter", "none"])
def test_a_size_that_is_not_known_is_none(bert: Bert, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "odd"))
    weights = folder / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "adapter":
        (folder / "adapter_config.json").write_text("{}")
    else:
        weights.unlink()
    assert parameters(ModelFiles(str(folder))) is None


@pytest.mark.parametrize(
    "typed",
    ["{bert}", "rrf(hashing, {bert})", "rerank({bert}, {ce})", "sparse({splade})", "colbert({multi})", "mimo-mini", "bm25"],
)
def test_a_result_says_the_same_of_a_model_whose_vectors_are_read(
    bert: Bert, tmp_path: Path, folders: Callable[..., Path], typed: str
) -> None:
    documents = {"en": {"a": "cab dad", "b": "bad egg"}, "de": {"a": "dach fach", "b": "ach egge"}}
    data = folders(tmp_path / "toy", documents, {"en": {"q": "a cab"}}, {"q": {"a": 1}})
    benchmark = Benchmark(name="toy", tasks=(Task(collection=str(data), mixes=("parallel",)),), measures=("RR@10",))
    makers = {"ce": save_cross_encoder, "splade": save_splade, "multi": save_multi_vector}
    made = {name: save(tmp_path / name) for name, save in makers.items() if f"{{{name}}}" in typed}
    model = typed.format(bert=bert(), **made)
    first, second = (run(model, benchmark, output=tmp_path / "out", again=True).result for _ in range(2))
    assert first.encoded["encoded"] > 0 == second.encoded["encoded"]
    assert of_model(first.model) == of_model(second.model)
    assert ("parameters" in str(second.model)) == (typed != "bm25")


def of_model(said: Any) -> Any:
    """Leave out what is said of the run: where weights were, if they were loaded, and which pairs were scored in it."""
    if isinstance(said, dict):
        return {key: of_model(value) for key, value in said.items() if key not in ("device", "pairs")}
    return [of_model(value) for value in said] if isinstance(said, list) else said


def test_older_files_say_the_width_in_other_words(bert: Bert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "old"))
    settings = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({**settings, "pooling_mode_mean_tokens": False}))
    encoder = SentenceTransformerEncoder(str(folder), device="cpu")
    assert encoder.width == 32
    assert dimension(encoder.encoder) == 32


def test_a_model_of_transformers_alone_is_as_wide_as_its_states(bert: Bert) -> None:
    plain = bert().parent / "tiny-bert-plain"
    encoder = SentenceTransformerEncoder(str(plain), device="cpu")
    counted = encoder.count_tokens(TEXTS, "document")
    assert encoder.width == 16 and "encoder" not in vars(encoder)
    other = SentenceTransformerEncoder(str(plain), device="cpu")
    assert dimension(other.encoder) == 16 and other.count_tokens(TEXTS, "document") == counted
    assert max(counted or []) == 40  # positions of the model


@pytest.mark.parametrize("text", ["[{}]", '[{"type": 3}]', '[{"type": "x.CNN", "path": "1"}]', "[7]", "[]"])
def test_what_is_not_known_is_none(bert: Bert, tmp_path: Path, text: str) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "odd"))
    (folder / "modules.json").write_text(text)
    assert width(ModelFiles(str(folder))) is None


def test_a_width_that_is_no_number_is_none(bert: Bert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "odd"))
    for settings in ({"embedding_dimension": "wide"}, {"embedding_dimension": -3}, {}):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
        assert width(ModelFiles(str(folder))) is None


def test_tokens_are_counted_with_prompt_and_cut_as_by_the_loaded_model(bert: Bert) -> None:
    folder = str(bert(prompts={"query": "b: ", "document": ""}))
    for options in ({}, {"max_length": 9}):
        encoder = SentenceTransformerEncoder(folder, device="cpu", **options)
        counted = {role: encoder.count_tokens(TEXTS, role) for role in ("query", "document")}
        assert "encoder" not in vars(encoder)
        loaded = SentenceTransformerEncoder(folder, device="cpu", **options)
        asked = loaded.encoder.preprocess
        for role, prompt in (("query", "b: "), ("document", "")):
            alone = [int(asked([prompt + text])["attention_mask"].sum()) for text in TEXTS]
            assert counted[role] == loaded.count_tokens(TEXTS, role) == alone  # type: ignore[arg-type]
