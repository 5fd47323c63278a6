"""Requests to an embeddings endpoint: rate limit, retry with back-off, and errors that never show the key.

The key is read from the environment for each request and kept nowhere: not in the model, its fingerprint, a log or a message.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import ssl
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from socket import gaierror
from time import monotonic, sleep, time
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from mimo_eval import __version__
from mimo_eval.errors import ConfigError, ModelError

logger = logging.getLogger(__name__)

AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 524, 529}
"""HTTP statuses after which the same request may succeed."""
LONGEST_BACKOFF = 60.0
LONGEST_WAIT = 600.0
"""Seconds; a server that asks for more ends the run, which can be resumed."""
NOBODY = (ConnectionRefusedError, gaierror)
"""Nothing listens at the port, or the host has no address. From a server that has answered before it may pass: it restarts."""
LATER = "what is encoded is kept in the store, chunk by chunk: run again later to go on"


class _Passing(Exception):
    """A failure after which the same request may succeed."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


class _NoRedirect(HTTPRedirectHandler):
    """Leave redirects as errors: followed, they would take the key to another server."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""
        return


@dataclass
class Client:
    """Posts JSON to one address, again and again if need be."""

    endpoint: str
    key_env: str
    rpm: float | None = None
    retries: int = 6
    timeout: float = 120
    counts: dict[str, int] = field(default_factory=lambda: {"requests": 0, "retries": 0})
    _next: float = field(default=0.0, repr=False)
    _answered: bool = field(default=False, repr=False)
    _opener: OpenerDirector = field(default_factory=lambda: build_opener(_NoRedirect()), repr=False)

    def post(self, content: dict[str, Any]) -> dict[str, Any]:
        """Send one request until it is answered, waiting longer each time.

        :param content: the request.
        :return: the answer.
        :raises ModelError: with address, status and remedy.
        """
        body = json.dumps(content).encode()
        for attempt in range(self.retries + 1):
            self._wait_for_turn()
            self.counts["requests"] += 1
            try:
                return self._read(self._once(body))
            except _Passing as failure:
                if attempt == self.retries:
                    tried = f"gave up after {attempt + 1} attempts" if attempt else "not tried again"
                    raise ModelError(f"{self.endpoint}: {failure.why}; {tried}; {LATER}") from None
                wait = _wait(attempt, failure.wait)
                if wait > LONGEST_WAIT:
                    raise ModelError(f"{self.endpoint}: {failure.why}; it asks to wait {wait:.0f} s; {LATER}") from None
                logger.warning("%s: %s; again in %.1f s", self.endpoint, failure.why, wait)
                self.counts["retries"] += 1
                sleep(wait)
        raise AssertionError("unreachable")

    def _wait_for_turn(self) -> None:
        if self.rpm is None:
            return
        now = monotonic()
        if self._next > now:
            sleep(self._next - now)
        self._next = max(now, self._next) + 60 / self.rpm

    def _once(self, body: bytes) -> str:
        request = Request(self.endpoint, body, self._headers(), method="POST")
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                self._answered = True
                data: bytes = response.read()
        except HTTPError as error:
            self._answered = True
            with error:
                self._refused(error)
        except (HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            why = self._hidden(f"no answer ({type(reason).__name__}: {reason})")
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise ModelError(f"{self.endpoint}: {why}; the server's certificate is not trusted here") from None
            if isinstance(reason, NOBODY) and not self._answered:
                raise ModelError(
                    f"{self.endpoint}: {why}; is the server running, and are host and port of the address right?"
                ) from None
            raise _Passing(why) from None
        return data.decode("utf-8", "replace")

    def _headers(self) -> dict[str, str]:
        key = self._key()
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": f"mimo-eval/{__version__}"}
        return {**headers, "Authorization": f"Bearer {key}"} if key else headers

    def _key(self) -> str:
        key = os.environ.get(self.key_env, "").strip()
        if not key.isascii() or not key.isprintable() or " " in key:  # http.client would show it in its error
            raise ConfigError(f"the environment variable {self.key_env} holds characters that no key has")
        return key

    def _hidden(self, text: str) -> str:
        """Return a server's words on one line, without the key, which some repeat."""
        key = os.environ.get(self.key_env, "").strip()
        return " ".join((text.replace(key, "…") if len(key) > 3 else text).split())[:300]

    def _refused(self, error: HTTPError) -> NoReturn:
        """Raise what an HTTP status means."""
        try:
            said = error.read(100_000).decode("utf-8", "replace")
        except (HTTPException, OSError):
            said = ""
        message, code = _error_message(said)
        why = self._hidden(f"HTTP {error.code} {error.reason or ''}") + (f" ({self._hidden(message)})" if message else "")
        if error.code in AGAIN and code != "insufficient_quota":
            raise _Passing(why, _retry_after(error.headers.get("Retry-After"))) from None
        raise ModelError(f"{self.endpoint}: {why}; {self._remedy(error.code, code)}") from None

    def _remedy(self, status: int, code: str) -> str:
        if code == "insufficient_quota":
            return "the account has no credit left"
        if status in (401, 403):
            state = "is it right?" if self._key() else "which is not set"
            return f"the key is taken from the environment variable {self.key_env}, {state}"
        if 300 <= status < 400:
            return "redirects are not followed, because of the key; give the address that it redirects to"
        if status in (404, 405):
            return "is the model's name right, and the address up to /v1?"
        if status in (400, 413, 422):
            return "texts too long or too many? try max_chars, batch_size or batch_bytes; is it dim? leave it out"
        return "the server's log may say more"

    def _read(self, text: str) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            said = self._hidden(text)[:80]
            if said.startswith("<"):
                raise ModelError(
                    f"{self.endpoint}: answers a web page ('{said}'); give the address of the API, up to /v1"
                ) from None
            raise _Passing(f"the answer, {len(text)} characters, is not JSON ('{said}')") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            said = self._hidden(_error_message(text)[0] or text)
            raise ModelError(f"{self.endpoint}: answers without a list of vectors: {said}; is it OpenAI-compatible?")
        return answer


def _wait(attempt: int, asked: float | None) -> float:
    """Return seconds to wait: what the server asks for, else twice as long each time; jittered, so that clients part."""
    if asked:
        return asked + random.uniform(0, min(1.0, asked / 10))
    return min(LONGEST_BACKOFF, 2.0**attempt) * random.uniform(0.5, 1)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if not math.isnan(seconds) else None


def _error_message(text: str) -> tuple[str, str]:
    """Return message and code of an error in OpenAI's form, or in one near it; empty where there is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return ("" if text.lstrip().startswith("<") else text), ""
    error = content.get("error", content) if isinstance(content, dict) else content
    if isinstance(error, dict):
        return str(error.get("message") or error.get("detail") or error), str(error.get("code") or error.get("type") or "")
    return str(error), ""
