"""A model hub on localhost: folders under ROOT/<org>/<name> become models with one revision, `main`."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(?:/(.*))?)?")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub(ThreadingHTTPServer):
    """Serve until the `with` block ends; `url` is the value for HF_ENDPOINT."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def files(self, name: str) -> dict[str, bytes]:
        folder = self.root / name
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def commit(self, name: str) -> str:
        return hashlib.sha1(repr(sorted(self.files(name).items())).encode()).hexdigest()

    def __enter__(self) -> Hub:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Two families of addresses: `/api/models/…` answers JSON, `…/resolve/…` files."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        api, file = API.fullmatch(path), FILE.fullmatch(path)
        name = (api or file)[1] if api or file else ""  # type: ignore[index]
        if not name or not (self.server.root / name).is_dir():
            self.refuse("RepoNotFound")
            return
        files, commit = self.server.files(name), self.server.commit(name)
        revision = (api[3] if api else file[2]) or "main"  # type: ignore[index]
        if revision not in ("main", commit):
            self.refuse("RevisionNotFound")
        elif api and api[4] and not any(f.startswith(f"{api[4]}/") for f in files):
            self.refuse("EntryNotFound", {"X-Repo-Commit": commit})
        elif api:
            tree = [{"type": "file", "path": f, "size": len(data), "oid": oid(data)} for f, data in files.items()]
            info = {"id": name, "sha": commit, "private": False, "tags": [], "siblings": [{"rfilename": f} for f in files]}
            self.reply(200, json.dumps(tree if api[2] == "tree" else info).encode(), {})
        elif file and file[3] in files:
            data = files[file[3]]
            self.reply(200, data, {"ETag": f'"{oid(data)}"', "X-Repo-Commit": commit})
        else:
            self.refuse("EntryNotFound", {"X-Repo-Commit": commit})

    do_HEAD = do_GET

    def refuse(self, code: str, headers: dict[str, Any] | None = None) -> None:
        self.reply(404, b"{}", {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def reply(self, status: int, data: bytes, headers: dict[str, Any]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
