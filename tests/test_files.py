"""Files: untrusted text line by line, atomic writes, locks, and where the cache lies."""

from __future__ import annotations

import errno
import gzip
import os
import random
import signal
import stat
import tracemalloc
from pathlib import Path
from unittest.mock import Mock

import pytest
import zstandard

from mimo_eval import files, locks
from mimo_eval.errors import CacheError, DataError
from mimo_eval.files import atomic_write, cache_dir, new_folder, open_binary, read_json, read_lines, write_json

needs_locks = pytest.mark.skipif(locks.fcntl is None, reason="the system has no flock")


@pytest.fixture
def write(tmp_path):
    def put(data: bytes, name: str = "f"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return put


def test_lines_are_decoded_and_numbered_and_empty_ones_left_out(write):
    assert [tuple(line) for line in read_lines(write("a\n\n  \né\n終".encode()))] == [
        (1, "a", None),
        (4, "é", None),
        (5, "終", None),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfa\nb", [("a", "bom"), ("b", None)]),
        (b"\xef\xbb\xbfa\r\nb\r\n", [("a", "bom"), ("b", "crlf")]),
        (b"a\n\xef\xbb\xbfb\n", [("a", None), ("\ufeffb", None)]),
        (b"a\rb\n", [("a\rb", None)]),
        (b"a\0b\n", [("a\0b", "nul")]),
        (b"a\xffb\n", [("a\ufffdb", "utf8")]),
        ("a\u2028b\u0085c\n".encode(), [("a\u2028b\u0085c", None)]),
        (b"\xed\xa0\xbd\n", [("\ufffd\ufffd\ufffd", "utf8")]),
        (b"", []),
    ],
)
def test_what_is_odd_about_the_bytes_is_said(write, data, expected):
    assert [(line.text, line.problem) for line in read_lines(write(data))] == expected


def pack(name, data):
    return gzip.compress(data) if name.endswith("gz") else zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("name", ["f.gz", "f.zst", "f.zstd"])
def test_packed_files_are_read_in_any_number_of_pieces(write, name):
    data = random.randbytes(300_000).hex().encode() + b"\n"
    path = write(pack(name, data) + pack(name, b"end\n"), name)
    with open_binary(path) as stream:
        assert stream.read() == data + b"end\n"
    assert next(read_lines(path)).text == data.decode().strip()
    assert list(read_lines(write(pack(name, b""), name))) == []


@pytest.mark.parametrize("name", ["f.gz", "f.zst"])
@pytest.mark.parametrize("keep", [0.01, 0.5, 0.99, -4, -1])
def test_a_cut_file_is_never_taken_for_a_whole_one(write, name, keep):
    packed = pack(name, random.randbytes(300_000).hex().encode())
    path = write(packed[: int(len(packed) * keep) if keep > 0 else keep], name)
    with pytest.raises(DataError, match=rf"{name}: truncated or damaged .{name[2:]} file .*; fetch it again"):
        list(read_lines(path))


@pytest.mark.parametrize("name", ["f.gz", "f.zst"])
def test_a_damaged_file_is_refused(write, name):
    packed = bytearray(pack(name, b"some text that is long enough\n" * 50))
    path = write(b"plain text, in truth", name)
    with pytest.raises(DataError, match="truncated or damaged"):
        list(read_lines(path))
    packed[:3] = b"\0\0\0"
    with pytest.raises(DataError, match="truncated or damaged"):
        list(read_lines(write(bytes(packed), name)))


def test_missing_files_and_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="absent: no such file"):
        list(read_lines(tmp_path / "absent"))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(tmp_path))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", 1) as out:
        for _ in range(64):
            out.write(b"x" * 2**20)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.gz:1: line longer than 8 MiB"):
        list(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20
    longest = b"x" * (files.MAX_LINE - 1) + b"\n"
    path = tmp_path / "long"
    path.write_bytes(longest)
    assert len(next(read_lines(path)).text) == files.MAX_LINE - 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a":\n}', "f:2: not JSON"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "not JSON"),
        (b"", "f:1: not JSON"),
    ],
)
def test_json_that_cannot_be_read_is_named(write, data, message):
    with pytest.raises(DataError, match=message):
        read_json(write(data))


def test_json_that_unpacks_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_JSON", 2**22)
    with gzip.open(tmp_path / "bomb.json.gz", "wb", compresslevel=1) as out:
        for _ in range(64):
            out.write(b" " * 2**20)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.json\.gz: larger than 4 MiB"):
        read_json(tmp_path / "bomb.json.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_zstd_is_unpacked_a_little_at_a_time(tmp_path):
    block = (2**17 << 3 | 2).to_bytes(3, "little") + b"x"  # one byte, repeated as often as a block may hold
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + block * 20_000 + b"\x01\x00\x00"  # 80 kB for 2.6 GB
    (tmp_path / "bomb.zst").write_bytes(frame)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.zst:1: line longer than 8 MiB"):
        list(read_lines(tmp_path / "bomb.zst"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 2**20


def test_json_is_read_as_it_was_written(tmp_path):
    content = {"b": [1, "é", None], "a": 0.1}
    write_json(tmp_path / "new" / "x.json", content)
    assert read_json(tmp_path / "new" / "x.json") == content
    assert (tmp_path / "new" / "x.json").read_text("utf-8").startswith('{\n "a": 0.1,\n "b"')
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "new" / "x.json", float("nan"))
    assert read_json(tmp_path / "new" / "x.json") == content


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_broken_off_write_leaves_the_old_file_and_nothing_else(write, tmp_path, error):
    path = write(b"old")
    expected = CacheError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), atomic_write(path) as out:
        out.write(b"new, but")
        raise error
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["f"]


def test_a_written_file_has_the_usual_rights(tmp_path):
    before = os.umask(0o022)
    try:
        with atomic_write(tmp_path / "x", "w") as out:
            out.write("é")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644
    assert (tmp_path / "x").read_bytes() == "é".encode()


@pytest.mark.skipif(os.name == "nt", reason="rights are POSIX")
@pytest.mark.parametrize("rights", [0o755, 0o750, 0o775, 0o2770])
def test_a_new_folder_is_open_to_whom_its_parent_is(tmp_path, rights):
    tmp_path.chmod(rights)
    made = [new_folder(tmp_path, "a.", ".b") for _ in range(2)]
    assert made[0] != made[1] and all(path.name.startswith("a.") and path.suffix == ".b" for path in made)
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {rights}  # on Linux a folder's group is passed on by itself


@needs_locks
def test_what_a_killed_process_left_is_written_over(tmp_path):
    if (pid := os.fork()) == 0:
        with atomic_write(tmp_path / "x") as out:
            out.write(b"a long text of the one that was killed")
            out.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (left,) = tmp_path.iterdir()
    assert left.read_bytes().startswith(b"a long text")
    with atomic_write(tmp_path / "x") as out:
        out.write(b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"new"}


@needs_locks
def test_writers_of_one_file_at_once_do_not_write_into_each_others(tmp_path):
    with atomic_write(tmp_path / "x") as one, atomic_write(tmp_path / "x") as two:
        one.write(b"the first")
        two.write(b"the second, which ends first")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"the first"}


@needs_locks
def test_a_temporary_file_that_leads_elsewhere_is_not_followed(write, tmp_path):
    elsewhere = write(b"kept")
    (tmp_path / f".x.{files.HOST}.new.tmp").symlink_to(elsewhere)
    with atomic_write(tmp_path / "x") as out:
        out.write(b"new")
    assert elsewhere.read_bytes() == b"kept"
    assert (tmp_path / "x").read_bytes() == b"new"


@needs_locks
def test_without_locks_files_are_written_too_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    with atomic_write(tmp_path / "x") as out:
        out.write(b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"x": b"new"}


@needs_locks
def test_a_file_that_got_its_name_while_one_waited_for_it_is_not_given_out(tmp_path, monkeypatch):
    lock, path = locks.fcntl.flock, tmp_path / ".x.new.tmp"

    def slow(handle, how):
        path.rename(tmp_path / "x")  # by its owner, who then lets the lock go
        lock(handle, how)

    monkeypatch.setattr(locks.fcntl, "flock", slow)
    assert locks.own(path) is None


@needs_locks
def test_a_file_that_another_process_has_just_begun_is_not_removed(tmp_path, monkeypatch):
    """Of three writers of one file the first has ended, so the second owns nothing, while the third has begun."""
    path, look = tmp_path / ".x.new.tmp", Path.stat

    def late(self, **how):
        if self != path:
            return look(self, **how)
        path.rename(tmp_path / "x")
        path.write_bytes(b"of the third")
        raise FileNotFoundError(errno.ENOENT, "gone when it was looked for", str(path))

    monkeypatch.setattr(Path, "stat", late)
    assert locks.own(path) is None
    assert path.read_bytes() == b"of the third"


def test_a_place_that_cannot_be_written_is_named_with_the_remedy(write):
    path = write(b"") / "below" / "x"
    with pytest.raises(CacheError, match=r"x: cannot be written .*free space or choose another folder"), atomic_write(path):
        pass


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    monkeypatch.delenv("MIMO_EVAL_CACHE")
    assert cache_dir().name == "mimo-eval"
