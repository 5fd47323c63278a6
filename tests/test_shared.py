from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from click.testing import CliRunner
from s3 import S3, server

from mimo_eval import evaluation, shared
from mimo_eval.benchmark import Benchmark, Task, of_folder
from mimo_eval.cli.encode import command
from mimo_eval.collections import from_store, load
from mimo_eval.embeddings import Share, shards
from mimo_eval.embeddings import store as vector_stores
from mimo_eval.encoding import encode_collection
from mimo_eval.errors import CacheError, ConfigError, DataError, MissingExtraError
from mimo_eval.files import unwritten
from mimo_eval.locks import USED
from mimo_eval.models.loading import load_model
from mimo_eval.results import read_queries
from mimo_eval.shared import shared_store
from mimo_eval.systems import vector_store


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with server() as running:
        yield running


@pytest.fixture(params=["s3", "folder"])
def url(request: pytest.FixtureRequest, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty shared store: objects under a prefix of this test's own, or a folder."""
    url = f"s3://bucket/{tmp_path.name}" if request.param == "s3" else str(tmp_path / "shared")
    monkeypatch.setenv("MIMO_EVAL_STORE", url)
    monkeypatch.setattr(shared, "LISTED", 0.0)  # what others put is seen at once
    return url


@pytest.fixture
def folder(tmp_path: Path, folders: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of 3 languages with 11, 7 and 2 documents and as many queries, in chunks of 4."""
    monkeypatch.setattr(shards, "CHUNK_ROWS", 4)
    sizes = {"de": 11, "en": 7, "fr": 2}
    documents = {lang: {f"g{i:02d}": f"{lang} passage {i}" for i in range(n)} for lang, n in sizes.items()}
    queries = {lang: {f"q{i:02d}": f"{lang} question {i}" for i in range(n)} for lang, n in sizes.items()}
    return folders(tmp_path / "toy", documents, queries, {f"q{i:02d}": {f"g{i:02d}": 1} for i in range(11)})


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Go to a machine with a cache folder of its own."""

    def go(name: str) -> Path:
        monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / name))
        return tmp_path / name

    return go


def objects(url: str, pattern: str = "**/*.safetensors") -> dict[str, bytes]:
    """Return what lies in a store."""
    if not url.startswith("s3:"):
        return {str(path.relative_to(url)): path.read_bytes() for path in sorted(Path(url).glob(pattern))}
    client, prefix = boto3.client("s3"), url.removeprefix("s3://bucket/") + "/"
    found = [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])]
    wanted = [key for key in found if Path("/" + key).match(pattern.replace("**/", ""))]
    return {key.removeprefix(prefix): client.get_object(Bucket="bucket", Key=key)["Body"].read() for key in wanted}


def put(url: str, name: str, content: bytes) -> None:
    if url.startswith("s3:"):
        key = f"{url.removeprefix('s3://bucket/')}/{name}"
        boto3.client("s3").put_object(Bucket="bucket", Key=key, Body=content)
    else:
        (Path(url) / name).write_bytes(content)


def vectors(cache: Path) -> dict[str, bytes]:
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.glob("vectors/**/*.safetensors"))}


def test_three_machines_with_nothing_in_common_but_a_store(
    url: str, folder: Path, tmp_path: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A encodes its share; B, which does not have the source, the other; C evaluates and encodes nothing."""
    machine("a")
    first = CliRunner().invoke(command, ["hashing", "-c", str(folder), "--shard", "0/2"], catch_exceptions=False)
    moved = tmp_path / "elsewhere" / "toy"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    b = machine("b")
    second = CliRunner().invoke(command, ["hashing", "-c", str(folder), "--shard", "1/2"], catch_exceptions=False)
    assert "toy, share 0/2: 20 texts encoded, 0 there already" in first.output
    assert "toy, share 1/2: 20 texts encoded, 0 there already" in second.output
    assert 0 < len(vectors(b)) < 12
    machine("c")
    shutil.move(moved, folder)
    outcome = evaluation.run("hashing", of_folder(folder), output=tmp_path / "c-results")
    assert outcome.result.encoded == {"encoded": 0, "read": 40}
    alone = machine("alone")
    monkeypatch.delenv("MIMO_EVAL_STORE")
    expected = evaluation.run("hashing", of_folder(folder), output=tmp_path / "alone-results")
    assert outcome.folder is not None and expected.folder is not None
    assert read_queries(outcome.folder).equals(read_queries(expected.folder))
    assert vectors(tmp_path / "c") == vectors(alone) == objects(url)


def test_a_machine_without_the_source_evaluates(url: str, folder: Path, machine: Callable[[str], Path]) -> None:
    machine("a")
    encode_collection(load_model("hashing"), load(str(folder)))
    shutil.rmtree(folder)
    machine("b")
    benchmark = Benchmark(name="b", tasks=(Task(collection=str(folder), mixes=("union",)),))
    assert evaluation.run("hashing", benchmark).result.encoded == {"encoded": 0, "read": 40}
    with pytest.raises(DataError, match="no such folder"):
        load(str(folder.with_name("other")))


def test_a_collection_of_the_store_is_fetched_if_it_is_small_enough(
    url: str, folder: Path, machine: Callable[[str], Path]
) -> None:
    machine("a")
    place = load(str(folder)).folder
    store = shared_store()
    assert place is not None and store is not None
    size = sum(path.stat().st_size for path in place.iterdir() if path.name != USED)
    assert store.size(place) == size
    shutil.rmtree(folder)
    b = machine("b")
    assert from_store(str(folder), None, None, at_most=size - 1) is None
    assert not list(b.glob("collections/*"))
    assert len(from_store(str(folder), None, None, at_most=size).documents) == 20  # type: ignore[union-attr]
    assert from_store(str(folder), None, None, at_most=0) is not None  # it is here now


def test_a_damaged_object_counts_as_missing_and_is_replaced(
    url: str, folder: Path, machine: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    machine("a")
    encode_collection(load_model("hashing"), load(str(folder)))
    before = objects(url)
    victim = sorted(before)[0]
    put(url, victim, before[victim][:-3] + b"abc")
    machine("b")
    filled = encode_collection(load_model("hashing"), load(str(folder)))
    assert (filled.encoded, filled.read) == (4, 36)
    assert f"{victim}: damaged" in caplog.text
    assert objects(url) == before


def test_a_damaged_collection_is_built_again_and_replaced(url: str, folder: Path, machine: Callable[[str], Path]) -> None:
    machine("a")
    load(str(folder))
    before = objects(url, "**/*.arrow")
    victim = sorted(before)[0]
    put(url, victim, b"nothing")
    machine("b")
    assert len(load(str(folder)).documents) == 20
    assert objects(url, "**/*.arrow") == before
    put(url, victim, b"nothing")
    machine("c")
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="is not complete there"):
        load(str(folder))


def test_what_was_encoded_before_there_was_a_store_is_put_there(
    url: str, folder: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a = machine("a")
    with monkeypatch.context() as before:
        before.delenv("MIMO_EVAL_STORE")
        encode_collection(load_model("hashing"), load(str(folder)))
    assert encode_collection(load_model("hashing"), load(str(folder))) == (0, 40)
    assert objects(url) == vectors(a)
    assert len(objects(url, "**/encoder.json")) == 2
    machine("b")
    assert encode_collection(load_model("hashing"), load(str(folder))) == (0, 40)


def test_parts_of_one_chunk_are_joined(url: str, folder: Path, machine: Callable[[str], Path]) -> None:
    """A has encoded some rows of a language, B others: each goes on with the rows of both."""

    def some(documents: int) -> Benchmark:
        return evaluation.changed(of_folder(folder), mixes=[f"union(max_documents={documents})"])

    machine("a")
    first = evaluation.run("hashing", some(8)).result.encoded["encoded"]
    machine("b")
    store = shared_store()
    assert store is not None
    before = objects(url)
    for name in before:  # B starts without seeing A's
        put(url, name, b"")
    evaluation.run("hashing", some(4))
    for name, content in before.items():
        put(url, name, content)
    both = evaluation.run("hashing", of_folder(folder)).result.encoded
    assert both["read"] >= first
    assert both["encoded"] + both["read"] == 40
    machine("c")
    assert evaluation.run("hashing", of_folder(folder)).result.encoded == {"encoded": 0, "read": 40}


def test_a_new_version_copies_what_other_machines_had_encoded(
    url: str, folder: Path, folders: Callable[..., Path], tmp_path: Path, machine: Callable[[str], Path]
) -> None:
    machine("a")
    encode_collection(load_model("hashing"), load(str(folder)), ["document"])
    texts = {"de": {f"g{i:02d}": f"de passage {i}" for i in range(1, 12)}}
    other = folders(tmp_path / "newer", texts, {"de": {"q": "de"}}, {"q": {"g01": 1}})
    machine("b")
    assert encode_collection(load_model("hashing"), load(str(other)), ["document"]) == (1, 10)


def test_folders_are_listed_once_and_not_chunk_by_chunk(
    s3: S3, folder: Path, tmp_path: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMO_EVAL_STORE", f"s3://bucket/{tmp_path.name}")
    monkeypatch.setattr(shards, "CHUNK_ROWS", 1)
    machine("a")
    encode_collection(load_model("hashing"), load(str(folder)), ["document"])
    machine("b")
    s3.asked.clear()
    assert encode_collection(load_model("hashing"), load(str(folder)), ["document"]) == (0, 20)
    assert s3.count("GET", ".safetensors") == 20
    listings = [line for line in s3.asked if "list-type" in line and "vectors" in line]
    assert len(listings) == len(set(listings)) == 4  # the encoder's folder, and that of each language


def failing(url: str, monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], bool], error: OSError) -> None:
    """Let the store refuse some of what is put into it from now on, by number."""
    place, name = (shared_store()._system, "put_file") if url.startswith("s3:") else (shared, "atomic_write")  # type: ignore[attr-defined]
    real, calls = getattr(place, name), count()

    def put(*paths: object) -> object:
        if fails(next(calls)):
            raise error
        return real(*paths)

    monkeypatch.setattr(place, name, put)


THROTTLED, EXPIRED = OSError(errno.EBUSY, "Please reduce your request rate"), PermissionError("The provided token has expired")


@pytest.mark.parametrize("error", [THROTTLED, EXPIRED], ids=["throttled", "expired"])
def test_a_store_that_fails_for_a_while_costs_nothing(
    url: str,
    folder: Path,
    machine: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: OSError,
) -> None:
    monkeypatch.setattr(shared, "PAUSE", 0.0)
    a = machine("a")
    collection = load(str(folder))
    failing(url, monkeypatch, lambda call: 3 <= call < 8, error)
    assert encode_collection(load_model("hashing"), collection) == (40, 0)
    assert objects(url) == vectors(a)
    assert caplog.text.count("going on, and trying again with what is made next") == 1
    assert f"MIMO_EVAL_STORE={url}: cannot be written" in caplog.text


def test_what_a_store_does_not_take_at_the_end_either_is_said_and_put_by_the_next_run(
    url: str, folder: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared, "PATIENCE", 0.0)
    a = machine("a")
    collection = load(str(folder))
    with monkeypatch.context() as outage:
        failing(url, outage, lambda call: True, THROTTLED)
        with pytest.raises(CacheError, match=r"cannot be written .*14 files that were made now are there alone: `mimo-eval"):
            encode_collection(load_model("hashing"), collection)
        assert len(vectors(a)) == 12 and objects(url) == {}
        assert evaluation.run("hashing", of_folder(folder)).result.encoded == {"encoded": 0, "read": 40}
        assert caplog.text.count("puts those into the store that it lacks") == 1
    assert encode_collection(load_model("hashing"), collection) == (0, 40)
    assert objects(url) == vectors(a)


def test_a_list_that_cannot_be_had_again_is_no_reason_to_end(
    url: str, folder: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared, "LISTED", 0.0)
    a = machine("a")
    collection = load(str(folder))
    encode_collection(load_model("hashing"), collection, ["query"])
    store: Any = shared_store()

    def gone(*_: object, **__: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    with monkeypatch.context() as outage:
        outage.setattr(store._system, "ls", gone)
        assert not store.lacks(next(a.rglob("*.safetensors"))) and "going on with what was listed before" in caplog.text
        with pytest.raises(CacheError, match=r"cannot be listed"):
            store.names(a / "vectors" / "never")


def test_the_end_waits_for_a_store_that_comes_back(
    url: str, folder: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "PAUSE", 0.05)
    a = machine("a")
    collection = load(str(folder))
    failing(url, monkeypatch, lambda call: call < 20, THROTTLED)  # more than there are files
    assert encode_collection(load_model("hashing"), collection) == (40, 0)
    assert objects(url) == vectors(a)


def test_what_was_put_is_not_put_again(
    s3: S3, folder: Path, tmp_path: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMO_EVAL_STORE", f"s3://bucket/{tmp_path.name}")
    machine("a")
    model, collection = load_model("hashing"), load(str(folder))
    for _ in range(3):
        encode_collection(model, collection)
    assert s3.count("PUT", f"{tmp_path.name}/vectors/") == 12 + 2  # and twice whose they are


def test_a_folder_is_not_listed_for_each_part_of_its_chunks(
    url: str, folder: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "CHUNK_ROWS", 1)
    monkeypatch.setattr(vector_stores, "LOOKED_AT", 1)
    listed, real = list[Path](), Path.glob

    def glob(self: Path, pattern: str) -> Iterator[Path]:
        if pattern == "*.safetensors":
            listed.append(self)
        return real(self, pattern)

    machine("a")
    monkeypatch.setattr(Path, "glob", glob)
    encode_collection(load_model("hashing"), load(str(folder)), ["document"])
    assert 0 < max(map(listed.count, listed)) <= 4


def test_of_another_version_only_chunks_with_a_text_of_this_one_are_fetched(
    url: str, folder: Path, folders: Callable[..., Path], tmp_path: Path, machine: Callable[[str], Path]
) -> None:
    machine("a")
    encode_collection(load_model("hashing"), load(str(folder)), ["document"])
    texts = {"de": {"new": "another passage", "g05": "de passage 5"}}
    other = folders(tmp_path / "newer", texts, {"de": {"q": "de"}}, {"q": {"new": 1}})
    b = machine("b")
    collection = load(str(other))
    assert encode_collection(load_model("hashing"), collection, ["document"]) == (1, 1)
    mine = collection.documents.shards["de"][:20]
    assert [Path(name).name for name in vectors(b) if Path(name).parent.name != mine] == ["000001.safetensors"]


def test_a_damaged_chunk_of_another_version_is_passed_over(
    url: str, folder: Path, folders: Callable[..., Path], tmp_path: Path, machine: Callable[[str], Path]
) -> None:
    machine("a")
    encode_collection(load_model("hashing"), load(str(folder)), ["document"])
    texts = {"de": {f"g{i:02d}": f"de passage {i}" for i in range(1, 12)}}
    other = folders(tmp_path / "newer", texts, {"de": {"q": "de"}}, {"q": {"g01": 1}})
    (empty, cut, _) = [name for name in objects(url) if "/de/" in name]
    put(url, empty, b"")
    put(url, cut, objects(url)[cut][:500])
    machine("b")
    assert encode_collection(load_model("hashing"), load(str(other)), ["document"]) == (8, 3)


def test_no_bucket_no_server_no_such_kind_is_one_line(
    s3: S3, folder: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("MIMO_EVAL_STORE", "s3://other/prefix")
    with pytest.raises(CacheError, match=r"^MIMO_EVAL_STORE=s3://other/prefix: cannot be listed .*bucket does not exist"):
        load(str(folder))
    monkeypatch.setenv("MIMO_EVAL_STORE", "nothing://x")
    with pytest.raises(ConfigError, match=r"MIMO_EVAL_STORE=nothing://x: .*; write such as s3://bucket/prefix, or the path"):
        load(str(folder))
    monkeypatch.setenv("MIMO_EVAL_STORE", "/proc/no/such")
    with pytest.raises(CacheError, match=r"^MIMO_EVAL_STORE=/proc/no/such: cannot be written \(.*; check that it exists"):
        load(str(folder))


@pytest.mark.parametrize("url", ["  ", "s3:/bucket", "s3:bucket", "s3//bucket", "memory://x", "simplecache::memory://x"])
def test_what_no_machine_could_share_is_refused(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMO_EVAL_STORE", url)
    with pytest.raises(ConfigError, match=r"MIMO_EVAL_STORE=.*; write such as s3://bucket/prefix, or the path of a folder"):
        load("mini")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["shared", "./s3:x", "file://{}/shared", "{}/a b"])
def test_folders_are_shared_however_they_are_written(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: Callable[[str], Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMO_EVAL_STORE", url.format(tmp_path))
    machine("a")
    load(str(folder))
    place = tmp_path / url.rpartition("/")[2]
    assert list(place.glob("collections/*/documents.arrow"))


def test_a_store_that_may_only_be_read_is_read_and_that_is_said_once(
    url: str, folder: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine("a")
    encode_collection(load_model("hashing"), load(str(folder)))
    before = objects(url, "**/*.*")
    machine("b")
    if url.startswith("s3:"):

        def refused(*_: object) -> None:
            raise PermissionError("Access Denied")

        store = shared_store()
        assert store is not None
        monkeypatch.setattr(store._system, "put_file", refused)
    else:

        def read_only(path: Path, *_: object) -> None:
            raise unwritten(path, OSError(errno.EROFS, "Read-only file system")) from OSError(errno.EROFS, "Read-only")

        monkeypatch.setattr(shared, "atomic_write", read_only)
    other = evaluation.run("hashing(dim=96)", of_folder(folder)).result
    assert other.encoded == {"encoded": 40, "read": 0}
    assert evaluation.run("hashing", of_folder(folder)).result.encoded == {"encoded": 0, "read": 40}
    assert len(load("mini", languages=("de",)).documents) > 0
    assert objects(url, "**/*.*") == before
    assert caplog.text.count("what is made here stays in the cache folder") == 1


def test_a_cache_that_may_only_be_read_names_the_way_to_go_on(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = OSError(errno.EACCES, "Permission denied")
    (remedy,) = str(unwritten(cache / "indexes" / "x", denied)).splitlines()
    assert remedy == (
        f"{cache}/indexes/x: cannot be written (Permission denied); free space, or set MIMO_EVAL_CACHE to a folder that can be "
        f"written; with MIMO_EVAL_STORE={cache} beside it, what lies here is still read"
    )
    load(str(folder))
    monkeypatch.setenv("MIMO_EVAL_STORE", str(cache))  # as the line says
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(cache.with_name("own")))
    monkeypatch.setattr(sys.modules["mimo_eval.collections.build"], "_write", None)
    assert len(load(str(folder)).documents) == 20
    assert "MIMO_EVAL_STORE" not in str(unwritten(cache.with_name("own") / "x", denied))


def test_a_missing_package_is_said_with_the_line_that_installs_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def absent(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    monkeypatch.setenv("MIMO_EVAL_STORE", "s3://bucket/other")
    with pytest.raises(MissingExtraError, match=r"pip install 'mimo-eval\[remote\]'"):
        load(str(folder))


def test_what_is_kept_for_one_run_only_is_not_shared(url: str, folder: Path) -> None:
    class Nameless:
        name = "nameless"

        def encode(self, texts: list[str], *, role: str, lang: str):
            return load_model("hashing").encode(texts, role=role, lang=lang)

    evaluation.run(Nameless(), of_folder(folder))
    assert objects(url) == {}


def test_a_half_encoded_share_is_taken_over_by_another_machine(url: str, folder: Path, machine: Callable[[str], Path]) -> None:
    class Dies:
        name, calls = "dies", 0

        def fingerprint(self, role: str) -> dict[str, object]:
            return {"model": "dies"}

        def encode(self, texts: list[str], *, role: str, lang: str):
            Dies.calls += 1
            if Dies.calls == 3:
                raise KeyboardInterrupt
            return load_model("hashing").encode(texts, role=role, lang=lang)

    machine("a")
    with pytest.raises(KeyboardInterrupt):
        encode_collection(Dies(), load(str(folder)), ["document"], Share(0, 2))
    machine("b")
    filled = encode_collection(Dies(), load(str(folder)), ["document"], Share(0, 2))
    assert (filled.encoded, filled.read) == (3, 7)  # of the chunks of 4, 3 and 3 texts, the last was in hand


def test_a_file_is_joined_with_the_stores_only_under_its_lock(
    url: str, folder: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process of this machine may have written more rows than the store has yet."""
    machine("a")
    model, collection = load_model("hashing"), load(str(folder))
    store = vector_store(model, "document", collection.documents, lambda model: folder)
    rows = collection.documents.rows("de")
    store.fill("de", rows[:2], lambda texts, lang: model.encode(texts, role="document", lang=lang))
    machine("b")
    there = vector_store(model, "document", load(str(folder)).documents, lambda model: folder)
    there.shards["de"]._shared = shared.ALONE
    there.fill("de", rows[2:3], lambda texts, lang: model.encode(texts, role="document", lang=lang))
    shard = vector_store(model, "document", load(str(folder)).documents, lambda model: folder).shards["de"]
    before = shard._path(0).read_bytes()
    assert {number: offsets.tolist() for number, offsets in shard.missing(np.arange(4)).items()} == {0: [0, 1, 3]}
    assert shard._path(0).read_bytes() == before
    shard.forget(0)
    del there
    real, maps = Path.replace, Path("/proc/self/maps")

    def replace(self: Path, target: Path) -> Path:
        assert not maps.exists() or str(target) not in maps.read_text("utf-8")  # Windows replaces no file that is mapped
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    vector_store(model, "document", load(str(folder)).documents, lambda model: folder).join({"de": rows[:4]})
    shard.forget(0)
    assert {number: offsets.tolist() for number, offsets in shard.missing(np.arange(4)).items()} == {0: [3]}
