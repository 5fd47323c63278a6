"""A local S3 server for tests: moto's, in a thread, with what it was asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest


@dataclass
class S3:
    """What a test may look at."""

    url: str
    """Of the server."""
    asked: list[str] = field(default_factory=list)
    """Method and path of each request, oldest first."""

    def count(self, beginning: str, part: str = "") -> int:
        """Return the number of requests that begin so and hold a part."""
        return sum(line.startswith(beginning) and part in line for line in self.asked)


class _Log(logging.Handler):
    def __init__(self, asked: list[str]) -> None:
        super().__init__()
        self.asked = asked

    def emit(self, record: logging.LogRecord) -> None:
        _, quote, line = record.getMessage().partition('"')
        if quote:
            self.asked.append(line.partition(" HTTP/")[0])


@contextmanager
def server() -> Iterator[S3]:
    """Start a server with a bucket `bucket`; processes that are started meanwhile find it by AWS's own variables."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    import boto3

    log, patch = logging.getLogger("werkzeug"), pytest.MonkeyPatch()
    running = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    found = S3(f"http://{host}:{port}")
    handler, propagates, level = _Log(found.asked), log.propagate, log.level
    try:
        log.addHandler(handler)
        log.propagate = False
        log.setLevel(logging.INFO)
        patch.setenv("AWS_ENDPOINT_URL", found.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield found
    finally:
        patch.undo()
        log.removeHandler(handler)
        log.propagate = propagates
        log.setLevel(level)
        running.stop()
