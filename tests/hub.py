"""A hub on localhost: folders under ROOT/<org>/<name> are models, under ROOT/datasets/<org>/<name> data sets, of one revision.

Large files of data sets are redirected to another host name, as to a CDN, and known by their sha256, as in Git LFS. What goes
wrong on real hubs can be asked for: see the attributes of `Hub`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(?:/(.*))?)?")
FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
CDN = re.compile(r"/cdn/datasets/([^/]+/[^/]+)/(.+)")
PAGE = b"<!DOCTYPE html><html><body>Please log in to the network</body></html>"


class Hub(ThreadingHTTPServer):
    """Serve until the `with` block ends; `url` is the value for HF_ENDPOINT.

    `log` holds (method, path, value of Range, whether a token came) of every request.
    """

    daemon_threads = True

    def __init__(self, root: Path, lfs_over: int = 1000) -> None:
        self.root, self.lfs_over = root, lfs_over
        self.log: list[tuple[str, str, str, bool]] = []
        self.gated: set[str] = set()
        """Data sets whose files need a token."""
        self.cut: dict[str, list[int]] = {}
        """Path of a file to the numbers of bytes after which its next answers break off."""
        self.corrupt: set[str] = set()
        """Paths of files that are served with other content than listed."""
        self.commits: dict[str, str] = {}
        """Name to a commit that stands for the content instead of its hash."""
        self.page = ""
        """Paths that match are answered with an HTML page."""
        self.refused: dict[str, int] = {}
        """Paths that match are answered with a status."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def folder(self, name: str, kind: str = "models") -> Path:
        return self.root / name if kind == "models" else self.root / "datasets" / name

    def files(self, name: str, kind: str = "models") -> dict[str, bytes]:
        folder = self.folder(name, kind)
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def commit(self, name: str, kind: str = "models") -> str:
        if name in self.commits:
            return self.commits[name]
        return hashlib.sha1(repr(sorted(self.files(name, kind).items())).encode()).hexdigest()

    def asked(self, text: str, method: str = "GET") -> list[tuple[str, str, str, bool]]:
        """Return the requests of a method whose path has a text."""
        return [request for request in self.log if request[0] == method and text in request[1]]

    def __enter__(self) -> Hub:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Addresses: `/api/…` answers JSON, `…/resolve/…` and `/cdn/…` files."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        token = bool(self.headers.get("Authorization"))
        self.server.log.append((self.command, path, self.headers.get("Range", ""), token))
        if self.server.page and re.search(self.server.page, path):
            self.reply(200, PAGE, {"Content-Type": "text/html"})
            return
        for pattern, status in self.server.refused.items():
            if re.search(pattern, path):
                self.reply(status, b"{}", {"Content-Type": "application/json"})
                return
        api, file, cdn = API.fullmatch(path), FILE.fullmatch(path), CDN.fullmatch(path)
        if cdn:
            self.content(self.server.files(cdn[1], "datasets")[cdn[2]], cdn[2], {})
        elif api:
            self.api(api[1], api[2], api[3], api[4] or "main", api[5] or "")
        elif file:
            self.file(file[1] or "models", file[2], file[3], file[4], token)
        else:
            self.refuse("RepoNotFound")

    do_HEAD = do_GET

    def known(self, kind: str, name: str, revision: str) -> bool:
        """Refuse what is not here."""
        if not self.server.folder(name, kind).is_dir():
            self.refuse("RepoNotFound")
        elif revision not in ("main", self.server.commit(name, kind)):
            self.refuse("RevisionNotFound")
        else:
            return True
        return False

    def api(self, kind: str, name: str, verb: str | None, revision: str, path: str) -> None:
        if not self.known(kind, name, revision):
            return
        files, commit = self.server.files(name, kind), self.server.commit(name, kind)
        if path and not any(f.startswith(f"{path}/") for f in files):
            self.refuse("EntryNotFound", {"X-Repo-Commit": commit})
            return
        tree = [self.entry(kind, f, data) for f, data in files.items()]
        info = {"id": name, "sha": commit, "private": False, "tags": [], "siblings": [{"rfilename": f} for f in files]}
        info["gated"] = "auto" if name in self.server.gated else False
        self.reply(200, json.dumps(tree if verb == "tree" else info).encode(), {"Content-Type": "application/json"})

    def entry(self, kind: str, name: str, data: bytes) -> dict[str, Any]:
        """Describe a file as the tree does; large ones are in Git LFS."""
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": oid(data)}
        if self.is_large(kind, data):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def is_large(self, kind: str, data: bytes) -> bool:
        return kind == "datasets" and len(data) > self.server.lfs_over

    def file(self, kind: str, name: str, revision: str, path: str, token: bool) -> None:
        if not self.known(kind, name, revision):
            return
        commit = self.server.commit(name, kind)
        data = self.server.files(name, kind).get(path)
        if name in self.server.gated and not token:
            said = f"Access to dataset {name} is restricted."
            self.reply(401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": said})
        elif data is None:
            self.refuse("EntryNotFound", {"X-Repo-Commit": commit})
        elif self.is_large(kind, data):
            headers = {"X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": len(data)}
            elsewhere = f"http://localhost:{self.server.server_address[1]}/cdn/datasets/{name}/{path}"
            self.reply(302, b"", {**headers, "X-Repo-Commit": commit, "Location": elsewhere})
        else:
            self.content(data, path, {"ETag": f'"{oid(data)}"', "X-Repo-Commit": commit})

    def content(self, data: bytes, path: str, headers: dict[str, Any]) -> None:
        """Answer with a file or the part of it that is asked for, spoilt if that was asked for too."""
        if path in self.server.corrupt:
            data = bytes(255 - byte for byte in data)
        status, wanted = 200, re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
            status, data = 206, data[first : last + 1]
        cut = self.server.cut.get(path)
        if cut and self.command == "GET":
            self.reply(status, data, {**headers, "Accept-Ranges": "bytes"}, cut.pop(0))
            self.close_connection = True
        else:
            self.reply(status, data, {**headers, "Accept-Ranges": "bytes"})

    def refuse(self, code: str, headers: dict[str, Any] | None = None) -> None:
        self.reply(404, b"{}", {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def reply(self, status: int, data: bytes, headers: dict[str, Any], only: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if only is None else data[:only])


def oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
