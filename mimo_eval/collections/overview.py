"""What a collection is and where it lies, before it is loaded: for lists, and for what a benchmark will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mimo_eval.collections import SOURCES, downloads, hub, load, local_folder, remote_of, source_for
from mimo_eval.collections.build import built
from mimo_eval.collections.collection import Collection
from mimo_eval.collections.remote import Remote
from mimo_eval.errors import DataError

SMALL = 200_000_000
"""Bytes of files that are read, or fetched from a store that machines share, to count their texts."""


@dataclass(frozen=True)
class Overview:
    """A collection as it stands on this machine."""

    name: str
    state: str
    """`here`, `partly`, `not`; `in the package`; or `--data` if only a folder of the user's can give it."""
    documents: Mapping[str, int] = field(default_factory=dict)
    """Language to documents; empty if unknown."""
    queries: Mapping[str, int] = field(default_factory=dict)
    """Language to queries; empty if unknown."""
    others: tuple[str, ...] = ()
    """Languages of which there are texts that nobody counted."""
    counted: str = ""
    """Where the counts come from: `counted`, or the publication."""
    size: int | None = None
    """Bytes that are downloaded in all; None if unknown."""
    missing: int | None = None
    """Bytes still to be downloaded; None if unknown."""
    repos: tuple[tuple[str, str, bool], ...] = ()
    """Page, licence, and whether terms must be accepted, of each repository."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language of which texts are known."""
        return tuple(sorted({*self.documents, *self.queries, *self.others}))

    @property
    def texts(self) -> int | None:
        """Texts that a model has to encode; None if not both numbers are known."""
        known = self.documents and self.queries
        return sum(self.documents.values()) + sum(self.queries.values()) if known else None


def overview(name: str, data: Path | None = None, languages: tuple[str, ...] | None = None) -> Overview:
    """Look at a collection without downloading it.

    :param name: a registered name, with options if need be, or a path.
    :param data: the folder with its files.
    :param languages: languages to read; None for all.
    :return: what is known of it; counted in the files if they are here and not too large, else as published.
    :raises ConfigError: for an unknown name or option.
    :raises DataError: for a language that it does not have, or if what lies in `data` cannot be read.
    """
    remote = None if name.startswith("hf(") and hub.offline() else remote_of(name, languages)
    if data is None and remote is not None and remote.repos and not local_folder(name.partition("(")[0]):
        state = downloads.state(remote)
        if state != "here":
            return _published(name, state, remote)
    try:
        found = _counted(name, data, languages)
    except DataError:
        if data is not None:  # what the user named is wrong, and must not look as if nothing had been named
            raise
        return _published(name, "--data", remote)
    place = "here" if data is not None or remote is not None or Path(name).is_dir() else "in the package"
    if found is None:
        return _published(name, place, remote)
    counts = found.counts()
    known = _published(name, place, remote)
    return replace(known, documents=counts["documents"], queries=counts["queries"], others=(), counted="counted", missing=0)


def overviews() -> list[Overview]:
    """Look at every registered collection that needs no options."""
    return [overview(name) for name in SOURCES if name not in ("folder", "hf", "ir_datasets")]


def _counted(name: str, data: Path | None, languages: tuple[str, ...] | None) -> Collection | None:
    """Return a collection that is here, if it was built before or is quickly built."""
    source, key = source_for(name, data, languages)
    known = built(source, key)
    if known is None and sum(path.stat().st_size for path in source.files()) <= SMALL:
        known = load(name, data=data, languages=languages)
    return known


def _published(name: str, state: str, remote: Remote | None) -> Overview:
    if remote is None:
        return Overview(name, state)
    parts = downloads.known(remote) if remote.repos else None
    said = remote.published
    gated = {part.repo: part.record.gated for part in parts or []}
    return Overview(
        name=name,
        state=state,
        documents=said.documents if said else {},
        queries=said.queries if said else {},
        others=said.languages if said else (),
        counted=said.source if said else "",
        size=sum(part.size for part in parts) if parts else (said.size if said else None),
        missing=sum(part.missing_size for part in parts) if parts else (said.size if said else None),
        repos=tuple((repo.page, repo.licence, gated.get(repo, repo.gated)) for repo in remote.repos),
    )
