"""An OpenAI-compatible endpoint on localhost that fails, throttles, cuts off and answers nonsense when told to."""

from __future__ import annotations

import base64
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import run
from mimo_eval.models import endpoint
from mimo_eval.models.api import ApiEncoder
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.models.loading import ModelOptions, load_model, model_name
from mimo_eval.protocols import Encoder
from mimo_eval.specs import parse_spec

KEY = "sk-tests-0123456789abcdefXYZ"
TEXTS = ["one", "two words", "three small words", "four"]
HASHING = HashingEncoder(dim=16)
Step = Callable[["Handler", dict[str, Any]], None]


def vector(text: str) -> list[float]:
    return [float(x) for x in HASHING.encode([text], role="query", lang="en")[0]]


class Server(ThreadingHTTPServer):
    """Answers each request with the next step of a plan, and properly when there is none left."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.plan: list[Step] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append({"path": self.path, **body})
        self.server.headers.append(dict(self.headers))
        (self.server.plan.pop(0) if self.server.plan else proper)(self, body)

    def do_GET(self) -> None:
        """Count what follows a redirect."""
        self.server.requests.append({"path": self.path})
        self.server.headers.append(dict(self.headers))
        self.reply(200, b"{}")

    def reply(self, status: int, data: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)
        if length is not None:
            self.close_connection = True


def answer_of(body: dict[str, Any]) -> dict[str, Any]:
    vectors = [vector(text)[: body.get("dimensions")] for text in body["input"]]
    if body["encoding_format"] == "base64":
        vectors = [base64.b64encode(np.array(v, "<f4").tobytes()).decode() for v in vectors]  # type: ignore[misc]
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    tokens = sum(len(text.split()) for text in body["input"])
    return {"object": "list", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def proper(handler: Handler, body: dict[str, Any]) -> None:
    handler.reply(200, json.dumps(answer_of(body)).encode())


def status(code: int, content: Any = None, **headers: str) -> Step:
    data = content if isinstance(content, bytes) else json.dumps(content or {"error": {"message": "no"}}).encode()
    return lambda handler, body: handler.reply(code, data, **headers)


def changed(change: Callable[[dict[str, Any]], Any]) -> Step:
    def step(handler: Handler, body: dict[str, Any]) -> None:
        answer = answer_of(body)
        result = change(answer)
        handler.reply(200, json.dumps(answer if result is None else result).encode())

    return step


def cut(handler: Handler, body: dict[str, Any]) -> None:
    data = json.dumps(answer_of(body)).encode()
    handler.reply(200, data[: len(data) // 2], length=len(data))


def hang_up(handler: Handler, body: dict[str, Any]) -> None:
    handler.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Server() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait, but say how long."""
    made: list[float] = []
    monkeypatch.setattr(endpoint, "sleep", made.append)
    return made


def encode(model: ApiEncoder, texts: list[str] = TEXTS, role: Any = "document") -> np.ndarray:
    return model.encode(texts, role=role, lang="en")


def expected(texts: list[str] = TEXTS) -> np.ndarray:
    return np.array([vector(text) for text in texts], np.float32)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_come_in_batches_as_the_server_makes_them(server: Server, encoding: str) -> None:
    model = load_model(f"api({server.url}, model=small, batch_size=3, encoding={encoding})")
    assert isinstance(model, Encoder) and isinstance(model, ApiEncoder)
    vectors = encode(model)
    assert vectors.dtype == np.float32 and np.array_equal(vectors, expected())
    assert [r["input"] for r in server.requests] == [TEXTS[:3], TEXTS[3:]]
    assert all(r["path"] == "/v1/embeddings" and r["model"] == "small" for r in server.requests)
    assert all("dimensions" not in r and r["encoding_format"] == encoding for r in server.requests)
    assert all(h["Authorization"] == f"Bearer {KEY}" for h in server.headers)
    assert encode(model, []).shape == (0, 0)


def test_an_address_is_read_from_a_name_with_arguments(server: Server) -> None:
    spec = parse_spec("api(http://127.0.0.1:8000/v1, model=x)")
    assert (str(spec.args[0]), spec.kwargs) == ("http://127.0.0.1:8000/v1", {"model": "x"})
    fused = load_model(f"rrf(api({server.url}/, model=org/name:1, dim=8, price=0.02), bm25)")
    assert model_name(fused) == "rrf(api(org/name:1, dim=8), bm25)"
    assert fused.bases[0].url == server.url  # type: ignore[union-attr]
    assert load_model(f"api({server.url}/embeddings, model=7)").url == server.url  # type: ignore[union-attr]


def test_batches_are_bounded_in_bytes_too_and_a_long_text_goes_alone(server: Server) -> None:
    model = ApiEncoder(server.url, model="m", batch_bytes=10, query_prompt="q: ", max_chars=6)
    texts = ["abc", "def", "ghij", "k" * 30, "日本語", "x"]
    encode(model, texts, "document")
    assert [r["input"] for r in server.requests] == [["abc", "def", "ghij"], ["kkkkkk"], ["日本語", "x"]]
    encode(model, ["a query"], "query")
    assert server.requests[-1]["input"] == ["q: a quer"]
    long = ApiEncoder(server.url, model="m", batch_bytes=5)
    encode(long, ["k" * 30, "a"])
    assert [r["input"] for r in server.requests[-2:]] == [["k" * 30], ["a"]]


def test_the_order_is_that_of_the_indexes(server: Server) -> None:
    def turn(answer: dict[str, Any]) -> None:
        answer["data"] = answer["data"][::-1]

    def forget(answer: dict[str, Any]) -> None:
        for item in answer["data"]:
            del item["index"]

    server.plan = [changed(turn), changed(forget)]
    model = ApiEncoder(server.url, model="m")
    assert np.array_equal(encode(model), expected()) and np.array_equal(encode(model), expected())


def test_the_width_is_asked_for_and_insisted_on(server: Server) -> None:
    model = ApiEncoder(server.url, model="m", dim=5)
    assert encode(model).shape == (4, 5) and server.requests[-1]["dimensions"] == 5
    with pytest.raises(ModelError, match=r"16 numbers for the text 'one', not 5 as asked or as before"):
        server.plan = [changed(lambda answer: answer_of({"input": TEXTS, "encoding_format": "float"}))]
        encode(model)


@pytest.mark.parametrize("failure", [status(500), status(429), status(503, b"<html>busy</html>"), cut, hang_up])
def test_what_may_pass_is_tried_again(server: Server, waits: list[float], failure: Step) -> None:
    server.plan = [failure, failure, proper]
    model = ApiEncoder(server.url, model="m")
    assert np.array_equal(encode(model), expected())
    assert len(waits) == 2 and 0.5 <= waits[0] <= 1 <= waits[1] <= 2
    assert (model.client.counts, model.used["texts"]) == ({"requests": 3, "retries": 2}, 4)


def test_waiting_grows_up_to_a_limit_and_is_not_the_same_twice(server: Server, waits: list[float]) -> None:
    server.plan = [status(502)] * 9
    encode(ApiEncoder(server.url, model="m", retries=9))
    assert all(min(60, 2**n) / 2 <= wait <= min(60, 2**n) for n, wait in enumerate(waits)) and len(waits) == 9
    assert len(set(waits)) == 9


def test_retry_after_is_honoured_as_seconds_and_as_a_date(server: Server, waits: list[float]) -> None:
    date = formatdate(time.time() + 30, usegmt=True)
    server.plan = [status(429, Retry_After="7"), status(503, Retry_After=date), status(429, Retry_After="soon")]
    encode(ApiEncoder(server.url, model="m"))
    assert 7 <= waits[0] <= 8 and 5 <= waits[1] <= 32 and 2 <= waits[2] <= 4  # unasked at most 2 the second time


def test_a_server_that_asks_for_too_much_patience_ends_the_run(server: Server, waits: list[float]) -> None:
    server.plan = [status(429, Retry_After="86400")]
    with pytest.raises(
        ModelError, match=r"HTTP 429 Too Many Requests \(no\); it asks to wait 864\d\d s; what is encoded is kep"
    ):
        encode(ApiEncoder(server.url, model="m"))
    assert waits == []


def test_retries_end_with_address_status_and_remedy(server: Server, waits: list[float]) -> None:
    server.plan = [status(503)] * 3
    with pytest.raises(ModelError) as caught:
        encode(ApiEncoder(server.url, model="m", retries=2))
    said = f"{server.url}/embeddings: HTTP 503 Service Unavailable (no); gave up after 3 attempts; what is encoded is kept"
    assert str(caught.value).startswith(said) and "run again later" in str(caught.value)
    assert len(waits) == 2


def test_nobody_there_is_an_error_at_once_with_address_and_remedy(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("NO_PROXY", "*")
    said = "is the server running, and are host and port of the address right"
    with pytest.raises(ModelError, match=rf"http://127.0.0.1:9/v1/embeddings: no answer \(ConnectionRefusedError.*{said}"):
        encode(ApiEncoder("http://127.0.0.1:9/v1", model="m"))
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ModelError, match=rf"http://nobody:80/v1/embeddings: no answer \(gaierror.*{said}"):
        encode(ApiEncoder("http://nobody:80/v1", model="m"))
    assert waits == []


def test_a_server_that_has_answered_and_is_gone_is_waited_for(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with Server() as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        model = ApiEncoder(server.url, model="m")
        encode(model)
    with pytest.raises(ModelError, match=r"no answer \(ConnectionRefusedError.*; gave up after 7 attempts; .* run again later"):
        encode(model)
    assert len(waits) == 6


def test_requests_keep_to_the_rate(server: Server, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(endpoint, "monotonic", lambda: now[0])

    def rest(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(endpoint, "sleep", rest)
    model = ApiEncoder(server.url, model="m", batch_size=1, rpm=30)
    encode(model, TEXTS[:3])
    assert waits == [2, 2]
    now[0] += 60
    encode(model, TEXTS[:2])
    assert waits == [2, 2, 2]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            status(400, {"error": {"message": "too long"}}),
            r"HTTP 400 Bad Request \(too long\); texts too long or too many\? try max",
        ),
        (status(401), r"HTTP 401 .* the environment variable OPENAI_API_KEY, is it right\?"),
        (status(404), r"HTTP 404 .* is the model's name right, and the address up to /v1\?"),
        (status(404, b"<html>none</html>"), r"HTTP 404 Not Found; is the model"),
        (status(418, b"tea"), r"HTTP 418 .*\(tea\); the server's log may say more"),
        (
            status(429, {"error": {"message": "pay", "code": "insufficient_quota"}}),
            r"HTTP 429 Too Many Requests \(pay\); the account has no credit left",
        ),
        (status(302, Location="/elsewhere"), "HTTP 302 Found .*redirects are not followed, because of the key"),
        (status(307, Location="/elsewhere"), "redirects are not followed, because of the key"),
        (status(200, b"<!doctype html><title>Welcome</title>"), "answers a web page .*give the address of the API, up to /v1"),
        (status(200, {"error": {"message": "no such model"}}), "without a list of vectors: no such model; is it OpenAI-comp"),
        (status(200, ["a", "list"]), "answers without a list of vectors"),
        (changed(lambda a: {"data": a["data"][1:]}), r"api\(m\): .* answers 3 vectors for 4 texts \(first text: 'one'\)"),
        (changed(lambda a: {"data": a["data"] * 2}), "answers 8 vectors for 4 texts"),
        (changed(lambda a: {"data": [a["data"][0]] * 4}), "indexes that are not 0 to 3, each once"),
        (changed(lambda a: {"data": [{**i, "index": str(i["index"])} for i in a["data"]]}), "indexes that are not 0 to 3"),
        (changed(lambda a: {"data": [1, 2, 3, 4]}), "items without an embedding"),
        (
            changed(lambda a: a["data"][1].update(embedding=[1.0, None])),
            "NaN or infinity in the vector of the text 'two words'",
        ),
        (changed(lambda a: a["data"][1].update(embedding=["a", 1])), "no vector of numbers for the text 'two words'"),
        (changed(lambda a: a["data"][1].update(embedding="not base64!")), "no vector of numbers for the text 'two words'"),
        (changed(lambda a: a["data"][1].update(embedding=[[1.0]])), "no vector of numbers for the text 'two words'"),
        (changed(lambda a: a["data"][1].update(embedding=[])), "no vector of numbers for the text 'two words'"),
        (changed(lambda a: a["data"][2].update(embedding=[math.nan] * 16)), "NaN or infinity in the vector of the text 'three"),
        (changed(lambda a: a["data"][2].update(embedding=[1.0] * 3)), "3 numbers for the text 'three small words', not 16"),
    ],
)
def test_what_cannot_pass_is_an_error_at_once(server: Server, waits: list[float], step: Step, message: str) -> None:
    server.plan = [step]
    with pytest.raises(ModelError, match=message) as caught:
        encode(ApiEncoder(server.url, model="m"))
    assert server.url in str(caught.value) and "\n" not in str(caught.value)
    assert len(server.requests) == 1 and waits == []


def test_what_a_run_costs_is_counted(server: Server, waits: list[float]) -> None:
    model = ApiEncoder(server.url, model="m", batch_size=2, price=0.5)
    server.plan = [status(500), proper, changed(lambda a: {"data": a["data"]})]
    encode(model)
    said = model.describe()
    assert said["usage"] == {
        "requests": 3, "retries": 1, "texts": 4, "tokens": 3, "answers without a token count": 1,
        "price of a million tokens": 0.5, "cost": 1.5e-6,
    }  # fmt: skip
    assert ApiEncoder(server.url, model="m").describe()["usage"]["cost"] is None
    json.dumps(said, allow_nan=False)


def test_without_a_key_requests_carry_none_and_a_refusal_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    model = ApiEncoder(server.url, model="m", key_env="OTHER_KEY")
    encode(model)
    assert "Authorization" not in server.headers[0]
    server.plan = [status(401)]
    with pytest.raises(ModelError, match="the environment variable OTHER_KEY, which is not set"):
        encode(model)
    monkeypatch.setenv("OTHER_KEY", f" {KEY}\n")
    encode(model)
    assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"


DOCUMENTS = {"en": {"a": "one cat", "b": "two dogs"}, "de": {"a": "eine Katze", "b": "zwei Hunde"}}
QUERIES = {"en": {"a": "cat", "b": "dogs"}, "de": {"a": "Katze", "b": "Hunde"}}


@pytest.fixture
def toy(tmp_path: Path, folders: Callable[..., Path]) -> Benchmark:
    data = folders(tmp_path / "toy", DOCUMENTS, QUERIES, {"a": {"a": 1}, "b": {"b": 1}})
    return Benchmark(name="toy", tasks=(Task(collection=str(data), mixes=("parallel",)),), measures=("RR@10",), depth=10)


def test_an_evaluation_is_that_of_the_encoder_behind_the_server_and_is_paid_once(
    server: Server, toy: Benchmark, tmp_path: Path
) -> None:
    typed = f"api({server.url}, model=m, price=1)"
    once = run(typed, toy, output=tmp_path / "out").result
    assert once.settings[0].scores == run(HASHING, toy).result.settings[0].scores
    assert once.encoded == {"encoded": 8, "read": 0} and once.model["usage"]["texts"] == 8
    assert once.model["usage"]["cost"] == once.model["usage"]["tokens"] / 1e6 > 0
    asked = len(server.requests)
    again = run(typed, toy, output=tmp_path / "out", again=True).result
    assert len(server.requests) == asked and again.model["usage"]["cost"] == 0
    assert again.settings[0].scores == once.settings[0].scores


def test_a_run_that_was_cut_off_goes_on_where_it_was(server: Server, toy: Benchmark, waits: list[float]) -> None:
    server.plan = [proper, status(503)]
    model = ApiEncoder(server.url, model="m", retries=0)
    with pytest.raises(ModelError, match="not tried again; what is encoded is kept"):
        run(model, toy)
    sent = [text for request in server.requests[:1] for text in request["input"]]
    run(ApiEncoder(server.url, model="m"), toy)
    everything = [text for request in server.requests for text in request["input"]]
    assert all(everything.count(text) == 1 for text in sent)
    assert {*everything} == {text for texts in (DOCUMENTS, QUERIES) for version in texts.values() for text in version.values()}


def test_nothing_of_an_unusable_answer_is_kept(server: Server, toy: Benchmark, cache: Path) -> None:
    server.plan = [changed(lambda a: a["data"][0].update(embedding=[math.nan] * 16))]
    with pytest.raises(ModelError, match="NaN or infinity"):
        run(ApiEncoder(server.url, model="m"), toy)
    assert not list(cache.rglob("*.safetensors"))


def test_what_changes_a_vector_is_in_the_fingerprint() -> None:
    url = "http://127.0.0.1:1/v1"
    settings: list[dict[str, Any]] = [
        {}, {"dim": 3}, {"max_chars": 5}, {"document_prompt": "d"}, {"similarity": "dot"}, {"encoding": "base64"},
    ]  # fmt: skip
    prints = [ApiEncoder(url, model="m", **s).fingerprint("document") for s in settings]
    prints += [ApiEncoder(url, model="n").fingerprint("document"), ApiEncoder(url + "x", model="m").fingerprint("document")]
    assert len({json.dumps(p, sort_keys=True) for p in prints}) == 8
    same: dict[str, Any] = {"rpm": 5, "price": 1, "batch_size": 2, "key_env": "X", "retries": 1, "timeout": 3}
    assert ApiEncoder(url, model="m", **same).fingerprint("document") == prints[0]


def test_the_key_is_nowhere_but_in_the_request(
    server: Server, toy: Benchmark, tmp_path: Path, waits: list[float], caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    model = ApiEncoder(server.url, model="m", retries=1)
    server.plan = [status(429, {"error": {"message": f"slow down, {KEY}"}})]
    run(model, toy, output=tmp_path / "out", save_runs=True)
    said = [repr(model), repr(vars(model)), repr(model.client), repr(vars(model.client)), json.dumps(model.describe())]
    echoes: list[Step] = [
        status(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
        status(400, f"<p>Bearer {KEY}</p>".encode()),
        status(403, (" " * 250 + KEY).encode()),
        status(200, {"message": f"who is {KEY}?"}),
        status(200, f"<html>{' ' * 1990}{KEY}</html>".encode()),
        status(500, {"detail": KEY}),
        status(302, Location=f"/{KEY}"),
    ]
    for step in echoes:
        server.plan = [step, step]
        with pytest.raises(ModelError) as caught:
            encode(model)
        said += [str(caught.value), repr(caught.value)]
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for key in (f"{KEY}\nX: y", f"{KEY} {KEY}", f"{KEY}é"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(ConfigError, match="OPENAI_API_KEY holds characters that no key has") as refused:
            encode(model)
        said.append(str(refused.value))
    captured = capfd.readouterr()
    said += [caplog.text, captured.out, captured.err]
    assert "again in" in caplog.text and not any(KEY in text for text in said)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5 and not any(KEY.encode() in path.read_bytes() for path in written)
    assert len({h["Authorization"] for h in server.headers}) == 1 and all(
        r["path"] == "/v1/embeddings" for r in server.requests
    )


@pytest.mark.parametrize(
    "typed",
    [
        f"api(https://x.org/v1, {KEY}, model=m)",
        f"api({KEY}, model=m)",
        f"api(https://x.org/v1, model=m, key={KEY})",
        f"api(https://x.org/v1, api_key={KEY})",
        f"api(https://x.org/v1, model=m, key_env={KEY})",
        f"api(https://user:{KEY}@x.org/v1, model=m)",
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(typed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_model(typed)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("api", "api takes one address and a model, such as"),
        ("api(https://x.org/v1)", "api takes one address and a model"),
        ("api(x.org, model=m)", "the first argument is the API's address, such as"),
        ("api(ftp://x.org, model=m)", "the first argument is the API's address"),
        ("api(http://x.org:99999, model=m)", "the first argument is the API's address"),
        ("api(http://x.org/v1?a, model=m)", r"an address without user, password or '\?'"),
        ("api(http://x.org, model=m, dim=0)", "dim must be a whole number of at least 1"),
        ("api(http://x.org, model=m, dim=2.5)", "dim must be a whole number"),
        ("api(http://x.org, model=m, batch_size=true)", "batch_size must be a whole number"),
        ("api(http://x.org, model=m, rpm=0)", "rpm must be a number above 0"),
        ("api(http://x.org, model=m, timeout=soon)", "timeout must be a number above 0"),
        ("api(http://x.org, model=m, price=-1)", "price must be a number of at least 0"),
        ("api(http://x.org, model=m, retries=-1)", "retries must be a number of at least 0"),
        ("api(http://x.org, model=m, encoding=int8)", "choose float or base64"),
        ("api(http://x.org, model=m, similarity=l2)", "choose cosine or dot"),
        ("api(http://x.org, model=m, dimension=5)", "unknown argument 'dimension' of api; it takes model, dim, key_env, "),
        ("api(http://x.org, model=m, key_env=my-key)", "in capitals, never the key itself"),
    ],
)
def test_what_does_not_fit_is_refused(typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(typed)


def test_options_that_do_not_concern_a_server_are_said_to_be_ignored(caplog: pytest.LogCaptureFixture) -> None:
    model = load_model("api(http://localhost/v1, model=m)", ModelOptions(device="cpu", batch_size=5, query_prompt="q: "))
    assert "api does not take --device; it is ignored" in caplog.text and "batch" not in caplog.text
    assert isinstance(model, ApiEncoder) and (model.batch_size, model.prompts["query"]) == (5, "q: ")


def test_a_key_that_would_travel_unencrypted_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for url in ("http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1", "https://x.org/v1"):
        ApiEncoder(url, model="m")
    assert caplog.text == ""
    ApiEncoder("http://x.org/v1", model="m")
    assert "the key will travel unencrypted" in caplog.text and KEY not in caplog.text
