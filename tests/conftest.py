"""One thread, no network, no cache but the test's own, and small collections from files."""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
os.environ.update(HF_HUB_ETAG_TIMEOUT="100", HF_HUB_DOWNLOAD_TIMEOUT="100")  # of hubs on this machine, which may be busy

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from mimo_eval.collections import Collection, load

pytest_plugins = ["pytester"]
Texts = dict[str, dict[str, str]]

# A machine that is slow or busy is no failure, and the same code gives the same outcome: new examples are drawn by those who
# look for them, with --hypothesis-profile=search.
for profile, same in (("search", False), ("same", True)):
    settings.register_profile(profile, deadline=None, derandomize=same, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    """Have the same examples in every process: hypothesis would draw constants of our modules too, of those imported there."""
    providers = sys.modules.get("hypothesis.internal.conjecture.providers")
    if hasattr(providers, "is_local_module_file") and config.getoption("--hypothesis-profile", None) is None:
        providers.is_local_module_file = lambda path: False


def write_folder(folder: Path, documents: Texts, queries: Texts, qrels: dict[str, Any]) -> Path:
    """Write `{language: {group: text}}` twice and `{query group: {document group: relevance}}` as a BEIR folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in (("corpus", documents), ("queries", queries)):
        lines = [
            json.dumps({"_id": f"{lang}:{group}", "text": text, "lang": lang, "group": group}, ensure_ascii=False)
            for lang, versions in texts.items()
            for group, text in versions.items()
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    rows = [f"{q}\t{d}\t{rel}" for q, row in qrels.items() for d, rel in row.items()]
    (folder / "qrels.tsv").write_text("\n".join(["query_group\tdoc_group\tscore", *rows]) + "\n", "utf-8")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every test have a cache of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(folder))
    monkeypatch.delenv("MIMO_EVAL_DATA", raising=False)
    return folder


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let nothing that a test draws depend on the tests before it in the same process."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)


@pytest.fixture
def collect(tmp_path: Path, cache: Path) -> Callable[..., Collection]:
    """Make a collection through files: `{language: {group: text}}` twice, then qrels by group."""

    def make(documents: Texts, queries: Texts, qrels: dict[str, Any], name: str = "toy") -> Collection:
        return load(str(write_folder(tmp_path / name, documents, queries, qrels)))

    return make


@pytest.fixture(scope="session")
def folders() -> Callable[..., Path]:
    """Write the files of such a collection into a folder."""
    return write_folder
