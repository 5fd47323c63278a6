"""The Hugging Face hub, through its own client: resolve a revision, list files, fetch one and check it. No code is ever run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mimo_eval.collections.remote import Repo
from mimo_eval.errors import DataError, MimoEvalError
from mimo_eval.files import inside

COMMIT = re.compile(r"[0-9a-f]{40}")
CHUNK = 2**20
PARTIAL = ".partial"
"""Ending of what came of a file until it is whole."""


class Entry(NamedTuple):
    """What the hub says of one file; exactly one of the two hashes is known."""

    size: int
    """Bytes."""
    sha256: str = ""
    """Of large files, those in Git LFS."""
    git: str = ""
    """SHA-1 of git's blob, of others."""


def endpoint() -> str:
    """Return the address of the hub: `$HF_ENDPOINT`, or huggingface.co."""
    from huggingface_hub import constants

    return str(os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def offline() -> bool:
    """Tell whether `HF_HUB_OFFLINE` forbids the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def resolve(repo: Repo) -> tuple[str, bool]:
    """Ask the hub for the commit of a repository's revision.

    :param repo: the repository.
    :return: the commit, and whether the hub asks to accept terms.
    :raises DataError: if it cannot be asked, or does not know the repository or revision.
    """
    from huggingface_hub import HfApi

    url = f"{endpoint()}/api/datasets/{repo.name}/revision/{repo.revision}"
    with _explained(repo, url):
        info = HfApi(endpoint=endpoint()).dataset_info(repo.name, revision=repo.revision)
        if not COMMIT.fullmatch(str(info.sha)):
            raise DataError(f"{url}: no commit in the answer; is {endpoint()} a hub? Check HF_ENDPOINT")
        return str(info.sha), bool(getattr(info, "gated", False))


def listing(repo: Repo, commit: str) -> dict[str, Entry]:
    """List all files of a repository with their sizes and hashes.

    :param repo: the repository.
    :param commit: the commit.
    :return: path to what the hub says of it.
    :raises DataError: if the hub cannot be asked, or lists a file that would lie outside the repository's folder.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    with _explained(repo, f"{endpoint()}/api/datasets/{repo.name}/tree/{commit}"):
        tree = HfApi(endpoint=endpoint()).list_repo_tree(repo.name, recursive=True, revision=commit, repo_type="dataset")
        files = [item for item in tree if isinstance(item, RepoFile)]
        for item in files:
            inside(Path(repo.name), item.path)
        return {item.path: _entry(item) for item in files}


def _entry(item: Any) -> Entry:
    lfs = item.lfs
    return Entry(int(lfs.size), sha256=str(lfs.sha256)) if lfs else Entry(int(item.size), git=str(item.blob_id))


def download(repo: Repo, commit: str, path: str, folder: Path, entry: Entry) -> None:
    """Fetch one file, going on where an earlier attempt broke off, and check it against the hub's hash.

    The client's own `hf_hub_download` starts again from the beginning in every process (since huggingface_hub 1.0), so this
    takes the parts of it that find and read a file, and keeps what came.

    :param repo: the repository.
    :param commit: the commit.
    :param path: the file's path in it.
    :param folder: where the repository's files lie; the file appears below it whole or not at all.
    :param entry: size and hash that the hub listed.
    :raises DataError: if it cannot be had or is not what was listed; then nothing of it is left.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    where = hf_hub_url(repo.name, path, repo_type="dataset", revision=commit, endpoint=endpoint())
    target, partial = folder / path, folder / f"{path}{PARTIAL}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with _explained(repo, where):
        found = get_hf_file_metadata(where)
        if found.commit_hash != commit or not found.etag:
            raise DataError(f"{where}: no commit and ETag in the answer, so it is not a hub's; check HF_ENDPOINT and any proxy")
        headers = build_hf_headers()
        if urlsplit(found.location).netloc != urlsplit(where).netloc:
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        begun = partial.stat().st_size if partial.is_file() else 0
        begun = begun if begun <= entry.size else 0
        try:
            with partial.open("ab" if begun else "wb") as stream:
                http_get(
                    found.location,
                    stream,
                    resume_size=begun,
                    headers=headers,
                    expected_size=entry.size,
                    displayed_filename=path,
                )
        except Exception:
            _refuse(partial, where, "an HTML page instead of the file", _is_page(partial))
            raise
        _refuse(partial, where, "an HTML page instead of the file", _is_page(partial) and not matches(partial, entry))
        _refuse(partial, where, "its checksum is not the one that the hub lists", not matches(partial, entry))
        partial.replace(target)


def _refuse(partial: Path, where: str, what: str, wrong: bool) -> None:
    if wrong:
        partial.unlink()
        raise DataError(f"{where}: {what}; nothing was kept. Check HF_ENDPOINT and any proxy, then fetch again")


def forget(folder: Path, path: str) -> int:
    """Remove a file and what was begun of it.

    :param folder: where the repository's files lie.
    :param path: the file's path below it.
    :return: bytes that became free.
    """
    freed = 0
    for file in (folder / path, folder / f"{path}{PARTIAL}"):
        if file.is_file():
            freed += file.stat().st_size
            file.unlink()
    return freed


def matches(path: Path, entry: Entry) -> bool:
    """Tell whether a file has the hash that the hub listed.

    :param path: the file.
    :param entry: what the hub listed.
    """
    blob = b"blob %d\0" % path.stat().st_size  # what git hashes before the content
    hasher = hashlib.sha256() if entry.sha256 else hashlib.sha1(blob, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            hasher.update(block)
    return hasher.hexdigest() == (entry.sha256 or entry.git)


def _is_page(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))


@contextmanager
def _explained(repo: Repo, url: str) -> Iterator[None]:
    """Turn whatever the client raises into an error that names the address and the remedy."""
    try:
        yield
    except MimoEvalError:
        raise
    except Exception as error:  # the client's own, those of two HTTP libraries, and of parsing what a stranger answered
        raise DataError(_reason(repo, url, error)) from error


def _reason(repo: Repo, url: str, error: Exception) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    chain = error.__cause__ or error.__context__
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{url}: {repo.name} is gated: accept its terms on {repo.page}, then set HF_TOKEN or run `hf auth login`; "
            "or give the folder of a local copy with --data"
        )
    if isinstance(error, errors.OfflineModeIsEnabled) or offline():
        return f"{url}: HF_HUB_OFFLINE is set and {repo.name} is not here; unset it, or give a local copy with --data"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{url}: {repo.name} has no revision {repo.revision}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{url}: no data set {repo.name} there, or it is private: check the name, HF_ENDPOINT and HF_TOKEN"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{url}: no such file in {repo.name}"
    if status in (401, 403):
        return (
            f"{url}: access denied ({status}); accept the terms on {repo.page}, set HF_TOKEN, or give a local copy with --data"
        )
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return f"{url}: this is not how a hub answers (an HTML page?); check HF_ENDPOINT and any proxy or login page"
    detail = str(chain or error).splitlines()[0:1] or [""]
    return f"{url}: cannot be fetched ({type(error).__name__}: {detail[0]}); what came is kept, run the same command to go on"
