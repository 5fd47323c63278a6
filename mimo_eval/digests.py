"""Hashes: of texts, of files, of records in any order."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import xxhash

from mimo_eval.locks import USED


def digest(*parts: str | bytes) -> str:
    """Return a hash of some strings that no other sequence of strings has.

    :param parts: texts or bytes; where one ends and the next begins counts.
    :return: 32 hexadecimal characters.
    """
    hasher = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def text_hash(text: str) -> bytes:
    """Return the 16 bytes by which a text is known to the store of vectors."""
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


def checksums(folder: Path, but: str) -> dict[str, list[Any]]:
    """Return size and checksum of every file in a folder, but not of what NFS keeps of removed files that are still open.

    :param folder: the folder.
    :param but: a file in it that is left out: the one that holds the checksums.
    :return: path inside it to [bytes, hash].
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (but, USED) and not path.name.startswith(".nfs"):
            found[name] = [path.stat().st_size, file_checksum(path)]
    return found


def file_checksum(path: Path) -> str:
    """Return a hash of a file's content, against damage and not against malice: XXH3 of 128 bits, 32 hexadecimal characters."""
    hasher = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            hasher.update(block)
    return hasher.hexdigest()


class MultisetHash:
    """A hash of records that does not depend on their order: 256-bit hashes, added."""

    def __init__(self) -> None:
        self.total = 0
        self.count = 0

    def add(self, fields: Iterable[str]) -> None:
        """Count one record in.

        :param fields: the record's fields, in a fixed order.
        """
        hasher = blake2b(digest_size=32)
        for field in fields:
            data = field.encode("utf-8", "surrogatepass")
            hasher.update(len(data).to_bytes(8, "little"))
            hasher.update(data)
        self.total = (self.total + int.from_bytes(hasher.digest(), "little")) % 2**256
        self.count += 1

    def hexdigest(self) -> str:
        """Return the hash of what was added so far, 64 hexadecimal characters."""
        return f"{(self.total + self.count) % 2**256:064x}"
