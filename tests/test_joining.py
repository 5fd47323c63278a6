"""Joining a Ray cluster: addresses at which there is none, and signals; without Ray where it need not be there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mimo_eval import joining
from mimo_eval.errors import ConfigError

REMEDY = r"give the host:port that `ray start` printed, or --address local to start a cluster on this machine$"


class Fake:
    """Stands in for Ray."""

    def __init__(self, init: Callable[[], Any] = lambda: pytest.fail("Ray was asked, and would wait")) -> None:
        self.asked: list[dict[str, Any]] = []
        self._init = init

    def init(self, **options: Any) -> Any:
        self.asked.append(options)
        return self._init() or SimpleNamespace(address_info={})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Fake]:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_worker_niceness", "0")

    def use(*init: Callable[[], Any]) -> Fake:
        made = Fake(*init)
        monkeypatch.setattr(joining, "require", lambda module, extra: made)
        return made

    return use


@pytest.fixture
def server() -> Iterator[Callable[[bytes], int]]:
    """What answers one connection with some bytes, and keeps it open."""
    made: list[socket.socket] = []

    def serve(answer: bytes) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        made.append(listening)

        def work() -> None:
            connection, _ = listening.accept()
            made.append(connection)
            connection.sendall(answer)

        threading.Thread(target=work, daemon=True).start()
        return int(listening.getsockname()[1])

    yield serve
    for one in made:
        one.close()


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield int(one.getsockname()[1])


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "ray://127.0.0.1:{}"])
@pytest.mark.parametrize("source", ["--address", "RAY_ADDRESS", "both", "ray start"])
def test_a_port_where_nobody_listens_is_named_with_its_source(
    fake: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, closed: int, form: str, source: str
) -> None:
    fake()
    address = form.format(closed)
    said = {"--address": f"--address {address}", "ray start": f"{tmp_path}/ray/ray_current_cluster: {address}"}
    if source in ("RAY_ADDRESS", "both"):
        monkeypatch.setenv("RAY_ADDRESS", address)
    if source == "ray start":
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(address + "\n")
    why = "no Ray cluster can be reached \\(Connection refused\\)"
    with pytest.raises(ConfigError, match=f"^{said.get(source, f'RAY_ADDRESS={address}')}: {why}; {REMEDY}"):
        joining.join({"--address": address, "both": "auto"}.get(source))


@pytest.mark.parametrize(("answer", "why"), [(b"SSH-2.0-OpenSSH_9.2\r\n", "what answers there is not Ray"), (b"", "timed out")])
def test_another_server_is_not_waited_for(
    fake: Callable[..., Fake], server: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    fake()
    monkeypatch.setattr(joining, "PATIENCE", 100.0 if answer else 0.3)
    address = f"127.0.0.1:{server(answer)}"
    with pytest.raises(ConfigError, match=f"^--address {address}: no Ray cluster can be reached \\({why}\\); {REMEDY}"):
        joining.join(address)


def test_what_begins_as_ray_does_is_joined(
    fake: Callable[..., Fake], server: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "PATIENCE", 100.0)
    ray, address = fake(lambda: None), f"127.0.0.1:{server(bytes.fromhex('000006040000000000000500004000'))}"
    assert joining.join(address) is None
    assert ray.asked[0]["address"] == address


@pytest.mark.parametrize("host", ["..", "no such host", "a" * 70])
def test_an_impossible_host_is_one_line(fake: Callable[..., Fake], host: str) -> None:
    fake()
    with pytest.raises(ConfigError, match=rf"^--address {host}:6379: no Ray cluster can be reached \(.*; {REMEDY}"):
        joining.join(f"{host}:6379")


@pytest.mark.parametrize(
    ("address", "named", "said"),
    [
        (None, None, r"--engine ray: no Ray cluster can be started on this machine \(no\)$"),
        ("local", "127.0.0.1:1", r"--address local: no Ray cluster can be started on this machine \(no\)$"),
        (None, "local", r"RAY_ADDRESS=local: no Ray cluster can be started on this machine \(no\)$"),
        ("auto", None, rf"--address auto: no Ray cluster can be reached \(no\); {REMEDY}"),
        ("nonsense", None, rf"--address nonsense: no Ray cluster can be reached \(no\); {REMEDY}"),
    ],
)
def test_what_names_no_port_is_left_to_ray(
    fake: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch, address: str | None, named: str | None, said: str
) -> None:
    def fail() -> None:
        raise ConnectionError("no")

    ray = fake(fail)
    if named:
        monkeypatch.setenv("RAY_ADDRESS", named)
    with pytest.raises(ConfigError, match="^" + said):
        joining.join(address)
    assert ray.asked[0]["address"] == address


@pytest.fixture
def handler() -> Iterator[list[int]]:
    """What came to the process's own handler of SIGTERM."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    yield came
    signal.signal(signal.SIGTERM, before)


def test_a_signal_waits_until_ray_has_started_and_goes_to_the_own_handler(
    fake: Callable[..., Fake], handler: list[int]
) -> None:
    whole = []

    def start() -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
        assert signal.signal is not set_handler
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        whole.append(list(handler))

    set_handler = signal.signal
    fake(start)
    joining.join("local")
    assert (whole, handler) == ([[]], [signal.SIGTERM])
    assert signal.signal is set_handler
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)
    assert handler == [signal.SIGTERM] * 2


def test_another_thread_leaves_signals_alone(fake: Callable[..., Fake], handler: list[int]) -> None:
    seen: list[Any] = []
    fake(lambda: seen.extend([signal.signal, signal.getsignal(signal.SIGTERM)]))
    usual = [signal.signal, signal.getsignal(signal.SIGTERM)]
    thread = threading.Thread(target=joining.join, args=("local",))
    thread.start()
    thread.join()
    assert seen == usual == [signal.signal, signal.getsignal(signal.SIGTERM)]


def test_a_second_signal_does_not_wait(fake: Callable[..., Fake]) -> None:
    def start() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        pytest.fail("it goes on")

    fake(start)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        joining.join("local")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_a_wrong_address_ends_in_seconds(tmp_path: Path, cache: Path, closed: int) -> None:
    """The whole command, with Ray itself, which would wait for a quarter of an hour."""
    pytest.importorskip("ray")
    address = f"127.0.0.1:{closed}"
    command = [sys.executable, "-m", "mimo_eval.cli.main", "run", "hashing", "--engine", "ray", "--address", address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --address {address}: no Ray cluster can be reached (Connection refused); give ")
    assert len(done.stderr.splitlines()) == 1
