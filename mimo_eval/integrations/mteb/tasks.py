"""MTEB's retrieval tasks, made from the table of definitions. Importing this module imports mteb."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

from mimo_eval.collections import Collection, load, local_folder
from mimo_eval.errors import DataError
from mimo_eval.integrations.mteb.definitions import DEFINITIONS, SPLIT, Definition, revision
from mimo_eval.integrations.mteb.names import subset_name
from mimo_eval.integrations.mteb.scores import language_scores
from mimo_eval.languages import mteb_code
from mimo_eval.mixing import Mix, Pool, pools

if TYPE_CHECKING:
    import datasets

UNLOADED = "content-hash-known-after-load_data"
"""The revision of a task whose data were not loaded yet."""


class MixedRetrieval(AbsTaskRetrieval):  # type: ignore[misc]  # mteb's classes are not known to mypy here
    """A collection under a mix; a subset per query language, and of families of mixes per corpus.

    All subsets of a corpus share one data set object, so that a model can see that it need not encode it again. Corpus and
    queries carry a column `lang` that MTEB ignores and models of this package use.
    """

    definition: ClassVar[Definition]
    metadata: TaskMetadata
    data_loaded: bool
    hf_subsets: list[str]
    data: Path | None = None
    """Folder with the collection's files, or one with a folder per collection; where None, `$MIMO_EVAL_DATA` is looked at."""

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Load the collection and mix it; the metadata's revision becomes the hash of the content.

        :param num_proc: not used: nothing is transformed.
        :param kwargs: not used.
        :raises DataError: if the files are missing or wrong.
        """
        if self.data_loaded:
            return
        name, folder = self._place()
        collection = load(name, data=folder, languages=self.definition.languages)
        self._pools = [pool for pool in pools(collection, Mix.parse(self.definition.mix)) if len(pool.queries)]
        if not self._pools:
            raise DataError(f"{self.metadata.name}: no query of {collection.name} has a relevant document")
        self._collection = collection
        self.dataset = {}
        for pool in self._pools:
            corpus = corpus_dataset(collection, pool)
            for lang, rows in queries_by_language(collection, pool).items():
                data = {"corpus": corpus, "queries": query_dataset(collection, pool, rows), "top_ranked": None}
                self.dataset[subset_name(pool, lang)] = {SPLIT: {**data, "relevant_docs": judgements(collection, pool, rows)}}
        content = revision(collection.revision, self.definition.mix)
        self.metadata = self.metadata.model_copy(update={"dataset": {**self.metadata.dataset, "revision": content}})
        self.hf_subsets = [subset for subset in self.hf_subsets if subset in self.dataset]
        self.data_loaded = True

    def _place(self) -> tuple[str, Path | None]:
        """Return which collection is loaded, and its folder: the one given, or the one in it named like the collection.

        Where no files are named, it is the last of the sources, which can be downloaded.
        """
        sources = self.definition.sources
        if self.data is None:
            return next((name for name in sources if local_folder(name.split("(")[0])), sources[-1]), None
        inside = {name: self.data / name.split("(")[0] for name in sources}
        return next(((name, folder) for name, folder in inside.items() if folder.is_dir()), (sources[0], self.data))

    def task_specific_scores(
        self,
        scores: dict[str, dict[str, float]],
        qrels: dict[str, dict[str, int]],
        results: dict[str, dict[str, float]],
        hf_split: str,
        hf_subset: str,
    ) -> dict[str, float]:
        """Return language measures of one subset, and the effectiveness measures of this package at full precision.

        :param scores: MTEB's values per query.
        :param qrels: query to document to relevance.
        :param results: query to document to score.
        :param hf_split: the split.
        :param hf_subset: the subset.
        :return: measure, as ir-measures writes it, to mean; what cannot be computed is left out.
        """
        pool = next(p for p in self._pools for lang in p_languages(self._collection, p) if subset_name(p, lang) == hf_subset)
        return language_scores(self._collection, pool, qrels, results, max(self.k_values))


def p_languages(collection: Collection, pool: Pool) -> list[str]:
    """Return the languages in which queries are asked of a corpus."""
    return list(queries_by_language(collection, pool))


def queries_by_language(collection: Collection, pool: Pool) -> dict[str, np.ndarray]:
    """Return query language to positions in the corpus's list of queries."""
    numbers = collection.queries.language[pool.queries]
    found = {lang: np.flatnonzero(numbers == number) for number, lang in enumerate(collection.queries.languages)}
    return {lang: rows for lang, rows in found.items() if len(rows)}


def corpus_dataset(collection: Collection, pool: Pool) -> datasets.Dataset:
    """Return a corpus with the columns id, title, text and lang, memory-mapped."""
    rows = np.sort(np.concatenate(list(pool.documents.values())))
    columns = collection.documents.dataset.select_columns(["id", "title", "text", "lang"])
    return columns if len(rows) == len(columns) else columns.select(rows)


def query_dataset(collection: Collection, pool: Pool, positions: np.ndarray) -> datasets.Dataset:
    """Return some queries of a corpus with the columns id, text and lang."""
    return collection.queries.dataset.select_columns(["id", "text", "lang"]).select(pool.queries[positions])


def judgements(collection: Collection, pool: Pool, positions: np.ndarray) -> dict[str, dict[str, int]]:
    """Return query id to document id to relevance, for some queries of a corpus."""
    ids = collection.queries.ids(pool.queries)
    asked = np.isin(pool.judged_query, positions)
    documents = collection.documents.ids(pool.judged_document[asked])
    found: dict[str, dict[str, int]] = {ids[position]: {} for position in positions}
    for query, document, gain in zip(pool.judged_query[asked], documents, pool.judged_gain[asked], strict=True):
        found[ids[query]][document] = int(gain)
    return found


def metadata(definition: Definition) -> TaskMetadata:
    """Return what MTEB wants to know of a task; nothing is loaded.

    A subset's languages are that of its queries, then those of the corpus.

    :param definition: the task.
    :return: the metadata, complete.
    """
    origin = definition.origin
    codes = {code: mteb_code(code) for code in (*definition.languages, *definition.asked)}
    corpus = [codes[code] for code in definition.languages]
    return TaskMetadata(
        name=definition.name,
        description=definition.description,
        reference=origin.reference,
        dataset={"path": f"mimo-eval/{definition.name}", "revision": UNLOADED},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=[SPLIT],
        eval_langs={code: list(dict.fromkeys([codes[code], *corpus])) for code in definition.asked},
        main_score=origin.main,
        prompt={"query": origin.prompt} if origin.prompt else None,
        date=origin.date,
        domains=list(origin.domains),
        task_subtypes=["Question answering"],
        license=origin.license,
        annotations_creators=origin.annotations,
        dialect=[],
        sample_creation=origin.creation,
        bibtex_citation=origin.citation.strip(),
        adapted_from=[origin.parent] if origin.parent else None,
    )


@cache
def task_classes() -> dict[str, type[MixedRetrieval]]:
    """Return every task of the table as a class, by name; the same classes at every call."""
    return {definition.name: task_class(definition) for definition in DEFINITIONS}


def task_class(definition: Definition) -> type[MixedRetrieval]:
    """Return a task as a class, as MTEB's registries want it.

    :param definition: what it is.
    :return: a new class.
    """
    members = {"__doc__": definition.description, "__module__": __name__, "definition": definition}
    return type(definition.name, (MixedRetrieval,), {**members, "metadata": metadata(definition)})
