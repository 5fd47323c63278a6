"""What a source says of files that can be downloaded, and where their layout lies in a folder: a local copy or a download."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mimo_eval.collections.jsonl import ENDINGS
from mimo_eval.collections.records import lacking
from mimo_eval.errors import DataError
from mimo_eval.files import read_json

REVISIONS = "revisions.json"
"""In a repository's folder of downloads: the commit that each branch or tag stood for when it was first fetched."""


@dataclass(frozen=True)
class Repo:
    """A data set repository on the hub, and those of its files that are read."""

    name: str
    """Such as `miracl/miracl-corpus`."""
    revision: str
    """A commit; or a branch, which is resolved at the first download and then stays what it was."""
    files: tuple[str, ...]
    """Patterns of paths, in which `*` also stands for slashes; each must match something."""
    licence: str
    gated: bool = False
    """Whether the hub asks to accept terms before it gives the files."""

    @property
    def page(self) -> str:
        """The page on which terms are read and accepted."""
        return f"https://huggingface.co/datasets/{self.name}"

    @property
    def folder(self) -> str:
        """Name of the repository's folder among the downloads."""
        return self.name.replace("/", "--")


@dataclass(frozen=True)
class Published:
    """Counts that were published of a collection, for before it is downloaded."""

    source: str
    """Where the counts stand."""
    documents: Mapping[str, int] = field(default_factory=dict)
    """Language to number of documents."""
    queries: Mapping[str, int] = field(default_factory=dict)
    """Language to number of queries."""
    size: int | None = None
    """Bytes that are downloaded; None if unknown."""
    languages: tuple[str, ...] = ()
    """Languages besides those that have counts."""


@dataclass(frozen=True)
class Remote:
    """Where a collection, in the languages and options asked for, is downloaded from; without repositories, nowhere."""

    repos: tuple[Repo, ...]
    published: Published | None = None


@runtime_checkable
class Downloadable(Protocol):
    """A source whose files are on the hub: beside what every source has, it says where."""

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, **options: Any) -> Remote:
        """Say what is downloaded for some languages and options of the source."""


def chosen(name: str, wanted: tuple[str, ...] | None, languages: Iterable[str]) -> tuple[str, ...]:
    """Return the languages of a source that are asked for.

    :param name: the collection.
    :param wanted: languages, None for all.
    :param languages: those that the source has.
    :return: the chosen ones, sorted.
    :raises DataError: if one is asked for that the source does not have.
    """
    present = sorted(languages)
    if absent := set(wanted or ()) - set(present):
        raise lacking(name, absent, present)
    return tuple(lang for lang in present if wanted is None or lang in wanted)


class Layout:
    """Finds the files of repositories in a folder.

    Understood are the downloads of mimo-eval, a folder with a copy of each repository (`miracl-corpus/…` or
    `miracl/miracl-corpus/…`), a copy of the repositories over one another, and their files in one flat folder; each file plain,
    `.gz` or `.zst`.

    :param data: the folder.
    :param name: the collection, for messages.
    :raises DataError: if there is no such folder.
    """

    def __init__(self, data: Path, name: str) -> None:
        if not data.is_dir():
            raise DataError(f"{data}: no such folder")
        self.data, self.name = data, name

    def roots(self, repo: Repo) -> list[Path]:
        """Return the folders in which a repository's files may lie, best first."""
        places = [self.data / repo.name, self.data / repo.name.rpartition("/")[2], self.data]
        downloaded = self.data / repo.folder
        if downloaded.is_dir():
            places.insert(0, downloaded / commit_of(downloaded, repo.revision))
        return [place for place in places if place.is_dir()]

    def files(self, repo: Repo, pattern: str) -> list[Path]:
        """Return the files of one pattern, sorted, from the first place that has any.

        :param repo: the repository.
        :param pattern: as in `Repo.files`.
        :return: the paths; none if there are none.
        """
        flat = pattern.rpartition("/")[2]
        for root in self.roots(repo):
            for wanted in (
                (pattern,) if "*" in flat else dict.fromkeys((pattern, flat))
            ):  # a file's own name must say what it is
                plain = next((wanted.removesuffix(e) for e in ENDINGS if e and wanted.endswith(e)), wanted)
                found = {p for ending in ENDINGS for p in root.glob(f"{plain}{ending}") if p.is_file()}
                if found:
                    return sorted(found)
        return []

    def there(
        self, wanted: tuple[str, ...] | None, languages: Iterable[str], repo: Repo, pattern: Callable[[str], str]
    ) -> tuple[str, ...]:
        """Return the languages to read: those asked for, or all of which there are files.

        :param wanted: languages, None for what is there.
        :param languages: those that the source has.
        :param repo: the repository of the files.
        :param pattern: makes a language's pattern.
        :return: languages, sorted; at least one.
        :raises DataError: if a language is asked for that the source does not have, or no file is there.
        """
        known = chosen(self.name, wanted, languages)
        if wanted is not None:
            return known
        found = tuple(lang for lang in known if self.files(repo, pattern(lang)))
        if not found:
            self.need(repo, pattern(known[0]))
        return found

    def need(self, repo: Repo, pattern: str) -> list[Path]:
        """Return the files of one pattern.

        :param repo: the repository.
        :param pattern: as in `Repo.files`.
        :return: at least one path.
        :raises DataError: if there are none; the message says what was looked for and how to get it.
        """
        found = self.files(repo, pattern)
        if not found:
            raise DataError(
                f"{self.data}: no {pattern} of {repo.name} here, in the layout of {repo.page}; "
                f"`mimo-eval data fetch {self.name}` downloads it"
            )
        return found


def commit_of(folder: Path, revision: str) -> str:
    """Return the commit that a revision stood for when it was downloaded, or the revision itself.

    :param folder: the repository's folder among the downloads.
    :param revision: a branch, tag or commit.
    """
    path = folder / REVISIONS
    known = read_json(path) if path.is_file() else {}
    return str(known.get(revision, revision)) if isinstance(known, dict) else revision
