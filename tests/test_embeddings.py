from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import psutil
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.collections import Collection, Texts
from mimo_eval.embeddings import Filled, Share, VectorStore, check_vectors, read_chunk, shards, text_hash
from mimo_eval.embeddings.chunks import HEAD, read_texts, write_chunk
from mimo_eval.errors import CacheError, ModelError

MODEL = {"model": "toy", "identity": "1"}


def vector_of(text: str) -> list[float]:
    """Three numbers that tell texts apart: length, first character, sum of characters."""
    return [float(len(text)), float(ord(text[0])), float(sum(map(ord, text)) % 997)]


class Recorder:
    """An encoder that remembers what it was asked."""

    def __init__(self, vector: Callable[[str], Any] = vector_of) -> None:
        self.vector = vector
        self.calls: list[list[str]] = []

    def __call__(self, texts: Sequence[str], lang: str) -> np.ndarray:
        self.calls.append(list(texts))
        return np.array([self.vector(text) for text in texts], np.float32)

    @property
    def texts(self) -> list[str]:
        return [text for call in self.calls for text in call]


def words(count: int, prefix: str = "text") -> dict[str, str]:
    return {f"g{i:03d}": f"{prefix} number {i}" for i in range(count)}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "CHUNK_ROWS", 4)


@pytest.fixture
def ten(collect: Callable[..., Collection]) -> Collection:
    return collect({"en": words(10)}, {"en": {"q": "which"}}, {"q": {"g000": 1}})


def store(collection: Collection, fingerprint: dict[str, Any] = MODEL, **kwargs: Any) -> VectorStore:
    return VectorStore(fingerprint, "document", collection.documents, cosine=False, **kwargs)


def everything(collection: Collection) -> np.ndarray:
    return np.arange(len(collection.documents))


def expected(collection: Collection) -> np.ndarray:
    return np.array([vector_of(t) for t in collection.documents.read(everything(collection))], np.float32)


def chunk_files(cache: Path) -> list[Path]:
    return sorted(cache.glob("vectors/**/*.safetensors"))


def test_vectors_come_back_in_any_order_and_are_not_computed_twice(ten: Collection) -> None:
    encoder = Recorder()
    assert store(ten).fill("en", everything(ten), encoder) == Filled(encoded=10, read=0)
    assert [len(call) for call in encoder.calls] == [4, 4, 2]
    assert store(ten).fill("en", everything(ten), encoder) == Filled(encoded=0, read=10)
    rows = np.array([9, 0, 5, 5, 3])
    assert store(ten).gather(rows) == pytest.approx(expected(ten)[rows])
    assert len(encoder.texts) == 10


def test_no_rows_are_no_work(ten: Collection) -> None:
    assert store(ten).fill("en", np.empty(0, np.int64), Recorder()) == Filled(0, 0)
    assert store(ten).gather(np.empty(0, np.int64)).shape[0] == 0
    assert list(store(ten).tiles("en", np.empty(0, np.int64))) == []


def test_tiles_cover_the_rows_in_order(ten: Collection) -> None:
    vectors = store(ten)
    vectors.fill("en", everything(ten), Recorder())
    rows = np.array([1, 2, 6, 7, 9])
    parts = list(vectors.tiles("en", rows, 2))
    assert [part.tolist() for part, _ in parts] == [[1, 2], [6, 7], [9]]
    assert np.concatenate([v for _, v in parts]) == pytest.approx(expected(ten)[rows])


def test_some_rows_first_then_the_rest_encodes_each_text_once(ten: Collection) -> None:
    encoder, vectors = Recorder(), store(ten)
    assert vectors.fill("en", np.array([1, 5, 6]), encoder) == Filled(3, 0)
    with pytest.raises(CacheError, match="not every row"):
        vectors.gather(np.array([0]))
    with pytest.raises(CacheError, match="missing or damaged"):
        vectors.gather(np.array([9]))
    assert vectors.fill("en", everything(ten), encoder) == Filled(7, 3)
    assert sorted(encoder.texts) == sorted(ten.documents.read(everything(ten)))
    assert vectors.gather(everything(ten)) == pytest.approx(expected(ten))


def test_a_text_is_hashed_once_to_be_compared_and_to_be_known(ten: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed, real = list[bytes](), xxhash.xxh3_128_digest
    monkeypatch.setattr(xxhash, "xxh3_128_digest", lambda data: hashed.append(data) or real(data))
    store(ten).fill("en", everything(ten), Recorder())
    assert len(hashed) == 10
    records = ten.documents.records([3, 1])
    assert [bytes(row) for row in records.hashes] == [real(text.encode()) for text in records.shown]
    assert records.shown == records.columns["text"] == ten.documents.read([3, 1])


def test_ids_are_not_looked_up_for_an_error_that_does_not_occur(ten: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Texts, "ids", Mock(side_effect=AssertionError("walks through all record batches of a collection")))
    assert store(ten).fill("en", everything(ten), Recorder()) == Filled(10, 0)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of what is mapped")
def test_no_file_is_replaced_while_it_is_mapped(collect: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to."""
    texts = {f"g{i}": "same" if i in (4, 5) else f"text {i}" for i in range(8)}
    collection = collect({"en": texts}, {"en": {"q": "?"}}, {"q": {"g0": 1}})
    replaced, real = list[str](), Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).exists():
            assert str(target) not in Path("/proc/self/maps").read_text("utf-8")
            replaced.append(Path(target).name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    vectors = store(collection)
    for rows in ([0, 1], [2, 3, 5], [4, 6, 7]):
        vectors.fill("en", np.array(rows), Recorder())
        vectors.gather(np.array(rows))
    assert replaced.count("000000.safetensors") == replaced.count("000001.safetensors") == 1
    assert vectors.gather(everything(collection)) == pytest.approx(expected(collection))


@settings(deadline=None)
@given(st.data())
def test_rows_of_a_share_are_those_that_it_owns(data: st.DataObject) -> None:
    sizes = {lang: data.draw(st.integers(1, 30)) for lang in ("de", "en", "fr")}
    texts = Mock(languages=tuple(sizes), language=np.repeat(range(3), list(sizes.values())), shards=dict.fromkeys(sizes, "x"))
    texts.rows = lambda lang: np.flatnonzero(texts.language == list(sizes).index(lang))
    texts.positions = lambda rows: rows - np.searchsorted(texts.language, texts.language[rows])
    vectors = VectorStore({"model": "toy"}, "document", texts, root=Path("/nowhere"))
    lang, of = data.draw(st.sampled_from(list(sizes))), data.draw(st.integers(1, 9))
    rows = np.array(sorted(data.draw(st.sets(st.sampled_from(texts.rows(lang).tolist())))), np.int64)
    for some in (rows, texts.rows(lang)):
        mine = [vectors.of_share(lang, some, Share(number, of)).tolist() for number in range(of)]
        assert mine == [some[vectors.owners(some, of) == number].tolist() for number in range(of)]


def test_a_share_takes_memory_for_its_own_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "CHUNK_ROWS", 500)
    count = 50_000
    texts = Mock(languages=("en",), language=np.zeros(count, np.int16), shards={"en": "x"}, rows=lambda lang: every)
    every = np.arange(count)
    vectors = VectorStore({"model": "toy"}, "document", texts, root=Path("/nowhere"))
    vectors.of_share("en", every, Share(0, 100))
    tracemalloc.start()
    assert len(vectors.of_share("en", every, Share(3, 100))) == 500
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * count / 5


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_hashes_of_texts_are_read_alone(tmp_path: Path, dtype: str) -> None:
    """Where they stand in a file depends on the type of the vectors."""
    chunk = shards.Chunk(np.arange(3, dtype=np.uint32), np.ones((3, 5000), dtype), hashes([1, 2, 3]))
    write_chunk(tmp_path / "x", chunk)
    content, asked = (tmp_path / "x").read_bytes(), list[int]()

    def read(start: int, end: int) -> bytes:
        asked.append(end - start)
        return content[start:end]

    found = read_texts(read)
    assert found is not None and found.tolist() == chunk.texts.tolist()
    assert asked == [HEAD, 3 * 16]
    cut = content[: content.index(chunk.texts.tobytes()) + 47]
    assert read_texts(lambda start, end: cut[start:end]) is None


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda junk: len(junk).to_bytes(8, "little") + junk))
def test_what_is_no_chunk_has_no_texts(content: bytes) -> None:
    assert read_texts(lambda start, end: content[start:end]) is None


HEADERS = {
    "nothing": {},
    "no hashes": {"dtype": "U8", "shape": [2, 15], "data_offsets": [0, 30]},
    "no end": {"dtype": "U8", "shape": [2**60, 16], "data_offsets": [0, 2**64]},
    "before the file": {"dtype": "U8", "shape": [1, 16], "data_offsets": [-500, -484]},
    "other numbers": {"dtype": "F32", "shape": [1, 16], "data_offsets": [0, 16]},
    "no numbers": {"dtype": "U8", "shape": ["a", 16], "data_offsets": [0, 16]},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies_is_not_believed(name: str) -> None:
    header = json.dumps({"texts": HEADERS[name]}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(100)

    def read(start: int, end: int) -> bytes:
        assert 0 <= start <= end <= start + 2**24
        return content[start:end]

    assert read_texts(read) is None


def test_a_text_that_stands_several_times_is_encoded_once(collect: Callable[..., Collection]) -> None:
    texts = {f"g{i}": "same" if i % 3 else f"other {i}" for i in range(12)}
    collection = collect({"en": texts}, {"en": {"q": "?"}}, {"q": {"g0": 1}})
    encoder, vectors = Recorder(), store(collection)
    assert vectors.fill("en", everything(collection), encoder) == Filled(5, 7)
    assert sorted(encoder.texts) == ["other 0", "other 3", "other 6", "other 9", "same"]
    assert vectors.gather(everything(collection)) == pytest.approx(expected(collection))


def test_a_new_version_of_a_collection_encodes_only_its_new_documents(collect: Callable[..., Collection]) -> None:
    texts = words(200)
    first = collect({"en": texts}, {"en": {"q": "?"}}, {"q": {"g000": 1}}, "first")
    store(first).fill("en", everything(first), Recorder())
    changed = {"g999": "a new one at the start", **texts, "g050": "another text"}
    second = collect({"en": changed}, {"en": {"q": "?"}}, {"q": {"g000": 1}}, "second")
    encoder, vectors = Recorder(), store(second)
    assert vectors.fill("en", everything(second), encoder) == Filled(2, 199)
    assert sorted(encoder.texts) == ["a new one at the start", "another text"]
    assert vectors.gather(everything(second)) == pytest.approx(expected(second))


def test_two_models_never_share_a_vector(ten: Collection) -> None:
    first, second = Recorder(), Recorder(lambda text: [-x for x in vector_of(text)])
    one, other = store(ten), store(ten, {**MODEL, "model": "another"})
    one.fill("en", everything(ten), first)
    assert other.fill("en", everything(ten), second) == Filled(10, 0)
    assert other.gather(everything(ten)) == pytest.approx(-expected(ten))
    assert one.gather(everything(ten)) == pytest.approx(expected(ten))


@pytest.mark.parametrize(
    "change",
    [{"prompt": "query: "}, {"dtype": "float16"}, {"max_length": 128}, {"truncate_dim": 64}, {"identity": "2"}],
)
def test_whatever_changes_a_vector_changes_the_folder(ten: Collection, change: dict[str, Any]) -> None:
    base = {**MODEL, "prompt": "", "dtype": "float32", "max_length": None, "truncate_dim": None}
    assert store(ten, base).folder != store(ten, {**base, **change}).folder
    assert store(ten, base).folder == store(ten, dict(reversed(base.items()))).folder


def test_queries_and_documents_lie_apart(ten: Collection) -> None:
    assert VectorStore(MODEL, "query", ten.documents).folder != VectorStore(MODEL, "document", ten.documents).folder


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text", "header"])
def test_a_damaged_chunk_is_encoded_again_and_never_used(ten: Collection, cache: Path, damage: str) -> None:
    store(ten).fill("en", everything(ten), Recorder())
    victim = chunk_files(cache)[1]
    data = bytearray(victim.read_bytes())
    if damage == "flip":
        data[-5] ^= 0x10
    if damage == "header":
        data[0:8] = (2**62).to_bytes(8, "little")
    victim.write_bytes({"truncate": data[:-7], "empty": b"", "text": b"not a chunk at all"}.get(damage, data))
    with pytest.raises(CacheError, match=r"000001\.safetensors: missing or damaged; run again"):
        store(ten).gather(everything(ten))
    encoder, vectors = Recorder(), store(ten)
    assert vectors.fill("en", everything(ten), encoder) == Filled(4, 6)
    assert encoder.texts == [f"text number {i}" for i in range(4, 8)]
    assert vectors.gather(everything(ten)) == pytest.approx(expected(ten))


def test_a_share_that_goes_on_does_not_read_the_vectors_of_others(
    collect: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = collect({"en": words(40)}, {"en": {"q": "?"}}, {"q": {"g000": 1}})
    assert store(collection).fill("en", everything(collection), Recorder(), share=Share(0, 2)) == Filled(20, 0)
    verified: list[int] = []

    def noted(path: Path, verify: bool = True) -> Any:
        chunk = read_chunk(path, verify)
        if verify and chunk is not None:
            verified.append(int(path.stem))
        return chunk

    monkeypatch.setattr(shards, "read_chunk", noted)
    assert store(collection).fill("en", everything(collection), Recorder(), share=Share(1, 2)) == Filled(20, 0)
    assert {number for number in verified if number % 2 == 0} <= {0}  # one chunk says how wide vectors are
    assert store(collection).gather(everything(collection)) == pytest.approx(expected(collection))


def test_a_damaged_chunk_of_another_version_is_not_copied(collect: Callable[..., Collection], cache: Path) -> None:
    first = collect({"en": words(10)}, {"en": {"q": "?"}}, {"q": {"g000": 1}}, "first")
    store(first).fill("en", everything(first), Recorder())
    victim = chunk_files(cache)[1]
    data = bytearray(victim.read_bytes())
    data[-5] ^= 0x10
    victim.write_bytes(data)
    second = collect({"en": {"g999": "new", **words(10)}}, {"en": {"q": "?"}}, {"q": {"g000": 1}}, "second")
    encoder, vectors = Recorder(), store(second)
    assert vectors.fill("en", everything(second), encoder) == Filled(5, 6)
    assert sorted(encoder.texts) == ["new", *(f"text number {i}" for i in range(4, 8))]
    assert vectors.gather(everything(second)) == pytest.approx(expected(second))


def test_many_chunks_need_few_open_files(collect: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "CHUNK_ROWS", 1)
    collection = collect({"en": words(60)}, {"en": {"q": "?"}}, {"q": {"g000": 1}})
    vectors = store(collection)
    process = psutil.Process()
    before = process.num_fds()
    vectors.fill("en", everything(collection), Recorder())
    assert vectors.gather(everything(collection)) == pytest.approx(expected(collection))
    assert process.num_fds() - before <= 2 * shards.OPEN_CHUNKS + 2


def test_a_chunk_that_cannot_be_opened_is_not_taken_for_missing(
    ten: Collection, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(ten).fill("en", everything(ten), Recorder())

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CacheError, match="Too many open files"):
        store(ten).fill("en", everything(ten), Recorder())


def test_the_stored_precision_is_the_encoders_and_scores_are_float32(ten: Collection, cache: Path) -> None:
    vectors = store(ten)
    vectors.fill("en", everything(ten), lambda texts, lang: np.ones((len(texts), 2), np.float16))
    chunk = read_chunk(chunk_files(cache)[0])
    assert chunk is not None and chunk.vectors.dtype == np.float16
    assert vectors.gather(everything(ten)).dtype == np.float32


def test_vectors_for_the_cosine_are_stored_with_length_one(ten: Collection) -> None:
    vectors = VectorStore(MODEL, "document", ten.documents, cosine=True)
    vectors.fill("en", everything(ten), lambda texts, lang: np.tile([3.0, 4.0], (len(texts), 1)))
    assert vectors.gather(np.array([0, 9])) == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8]]))


BAD = {
    "nan": (lambda n: np.full((n, 2), np.nan), r"NaN or infinity in the vector of text 'en:g000'"),
    "one infinity": (lambda n: np.array([[1.0, 2.0]] * 3 + [[np.inf, 1.0]]), r"text 'en:g003' and 0 more"),
    "too large for float32": (lambda n: np.full((n, 2), 1e300), r"NaN or infinity .*'en:g000' and 3 more"),
    "zero": (lambda n: np.zeros((n, 2)), r"text 'en:g000' and 3 more is zero"),
    "wrong count": (lambda n: np.ones((n + 1, 2)), r"5 vectors for 4 texts \(first text: en:g000\)"),
    "one dimension": (lambda n: np.ones(n), r"shape \(4, d\), got \(4,\) \(first text: en:g000\)"),
    "no width": (lambda n: np.ones((n, 0)), r"got \(4, 0\)"),
    "strings": (lambda n: np.full((n, 2), "x"), r"not an array of numbers"),
    "ragged": (lambda n: [[1.0], [1.0, 2.0]] * 2, r"not an array of numbers"),
    "nothing": (lambda n: None, r"not an array of numbers|shape"),
}


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_vectors_name_model_and_text_and_nothing_of_them_is_kept(ten: Collection, cache: Path, name: str) -> None:
    make, message = BAD[name]
    vectors = VectorStore(MODEL, "document", ten.documents, cosine=True)
    with pytest.raises(ModelError, match=f"^toy: .*{message}"):
        vectors.fill("en", everything(ten), lambda texts, lang: make(len(texts)))
    assert chunk_files(cache) == []


@pytest.mark.parametrize("make", [np.float64, np.float32, np.int64, lambda rows: [list(map(float, row)) for row in rows]])
def test_lists_and_other_number_types_become_float32(make: Callable[[Any], Any]) -> None:
    checked = check_vectors(make([[3, 4], [6, 8]]), ["a", "b"], "toy", cosine=True)
    assert checked.dtype == np.float32
    assert checked.tolist() == np.float32([[0.6, 0.8], [0.6, 0.8]]).tolist()


def test_lengths_whose_squares_leave_float32_are_still_divided_out() -> None:
    checked = check_vectors(np.float32([[3e30, 4e30], [3e-30, 4e-30]]), ["a", "b"], "toy", cosine=True)
    assert checked == pytest.approx(np.array([[0.6, 0.8], [0.6, 0.8]]))


def test_vectors_whose_dot_product_would_overflow_are_refused() -> None:
    with pytest.raises(ModelError, match="text 'b' is longer than"):
        check_vectors(np.float32([[1, 1], [1e30, 1]]), ["a", "b"], "toy", cosine=False)
    assert check_vectors(np.zeros((1, 2)), ["a"], "toy", cosine=False).tolist() == [[0, 0]]


def test_an_encoder_whose_width_changes_is_refused(ten: Collection) -> None:
    widths = iter([2, 2, 3])
    with pytest.raises(ModelError, match="toy: vectors of 2 and of 3 dimensions"):
        store(ten).fill("en", everything(ten), lambda texts, lang: np.ones((len(texts), next(widths))))
    with pytest.raises(ModelError, match="toy: vectors of 2 and of 3 dimensions"):  # also after a new start
        store(ten).fill("en", everything(ten), lambda texts, lang: np.ones((len(texts), 3)))


def test_an_error_of_the_encoder_loses_only_the_chunk_in_flight(ten: Collection) -> None:
    calls = 0

    def fail_second(texts: Sequence[str], lang: str) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return np.array([vector_of(text) for text in texts], np.float32)

    with pytest.raises(KeyboardInterrupt):
        store(ten).fill("en", everything(ten), fail_second)
    encoder = Recorder()
    assert store(ten).fill("en", everything(ten), encoder) == Filled(6, 4)


def test_progress_counts_every_row_once(ten: Collection) -> None:
    vectors, done = store(ten), []
    vectors.fill("en", np.array([0, 1]), Recorder())
    vectors.fill("en", everything(ten), Recorder(), done.append)
    assert sum(done) == 10


# ---------------------------------------------------------------- a full disk, a folder that cannot be written


def test_a_file_in_the_place_of_the_folder_is_a_clear_error(ten: Collection, cache: Path) -> None:
    (cache / "vectors").write_text("not a folder")
    with pytest.raises(CacheError, match=r"vectors cannot be stored \(Not a directory\); free space, or set MIMO_EVAL_CACHE"):
        store(ten).fill("en", everything(ten), Recorder())


def test_a_lock_that_cannot_be_opened_is_a_clear_error(ten: Collection) -> None:
    vectors = store(ten)
    (vectors.shards["en"].folder / ".locks" / "0000").mkdir(parents=True)
    with pytest.raises(CacheError, match=r"vectors cannot be stored \(.*irectory"):
        vectors.fill("en", everything(ten), Recorder())


SCRIPT = """
import os, sys, time
from pathlib import Path
import numpy as np
from mimo_eval.embeddings import shards
from mimo_eval.collections import Collection
from mimo_eval.embeddings import VectorStore
from mimo_eval.errors import CacheError

shards.CHUNK_ROWS = 4
collection = Collection.open(Path(sys.argv[1]))
log = open(sys.argv[2], "ab", buffering=0)
pause = float(sys.argv[3])

def encode(texts, lang):
    log.write("".join(text + "\\n" for text in texts).encode())
    time.sleep(pause)
    rows = [np.frombuffer(text.encode().ljust(32)[:32], np.uint8) for text in texts]
    return np.array(rows, np.float32) / 7

def fill():
    store = VectorStore({"model": "toy"}, "document", collection.documents)
    return store.fill("en", np.arange(len(collection.documents)), encode)
"""


def run_script(body: str, *arguments: object, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(body), *map(str, arguments)],
        env={**os.environ, "MIMO_EVAL_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def vector_bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in chunk_files(folder)}


@pytest.fixture
def forty(collect: Callable[..., Collection]) -> Collection:
    texts = {f"g{i:02d}": f"passage {i} " + "x" * (i % 5) for i in range(40)}
    return collect({"en": texts}, {"en": {"q": "?"}}, {"q": {"g00": 1}})


def test_killed_runs_end_with_the_vectors_of_an_unbroken_one(forty: Collection, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    finished(run_script("fill()", forty.folder, tmp_path / "whole.log", 0, cache=whole))
    assert len(vector_bytes(whole)) == 10

    broken, log = tmp_path / "broken", tmp_path / "broken.log"
    body = """
    import signal

    def noted(event, arguments):
        global left
        if event in ("open", "os.rename", "os.remove") and str(arguments[0]).startswith(os.environ["MIMO_EVAL_CACHE"]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def encode(texts, lang, whole=encode):
        if not left:
            watch()
        return whole(texts, lang)

    def watch():
        global left
        left = int(sys.argv[4])
        sys.addaudithook(noted)

    left = 0
    fill()
    """
    places = (1, 2, 4, 7)  # which of the things that are done to files after the first texts were encoded
    for place in places:
        process = run_script(body, forty.folder, log, 0, place, cache=broken)
        _, said = process.communicate(timeout=240)
        assert process.returncode == -signal.SIGKILL, said
    finished(run_script("fill()", forty.folder, log, 0, cache=broken))
    assert vector_bytes(broken) == vector_bytes(whole)
    encoded = log.read_text().splitlines()
    assert set(encoded) == set(forty.documents.read(np.arange(40)))
    assert len(encoded) <= 40 + len(places) * 4  # a kill costs at most the chunk in flight
    assert not list(broken.glob("vectors/**/.*.tmp"))


@pytest.mark.parametrize("number", [2, 8])
def test_processes_at_once_share_one_language_and_encode_nothing_twice(forty: Collection, tmp_path: Path, number: int) -> None:
    log, cache, gate, busy = (tmp_path / name for name in ("log", "shared", "gate", "busy"))
    body = f"""
    def together(folder, count):
        Path(folder, str(os.getpid())).touch()
        for _ in range(10_000):
            if len(os.listdir(folder)) >= count:
                return
            time.sleep(0.01)

    def encode(texts, lang, whole=encode):
        together("{busy}", 2)  # goes on when another process encodes too
        return whole(texts, lang)

    together("{gate}", {number})
    filled = fill()
    print(filled.encoded, filled.read)
    """
    gate.mkdir()
    busy.mkdir()
    processes = [run_script(body, forty.folder, log, 0.05, cache=cache) for _ in range(number)]
    counts = [list(map(int, finished(process).split())) for process in processes]
    assert sum(encoded for encoded, _ in counts) == 40
    assert [encoded + read for encoded, read in counts] == [40] * number
    assert sum(encoded > 0 for encoded, _ in counts) >= 2  # none waited for another to end
    assert sorted(log.read_text().splitlines()) == sorted(forty.documents.read(np.arange(40)))
    finished(run_script("fill()", forty.folder, tmp_path / "alone.log", 0, cache=tmp_path / "alone"))
    assert vector_bytes(cache) == vector_bytes(tmp_path / "alone")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_torn(forty: Collection, tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="limits are POSIX")
    cache = tmp_path / "full"
    body = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    encode_before = encode
    def encode(texts, lang):
        if "passage 8 " + "x" * 3 in texts:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        return encode_before(texts, lang)
    log = open(os.devnull, "wb", buffering=0)
    try:
        fill()
    except CacheError as error:
        print(error)
    """
    message = finished(run_script(body, forty.folder, tmp_path / "log", 0, cache=cache))
    assert "000002.safetensors: cannot be written (File too large); free space" in message
    assert [path.name for path in chunk_files(cache)] == ["000000.safetensors", "000001.safetensors"]
    assert not list(cache.glob("vectors/**/.*.tmp"))
    finished(run_script("print(fill())", forty.folder, tmp_path / "log", 0, cache=cache))
    finished(run_script("fill()", forty.folder, tmp_path / "log", 0, cache=tmp_path / "whole"))
    assert vector_bytes(cache) == vector_bytes(tmp_path / "whole")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user can reach; pytest's own are closed to others than the one who runs it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="users are POSIX")
def test_a_read_only_folder_is_read_and_never_written(forty: Collection, public: Path, tmp_path: Path) -> None:
    assert forty.folder is not None
    shutil.copytree(forty.folder, public / "collection")
    cache = public / "cache"
    half = "VectorStore({'model': 'toy'}, 'document', collection.documents).fill('en', np.arange(20), encode)"
    finished(run_script(half, public / "collection", tmp_path / "log", 0, cache=cache))
    for path in [public / "collection", cache, *cache.rglob("*"), *public.glob("collection/*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    body = f"""
    if os.getuid() == 0:  # nothing is read-only to root
        os.setuid(65534)
    store = VectorStore({{'model': 'toy'}}, 'document', collection.documents)
    print({half})
    try:
        fill()
    except CacheError as error:
        print(error)
    """
    out = finished(run_script(body, public / "collection", os.devnull, 0, cache=cache)).splitlines()
    assert out[0] == "Filled(encoded=0, read=20)"
    assert "vectors cannot be stored (Permission denied); free space, or set MIMO_EVAL_CACHE to a folder that" in out[1]
    assert len(chunk_files(cache)) == 5


def hashes(texts: Sequence[int]) -> np.ndarray:
    return np.frombuffer(b"".join(text_hash(str(text)) for text in texts), np.uint8).reshape(-1, 16)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=6), max_size=20), st.integers(1, 9))
def test_a_text_of_any_chunk_is_found_wherever_its_index_lies(chunks: list[list[int]], in_memory: int) -> None:
    class Chunks(shards.Shard):
        def chunk(self, number: int) -> shards.Chunk | None:
            return shards.Chunk(np.arange(len(chunks[number])), np.float32([chunks[number]]).T, self.texts(number))

        def texts(self, number: int) -> np.ndarray:
            return hashes(chunks[number])

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "IN_MEMORY", in_memory)
        index, shard = shards.TextIndex(Path(folder)), Chunks(Path(folder), 0)
        for number in range(len(chunks)):
            index.add(shard, number)
        found = index.find(hashes(range(80)))
        assert {text: vector.tolist() for text, vector in found.items()} == {text: [text] for text in set().union(*chunks)}
        assert not list(Path(folder).iterdir())
