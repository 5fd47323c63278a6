"""Sources end to end: from an empty cache, over a hub on localhost, to a collection, and again without the network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import official
import pytest
from hub import Hub
from test_downloads import online

from mimo_eval.collections import load, remote_of
from mimo_eval.collections.overview import overview
from mimo_eval.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub(tmp_path / "hub", lfs_over=100) as server:
        online(monkeypatch, server.url, tmp_path)
        yield server


def publish(hub: Hub, *names: str) -> None:
    """Serve tiny data under the commits that the sources pin."""
    for name in names:
        getattr(official, name)(hub.root / "datasets")
        for repo in remote_of(name).repos:
            if len(repo.revision) == 40:
                hub.commits[repo.name] = repo.revision


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("mmarco", ("en", "nl")),
        ("belebele", ("acm", "de")),
        ("xquad", ("en", "zh")),
        ("mlqa", ("de", "en")),
        ("multieup", None),
    ],
)
def test_a_source_is_downloaded_and_found_again(
    hub: Hub, name: str, languages: tuple[str, ...] | None, caplog: pytest.LogCaptureFixture
) -> None:
    publish(hub, name)
    assert overview(name, languages=languages).state == "not"
    collection = load(name, languages=languages)
    assert not languages or collection.languages == languages
    assert f"{name}: " in caplog.text and "licence" in caplog.text  # said before
    before = len(hub.log)
    assert load(name, languages=languages).revision == collection.revision
    assert len(hub.log) == before
    seen = overview(name, languages=languages)
    assert seen.state == "here" and seen.counted == "counted" and seen.missing == 0
    assert seen.documents == collection.counts()["documents"]
    local = load(name, data=hub.root / "datasets", languages=languages)
    assert local.revision == collection.revision


def test_miracl_asks_for_terms_and_then_goes_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(hub, "miracl")
    hub.gated.add("miracl/miracl")
    with pytest.raises(
        DataError, match=r"miracl/miracl is gated: accept its terms on https://huggingface.co/datasets/miracl/miracl"
    ):
        load("miracl", languages=("sw",))
    corpus = len(hub.asked("miracl-corpus/resolve"))
    assert corpus == 2
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert load("miracl", languages=("sw",)).languages == ("sw",)
    assert len(hub.asked("miracl-corpus/resolve")) == corpus, "the corpus was fetched again"
    assert overview("miracl").state == "partly" and overview("miracl", languages=("sw",)).state == "here"
    assert [terms for *_, terms in overview("miracl").repos] == [False, True]


def test_neuclir_comes_from_two_repositories(hub: Hub) -> None:
    publish(hub, "neuclir")
    assert load("neuclir").name == "neuclir-2023"
    with pytest.raises(DataError, match="no data set mteb/NeuCLIR2022RetrievalHardNegatives there"):
        load("neuclir(year=2022)")


def test_hf_reads_the_readme_first_and_fetches_only_what_it_needs(hub: Hub) -> None:
    official.mteb(hub.root / "datasets" / "org" / "set")
    official.text(hub.root / "datasets" / "org" / "set" / "set.py", "raise SystemExit('never run')")
    collection = load("hf(org/set, split=dev)", languages=("de",))
    assert collection.languages == ("de",)
    files = [path.partition("set/")[2] for _, path, _, _ in hub.asked("/cdn/")]
    parts = ("corpus", "qrels", "queries")
    assert files == ["README.md", *(f"de-{part}/dev-00000-of-00001.parquet" for part in parts)]
    assert collection.info.licence == "mit"  # as the README says
    shutil.rmtree(hub.root / "datasets")
    assert load("hf(org/set, split=dev)", languages=("de",)).revision == collection.revision


def test_hf_at_a_revision_that_is_not_there(hub: Hub) -> None:
    official.mteb(hub.root / "datasets" / "org" / "set")
    with pytest.raises(DataError, match="org/set has no revision v2"):
        load("hf(org/set, revision=v2)")


def test_hf_without_a_readme_goes_by_the_files_names(hub: Hub) -> None:
    official.mteb(hub.root / "datasets" / "org" / "set", readme=False)
    collection = load("hf(org/set, split=dev)", languages=("de",))
    assert collection.languages == ("de",) and collection.info.licence == "not stated"
    assert len(hub.asked("/cdn/")) == 3


def test_files_of_the_user_s_that_cannot_be_read_are_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither xquad.\{lang\}.json, nor LAReQA's"):
        overview("xquad-r", tmp_path)
    assert overview("xquad-r").state == "--data"
