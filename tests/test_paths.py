"""Paths made of what stands in data never leave their folder, whatever an archive, a hub, a collection or a result says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimo_eval import analysis, evaluation
from mimo_eval.benchmark import of_folder
from mimo_eval.cache import repair, verify
from mimo_eval.collections import downloads, hub
from mimo_eval.collections.downloads import Record
from mimo_eval.collections.hub import Entry
from mimo_eval.collections.remote import Repo
from mimo_eval.errors import DataError
from mimo_eval.files import inside
from mimo_eval.leaderboard.failures import find_failures
from mimo_eval.results import read_result, result_folder

OUT = ["../x", "a/../../x", "/x", "..", "..\\x", "C:\\x", "c:x", "a\0b", ""]


@pytest.mark.parametrize("name", OUT)
def test_what_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="would lie outside the folder") as caught:
        inside(tmp_path, name)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=20) | st.lists(st.sampled_from(["..", ".", "a", "/", "\\", ":", "~"]), max_size=8).map("".join))
def test_what_is_allowed_lies_below(name: str) -> None:
    folder = Path("/some/folder")
    try:
        path = inside(folder, name)
    except DataError:
        return
    assert path.is_relative_to(folder) and ".." not in path.parts


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_models_name_is_one_folder(name: str, key: str) -> None:
    folder = result_folder(Path("results"), "mini", name, "0" * 32)
    assert len(folder.parts) == 4 and not {"..", "."} & set(folder.parts) and len(folder.parts[2]) <= 80


@pytest.fixture
def toy(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    """A collection that calls itself by a path."""
    texts = {lang: {f"g{i}": f"{lang} passage {i}" for i in range(4)} for lang in ("de", "en")}
    folder = folders(tmp_path / "data" / "toy", texts, texts, {f"g{i}": {f"g{i}": 1} for i in range(4)})
    (folder / "collection.json").write_text(json.dumps({"name": "../../../../evil"}))
    return folder


def test_a_collection_that_calls_itself_by_a_path(toy: Path, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*evil*")}
    with pytest.raises(DataError, match="would lie outside the folder"):
        evaluation.run("hashing", of_folder(toy), output=tmp_path / "out", save_runs=True)
    outcome = evaluation.run("hashing", of_folder(toy), output=tmp_path / "out")
    with pytest.raises(DataError, match="would lie outside the folder"):
        analysis.draw([outcome.result], [{}], tmp_path / "figures")
    assert outcome.folder is not None
    with pytest.raises(DataError, match="would lie outside the folder"):
        find_failures(outcome.folder / "result.json", read_result(outcome.folder))
    made = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*evil*")} - before
    assert {parts[:2] for parts in made} == {("cache", "collections")}


def test_a_result_that_names_a_revision_by_a_path(toy: Path, tmp_path: Path) -> None:
    pytest.importorskip("mteb")
    from mimo_eval.integrations.mteb import export_result

    (toy / "collection.json").unlink()
    result = evaluation.run("hashing", of_folder(toy)).result
    named = result.model_copy(update={"model": {**result.model, "revision": "hub:../../../evil"}})
    with pytest.raises(DataError, match="would lie outside the folder"):
        export_result(named, tmp_path / "mteb" / "deep" / "er")
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("path", ["docs/../../../evil.tsv", "/evil.tsv", "docs/..\\..\\evil.tsv"])
def test_a_hub_that_lists_paths_that_lead_out(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    from huggingface_hub.hf_api import RepoFile

    listed = [RepoFile(path=path, size=1, oid="0" * 40)]
    monkeypatch.setattr("huggingface_hub.HfApi", lambda **_: SimpleNamespace(list_repo_tree=lambda *_, **__: listed))
    with pytest.raises(DataError, match="would lie outside the folder"):
        hub.listing(Repo("org/data", "main", ("docs/*",), "CC0"), "0" * 40)


def test_a_record_of_downloads_that_names_paths_that_lead_out(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    victim = cache / "victim.tsv"
    folder = downloads.root() / "org--data" / ("0" * 40)
    folder.mkdir(parents=True)
    victim.write_text("mine")
    name = "../../../victim.tsv"
    content: dict[str, Any] = {"listed": {name: Entry(4, git="0" * 40)._asdict()}, "here": {name: [4, 0]}, "gated": False}
    folder.with_name(f"{folder.name}.json").write_text(json.dumps(content))
    assert Record.read(folder).listed == {}
    assert "not readable" in caplog.text
    repair([checked.damage for checked in verify() if checked.damage])
    assert victim.read_text() == "mine"
