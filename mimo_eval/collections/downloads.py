"""Downloads of data: what is here, what is missing and how large, fetching it, and telling a torn file from a changed one.

A repository's folder lies in the cache. Beside the files of each commit stands a record: what the hub listed, with hashes, and
size and time of each file after it was checked. A file with that size and time is taken for good; any other is hashed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mimo_eval.collections import hub
from mimo_eval.collections.hub import COMMIT, Entry
from mimo_eval.collections.remote import REVISIONS, Remote, Repo, commit_of
from mimo_eval.errors import CacheError, DataError
from mimo_eval.files import cache_dir, inside, read_json, unwritten, write_json

AUTOMATIC = 4 * 10**9
"""Bytes that are downloaded without being asked for: above, `mimo-eval data fetch` must be called."""

logger = logging.getLogger(__name__)


def root() -> Path:
    """Return the folder of all downloads."""
    return cache_dir() / "downloads"


def readable(size: int | None) -> str:
    """Return a number of bytes as a reader wants it, such as `1.6 GB`."""
    if size is None:
        return "unknown"
    amount, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


@dataclass
class Record:
    """What is known of one commit of a repository."""

    folder: Path
    """Where its files lie."""
    listed: dict[str, Entry] = field(default_factory=dict)
    """Path to what the hub says of it."""
    here: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Path to size and time (ns) of a file when it was checked."""
    gated: bool = False

    @property
    def path(self) -> Path:
        """The file in which this is kept."""
        return self.folder.with_name(f"{self.folder.name}.json")

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read the record of a folder; an empty one if there is none, or a damaged one."""
        record = cls(folder)
        if record.path.is_file():
            try:
                content = read_json(record.path)
                record.listed = {path: Entry(**entry) for path, entry in content["listed"].items()}
                record.here = {path: (int(size), int(time)) for path, (size, time) in content["here"].items()}
                for path in {*record.listed, *record.here}:
                    inside(folder, path)
                record.gated = bool(content["gated"])
            except (DataError, KeyError, TypeError, ValueError, AttributeError):
                logger.warning("%s: not readable; it is made again from the hub's list", record.path)
                return cls(folder)
        return record

    def write(self, repo: Repo) -> None:
        """Keep the record.

        :param repo: the repository.
        """
        listed = {path: entry._asdict() for path, entry in self.listed.items()}
        content = {"repository": repo.name, "commit": self.folder.name, "licence": repo.licence, "gated": self.gated}
        write_json(self.path, {**content, "listed": listed, "here": {path: list(seen) for path, seen in self.here.items()}})

    def wanted(self, repo: Repo) -> list[str]:
        """Return the paths that a repository's patterns name, sorted.

        :param repo: the repository.
        """
        return [path for path in sorted(self.listed) if any(fnmatchcase(path, pattern) for pattern in repo.files)]

    def check(self, path: str, thorough: bool = False) -> str:
        """Look at one file.

        A file that is shorter than listed, or has other content though nobody wrote to it since it was checked, is torn: what a
        crash or a full disk leaves. One that was written to is changed: somebody's work, and never overwritten.

        :param path: its path.
        :param thorough: also hash a file whose size and time have not changed.
        :return: `good`, `absent`, `torn` or `changed`.
        """
        file, entry = self.folder / path, self.listed[path]
        if not file.is_file():
            return "absent"
        stat = file.stat()
        untouched = self.here.get(path) == (stat.st_size, stat.st_mtime_ns)
        if untouched and not thorough and stat.st_size == entry.size:
            return "good"
        if stat.st_size == entry.size and hub.matches(file, entry):
            self.here[path] = (stat.st_size, stat.st_mtime_ns)
            return "good"
        return "torn" if stat.st_size < entry.size or untouched else "changed"


@dataclass
class Part:
    """One repository of a plan."""

    repo: Repo
    record: Record
    paths: list[str]
    """What is wanted of it."""
    status: dict[str, str]
    """Path to `good`, `absent`, `torn` or `changed`."""

    @property
    def commit(self) -> str:
        """The commit that is fetched."""
        return self.record.folder.name

    @property
    def lacking(self) -> list[str]:
        """Patterns of which the hub has nothing."""
        return [pattern for pattern in self.repo.files if not any(fnmatchcase(path, pattern) for path in self.paths)]

    @property
    def size(self) -> int:
        """Bytes of all that is wanted."""
        return sum(self.record.listed[path].size for path in self.paths)

    @property
    def missing(self) -> list[str]:
        """Paths that are still to be fetched."""
        return [path for path in self.paths if self.status[path] in ("absent", "torn")]

    @property
    def missing_size(self) -> int:
        """Bytes that are still to be fetched."""
        return sum(self.record.listed[path].size for path in self.missing)


def known(remote: Remote, thorough: bool = False) -> list[Part] | None:
    """Return what is on this machine, without asking the hub.

    :param remote: what is wanted.
    :param thorough: hash every file.
    :return: one part per repository, or None if some repository was never looked at.
    """
    parts = []
    for repo in remote.repos:
        folder = root() / repo.folder
        record = Record.read(folder / commit_of(folder, repo.revision))
        if not record.listed:
            return None
        paths = record.wanted(repo)
        parts.append(Part(repo, record, paths, {path: record.check(path, thorough) for path in paths}))
    return parts


def state(remote: Remote) -> str:
    """Tell without the network what is on this machine: `here`, `partly` or `not`."""
    parts = known(remote) or []
    statuses = {status for part in parts for status in part.status.values()}
    if not statuses & {"good", "changed"}:
        return "partly" if _begun(remote) else "not"
    return "here" if statuses == {"good"} and not any(part.lacking for part in parts) else "partly"


def _begun(remote: Remote) -> bool:
    folders = (root() / repo.folder for repo in remote.repos)
    return any(path.stat().st_size for folder in folders for path in folder.glob(f"*/**/*{hub.PARTIAL}"))


def plan(remote: Remote, update: bool = False, thorough: bool = False) -> list[Part]:
    """Find out what is to be downloaded, asking the hub only for what it was not asked before.

    :param remote: what is wanted.
    :param update: ask again what a branch stands for.
    :param thorough: hash every file that is here.
    :return: one part per repository.
    :raises DataError: if the hub cannot be asked, or has none of some files.
    """
    for repo in remote.repos:
        folder = root() / repo.folder
        commit = repo.revision if update else commit_of(folder, repo.revision)
        record = Record.read(folder / commit)
        if record.listed and COMMIT.fullmatch(commit):
            continue
        commit, gated = hub.resolve(repo)
        with _locked(folder, repo):
            record = Record.read(folder / commit)
            record.listed, record.gated = hub.listing(repo, commit), gated or repo.gated
            record.write(repo)
            if commit != repo.revision:
                path = folder / REVISIONS
                before = read_json(path) if path.is_file() else {}
                write_json(path, {**before, repo.revision: commit})
    parts = known(remote, thorough) or []
    for part in parts:
        if part.lacking:
            at = f"{part.repo.name} at {part.commit[:12]} has no {part.lacking[0]}"
            raise DataError(f"{at}: its layout has changed; give a local copy with --data ({part.repo.page})")
    return parts


def lines(name: str, parts: list[Part]) -> Iterator[str]:
    """Yield what is said before a download: repositories, commits, licences, terms, sizes.

    :param name: the collection.
    :param parts: its plan.
    """
    total, missing = sum(part.size for part in parts), sum(part.missing_size for part in parts)
    yield f"{name}: {readable(missing)} to download of {readable(total)}"
    for part in parts:
        gated = "; gated: terms must be accepted on its page" if part.record.gated else ""
        yield (
            f"  {part.repo.page} at {part.commit[:12]}: {len(part.missing):,} of {len(part.paths):,} files, "
            f"{readable(part.missing_size)}; licence {part.repo.licence}{gated}"
        )


def fetch(parts: list[Part], progress: Callable[[str], None] | None = None, thorough: bool = False) -> Path:
    """Download what is missing, going on where an earlier attempt broke off; each file is checked and recorded by itself.

    :param parts: a plan.
    :param progress: told each path before it is fetched.
    :param thorough: hash every file that is here.
    :return: the folder of all downloads, to be given to a source.
    :raises DataError: if a file was changed on this machine, or cannot be had.
    :raises CacheError: if the disk has no room for it.
    """
    for part in parts:
        folder = part.record.folder
        with _locked(folder.parent, part.repo):
            part.record = Record.read(folder)  # another process may have fetched meanwhile
            part.status = {path: part.record.check(path, thorough) for path in part.paths}
            _refuse_changed(part)
            _refuse_full_disk(part)
            part.record.write(part.repo)
            for path in part.missing:
                if progress:
                    progress(path)
                if part.status[path] == "torn":
                    logger.warning("%s: cut off or damaged; it is fetched again", folder / path)
                    hub.forget(folder, path)
                hub.download(part.repo, part.commit, path, folder, part.record.listed[path])
                stat = (folder / path).stat()
                part.record.here[path] = (stat.st_size, stat.st_mtime_ns)
                part.record.write(part.repo)
                part.status[path] = "good"
    return root()


def provide(name: str, remote: Remote) -> Path:
    """Return the folder of downloads with all that a source reads, fetching what is missing if it is not too much.

    :param name: the collection, for messages.
    :param remote: what is wanted.
    :return: the folder to be given to the source.
    :raises DataError: if it cannot be had, was changed, or is so large that it must be asked for.
    """
    parts = known(remote)
    if parts is None or any(part.missing or part.lacking for part in parts):
        parts = plan(remote)
        said = "\n".join(lines(name, parts))
        if sum(part.missing_size for part in parts) > AUTOMATIC:
            raise DataError(
                f"{said}\nthat is more than the {readable(AUTOMATIC)} that are fetched unasked: "
                f"run `mimo-eval data fetch '{name}'` first, or give a local copy with --data"
            )
        logger.warning("%s", said)
        return fetch(parts)
    for part in parts:
        _refuse_changed(part)
        if part.record.here != Record.read(part.record.folder).here:  # hashed just now, as after a copy: once is enough
            part.record.write(part.repo)
    return root()


def remove(remote: Remote) -> int:
    """Remove the files of a collection from this machine, and what was begun of them.

    :param remote: which.
    :return: bytes that became free.
    """
    freed = 0
    for repo in remote.repos:
        folder = root() / repo.folder
        if not folder.is_dir():
            continue
        with _locked(folder, repo):
            record = Record.read(folder / commit_of(folder, repo.revision))
            for path in record.wanted(repo):
                freed += hub.forget(record.folder, path)
                record.here.pop(path, None)
            if record.here:
                record.write(repo)
            else:
                shutil.rmtree(record.folder, ignore_errors=True)
                record.path.unlink(missing_ok=True)
    return freed


def _refuse_changed(part: Part) -> None:
    changed = [str(part.record.folder / path) for path, status in part.status.items() if status == "changed"]
    if changed:
        raise DataError(
            f"{', '.join(changed[:3])}: changed since it was downloaded from {part.repo.page}; "
            "put the original back, or remove the file and fetch it again"
        )


def _refuse_full_disk(part: Part) -> None:
    part.record.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(part.record.folder).free
    if part.missing_size > free:
        raise CacheError(
            f"{part.record.folder}: {readable(part.missing_size)} are needed and {readable(free)} are free; "
            "free space, or set MIMO_EVAL_CACHE to a folder with more"
        )


@contextmanager
def _locked(folder: Path, repo: Repo) -> Iterator[Any]:
    """Hold a repository's folder: a second process waits, and then finds the files there."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning("another process is fetching %s; waiting for it", repo.name)
            lock.acquire()
    except OSError as error:
        raise unwritten(folder, error) from error
    try:
        yield lock
    finally:
        lock.release()
