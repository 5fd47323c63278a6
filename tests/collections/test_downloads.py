"""The download path: the real client and our code against a hub on localhost that misbehaves as hubs do."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub

from mimo_eval.collections import downloads
from mimo_eval.collections.remote import Published, Remote, Repo
from mimo_eval.errors import CacheError, DataError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LARGE = random.Random(0).randbytes(40_000)
SMALL = b"1\tquestion\n"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = tmp_path / "hub" / "datasets" / "org" / "data"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.bin").write_bytes(LARGE)
    (folder / "topics.tsv").write_bytes(SMALL)
    (folder / "load.py").write_text("raise SystemExit('never run')")
    with Hub(tmp_path / "hub") as server:
        online(monkeypatch, server.url, tmp_path)
        yield server


def online(monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 5_000)  # what is written at once, and so can be gone on from
    monkeypatch.delenv("HF_TOKEN", raising=False)


def remote(revision: str = "main", files: tuple[str, ...] = ("docs/*", "topics.tsv"), gated: bool = False) -> Remote:
    return Remote((Repo("org/data", revision, files, "CC0", gated),), Published("test"))


def fetched(what: Remote | None = None) -> Path:
    what = what or remote()
    root = downloads.fetch(downloads.plan(what))
    part = (downloads.known(what) or [])[0]
    assert set(part.status.values()) == {"good"}
    return root / part.repo.folder / part.commit


def leftovers(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file() and p.suffix in (".bin", ".tsv", ".partial", ".tmp")]


def test_files_are_fetched_checked_and_found_again_without_the_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert downloads.state(remote()) == "not"
    plan = downloads.plan(remote())
    said = list(downloads.lines("data", plan))
    assert said[0] == "data: 40.0 kB to download of 40.0 kB"
    assert "https://huggingface.co/datasets/org/data at " in said[1] and "2 of 2 files" in said[1] and "licence CC0" in said[1]
    assert not hub.asked("/resolve/")  # sizes and licences are said before anything is fetched
    folder = fetched()
    assert (folder / "docs" / "a.bin").read_bytes() == LARGE and (folder / "topics.tsv").read_bytes() == SMALL
    assert folder.name == hub.commit("org/data", "datasets") and not (folder / "load.py").exists()
    assert downloads.state(remote()) == "here"
    before = len(hub.log)
    assert downloads.provide("data", remote()) == folder.parent.parent
    assert len(hub.log) == before
    assert hub.asked("/cdn/") and not any(request[3] for request in hub.asked("/cdn/"))


def test_a_branch_stays_the_commit_that_it_was_first(hub: Hub) -> None:
    first = fetched()
    (hub.folder("org/data", "datasets") / "topics.tsv").write_bytes(b"1\tother\n")
    assert downloads.plan(remote())[0].commit == first.name
    assert fetched() == first
    newer = downloads.plan(remote(), update=True)
    assert newer[0].commit == hub.commit("org/data", "datasets") != first.name
    downloads.fetch(newer)
    assert downloads.plan(remote())[0].commit == newer[0].commit
    record = json.loads(newer[0].record.path.read_text())
    assert (
        record["repository"] == "org/data"
        and record["licence"] == "CC0"
        and set(record["here"]) == {"docs/a.bin", "topics.tsv"}
    )


def test_a_connection_that_breaks_off_is_taken_up_where_it_was(hub: Hub) -> None:
    hub.cut["docs/a.bin"] = [15_000]
    folder = fetched()
    assert (folder / "docs" / "a.bin").read_bytes() == LARGE
    assert [request[2] for request in hub.asked("/cdn/")] == ["", "bytes=15000-"]


def test_an_interrupted_download_resumes_in_the_next_run(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import file_download

    hub.cut["docs/a.bin"] = [15_000] + [0] * 10
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)
    with pytest.raises(DataError, match=r"docs/a.bin: cannot be fetched \(.*what came is kept, run the same command to go on"):
        downloads.fetch(downloads.plan(remote()))
    assert downloads.state(remote()) == "partly"
    assert [p.suffix for p in leftovers(downloads.root())] == [".partial"]
    hub.cut.clear()
    hub.log.clear()
    assert (fetched() / "docs" / "a.bin").read_bytes() == LARGE
    assert [request[2] for request in hub.asked("/cdn/")] == ["bytes=15000-"]


@pytest.mark.parametrize("path", ["docs/a.bin", "topics.tsv"])
def test_content_with_a_wrong_checksum_is_refused_and_not_kept(hub: Hub, path: str) -> None:
    hub.corrupt.add(path)
    with pytest.raises(
        DataError, match=rf"{hub.url}/datasets/org/data/resolve/\w+/{path}: its checksum is not the one that the hub"
    ):
        downloads.fetch(downloads.plan(remote(files=(path,))))
    assert leftovers(downloads.root()) == []
    hub.corrupt.clear()
    assert fetched(remote(files=(path,))).is_dir()


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("/api/datasets", "api/datasets/org/data/revision/main: this is not how a hub answers .an HTML page"),
        ("/tree/", "api/datasets/org/data/tree/.*: this is not how a hub answers .an HTML page"),
        ("/resolve/", "resolve/.*: no commit and ETag in the answer"),
        ("/cdn/", "resolve/.*docs/a.bin: an HTML page instead of the file; nothing was kept"),
    ],
)
def test_a_hub_that_answers_html_is_named(hub: Hub, page: str, message: str) -> None:
    hub.page = page
    with pytest.raises(DataError, match=message):
        downloads.fetch(downloads.plan(remote(files=("docs/*",))))
    assert leftovers(downloads.root()) == []


def test_a_gated_data_set_says_terms_token_and_local_copy(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add("org/data")
    plan = downloads.plan(remote())
    assert "gated: terms must be accepted on its page" in "\n".join(downloads.lines("data", plan))
    with pytest.raises(DataError) as caught:
        downloads.fetch(plan)
    for part in ("resolve", "https://huggingface.co/datasets/org/data", "HF_TOKEN", "hf auth login", "--data"):
        assert part in str(caught.value)
    assert leftovers(downloads.root()) == []
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert (fetched() / "docs" / "a.bin").read_bytes() == LARGE
    assert not any(request[3] for request in hub.asked("/cdn/")), "the token must not go to another host"
    assert "hf_secret" not in "".join(p.read_text() for p in downloads.root().rglob("*.json"))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (Remote((Repo("org/absent", "main", ("*",), "?"),)), "no data set org/absent there, or it is private"),
        (remote("no-such-branch"), "org/data has no revision no-such-branch"),
        (remote(files=("corpus/*",)), r"org/data at \w{12} has no corpus/\*: its layout has changed"),
    ],
)
def test_what_is_not_there_is_named(hub: Hub, what: Remote, message: str) -> None:
    with pytest.raises(DataError, match=message):
        downloads.fetch(downloads.plan(what))


def test_a_torn_file_is_fetched_again_and_a_changed_one_never_overwritten(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    folder = fetched()
    path = folder / "docs" / "a.bin"
    path.write_bytes(LARGE[:100])  # a full disk
    assert downloads.state(remote()) == "partly"
    assert fetched() == folder and path.read_bytes() == LARGE
    assert "cut off or damaged" in caplog.text

    stat = path.stat()
    path.write_bytes(bytes(len(LARGE)))  # a crash: right size and time, no content
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert downloads.known(remote(), thorough=True)[0].status["docs/a.bin"] == "torn"
    assert downloads.state(remote()) == "here"  # what a look at size and time cannot see

    path.write_bytes(LARGE[:-1] + b"!")  # somebody's edit, of another time though the clock may stand still for milliseconds
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    for attempt in (lambda: downloads.provide("data", remote()), lambda: downloads.fetch(downloads.plan(remote()))):
        with pytest.raises(
            DataError, match=r"a\.bin: changed since it was downloaded from https://huggingface.co/datasets/org/data"
        ):
            attempt()
    assert path.read_bytes().endswith(b"!")
    path.write_bytes(LARGE)
    os.utime(path)  # written again, with the same content
    assert downloads.state(remote()) == "here"


def test_files_that_were_copied_are_hashed_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetched()
    for path in ("docs/a.bin", "topics.tsv"):
        os.utime(folder / path, ns=(1, 1))
    hashed: list[Path] = []
    matches = downloads.hub.matches
    monkeypatch.setattr(downloads.hub, "matches", lambda path, entry: hashed.append(path) or matches(path, entry))
    for _ in range(2):
        downloads.provide("data", remote())
    assert sorted(path.name for path in hashed) == ["a.bin", "topics.tsv"]


def test_a_damaged_record_is_made_again_and_the_files_stay(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    folder = fetched()
    folder.with_name(f"{folder.name}.json").write_text("{")
    hub.log.clear()
    assert fetched() == folder and "not readable" in caplog.text
    assert not hub.asked("/resolve/")


def test_two_processes_that_fetch_the_same_wait_for_each_other(hub: Hub) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Barrier(2)
    processes = [context.Process(target=_fetch_at, args=(start,), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(hub.asked("/cdn/")) == 1, "fetched twice"
    assert downloads.state(remote()) == "here"


def _fetch_at(start: object) -> None:
    start.wait()
    downloads.fetch(downloads.plan(remote()))


def test_offline_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set and org/data is not here; unset it, or give a local copy"):
        downloads.provide("data", remote())
    assert not hub.log


def test_a_hub_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    online(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(DataError, match=r"^http://127.0.0.1:9/api/datasets/org/data/revision/main: cannot be fetched \("):
        downloads.provide("data", remote())


def test_much_is_not_fetched_unasked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "AUTOMATIC", 10_000)
    with pytest.raises(DataError, match=r"(?s)40\.0 kB to download.*more than the 10.0 kB.*mimo-eval data fetch 'data'"):
        downloads.provide("data", remote())
    assert not hub.asked("/resolve/")


def test_a_disk_without_room_is_found_out_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = downloads.plan(remote())
    usage = downloads.shutil.disk_usage("/")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage._replace(free=39_999))
    with pytest.raises(CacheError, match=r"40\.0 kB are needed and 40.0 kB are free; free space, or set MIMO_EVAL_CACHE"):
        downloads.fetch(plan)
    assert not hub.asked("/resolve/")


def test_removing_frees_what_was_fetched_and_keeps_others(hub: Hub) -> None:
    fetched()
    assert downloads.remove(remote(files=("topics.tsv",))) == len(SMALL)
    assert downloads.state(remote()) == "partly" and downloads.state(remote(files=("docs/*",))) == "here"
    assert downloads.remove(remote()) == len(LARGE)
    assert leftovers(downloads.root()) == [] and downloads.state(remote()) == "not"


def test_sizes_are_readable() -> None:
    assert [downloads.readable(n) for n in (0, 999, 1000, 16_188_966_440, 106 * 10**9, None)] == [
        "0 B", "999 B", "1.0 kB", "16.2 GB", "106 GB", "unknown",
    ]  # fmt: skip
