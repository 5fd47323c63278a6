"""Archives are unpacked once, whole, inside their folder, and up to a stated size."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mimo_eval.collections import archives
from mimo_eval.collections.archives import unpacked
from mimo_eval.errors import DataError

Members = list[tuple[str, bytes]]


def make_zip(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


KINDS = [(make_zip, "a.zip"), (make_tar, "a.tar.gz")]
kinds = pytest.mark.parametrize(("make", "name"), KINDS, ids=["zip", "tar"])
Make = Callable[[Path, Members], Path]


def nothing_unpacked(cache: Path) -> bool:
    return not any((cache / "unpacked").iterdir())


@kinds
def test_an_archive_is_unpacked_once(tmp_path: Path, make: Make, name: str) -> None:
    path = make(tmp_path / name, [("data/x.txt", b"x"), ("data/deep/y.txt", b"y"), ("__MACOSX/._x", b"")])
    folder = unpacked(path)
    assert folder.name == "data" and (folder / "deep" / "y.txt").read_bytes() == b"y"
    (folder / "x.txt").write_bytes(b"kept")
    assert unpacked(path) == folder and (folder / "x.txt").read_bytes() == b"kept"


def test_what_was_unpacked_is_open_to_whom_the_cache_is(tmp_path: Path, cache: Path) -> None:
    (folder,) = {unpacked(make_zip(tmp_path / "a.zip", [("x", b"x"), ("y", b"y")])), *(cache / "unpacked").iterdir()}
    assert folder.stat().st_mode == (cache / "unpacked").stat().st_mode


@kinds
@pytest.mark.parametrize("bad", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:/evil", "C:\\evil"])
def test_a_member_outside_the_folder_is_refused(tmp_path: Path, cache: Path, make: Make, name: str, bad: str) -> None:
    path = make(tmp_path / name, [("good", b"x"), (bad, b"x")])
    with pytest.raises(DataError, match="would lie outside the folder; refused, nothing was unpacked") as caught:
        unpacked(path)
    assert caught.value.exit_code == 3 and nothing_unpacked(cache)
    assert not list(tmp_path.rglob("evil"))


@kinds
def test_a_bomb_stops_at_the_stated_size(tmp_path: Path, cache: Path, make: Make, name: str) -> None:
    path = make(tmp_path / name, [("a", bytes(600_000)), ("bomb", bytes(5_000_000))])
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match=rf"{name}: bomb: the archive holds more than 1,000,000 bytes"):
        unpacked(path, limit=1_000_000)
    assert nothing_unpacked(cache)


@kinds
def test_too_many_members_are_refused(
    tmp_path: Path, cache: Path, make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MEMBERS", 3)
    with pytest.raises(DataError, match="more than 3 members"):
        unpacked(make(tmp_path / name, [(str(n), b"") for n in range(4)]))
    assert nothing_unpacked(cache)


@kinds
def test_a_damaged_archive_is_named(tmp_path: Path, cache: Path, make: Make, name: str) -> None:
    path = make(tmp_path / name, [("a", bytes(range(256)) * 1000)])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"{name}: truncated or damaged archive"):
        unpacked(path)
    assert nothing_unpacked(cache)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, cache: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="link is a link or a device; refused"):
        unpacked(path)
    assert nothing_unpacked(cache)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="link is a link; refused"):
        unpacked(path)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar.gz", [("a", b"1"), ("a", b"2")])
    with pytest.raises(DataError, match="two members of one name, a; refused"):
        unpacked(path)
