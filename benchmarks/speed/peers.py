"""How each side of a row is run: ours and its peers, on the same model object and the same files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from benchmarks.speed import harness
from benchmarks.speed.harness import timed
from benchmarks.speed.xquad import MIXED, Cut, asked_of

TOLERANCE = 1e-4
"""By which scores of two sides may differ: they break ties differently, and batches of other sizes give other last bits."""
SIZES = {"cpu": (8, 16, 32), "cuda": (64, 128, 256, 512)}
"""Batch sizes that peers are tried with."""
QUIET = {"show_progress_bar": False}


@contextmanager
def empty_cache(folder: Path) -> Iterator[Path]:
    """Give mimo-eval a new, empty cache, so that it finds neither collection nor vectors.

    :param folder: where it is made.
    :yield: the cache.
    """
    with cache_at(Path(mkdtemp(dir=folder))) as cache:
        yield cache


@contextmanager
def cache_at(folder: Path) -> Iterator[Path]:
    """Make a folder mimo-eval's cache during a `with` block."""
    before = os.environ.get("MIMO_EVAL_CACHE")
    os.environ["MIMO_EVAL_CACHE"] = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop("MIMO_EVAL_CACHE")
        if before is not None:
            os.environ["MIMO_EVAL_CACHE"] = before


def best_batch_size(model: Any, texts: Sequence[str]) -> int:
    """Return the batch size at which `model.encode` is fastest on a sample.

    :param model: a SentenceTransformer.
    :param texts: the texts to sample from.
    :return: one of SIZES.
    """
    sizes = SIZES[model.device.type]
    sample = list(texts[:: max(len(texts) // (2 * max(sizes)), 1)])[: 2 * max(sizes)]
    model.encode(sample[: min(sizes)], **QUIET)
    return min(sizes, key=lambda size: timed(lambda: model.encode(sample, batch_size=size, **QUIET)))


def ours(
    encoder: Any,
    data: Path,
    mixes: Sequence[str] = ("parallel",),
    measures: Sequence[str] = (),
    output: Path | None = None,
    collection: str = "xquad-r",
) -> Any:
    """Run mimo-eval on files, with the cache that is set.

    :param encoder: the model.
    :param data: their folder.
    :param mixes: the settings.
    :param measures: besides the usual ones.
    :param output: folder for results.
    :param collection: what reads them.
    :return: the outcome.
    """
    from mimo_eval.benchmark import DEFAULT_MEASURES, Benchmark, Task
    from mimo_eval.evaluation import run

    wanted = tuple(dict.fromkeys((*DEFAULT_MEASURES, *measures)))
    benchmark = Benchmark(name="speed", tasks=(Task(collection=collection, mixes=tuple(mixes)),), measures=wanted)
    return run(encoder, benchmark, data=data, output=output)


def scores_of(result: Any, measure: str) -> dict[str, float]:
    """Return a result's value per corpus: `MIX NAME` to the mean over its query languages."""
    found = {}
    for setting in result.settings:
        for pool in setting.pools:
            values = [scores[measure] for scores in pool.scores.values()]
            found[f"{setting.mix} {pool.name}".strip()] = sum(values) / len(values)
    return found


Corpora = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]


def mteb_task(cut: Cut, corpora: Corpora = MIXED, revision: str = "1") -> Any:
    """Return an MTEB task with a subset per corpus; like MTEB's own it reads its files when it is evaluated.

    :param cut: the texts.
    :param corpora: name to languages of queries and of documents.
    :param revision: of the data; MTEB keeps results by it.
    :return: a task.
    """
    import mteb
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    class Speed(AbsTaskRetrieval):
        metadata = mteb.TaskMetadata(
            name="Speed",
            description="corpora of XQuAD-R",
            type="Retrieval",
            category="t2t",
            main_score="ndcg_at_10",
            eval_splits=["test"],
            eval_langs={name: ["eng-Latn"] for name in corpora},  # no language changes what is computed
            dataset={"path": "local/speed", "revision": revision},
        )

        def load_data(self, num_proc: int | None = None, **_: Any) -> None:
            if self.data_loaded:
                return
            self.dataset = {}
            for name, asked in asked_of(cut, corpora):
                corpus = {"id": [d.id for d in asked.documents], "text": [d.text for d in asked.documents]}
                queries = {"id": [q.id for q in asked.queries], "text": [q.text for q in asked.queries]}
                split = {
                    "corpus": Dataset.from_dict({**corpus, "title": [""] * len(asked.documents)}),
                    "queries": Dataset.from_dict(queries),
                    "relevant_docs": {query: dict.fromkeys(documents, 1) for query, documents in asked.relevant.items()},
                    "top_ranked": None,
                }
                self.dataset[name] = {"test": split}
            self.data_loaded = True

    return Speed()


def mteb(model: Any, task: Any, batch_size: int, cache: Path | None = None, overwrite: bool = False) -> dict[str, float]:
    """Run `mteb.evaluate`.

    :param model: a SentenceTransformer, or one of MTEB's wrappers.
    :param task: an MTEB task.
    :param batch_size: of its encoding.
    :param cache: folder of its results; None keeps none.
    :param overwrite: evaluate even if a result is there.
    :return: nDCG@10 per subset.
    """
    import mteb

    results = mteb.evaluate(
        model,
        task,
        cache=mteb.ResultCache(cache) if cache else None,
        encode_kwargs={"batch_size": batch_size, **QUIET},
        overwrite_strategy="always" if overwrite else "only-missing",
        co2_tracker=False,
        **QUIET,
    )
    return {scores["hf_subset"]: scores["ndcg_at_10"] for scores in results.task_results[0].scores["test"]}


EVALUATOR = {
    **{f"accuracy@{k}": f"Success@{k}" for k in (1, 3, 5, 10)},
    **{f"precision@{k}": f"P@{k}" for k in (1, 3, 5, 10)},
    **{f"recall@{k}": f"R@{k}" for k in (1, 3, 5, 10)},
    **{"ndcg@10": "nDCG@10", "mrr@10": "RR@10", "map@100": "AP@100"},
}
"""What sentence-transformers' InformationRetrievalEvaluator computes, and the names of the same measures here."""


def evaluator(model: Any, cut: Cut, batch_size: int) -> dict[str, float]:
    """Run sentence-transformers' InformationRetrievalEvaluator on the mixed corpus of a cut, from its files.

    :param model: a SentenceTransformer.
    :param cut: the texts.
    :param batch_size: of its encoding.
    :return: measure, as EVALUATOR's values, to value.
    """
    _, asked = next(asked_of(cut, MIXED))
    queries = {query.id: query.text for query in asked.queries}
    corpus = {document.id: document.text for document in asked.documents}
    return evaluated(model, queries, corpus, {query: set(documents) for query, documents in asked.relevant.items()}, batch_size)


def evaluated(
    model: Any, queries: dict[str, str], corpus: dict[str, str], relevant: dict[str, set[str]], batch_size: int
) -> dict[str, float]:
    """Run sentence-transformers' InformationRetrievalEvaluator as it is.

    :param model: a SentenceTransformer, or what has its methods.
    :param queries: id to text.
    :param corpus: id to text.
    :param relevant: query id to ids of documents.
    :param batch_size: of its encoding.
    :return: measure, as EVALUATOR's values, to value.
    """
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    job = InformationRetrievalEvaluator(queries, corpus, relevant, batch_size=batch_size, write_csv=False)
    values = job(model)
    return {ours: float(values[f"{model.similarity_fn_name}_{theirs}"]) for theirs, ours in EVALUATOR.items()}


def beir(model: Any, cut: Cut, batch_size: int, kept: Path, overwrite: bool) -> dict[str, float]:
    """Run BEIR's exact dense retrieval with saved vectors, and its evaluation, on the mixed corpus of a cut.

    :param model: a SentenceTransformer with vectors of length 1: from saved ones BEIR takes dot products.
    :param cut: the texts.
    :param batch_size: of its encoding.
    :param kept: folder of its vectors.
    :param overwrite: encode even if there are vectors; BEIR does not look at what they were made of.
    :return: nDCG@10, as `mteb` returns it.
    """
    from beir.retrieval.evaluation import EvaluateRetrieval
    from beir.retrieval.models import SentenceBERT
    from beir.retrieval.search.dense import DenseRetrievalExactSearch

    name, asked = next(asked_of(cut, MIXED))
    wrapped = SentenceBERT()
    wrapped.q_model = wrapped.doc_model = model
    search = DenseRetrievalExactSearch(wrapped, batch_size=batch_size, **QUIET, convert_to_tensor=False)
    cutoffs = [k for k in (1, 3, 5, 10, 100, 1000) if k <= len(asked.documents)]  # past its corpus it takes the last for any
    retriever = EvaluateRetrieval(search, cutoffs, score_function="cos_sim")
    (kept / "beir").mkdir(exist_ok=True)
    found = retriever.encode_and_retrieve(
        {document.id: {"title": "", "text": document.text} for document in asked.documents},
        {query.id: query.text for query in asked.queries},
        encode_output_path=str(kept / "beir"),
        overwrite=overwrite,
    )
    qrels = {query: dict.fromkeys(documents, 1) for query, documents in asked.relevant.items()}
    ndcg, *_ = retriever.evaluate(qrels, found, retriever.k_values)
    return {name: ndcg["NDCG@10"]}


def agree(ours: Mapping[str, float], theirs: Mapping[str, float], peer: str) -> None:
    """Refuse to compare the times of sides whose scores differ.

    :param ours: name to value.
    :param theirs: likewise, the same names.
    :param peer: who they are.
    :raises RuntimeError: naming the value that differs most, if by more than TOLERANCE.
    """
    if set(ours) != set(theirs):
        raise RuntimeError(f"of {sorted(set(theirs) ^ set(ours))[:5]} either {peer} or the other side has no value")
    name = max(ours, key=lambda name: abs(ours[name] - theirs[name]))
    harness.agree(f"{name} here and by {peer}", abs(ours[name] - theirs[name]), TOLERANCE)
