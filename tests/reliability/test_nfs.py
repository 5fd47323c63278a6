"""What network file systems do otherwise than local ones, done to a local one."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimo_eval import evaluation, locks
from mimo_eval.benchmark import of_folder
from mimo_eval.cache import verify
from mimo_eval.embeddings import read_chunk
from mimo_eval.embeddings.shards import Shard
from mimo_eval.errors import CacheError
from mimo_eval.files import atomic_write

MODEL = "rrf(hashing, bm25)"


@pytest.fixture
def data(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    documents = {lang: {f"g{i:02d}": f"{lang} passage {i}" for i in range(10)} for lang in ("de", "en")}
    queries = {lang: {f"q{i}": f"{lang} what about {i}" for i in range(4)} for lang in ("de", "en")}
    return folders(tmp_path / "toy", documents, queries, {f"q{i}": {f"g{i:02d}": 1} for i in range(4)})


def failing(monkeypatch: pytest.MonkeyPatch, code: int, done: bool) -> None:
    """Let every rename report a failure, after it was done or without."""
    for name in ("replace", "rename"):
        real = getattr(os, name)

        def fail(source: Any, target: Any, *, real: Callable[..., None] = real, **options: Any) -> None:
            if done:
                real(source, target, **options)
            raise OSError(code, os.strerror(code), str(source))

        monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESTALE, errno.EIO])
def test_a_rename_that_fails_after_it_was_done_has_been_done(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The first answer was lost, and to the request sent again the server said that there is no such file."""
    first = evaluation.run(MODEL, of_folder(data), output=tmp_path / "expected").result
    shutil.rmtree(tmp_path / "cache")
    with monkeypatch.context() as nfs:
        failing(nfs, code, done=True)
        second = evaluation.run(MODEL, of_folder(data), output=tmp_path / "results").result
    assert second.settings == first.settings
    assert evaluation.run(MODEL, of_folder(data), output=tmp_path / "results").reused
    assert not [checked for checked in verify() if checked.damage]
    assert not [path for path in tmp_path.rglob("*.tmp")]


def test_a_rename_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"before")
    failing(monkeypatch, errno.ESTALE, done=False)
    with pytest.raises(CacheError, match=r"x: cannot be written \(Stale file handle\)"), atomic_write(tmp_path / "x") as out:
        out.write(b"after")
    assert (tmp_path / "x").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_removed_files_that_are_still_open_somewhere_are_no_damage(data: Path, cache: Path) -> None:
    evaluation.run(MODEL, of_folder(data))
    for folder in [path for path in cache.rglob("*") if path.is_dir()]:
        (folder / ".nfs000000000a1b2c3d00000001").write_bytes(b"removed, and still open")
    assert not [checked for checked in verify() if checked.damage]
    assert evaluation.run(MODEL, of_folder(data)).result.encoded == {"encoded": 0, "read": 48}


def test_a_damaged_index_is_replaced_though_a_file_of_it_is_still_open(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removing its folder fails, as the name that NFS gave the open file is still in it."""
    evaluation.run("bm25", of_folder(data))
    victim = sorted(cache.glob("indexes/*/*/*/manifest.json"))[0]
    victim.write_bytes(b"{}")
    real = shutil.rmtree

    def busy(path: Any, ignore_errors: bool = False, **options: Any) -> None:
        if not ignore_errors and Path(path).is_relative_to(cache):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        real(path, ignore_errors=True, **options)

    with monkeypatch.context() as nfs:
        nfs.setattr(shutil, "rmtree", busy)
        assert evaluation.run("bm25", of_folder(data)).result.encoded == {"encoded": 10, "read": 10}
    assert not [checked for checked in verify() if checked.damage]


@pytest.mark.parametrize("seen", ["nothing", "a part", "a stale handle"])
def test_a_chunk_that_is_listed_but_not_yet_there_is_lacking_until_it_is(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    """Another machine has closed the file; this one's view of it is older than that."""
    evaluation.run("hashing", of_folder(data))
    path = sorted(cache.glob("vectors/*/de/*/000000.safetensors"))[0]
    whole, shard, real = path.read_bytes(), Shard(path.parent, 10), Path.open
    if seen == "a stale handle":
        once = iter([OSError(errno.ESTALE, "Stale file handle")])

        def stale(self: Path, *arguments: Any, **options: Any) -> Any:
            for error in once:
                raise error
            return real(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", stale)
        assert read_chunk(path) is not None
        return
    path.write_bytes(b"" if seen == "nothing" else whole[: len(whole) // 2])
    assert shard.chunk(0) is None
    path.write_bytes(whole)
    assert shard.chunk(0) is not None


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS])
def test_without_locks_everything_works_and_a_line_says_what_to_do(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(handle: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    result = evaluation.run(MODEL, of_folder(data), output=tmp_path / "results").result
    assert result.encoded["encoded"] == 48
    assert evaluation.run(MODEL, of_folder(data), output=tmp_path / "results").reused
    assert "has no locks, so processes at once may encode the same texts" in caplog.text
    assert "--shard 0/2" in caplog.text
