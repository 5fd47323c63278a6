"""Approximate search against brute force: what is found, how it is ordered, and the recall that is reported."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.collections import Collection, load
from mimo_eval.embeddings import VectorStore
from mimo_eval.errors import ConfigError
from mimo_eval.mixing import Mix, Pool, pools
from mimo_eval.search import approximate, keys
from mimo_eval.search.approximate import FILE, ApproximateScorer
from mimo_eval.search.dense import DenseScorer
from mimo_eval.search.index_spec import IndexSpec
from mimo_eval.search.onepass import OnePass, PoolRanking, ranking_of

DEPTH = 15
SIZES = {"en": 700, "de": 300, "fr": 40}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, folders: Callable[..., Path]) -> Collection:
    """Three languages of unequal size; each question has an answer in each."""
    folder = tmp_path_factory.mktemp("unequal")
    documents = {lang: {f"g{i}": f"{lang} {i}" for i in range(size)} for lang, size in SIZES.items()}
    queries = {lang: {f"q{i}": f"{lang} {i}?" for i in range(30)} for lang in ("en", "de")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_EVAL_CACHE", str(folder / "cache"))
        return load(str(folders(folder / "unequal", documents, queries, {f"q{i}": {f"g{i}": 1} for i in range(30)})))


@pytest.fixture(scope="module")
def scored(texts: Collection, tmp_path_factory: pytest.TempPathFactory) -> DenseScorer:
    """Vectors of length 1 on disk; some are equal, so that there are ties."""
    rng, root = np.random.default_rng(5), tmp_path_factory.mktemp("vectors")
    stores = []
    for role, rows in (("query", texts.queries), ("document", texts.documents)):
        made = rng.normal(size=(len(rows), 16)).astype(np.float32)
        made[::7] = made[rng.integers(0, len(rows), len(made[::7]))]
        known = dict(zip(rows.read(np.arange(len(rows))), made, strict=True))
        store = VectorStore({"model": "fixed"}, role, rows, root=root)  # type: ignore[arg-type]
        for lang in rows.languages:
            store.fill(lang, rows.rows(lang), lambda batch, _, known=known: np.stack([known[text] for text in batch]))
        stores.append(store)
    return DenseScorer(*stores)


def search(
    texts: Collection, dense: DenseScorer, spec: str | None, mixes: list[str], root: Path
) -> tuple[list[PoolRanking], dict[str, Any]]:
    """Search by an index, or exactly; return rankings and what is said of the index."""
    every = [pool for mix in mixes for pool in pools(texts, Mix.parse(mix))]
    fresh = replace(dense)
    if spec is None:
        one_pass = OnePass(texts, every, fresh, DEPTH)
        one_pass.search()
        return list(one_pass.rankings()), {}
    factory, _, rest = spec.partition(":")
    scorer = ApproximateScorer(fresh, IndexSpec(factory, tuple(p.split("=") for p in rest.split(",") if p)), every, root)  # type: ignore[misc]
    one_pass = OnePass(texts, every, scorer, DEPTH)
    one_pass.search()
    return list(scorer.watched(one_pass.rankings())), scorer.report()


def exact(texts: Collection, dense: DenseScorer, pool: Pool) -> np.ndarray:
    """All keys of a corpus by definition, by query and document row; 0 outside of it."""
    queries = dense.queries.gather(pool.queries).astype(np.float64)
    rows = np.sort(np.concatenate(list(pool.documents.values())))
    scores = np.zeros((len(queries), len(texts.documents)), np.uint64)
    made = (queries[:, None] * dense.documents.gather(rows).astype(np.float64)).sum(axis=2).astype(np.float32)
    scores[:, rows] = keys.encode(made, texts.documents.id_order[rows])
    return scores


@pytest.mark.parametrize(
    "spec",
    ["Flat", "IVF4,Flat:nprobe=4", "HNSW32:efSearch=700", "PCA16,IVF2,Flat:nprobe=2", "IVF4,SQ8,RFlat:nprobe=4,k_factor_rf=9"],
)
def test_an_index_that_looks_everywhere_finds_what_exact_search_finds(
    texts: Collection, scored: DenseScorer, tmp_path: Path, spec: str
) -> None:
    mixes = ["parallel", "monolingual", "partition(seed=3)", "parallel(max_documents=200,seed=2)"]
    found, said = search(texts, scored, spec, mixes, tmp_path)
    for mine, theirs in zip(found, search(texts, scored, None, mixes, tmp_path)[0], strict=True):
        assert keys.places(mine.lists).tolist() == keys.places(theirs.lists).tolist()
        assert keys.scores(mine.lists) == pytest.approx(keys.scores(theirs.lists), abs=1e-6)
        inside = theirs.judged_rank <= DEPTH
        assert mine.judged_rank[inside].tolist() == theirs.judged_rank[inside].tolist()
        assert np.isnan(mine.judged_rank[~inside]).all() and mine.scorer is None and not ranking_of(texts, mine).full
    assert said["overall"]["at_10"] == said["overall"]["at_depth"] == 1
    assert said["missed"] == 0 and said["relevant"] == sum(len(r.judged_rank) for r in found)


def test_recall_and_missed_documents_are_those_of_brute_force(texts: Collection, scored: DenseScorer, tmp_path: Path) -> None:
    found, said = search(texts, scored, "IVF16,Flat", ["monolingual"], tmp_path)
    shares, missed = [], 0
    for ranking in found:
        truth = exact(texts, scored, ranking.pool)
        order = np.argsort(truth, axis=1)[:, ::-1][:, :DEPTH]
        listed = texts.documents.row_at[keys.places(ranking.lists)]
        lists = [row[key != keys.EMPTY] for row, key in zip(listed, ranking.lists, strict=True)]
        for q, mine in enumerate(lists):
            assert mine.tolist() == sorted(mine.tolist(), key=lambda row: -int(truth[q, row]))
        judged = zip(ranking.pool.judged_query, ranking.pool.judged_document, strict=True)
        missed += sum(
            d not in lists[q] and (len(lists[q]) < DEPTH or truth[q, d] > truth[q, lists[q]].min()) for q, d in judged
        )
        if ranking.pool.name == "en":
            shares = [
                [np.isin(best[:n], mine[:n]).mean() for n in (10, DEPTH)] for best, mine in zip(order, lists, strict=True)
            ]
        else:  # too small to be trained: searched exactly
            assert [mine.tolist() for mine in lists] == order.tolist()
    short, deep = np.mean(shares, axis=0)
    assert 0.1 < deep < 0.95
    assert said["recall"] == {"en": said["overall"]}
    assert said["overall"] == {
        "queries": 30,
        "at_10": pytest.approx(short, abs=1e-6),
        "at_depth": pytest.approx(deep, abs=1e-6),
    }
    assert said["missed"] == missed > 0
    assert said["exact"]["de"] == "300 vectors are too few to train the index, which needs 624"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), share=st.sampled_from([0.02, 0.3, 0.9]), k=st.sampled_from([1, 7, 40]))
def test_a_part_of_a_language_is_searched_as_if_nothing_else_were_there(
    texts: Collection, scored: DenseScorer, tmp_path_factory: pytest.TempPathFactory, seed: int, share: float, k: int
) -> None:
    every = pools(texts, Mix.parse("monolingual"))
    root = tmp_path_factory.getbasetemp() / "parts"
    scorer = ApproximateScorer(replace(scored), IndexSpec("IVF4,SQ8", (("nprobe", "4"),)), every, root)
    language = texts.documents.rows("en")
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(language, max(1, int(share * len(language))), replace=False))
    asked = np.sort(rng.choice(len(texts.queries), 5, replace=False))
    found = scorer.settle(scorer.top("en", rows, asked, k), asked, k)
    wanted = scored.settle(scored.top("en", rows, asked, k), asked, k)
    filled = found != keys.EMPTY
    assert np.isin(texts.documents.row_at[keys.places(found[filled])], rows).all()
    # 8-bit codes choose among all of the part, and k + SPARE of them are scored again
    assert found.shape == wanted.shape and (keys.places(found) == keys.places(wanted)).mean() > 0.9


@pytest.mark.parametrize("factory", ["PQ4x4fs", "PQ4x4fs,RFlat"])
def test_an_index_that_cannot_search_a_part_gives_way_to_exact_search_there(
    texts: Collection, scored: DenseScorer, tmp_path: Path, factory: str
) -> None:
    mixes = ["parallel", "partition(seed=3)"]
    found, said = search(texts, scored, factory, mixes, tmp_path)
    theirs = search(texts, scored, None, mixes, tmp_path)[0]
    assert keys.places(found[1].lists).tolist() == keys.places(theirs[1].lists).tolist()
    assert said["exact"]["en"] == "corpora that take a part of it: this index cannot search a part"
    assert 0 < said["recall"]["en"]["at_depth"] <= 1


def test_an_index_is_built_once_and_parameters_of_searching_share_it(
    texts: Collection, scored: DenseScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(texts, scored, "IVF4,Flat", ["parallel"], tmp_path)
    built: list[str] = []
    build = ApproximateScorer._build
    monkeypatch.setattr(ApproximateScorer, "_build", lambda self, lang, rows: built.append(lang) or build(self, lang, rows))
    again = search(texts, scored, "IVF4,Flat", ["parallel"], tmp_path)
    assert built == [] and again[1] == first[1]
    assert again[0][0].lists.tolist() == first[0][0].lists.tolist()
    better = search(texts, scored, "IVF4,Flat:nprobe=3", ["parallel"], tmp_path)[1]
    assert built == [] and better["overall"]["at_depth"] > first[1]["overall"]["at_depth"]
    search(texts, scored, "IVF3,Flat", ["parallel"], tmp_path)
    assert built == ["de", "en"]
    search(texts, scored, "HNSW8", ["parallel"], tmp_path)
    search(texts, scored, "HNSW8:efConstruction=9", ["parallel"], tmp_path)  # changes the index itself
    assert built == ["de", "en", *2 * ["de", "en", "fr"]]


def test_indexes_of_other_vectors_are_not_taken(texts: Collection, scored: DenseScorer, tmp_path: Path) -> None:
    every = pools(texts, Mix.parse("parallel"))
    cut = replace(scored.documents, fingerprint={"model": "fixed", "reading": {"truncate_dim": 8}})
    folders = [
        ApproximateScorer(
            DenseScorer(replace(scored.queries, fingerprint=made.fingerprint), made), spec, every, tmp_path
        ).store.folder
        for made, spec in ((scored.documents, IndexSpec("SQ8")), (cut, IndexSpec("SQ8")), (cut, IndexSpec("SQ4")))
    ]
    assert len(set(folders)) == 3


@pytest.mark.parametrize(("free", "trained_on"), [(2**40, 700), (2 * 64 * 300, 300), (2 * 64 * 156, 156)])
def test_an_index_is_trained_on_what_memory_has_room_for(
    texts: Collection, scored: DenseScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, trained_on: int
) -> None:
    every, gathered = pools(texts, Mix.parse("monolingual")), list[int]()
    gather = VectorStore.gather
    monkeypatch.setattr(VectorStore, "gather", lambda self, rows: gathered.append(len(rows)) or gather(self, rows))
    monkeypatch.setattr(approximate, "available_memory", lambda: free)
    scorer = ApproximateScorer(replace(scored), IndexSpec("IVF4,Flat"), every, tmp_path)
    assert scorer._of_language("en").ntotal == 700
    assert gathered[0] == trained_on


def test_an_index_that_memory_cannot_train_is_one_line(
    texts: Collection, scored: DenseScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "available_memory", lambda: 2 * 64 * 156 - 1)
    with pytest.raises(ConfigError, match=r"'IVF4,Flat' must be trained on 156 vectors of 16 numbers, which takes 0.0 GiB of"):
        search(texts, scored, "IVF4,Flat", ["monolingual"], tmp_path)


def test_a_damaged_index_is_built_again(
    texts: Collection, scored: DenseScorer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = search(texts, scored, "IVF4,Flat", ["parallel"], tmp_path)[1]
    (file,) = tmp_path.glob(f"*/en/*/{FILE}")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert search(texts, scored, "IVF4,Flat", ["parallel"], tmp_path)[1] == first
    assert "damaged index of fixed IVF4,Flat; it is built again" in caplog.text
    assert file.read_bytes() != bytes(content)


def test_vectors_that_do_not_fit_the_index_are_refused_by_name(texts: Collection, scored: DenseScorer, tmp_path: Path) -> None:
    assert IndexSpec.parse("PQ96x4fs") == IndexSpec("PQ96x4fs")  # fits some vectors
    with pytest.raises(
        ConfigError, match=r"no index 'PQ96x4fs' for 16 dimensions: The dimension of the vector \(d\) should be"
    ):
        search(texts, scored, "PQ96x4fs", ["parallel"], tmp_path)


def test_queries_without_a_single_result_have_empty_lists(texts: Collection, scored: DenseScorer, tmp_path: Path) -> None:
    scorer = ApproximateScorer(scored, IndexSpec("SQ8"), pools(texts, Mix.parse("parallel")), tmp_path)
    nothing = scorer._rescored(scored.queries.gather(np.arange(2)), np.full((2, 3), -1))
    assert (nothing == keys.EMPTY).all()
    some = scorer._rescored(scored.queries.gather(np.arange(2)), np.array([[-1, 4, 1], [-1, -1, -1]]))
    assert (some == keys.EMPTY).tolist() == [[True, False, False], [True, True, True]]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("HNSW32:efSearch=128", "HNSW32:efSearch=128"),
        (" IVF16,Flat : nprobe = 4 ", "IVF16,Flat:nprobe=4"),
        ("IVF16,PQ8x4fs,RFlat:nprobe=4,k_factor_rf=2.5", "IVF16,PQ8x4fs,RFlat:k_factor_rf=2.5,nprobe=4"),
        ("SQ8", "SQ8"),
        ("IVF4(HNSW8),SQ8:quantizer_efSearch=9", "IVF4(HNSW8),SQ8:quantizer_efSearch=9"),
    ],
)
def test_an_index_has_one_name_however_it_is_written(text: str, wanted: str) -> None:
    spec = IndexSpec.parse(text)
    assert str(spec) == wanted and IndexSpec.parse(wanted) == spec


def test_flat_is_exact_search() -> None:
    assert IndexSpec.parse("Flat") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot read the index ''; write FACTORY"),
        (":nprobe=2", "cannot read the index"),
        ("HNSW32:", "cannot read the index 'HNSW32:'"),
        ("HNSW32:efSearch", "cannot read the index"),
        ("HNSW32:efSearch=-1", "cannot read the index"),
        ("HNSW32:efSearch=0", "cannot read the index"),
        ("HNSW32:efSearch=1,efSearch=2", "a parameter is given twice"),
        ("HNSW32:nprobe=2", "the index 'HNSW32' cannot be searched so: .*could not set parameter nprobe"),
        ("fast", "no index 'fast' for 768 dimensions: could not parse index string fast"),
        ("IVF16,", "no index 'IVF16,' for 768 dimensions: could not parse code description"),
        ("LSH", "no index 'LSH'"),
        ("HNSW99999999", "the number after HNSW must be from 2 to 1,024, not 99999999; write for example HNSW32"),
        ("IVF99999999,Flat", "the number after IVF must be from 1 to 16,777,216"),
        ("PQ8x99999999999", "the number after x must be from 1 to 2,147,483,647"),
        ("IDMap,Flat", "cannot be filled: vectors have no ids here; leave IDMap out"),
        ("PCA16,IDMap,IVF4,Flat", "leave IDMap out"),
        ("Flat,IDMap2", "leave IDMap out"),
    ],
)
def test_what_faiss_does_not_know_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        IndexSpec.parse(text)
    assert "\n" not in str(caught.value) and ".cpp" not in str(caught.value)


ENDING = [
    "HNSW0", "HNSW1,Flat", "HNSW0_SQ8", "PCA16,HNSW0", "IVF4(HNSW0),Flat", "IVF4_HNSW1,Flat", "SQ8,Refine(HNSW0)", "RR0,Flat",
    "PCAR0,Flat", "PQ8x0", "PQ8x4fs_0", "IVF4,PQ8x0", "OPQ4_0,PQ4x4", "RQ2x0", "RQ0x4", "LSQ0x4", "PRQ2x0x4", "ZnLattice0x4_4",
    "SQ8,Refine(IVF4,Flat)", "SQ8,Refine(PQ4x4fs)", "SQ8,Refine(NSG16)", "Flat,Refine(PCA8,IVF4,Flat)",
    "NSG0", "NSG1", "NSG8",
]  # fmt: skip
"""What FAISS makes without a word; to fill or search it ends the process by a signal, or, as the last three, never returns."""


@pytest.mark.parametrize("text", ENDING)
def test_what_would_end_the_process_is_refused_before(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"must be from \d+ to [\d,]+, not \d; write|must score single vectors, as RFlat"
    ) as caught:
        IndexSpec.parse(text)
    assert "\n" not in str(caught.value) and text in str(caught.value)


@pytest.mark.parametrize("text", ["HNSW0", "SQ8,Refine(IVF4,Flat)"])
def test_such_an_index_does_end_the_process(text: str) -> None:
    """Else there is nothing to be refused."""
    code = (
        "import faiss, numpy as np, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "vectors = np.random.default_rng(0).normal(size=(300, 16)).astype('float32')\n"
        f"index = faiss.index_factory(16, '{text}', faiss.METRIC_INNER_PRODUCT)\n"
        "index.train(vectors); index.add(vectors); index.search(vectors, 5)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode < 0


@pytest.mark.parametrize(
    "text", ["HNSW2", "NSG16", "HNSW16_4+PQ8", "IVF64_HNSW32,PQ16", "SQ8,Refine(PCA8,Flat)", "SQ8,Refine(RQ2x4)", "SQfp16"]
)
def test_what_serves_is_not_refused(text: str) -> None:
    assert IndexSpec.parse(text) == IndexSpec(text)


@pytest.mark.parametrize("where", ["make", "add", "search"])
def test_too_little_memory_is_one_line(
    texts: Collection, scored: DenseScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    import faiss

    def full(*_: Any, **__: Any) -> Any:
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr(*((faiss, "index_factory") if where == "make" else (faiss.IndexHNSWFlat, where)), full)
    with pytest.raises(ConfigError, match=r"'HNSW8' .*: there is not enough memory for it"):
        search(texts, scored, "HNSW8", ["parallel", "partition(seed=3)"], tmp_path)
    assert (list(tmp_path.iterdir()) == []) == (where != "search")  # what could not be built leaves nothing behind


def test_an_index_that_cannot_be_built_leaves_those_of_other_languages(
    texts: Collection, scored: DenseScorer, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"\(fr\) cannot be built"):
        search(texts, scored, "NSG16", ["parallel"], tmp_path)
    assert sorted(path.parts[-3] for path in tmp_path.glob(f"*/*/*/{FILE}")) == ["de", "en"]


def test_an_index_needs_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"FAISS cannot be used .*pip install 'mimo-eval\[cpu\]'"):
        IndexSpec.parse("HNSW32")


def test_a_language_too_small_for_a_graph_is_named(texts: Collection, scored: DenseScorer, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"'NSG16' of 40 vectors \(fr\) cannot be built: NNDescent.build cannot build a graph"
    ):
        search(texts, scored, "NSG16", ["parallel"], tmp_path)
