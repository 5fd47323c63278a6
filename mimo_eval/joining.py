"""Joining a Ray cluster, or starting one on this machine.

Ray waits a quarter of an hour for a cluster that is not there and answers no signal meanwhile, so an address is tried first. It
also answers SIGTERM in the place of the command line, by stack lines and exit code 1, so the handlers are set again.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from types import FrameType
from typing import Any

from mimo_eval.errors import ConfigError, require

PATIENCE = 5.0
"""Seconds that a cluster has to take a connection, and again to answer."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""How HTTP/2, by which Ray speaks, begins: preface and an empty frame of settings, to be answered by one (RFC 9113, 3.4)."""
ADDRESS = re.compile(r"(?:ray://)?\[?([^/\[\]]+)\]?:(\d+)")
"""Addresses that name a host and a port; others (`auto`, `local`) are left to Ray."""

Handler = Callable[[int, FrameType | None], Any]
"""What answers a signal."""


def join(address: str | None) -> Path | None:
    """Connect this process to a Ray cluster.

    :param address: `host:port`, `ray://host:port`, `auto` or `local`; if None, `$RAY_ADDRESS`, the cluster that `ray start` has
        started on this machine, or one that is started now.
    :return: the folder in which a cluster that was started now logs; None if there was one.
    :raises ConfigError: if there is no such cluster, or none can be started.
    """
    ray = require("ray", "ray")
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 if not said, which beside other work means last
    said, meant = _meant(address)
    try:
        _try(meant)
        with _signals_later():
            context = ray.init(
                address=address,
                include_dashboard=False if meant == "local" else None,
                log_to_driver=False,
                logging_level="error",
            )
    except (RuntimeError, ValueError, OSError) as error:
        text = getattr(error, "strerror", None) or str(error.__cause__ or error).strip() or repr(error)
        why = text.splitlines()[-1]  # before it Ray has a traceback
        if meant == "local":
            raise ConfigError(f"{said}: no Ray cluster can be started on this machine ({why})") from error
        raise ConfigError(
            f"{said}: no Ray cluster can be reached ({why}); give the host:port that `ray start` printed, "
            "or --address local to start a cluster on this machine"
        ) from error
    session = Path(getattr(context, "address_info", {}).get("session_dir") or "")
    return session if session.name.endswith(f"_{os.getpid()}") else None  # named after the process that has started it


def _meant(address: str | None) -> tuple[str, str]:
    """Return who names a cluster, for messages, and the address that Ray will take."""
    if address not in (None, "auto"):
        return f"--address {address}", address
    if named := os.environ.get("RAY_ADDRESS"):
        return f"RAY_ADDRESS={named}", named
    if address is None:
        last = Path(os.environ.get("RAY_TMPDIR") or gettempdir(), "ray", "ray_current_cluster")
        if os.access(last, os.R_OK):  # it stays behind if what `ray start` has started was killed
            return f"{last}: {last.read_text().strip()}", last.read_text().strip()
    return ("--engine ray", "local") if address is None else (f"--address {address}", address)


def _try(address: str) -> None:
    """Raise an error at once if nothing like Ray answers at an address.

    :param address: as Ray takes it.
    :raises OSError: if nobody answers in time, or not as Ray does.
    :raises ValueError: if there can be no such host.
    """
    if not (match := ADDRESS.fullmatch(address)):
        return
    with socket.create_connection((match[1], int(match[2])), PATIENCE) as connection:
        if os.environ.get("RAY_USE_TLS", "0") == "1":  # would have to be greeted with a certificate
            return
        connection.sendall(GREETING)
        if connection.recv(4, socket.MSG_WAITALL)[3:] != b"\4":
            raise ConnectionError("what answers there is not Ray")


@contextmanager
def _signals_later() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM wait for the end of the block, if they come once; then they are answered as before.

    An exception in the midst of `ray.init` leaves Ray in a state in which it aborts the process in the end, and for SIGTERM Ray
    sets a handler that raises one. A process that has no handlers keeps Ray's. Only the main thread gets signals and may set
    handlers: another one changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before: dict[int, Handler] = {number: handler for number, handler in found.items() if callable(handler)}
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            before[number](number, frame)

    def set_others(signalnum: int, handler: Any) -> Any:
        return before.get(signalnum) or set_handler(signalnum, handler)

    set_handler = signal.signal
    for number in before:
        set_handler(number, note)
    signal.signal = set_others
    try:
        yield
    finally:
        signal.signal = set_handler
        for number, handler in before.items():
            set_handler(number, handler)
        if came:
            signal.raise_signal(came[0])
