from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import save_pylate, save_splade

from mimo_eval.benchmark import Benchmark
from mimo_eval.collections import Collection
from mimo_eval.errors import CacheError
from mimo_eval.evaluation import run
from mimo_eval.files import write_json
from mimo_eval.locks import Use
from mimo_eval.protocols import Hits, Retriever, StoredRetriever
from mimo_eval.search.index_store import FORMAT, MANIFEST, IndexStore, intact
from mimo_eval.search.retrieved import RetrieverScorer

DOCUMENTS = {
    "en": {"a": "banana split", "b": "kiwi fruit", "c": "plum tart"},
    "de": {"a": "banane", "b": "kiwi obst", "c": "pflaume"},
}
QUERIES = {"en": {"q": "banana", "r": "kiwi"}, "de": {"q": "banane"}}
QRELS = {"q": {"a": 1}, "r": {"b": 1}}


class Words:
    """Counts common words; its index is a JSON file."""

    name = "words"

    def __init__(self, weight: int = 1) -> None:
        self.weight = weight
        self.indexed: list[list[str]] = []
        self.loaded = 0

    def fingerprint(self) -> dict[str, Any]:
        return {"model": "words", "weight": self.weight}

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        self.indexed.append(list(texts))
        return [text.split() for text in texts]

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        scores = np.array([[len(set(words) & set(q.split())) for words in index] for q in queries], np.float32) * self.weight
        return Hits(np.tile(np.arange(len(index)), (len(queries), 1)), scores)

    def save(self, index: Any, folder: Path) -> None:
        (folder / "part").mkdir()
        (folder / "part" / "words.json").write_text(json.dumps(index))

    def load(self, folder: Path) -> Any:
        self.loaded += 1
        return json.loads((folder / "part" / "words.json").read_text())


class Unsaved(Words):
    """Has a fingerprint, but cannot be saved."""

    save = None  # type: ignore[assignment]


@pytest.fixture
def toy(collect: Callable[..., Collection]) -> Collection:
    return collect(DOCUMENTS, QUERIES, QRELS)


@pytest.fixture
def data(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    return folders(tmp_path / "data", DOCUMENTS, QUERIES, QRELS)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "bm25": "bm25",
        "neutral": "bm25(analyzers=neutral)",
        "sparse": f"sparse({save_splade(folder / 'tiny-splade')})",
        "colbert": f"colbert({save_pylate(folder / 'tiny-colbert')})",
    }


def benchmark(data: Path, *mixes: str) -> Benchmark:
    task = {"collection": str(data), "mixes": mixes or ("parallel",)}
    return Benchmark(name="mine", tasks=[task], measures=["RR@10", "nDCG@10"])  # type: ignore[list-item]


def scorer(retriever: Any, collection: Collection, lang: str = "en") -> RetrieverScorer:
    made = RetrieverScorer(retriever, collection)
    made.top(lang, collection.documents.rows(lang), collection.queries.rows("en"), 5)
    return made


def stored(cache: Path) -> list[Path]:
    return sorted(path.parent for path in (cache / "indexes").rglob(MANIFEST))


@pytest.mark.parametrize("name", ["bm25", "neutral", "sparse", "colbert"])
def test_a_second_run_reads_what_the_first_indexed(models: dict[str, str], name: str, data: Path, cache: Path) -> None:
    first, second = (run(models[name], benchmark(data)).result for _ in range(2))
    assert (first.encoded, second.encoded) == ({"encoded": 6, "read": 0}, {"encoded": 0, "read": 6})
    assert first.settings == second.settings
    assert first.model == second.model  # analyzers, for example, are known from an index that was read
    assert len(stored(cache)) == (1 if name == "neutral" else 2)
    assert not [path for path in (cache / "indexes").rglob("*") if path.suffix in (".pkl", ".pickle", ".tmp")]


def test_other_mixes_read_the_same_index(data: Path) -> None:
    run("bm25", benchmark(data, "parallel"))
    assert run("bm25", benchmark(data, "monolingual", "parallel")).result.encoded == {"encoded": 0, "read": 6}


def test_an_index_is_built_once_and_only_then_are_the_texts_read(toy: Collection) -> None:
    first, second = Words(), Words()
    assert isinstance(first, StoredRetriever)
    assert (scorer(first, toy).indexed, scorer(first, toy).read) == (3, 3)
    assert scorer(second, toy).read == 3
    assert len(first.indexed) == 1 and first.loaded == 1 and second.indexed == [] and second.loaded == 1


def test_the_results_are_the_same_from_an_index_that_was_read(toy: Collection) -> None:
    rows, queries = toy.documents.rows("en"), toy.queries.rows("en")
    lists = [RetrieverScorer(Words(), toy).top("en", rows, queries, 5).tolist() for _ in range(2)]
    assert lists[0] == lists[1]


def test_a_retriever_that_cannot_save_or_has_no_fingerprint_is_not_stored(toy: Collection, cache: Path) -> None:
    class Anonymous:
        index, search, weight = Words.index, Words.search, 1
        indexed: list[list[str]] = []  # noqa: RUF012

    for retriever in (Unsaved(), Anonymous()):
        assert isinstance(retriever, Retriever)
        assert [scorer(retriever, toy).indexed for _ in range(2)] == [3, 3]
    assert not (cache / "indexes").exists()


def test_what_could_not_be_indexed_leaves_nothing_behind(toy: Collection, cache: Path) -> None:
    class Broken(Words):
        def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
            if langs[0] == "de":
                raise KeyboardInterrupt
            return super().index(texts, langs=langs)

    def languages() -> list[str]:
        with pytest.raises(KeyboardInterrupt):
            scorer(Broken(), toy, "de")
        return sorted(path.name for path in (cache / "indexes").glob("*/*") if path.is_dir())

    assert languages() == [] == list((cache / "indexes").iterdir())
    with_other = IndexStore(Broken()).folder
    with_other.mkdir()
    other = Use(with_other)  # as of a process that is about to put its own there
    assert languages() == ["de"]
    del other
    assert languages() == []
    scorer(Broken(), toy, "en")
    assert languages() == ["de", "en"] and len(stored(cache)) == 1


def test_two_retrievers_never_share(toy: Collection, cache: Path) -> None:
    class Other(Words):
        pass

    for retriever in (Words(), Words(weight=2), Other()):
        assert scorer(retriever, toy).indexed == 3
    assert len(stored(cache)) == 3
    assert scorer(Words(weight=2), toy).read == 3


def test_languages_and_rows_do_not_share(toy: Collection, cache: Path) -> None:
    scorer(Words(), toy, "en"), scorer(Words(), toy, "de")
    part = RetrieverScorer(Words(), toy)
    rows = toy.documents.rows("en")
    for some in (rows[:2], rows[1:], rows[:1]):
        part.top("en", some, toy.queries.rows("en"), 5)
    assert part.indexed == 5 and part.read == 0
    whole = RetrieverScorer(Words(), toy)
    for _ in range(2):
        whole.top("", np.arange(6), toy.queries.rows("en"), 5)
    assert (whole.indexed, whole.read) == (6, 6)
    assert len(stored(cache)) == 6


def test_changed_documents_are_indexed_anew_and_unchanged_ones_of_another_collection_are_not(
    toy: Collection, collect: Callable[..., Collection]
) -> None:
    scorer(Words(), toy)
    changed = {**DOCUMENTS, "en": {**DOCUMENTS["en"], "b": "kiwi bird"}}
    assert scorer(Words(), collect(changed, QUERIES, QRELS, name="changed")).indexed == 3
    only = collect({"en": DOCUMENTS["en"], "ar": {"a": "x"}}, {"en": QUERIES["en"]}, QRELS, name="only")
    assert scorer(Words(), only).read == 3


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "file cut": lambda folder: _cut(folder / "part/words.json"),
    "bit flipped": lambda folder: _flip(folder / "part/words.json"),
    "file gone": lambda folder: (folder / "part/words.json").unlink(),
    "file added": lambda folder: (folder / "more").write_text(""),
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
    "manifest cut": lambda folder: _cut(folder / MANIFEST),
    "manifest a list": lambda folder: (folder / MANIFEST).write_text("[]"),
    "other format": lambda folder: (folder / MANIFEST).write_text('{"format": 0, "files": {}}'),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_index_is_built_again(toy: Collection, cache: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    scorer(Words(), toy)
    (folder,) = stored(cache)
    DAMAGE[name](folder)
    assert not intact(folder)
    with caplog.at_level(logging.WARNING):
        assert scorer(Words(), toy).indexed == 3
    assert "damaged index of words; it is built again" in caplog.text
    assert intact(folder) and scorer(Words(), toy).read == 3


@pytest.mark.parametrize("name", ["bm25", "sparse", "colbert"])
def test_damaged_files_of_real_indexes_give_the_same_results_again(
    models: dict[str, str], name: str, data: Path, cache: Path
) -> None:
    first = run(models[name], benchmark(data)).result
    for folder in stored(cache):
        _flip(max((p for p in folder.rglob("*") if p.is_file()), key=lambda path: path.stat().st_size))
    again = run(models[name], benchmark(data)).result
    assert again.encoded == {"encoded": 6, "read": 0} and again.settings == first.settings


def test_an_index_that_cannot_be_read_is_built_again(toy: Collection, caplog: pytest.LogCaptureFixture) -> None:
    class Picky(Words):
        def load(self, folder: Path) -> Any:
            raise ValueError("another version")

    with caplog.at_level(logging.WARNING):
        assert [scorer(Picky(), toy).indexed for _ in range(2)] == [3, 3]
    assert "index of words cannot be read (another version); it is built again" in caplog.text


def test_a_pickle_in_an_index_is_never_executed(models: dict[str, str], data: Path, cache: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (mark,))

    from mimo_eval.models.loading import load_model

    for name in ("bm25", "sparse", "colbert"):
        retriever: Any = load_model(models[name])
        folder = tmp_path / name
        folder.mkdir()
        retriever.save(retriever.index(["banana", "kiwi"], langs=["en", "en"]), folder)
        for path in folder.rglob("*.np[yz]"):
            with path.open("wb") as stream:
                np.save(stream, np.array([Bomb()], object), allow_pickle=True)
        with pytest.raises((ValueError, TypeError, AttributeError)):
            retriever.load(folder)
    assert not mark.exists()


def test_a_save_that_fails_leaves_nothing(toy: Collection, cache: Path) -> None:
    class Full(Words):
        def save(self, index: Any, folder: Path) -> None:
            super().save(index, folder)
            raise OSError(28, "No space left on device")

    with pytest.raises(CacheError, match=r"the index cannot be stored \(No space left on device\); free space, or set MIMO"):
        scorer(Full(), toy)
    assert not [
        path for path in (cache / "indexes").rglob("*") if path.is_dir() and (path.suffix == ".tmp" or "part" in path.name)
    ]
    assert scorer(Words(), toy).indexed == 3


def test_a_disk_that_is_full_names_the_index_and_no_file_that_is_gone(
    toy: Collection, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    class Careful(Words):
        def save(self, index: Any, folder: Path) -> None:
            with monkeypatch.context() as disk:
                disk.setattr(os, "fsync", full)
                write_json(folder / "words.json", index)

    with pytest.raises(CacheError) as caught:
        scorer(Careful(), toy)
    what = re.fullmatch(rf"{cache}/indexes/\w+/en/\w+: (.*)", str(caught.value))
    assert what is not None
    remedy = "free space, or set MIMO_EVAL_CACHE to a folder that can be written"
    assert what[1] == f"the index cannot be stored (No space left on device); {remedy}"


def test_a_release_of_this_package_makes_no_index_anew(toy: Collection, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scorer(Words(), toy).indexed == 3
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "mimo_eval"]:
        if hasattr(module, "__version__"):
            monkeypatch.setattr(module, "__version__", "99.0")
    assert scorer(Words(), toy).read == 3
    assert len(stored(cache)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_says_so(toy: Collection, cache: Path) -> None:
    (cache / "indexes").mkdir(parents=True)
    (cache / "indexes").chmod(0o500)
    with pytest.raises(CacheError, match="indexes cannot be stored"):
        scorer(Words(), toy)


def test_what_a_killed_process_left_is_removed(toy: Collection, cache: Path) -> None:
    scorer(Words(), toy)
    (folder,) = stored(cache)
    leftover = folder.parent / f".{folder.name}.abc.tmp"
    leftover.mkdir()
    (leftover / "half").write_text("x")
    (folder / MANIFEST).unlink()
    scorer(Words(), toy)
    assert not leftover.exists() and stored(cache) == [folder]


class Slow(Words):
    """Takes its time, and says in a file that it was asked."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = log

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        with self.log.open("a") as stream:
            stream.write("indexed\n")
        time.sleep(0.5)
        return super().index(texts, langs=langs)


def _index_slowly(folder: Path, log: Path) -> None:
    collection = Collection.open(folder)
    scorer(Slow(log), collection)


def test_two_processes_build_an_index_once(toy: Collection, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert toy.folder is not None
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=_index_slowly, args=(toy.folder, log), daemon=True) for _ in range(2)]
    for process in others:
        process.start()
    for process in others:
        process.join(200)
    assert [process.exitcode for process in others] == [0, 0]
    assert log.read_text() == "indexed\n"


def test_two_threads_build_an_index_once(toy: Collection, tmp_path: Path) -> None:
    log = tmp_path / "log"
    threads = [threading.Thread(target=scorer, args=(Slow(log), toy)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert log.read_text() == "indexed\n"


def test_the_fingerprint_lies_beside_the_indexes(toy: Collection) -> None:
    scorer(Words(weight=3), toy)
    said = json.loads((IndexStore(Words(weight=3)).folder / "retriever.json").read_text())
    assert said["weight"] == 3 and said["model"] == "words" and said["format"] == FORMAT and "version" not in said
