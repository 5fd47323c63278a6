"""evaluate() from files to numbers: against hand-computed ones, pytrec_eval and MTEB."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from ir_measures import AP, RR, nDCG

from mimo_eval import evaluate, evaluation
from mimo_eval.benchmark import Benchmark, Task, load_benchmark
from mimo_eval.collections import Collection, load
from mimo_eval.errors import ConfigError, DataError, ModelError
from mimo_eval.evaluation import Outcome, changed, run
from mimo_eval.files import new_folder
from mimo_eval.measures.inputs import run_of
from mimo_eval.measures.join import surrogates
from mimo_eval.mixing import Mix, pools
from mimo_eval.models.bm25 import BM25
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.results import read_queries
from mimo_eval.runs import read_qrels, read_run

ALL_MIXES = ("parallel", "monolingual", "cross-lingual", "bilingual", "partition(seed=1)", "away(seed=1)", "union")
MEASURES = ("nDCG@10", "nDCG@20", "R@100", "RR@10", "AP@100", "Success@1", "Judged@10")

ROOT = os.environ.get("MIMO_EVAL_DATA")


class Table:
    """An encoder that looks vectors up; it counts what it encodes, and its fingerprint is what it is given."""

    def __init__(self, vectors: dict[str, Sequence[float]], similarity: str = "dot", **identity: Any) -> None:
        self.vectors, self.similarity, self.identity = vectors, similarity, identity
        self.name, self.encoded = "table", 0

    def fingerprint(self, role: str) -> dict[str, Any]:
        return {"model": "table", "role": role, **self.identity}

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        self.encoded += len(texts)
        return np.array([self.vectors[text] for text in texts], np.float32)


# Two groups in two languages; the vectors are such that the queries' rankings can be read off:
# en:q scores en:a .9, de:a .5, en:b .7, de:b .1; de:q scores en:a .3, de:a .4, en:b .8, de:b .2
DOCUMENTS = {"en": {"a": "en a", "b": "en b"}, "de": {"a": "de a", "b": "de b"}}
QUERIES = {"en": {"q": "en q"}, "de": {"q": "de q"}}
QRELS = {"q": {"a": 1}}
VECTORS = {"en q": [1, 0], "de q": [0, 1], "en a": [0.9, 0.3], "de a": [0.5, 0.4], "en b": [0.7, 0.8], "de b": [0.1, 0.2]}


def benchmark_of(
    data: Path, *, mixes: Sequence[str] = ("parallel",), measures: Sequence[str] = MEASURES, depth: int = 100
) -> Benchmark:
    task = Task(collection=str(data), mixes=tuple(mixes))
    return Benchmark(name="toy", tasks=(task,), measures=tuple(measures), depth=depth)


@pytest.fixture
def toy(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    return folders(tmp_path / "toy", DOCUMENTS, QUERIES, QRELS)


def scores(outcome: Outcome) -> dict[str, dict[str, float | None]]:
    return {setting.mix: setting.scores for setting in outcome.result.settings}


def test_macro_averages_are_those_computed_by_hand(toy: Path) -> None:
    found = run(Table(VECTORS), benchmark_of(toy, mixes=ALL_MIXES[:4], measures=["RR@10", "nDCG@10", "Success@1"]))
    rr = {mix: s["RR@10"] for mix, s in scores(found).items()}
    # en:q ranks en:a, en:b, de:a, de:b: first relevant at 1; de:q ranks en:b, de:a, en:a, de:b: at 2
    assert rr["parallel"] == pytest.approx((1 + 1 / 2) / 2)
    ideal = 1 + 1 / math.log2(3)
    ndcg = [(1 + 1 / math.log2(4)) / ideal, (1 / math.log2(3) + 1 / math.log2(4)) / ideal]
    assert scores(found)["parallel"]["nDCG@10"] == pytest.approx(sum(ndcg) / 2)
    # en in en: a first; de in de: a first
    assert rr["monolingual"] == 1
    # en:q in de: a first; de:q in en: b, then a
    assert rr["cross-lingual"] == pytest.approx((1 + 1 / 2) / 2)
    assert rr["bilingual"] == rr["parallel"]
    cross = next(s for s in found.result.settings if s.mix == "cross-lingual")
    assert {q: {d: cell["RR@10"] for d, cell in row.items()} for q, row in cross.table.items()} == {
        "en": {"de": 1.0},
        "de": {"en": 0.5},
    }
    parallel = found.result.settings[0]
    assert parallel.table["de"]["all"]["Success@1"] == 0
    assert parallel.pools[0].documents == {"de": 2, "en": 2} and parallel.pools[0].queries == {"de": 1, "en": 1}


def test_languages_count_alike_however_many_queries_they_have(tmp_path: Path, folders: Callable[..., Path]) -> None:
    documents = {"en": {"a": "en a", "b": "en b"}}
    queries = {"en": {"q": "en q"}, "de": {"r": "de q", "s": "en q", "t": "de q"}}
    data = folders(tmp_path / "uneven", documents, queries, {"q": {"a": 1}, "r": {"a": 1}, "s": {"a": 1}, "t": {"a": 1}})
    found = run(Table(VECTORS), benchmark_of(data, measures=["RR@10"]))
    # en: 1; de: 1/2, 1, 1/2
    assert scores(found)["parallel"]["RR@10"] == pytest.approx((1 + 2 / 3) / 2)


def test_queries_that_cannot_be_answered_are_dropped_and_counted(tmp_path: Path, folders: Callable[..., Path]) -> None:
    documents = {"en": {"a": "en a", "b": "en b"}, "de": {"b": "de b"}}
    queries = {"en": {"q": "en q", "zero": "de q", "none": "en q"}, "de": {"q": "de q"}}
    data = folders(tmp_path / "holes", documents, queries, {"q": {"a": 1}, "zero": {"b": 0}})
    found = run(Table(VECTORS), benchmark_of(data, mixes=["parallel", "monolingual", "cross-lingual"]))
    why = "no relevant document in the corpus"
    pool = {s.mix: {p.name: p for p in s.pools} for s in found.result.settings}
    assert pool["parallel"][""].dropped == {why: 2}
    assert pool["parallel"][""].queries == {"en": 1, "de": 1}
    assert set(pool["monolingual"]) == {"en"} and pool["monolingual"]["en"].dropped == {why: 2}
    assert set(pool["cross-lingual"]) == {"de-en"}
    assert scores(found)["parallel"]["RR@10"] == pytest.approx((1 + 1 / 2) / 2)
    assert found.result.collections[0]["warnings"]["query without a relevant document"] == 2


def test_a_collection_in_which_nothing_can_be_asked_is_an_error(tmp_path: Path, folders: Callable[..., Path]) -> None:
    data = folders(tmp_path / "none", {"en": {"a": "en a"}}, {"de": {"q": "de q"}}, {"q": {"a": 1}})
    with pytest.raises(DataError, match="none: no query has a relevant document in any of: monolingual"):
        run(Table(VECTORS), benchmark_of(data, mixes=["monolingual"]))


def test_a_family_without_a_corpus_says_why_beside_others(tmp_path: Path, folders: Callable[..., Path]) -> None:
    data = folders(tmp_path / "one", {"en": {"a": "en a", "b": "en b"}}, {"en": {"q": "en q"}}, QRELS)
    with pytest.warns(UserWarning, match="cross-lingual: nDCG@20 is left out: no query has a relevant document"):
        found = run(Table(VECTORS), benchmark_of(data, mixes=["parallel", "cross-lingual"]))
    assert found.result.settings[1].scores == {} and set(found.result.settings[1].left_out) == set(MEASURES)


def test_per_query_scores_lie_beside_the_result(toy: Path, tmp_path: Path) -> None:
    found = run(Table(VECTORS), benchmark_of(toy, mixes=["parallel", "cross-lingual"]), output=tmp_path / "out")
    assert found.folder is not None
    frame = read_queries(found.folder)
    assert list(frame.columns) == ["collection", "setting", "mix", "pool", "query_id", "lang", "group", *MEASURES]
    assert frame[["mix", "pool", "query_id", "RR@10"]].astype(object).values.tolist() == [
        ["parallel", "", "en:q", 1.0],
        ["parallel", "", "de:q", 0.5],
        ["cross-lingual", "de-en", "de:q", 0.5],
        ["cross-lingual", "en-de", "en:q", 1.0],
    ]
    means = frame.groupby(["mix", "pool", "lang"], observed=True)["nDCG@10"].mean().groupby("mix", observed=True).mean()
    assert means.to_dict() == pytest.approx({mix: s["nDCG@10"] for mix, s in scores(found).items()})


# ---------------------------------------------------------------- results that are there already


def test_nothing_changed_reads_the_result_and_loads_no_model(toy: Path, tmp_path: Path) -> None:
    first = run(Table(VECTORS), benchmark_of(toy), output=tmp_path / "out")
    assert not first.reused and first.result.encoded == {"encoded": 6, "read": 0}

    class Unloadable(Table):
        def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
            raise AssertionError("the model was used")

    second = run(Unloadable({}), benchmark_of(toy), output=tmp_path / "out")
    assert second.reused and second.result == first.result and second.folder == first.folder
    again = run(Table(VECTORS), benchmark_of(toy), output=tmp_path / "out", again=True)
    assert not again.reused and again.result.encoded == {"encoded": 0, "read": 6}
    assert again.result.settings == first.result.settings


def test_a_second_mix_encodes_nothing_new(toy: Path) -> None:
    model = Table(VECTORS)
    run(model, benchmark_of(toy))
    assert run(model, benchmark_of(toy, mixes=ALL_MIXES)).result.encoded == {"encoded": 0, "read": 6}
    assert model.encoded == 6


def test_a_mix_encodes_only_what_it_needs(toy: Path) -> None:
    model = Table(VECTORS)
    assert run(model, benchmark_of(toy, mixes=["partition(en=1)"])).result.encoded == {"encoded": 4, "read": 0}
    assert run(model, benchmark_of(toy)).result.encoded == {"encoded": 2, "read": 4}


def test_whatever_changes_the_scores_changes_the_key(toy: Path, tmp_path: Path, folders: Callable[..., Path]) -> None:
    def key(model: Any = None, data: Path = toy, **kwargs: Any) -> str:
        return run(model or Table(VECTORS), benchmark_of(data, **kwargs)).result.key

    same = [key(), key(), key(folders(tmp_path / "copy" / "toy", DOCUMENTS, QUERIES, QRELS) and None)]
    assert len(set(same)) == 1
    other = [
        key(Table(VECTORS, prompt="query: ")),
        key(measures=["nDCG@10"]),
        key(depth=10),
        key(mixes=["partition"]),
        key(mixes=["partition(seed=1)"]),
        key(data=folders(tmp_path / "qrels", DOCUMENTS, QUERIES, {"q": {"b": 1}})),
        key(data=folders(tmp_path / "text", {**DOCUMENTS, "de": {"a": "de a", "b": "en b"}}, QUERIES, QRELS)),
    ]
    assert len({*same, *other}) == 8


def test_changed_qrels_are_not_answered_with_the_old_scores(toy: Path, tmp_path: Path, folders: Callable[..., Path]) -> None:
    before = run(Table(VECTORS), benchmark_of(toy), output=tmp_path / "out")
    folders(toy, DOCUMENTS, QUERIES, {"q": {"b": 1}})
    after = run(Table(VECTORS), benchmark_of(toy), output=tmp_path / "out")
    assert not after.reused and after.result.encoded["encoded"] == 0
    assert [cell["all"]["RR@10"] for cell in before.result.settings[0].table.values()] == [0.5, 1]
    assert [cell["all"]["RR@10"] for cell in after.result.settings[0].table.values()] == [1, 0.5]


def test_a_model_without_a_fingerprint_is_never_taken_for_known(toy: Path, tmp_path: Path) -> None:
    class Anonymous:
        name = "anonymous"

        def __init__(self, sign: float) -> None:
            self.sign = sign

        def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
            return np.array([VECTORS[text] for text in texts]) * (self.sign if role == "query" else 1)

    one = run(Anonymous(1), benchmark_of(toy), output=tmp_path / "out")
    two = run(Anonymous(-1), benchmark_of(toy), output=tmp_path / "out")
    assert not two.reused and two.result.encoded["encoded"] == 6
    assert one.result.settings[0].table != two.result.settings[0].table


def test_an_interrupted_run_leaves_no_result_and_resumes(toy: Path, tmp_path: Path) -> None:
    class Interrupted(Table):
        def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
            if role == "document" and lang == "en":
                raise KeyboardInterrupt
            return super().encode(texts, role=role, lang=lang)

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(VECTORS), benchmark_of(toy), output=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.json"))
    assert run(Table(VECTORS), benchmark_of(toy), output=tmp_path / "out").result.encoded == {"encoded": 2, "read": 4}


def test_bad_vectors_stop_the_run_with_model_and_text(toy: Path) -> None:
    with pytest.raises(ModelError, match="table: NaN or infinity in the vector of text 'en:a'"):
        run(Table({**VECTORS, "en a": [math.nan, 1]}), benchmark_of(toy))


# ---------------------------------------------------------------- against others


@pytest.fixture
def clusters(tmp_path: Path, folders: Callable[..., Path]) -> Path:
    """40 groups in three languages with many duplicate texts, graded and zero judgements."""
    rng = np.random.default_rng(5)
    words = np.array(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"])
    documents = {lang: {f"g{i}": f"{lang} {' '.join(rng.choice(words, 2))}" for i in range(40)} for lang in ("de", "en", "zh")}
    queries = {lang: {f"q{i}": f"{lang} {' '.join(rng.choice(words, 2))}" for i in range(12)} for lang in ("de", "en", "zh")}
    qrels = {f"q{i}": {f"g{(i * 3 + j) % 40}": j % 3 for j in range(1, 5)} for i in range(12)}
    return folders(tmp_path / "clusters", documents, queries, qrels)


class Constant:
    """Every text has the same vector."""

    name = "constant"

    def encode(self, texts: Sequence[str], *, role: str, lang: str) -> np.ndarray:
        return np.ones((len(texts), 7))


@pytest.mark.parametrize("model", [HashingEncoder(dim=16), BM25(), Constant()], ids=lambda m: m.name)
def test_scores_equal_those_of_pytrec_eval_on_the_exported_run(clusters: Path, tmp_path: Path, model: Any) -> None:
    trec = {
        "nDCG@10": "ndcg_cut_10",
        "nDCG@20": "ndcg_cut_20",
        "R@100": "recall_100",
        "AP@100": "map_cut_100",
        "RR@10": "recip_rank",
    }
    found = run(model, benchmark_of(clusters, mixes=ALL_MIXES, measures=list(trec)), output=tmp_path / "out", save_runs=True)
    assert found.folder is not None
    for setting in found.result.settings:
        cells: dict[str, list[float]] = {name: [] for name in trec}
        for pool in setting.pools:
            stem = found.folder / "runs" / f"clusters.{setting.mix}{'.' + pool.name if pool.name else ''}"
            exported, qrels = read_run(Path(f"{stem}.trec.gz")), read_qrels(Path(f"{stem}.qrels.gz"))
            judged = {q: dict(zip(g["doc_id"], map(int, g["relevance"]), strict=True)) for q, g in qrels.groupby("query_id")}
            # recip_rank has no cut of its own
            ranked = {q: dict(zip(g["doc_id"], g["score"].astype(float), strict=True)) for q, g in exported.groupby("query_id")}
            first = {q: dict(list(row.items())[:10]) for q, row in ranked.items()}
            names = set(trec.values()) - {"recip_rank"}
            values = pytrec_eval.RelevanceEvaluator(
                judged, {n.replace("_cut_", "_cut.").replace("recall_", "recall.") for n in names}
            ).evaluate(ranked)
            cut = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(first)
            for lang in pool.queries:
                mine = [q for q in judged if q.startswith(f"{lang}:")]
                for name, theirs in trec.items():
                    source = cut if theirs == "recip_rank" else values
                    mean = float(np.mean([source.get(q, {}).get(theirs, 0.0) for q in mine]))
                    assert pool.scores[lang][name] == pytest.approx(mean, abs=1e-6), (setting.mix, pool.name, lang, name)
                    cells[name].append(mean)
        assert setting.scores == pytest.approx({name: np.mean(c) for name, c in cells.items()}, abs=1e-6)


def test_an_all_tied_run_scores_the_same_from_every_provider(clusters: Path, tmp_path: Path) -> None:
    found = run(
        Constant(),
        benchmark_of(clusters, measures=["RR@10", "RR", "nDCG@10", "AP@100"], depth=120),
        output=tmp_path,
        save_runs=True,
    )
    assert found.folder is not None
    mine = scores(found)["parallel"]
    queries = read_queries(found.folder)
    assert (queries["RR@10"].where(queries["RR"] >= 0.1, 0) == queries["RR@10"]).all()
    early = queries["RR"] >= 0.1
    assert (queries["RR@10"][early] == queries["RR"][early]).all()
    exported = surrogates(run_of(read_run(found.folder / "runs" / "clusters.parallel.trec.gz")))
    qrels = read_qrels(found.folder / "runs" / "clusters.parallel.qrels.gz")
    for provider, measure in (
        (ir_measures.pytrec_eval, nDCG @ 10),
        (ir_measures.pytrec_eval, RR),
        (ir_measures.msmarco, RR @ 10),
        (ir_measures.pytrec_eval, AP @ 100),
    ):
        values = {m.query_id: m.value for m in provider.iter_calc([measure], qrels, exported)}
        by_language = pd.Series(values).groupby(lambda q: q.split(":")[0]).mean()
        assert mine[str(measure)] == pytest.approx(by_language.mean(), abs=1e-6), str(measure)


def mteb_task(collection: Collection, mix: str) -> Any:
    """One corpus of a collection as a retrieval task of MTEB's, a subset per query language."""
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    (pool,) = pools(collection, Mix.parse(mix))
    rows = np.concatenate(list(pool.documents.values()))
    corpus = Dataset.from_list(
        [
            {"id": i, "title": "", "text": t}
            for i, t in zip(collection.documents.ids(rows), collection.documents.read(rows), strict=True)
        ]
    )
    queries = dict(zip(collection.queries.ids(pool.queries), collection.queries.read(pool.queries), strict=True))
    judged: dict[str, dict[str, int]] = {q: {} for q in queries}
    ids = list(queries)
    for q, d, gain in zip(pool.judged_query, collection.documents.ids(pool.judged_document), pool.judged_gain, strict=True):
        judged[ids[q]][d] = int(gain)
    codes = {"de": "deu-Latn", "en": "eng-Latn", "zh": "zho-Hans"}

    class Toy(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="MimoEvalToy", description="toy", reference="https://example.org",
            dataset={"path": "local/toy", "revision": "1"},
            type="Retrieval", category="t2t", modalities=["text"], eval_splits=["test"],
            eval_langs={lang: [codes[lang]] for lang in collection.queries.languages}, main_score="ndcg_at_10",
            date=("2019-01-01", "2019-12-31"), domains=["Written"], task_subtypes=["Article retrieval"], license="cc0-1.0",
            annotations_creators="derived", dialect=[], sample_creation="created", bibtex_citation="",
        )  # fmt: skip

        def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
            self.dataset = {
                lang: {
                    "test": {
                        "corpus": corpus,
                        "queries": Dataset.from_list([{"id": q, "text": t} for q, t in queries.items() if q.startswith(lang)]),
                        "relevant_docs": {q: row for q, row in judged.items() if q.startswith(lang)},
                        "top_ranked": None,
                    }
                }
                for lang in self.hf_subsets
            }
            self.data_loaded = True

    return Toy()


def mteb_encoder(model: HashingEncoder) -> Any:
    """Our vectors behind MTEB's interface."""
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    class Wrapper(AbsEncoder):
        def __init__(self) -> None:
            self.mteb_model_meta = ModelMeta.create_empty(
                overwrites={"name": "local/toy", "revision": "1", "similarity_fn_name": ScoringFunction.COSINE}
            )

        def encode(self, inputs: Any, **kwargs: Any) -> np.ndarray:
            return model.encode([text for batch in inputs for text in batch["text"]], role="query", lang="en")

    return Wrapper()


@pytest.mark.parametrize("mix", ["parallel", "partition(seed=2)"])
def test_scores_equal_those_of_mteb_for_the_same_corpus(clusters: Path, mix: str) -> None:
    import mteb

    model = HashingEncoder(dim=64)
    found = run(model, benchmark_of(clusters, mixes=[mix]))
    table = found.result.settings[0].pools[0].scores
    results = mteb.evaluate(mteb_encoder(model), mteb_task(load(str(clusters)), mix), cache=None, show_progress_bar=False)
    agree_with_mteb(table, results[0].scores["test"])


def agree_with_mteb(table: dict[str, Any], scores: list[dict[str, Any]]) -> None:
    """Compare scores by query language with those of MTEB's subsets."""
    theirs = {row["hf_subset"]: row for row in scores}
    names = {
        "nDCG@10": "ndcg_at_10",
        "nDCG@20": "ndcg_at_20",
        "R@100": "recall_at_100",
        "AP@100": "map_at_100",
        "RR@10": "mrr_at_10",
    }
    assert theirs.keys() == table.keys()
    for lang, row in table.items():
        for name, other in names.items():
            mine = float(row[name])  # MTEB rounds all but the reciprocal rank
            assert theirs[lang][other] in (pytest.approx(mine, abs=1e-6), pytest.approx(round(mine, 5), abs=1e-9)), (lang, name)


@pytest.mark.data
@pytest.mark.skipif(not ROOT, reason="MIMO_EVAL_DATA is not set")
def test_scores_on_xquad_r_equal_those_of_mteb_and_of_pytrec_eval_on_the_exported_run(tmp_path: Path) -> None:
    """The real pool of three languages: 720 documents, 3,570 questions, duplicates among them."""
    import mteb

    data, model = Path(str(ROOT)) / "xquad-r", HashingEncoder()
    benchmark = changed(load_benchmark("xquad-r"), languages=("de", "en", "zh"), mixes=("parallel",))
    found = run(model, benchmark, data=data, output=tmp_path, save_runs=True)
    assert found.folder is not None
    table = found.result.settings[0].pools[0].scores
    collection = load("xquad-r", data=data, languages=("de", "en", "zh"))
    results = mteb.evaluate(mteb_encoder(model), mteb_task(collection, "parallel"), cache=None, show_progress_bar=False)
    agree_with_mteb(table, results[0].scores["test"])
    kept: dict[str, dict[str, dict[str, float]]] = {"trec": {}, "qrels": {}}
    for kind, column, cast in (("trec", 4, float), ("qrels", 3, int)):
        text = gzip.decompress((found.folder / "runs" / f"xquad-r.parallel.{kind}.gz").read_bytes()).decode()
        for fields in map(str.split, text.splitlines()):
            kept[kind].setdefault(fields[0], {})[fields[2]] = cast(fields[column])
    scored = pytrec_eval.RelevanceEvaluator(kept["qrels"], {"ndcg_cut.20", "map_cut.100"}).evaluate(kept["trec"])
    for lang, row in table.items():
        mine = [values for query, values in scored.items() if query.startswith(f"{lang}:")]
        for name, other in (("nDCG@20", "ndcg_cut_20"), ("AP@100", "map_cut_100")):
            assert row[name] == pytest.approx(sum(v[other] for v in mine) / len(mine), abs=1e-6)


# ---------------------------------------------------------------- the Python entry


def test_evaluate_gives_a_row_per_model_and_mix(toy: Path) -> None:
    frame = evaluate(
        [Table(VECTORS), "bm25", "hashing(dim=8)"], benchmark_of(toy), mixes=["parallel", "monolingual"], measures="RR@10"
    )
    assert frame[["model", "mix"]].values.tolist() == [
        [m, mix] for m in ("table", "bm25", "hashing(dim=8)") for mix in ("parallel", "monolingual")
    ]
    assert list(frame.columns) == ["model", "collection", "setting", "mix", "RR@10"]
    assert frame["RR@10"][0] == 0.75


def test_parts_of_a_benchmark_can_be_replaced_by_one_or_several() -> None:
    base = Benchmark(name="b", tasks=(Task(collection="mini"),))
    new = changed(base, languages="de-DE", mixes=["mlir", "union"], measures="nDCG@5", depth=7)
    assert new.tasks[0].languages == ("de",) and new.tasks[0].mixes == ("parallel", "union")
    assert new.measures == ("nDCG@5",) and new.depth == 7
    assert changed(base) == base
    with pytest.raises(ConfigError, match="depth: Input should be greater"):
        changed(base, depth=0)
    with pytest.raises(ConfigError, match="unknown mix"):
        changed(base, mixes="paralel")


def test_an_unknown_measure_is_refused_before_anything_is_encoded(toy: Path) -> None:
    model = Table(VECTORS)
    with pytest.raises(ConfigError, match="unknown measure 'nDGC@10'; did you mean nDCG"):
        run(model, benchmark_of(toy, measures=["nDGC@10"]))
    assert model.encoded == 0


def test_a_result_says_what_is_needed_to_do_it_again(toy: Path) -> None:
    result = run(Table(VECTORS, prompt="p: "), benchmark_of(toy, mixes=["partition(seed=4)"])).result
    assert result.fingerprints == {role: {"model": "table", "role": role, "prompt": "p: "} for role in ("query", "document")}
    assert result.settings[0].seed == 4 and result.settings[0].mix == "partition(seed=4)"
    assert len(result.collections[0]["revision"]) == 64
    assert {"load data", "encode", "search", "score", "total"} <= result.timings.keys()
    assert result.peak_memory > 10**7 and result.search == "faiss"
    assert {"mimo-eval", "numpy", "torch", "ir-measures"} <= result.environment["versions"].keys()
    assert result.environment["threads"] == "1"


def test_measures_in_one_string_are_several_and_the_first_is_sorted_by() -> None:
    new = changed(Benchmark(name="b", tasks=(Task(collection="mini"),)), measures="R@5 nDCG@10")
    assert new.measures == ("R@5", "nDCG@10") and new.tasks[0].main == "R@5"


def test_a_damaged_result_is_named_and_replaced(toy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, benchmark = HashingEncoder(dim=8), benchmark_of(toy, measures=["RR@10"])
    first = run(model, benchmark, output=tmp_path)
    assert first.folder is not None
    (first.folder / "result.json").write_text("{")
    assert run(model, benchmark, output=tmp_path).result.settings == first.result.settings
    assert "result.json: not a result: the file: Invalid JSON" in caplog.text
    (first.folder / "result.json").write_text("{")
    assert not run(model, benchmark, output=tmp_path, again=True).reused
    assert run(model, benchmark, output=tmp_path).reused


def test_evaluating_again_keeps_the_geometry(toy: Path, tmp_path: Path) -> None:
    from mimo_eval.results import write_json_result

    model, benchmark = HashingEncoder(dim=8), benchmark_of(toy, measures=["RR@10"])
    first = run(model, benchmark, output=tmp_path)
    assert first.folder is not None
    first.result.geometry = {"toy": {"n": 3}}
    write_json_result(first.folder, first.result)
    assert run(model, benchmark, output=tmp_path, again=True).result.geometry == {"toy": {"n": 3}}


def test_two_that_save_runs_at_once_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second begins and ends while the first is at work."""
    first = new_folder(tmp_path, "runs.", ".partial")
    (first / "a").write_text("1")
    evaluation._refuse_unwritable(tmp_path)
    second = new_folder(tmp_path, "runs.", ".partial")
    (second / "a").write_text("1")
    evaluation._place_runs(second, tmp_path / "runs")
    evaluation._place_runs(first, tmp_path / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    old = new_folder(tmp_path, "runs.", ".partial")
    os.utime(old, (0, 0))
    evaluation._refuse_unwritable(tmp_path)
    assert not old.exists()
