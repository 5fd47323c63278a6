"""Our models in MTEB: one SearchProtocol for every kind, which encodes a corpus once however many subsets ask of it."""

from __future__ import annotations

import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from mimo_eval.collections import Collection, Info, Texts
from mimo_eval.integrations.mteb.meta import live_meta
from mimo_eval.languages import normalise
from mimo_eval.mixing import Mix, Pool
from mimo_eval.models.loading import Model, ModelOptions, load_model
from mimo_eval.models.mteb_adapters import UNKNOWN
from mimo_eval.search import keys
from mimo_eval.systems import Progress, Work, rankings

if TYPE_CHECKING:
    import datasets

BATCH = 10_000


class SearchModel:
    """A model of this package as MTEB takes it: `mteb.evaluate(SearchModel("bm25"), task)`.

    MTEB's own wrapper encodes the corpus for every subset. This one remembers the corpus it was given last, and encoders have
    their vectors in the store, by content: subsets that share a corpus, later tasks on it and `mimo-eval run` read them.

    :param model: a name, as for `mimo-eval run`, or a model.
    :param options: device, dtype and so on, for a model that is loaded by name.
    :param progress: told what goes on.
    """

    def __init__(self, model: str | Model, options: ModelOptions | None = None, progress: Progress | None = None) -> None:
        self.model = load_model(model, options)
        self._folder = tempfile.TemporaryDirectory(prefix="mimo-eval-")
        self.work = Work(progress or Progress(), Path(self._folder.name), depth=1)
        self._corpus: tuple[str, Texts] | None = None
        self._of_task: dict[str, Model] = {}

    @property
    def mteb_model_meta(self) -> Any:
        """MTEB's record of the model."""
        return live_meta(self.model)

    def _for_task(self, task_metadata: Any) -> Model:
        """Return the model with the prompts of a task: the same object for all its subsets, so that they share vectors."""
        if not hasattr(self.model, "for_task"):
            return self.model
        name = task_metadata.name
        if name not in self._of_task:
            self._of_task[name] = self.model.for_task(task_metadata)
        return self._of_task[name]

    def index(self, corpus: datasets.Dataset, *, task_metadata: Any, hf_split: str, hf_subset: str, **kwargs: Any) -> None:
        """Take a corpus; nothing is encoded before it is searched.

        :param corpus: columns id and text, perhaps title and lang.
        :param task_metadata: says the language where the corpus does not.
        :param hf_split: not used.
        :param hf_subset: likewise.
        :param kwargs: not used.
        """
        lang = language_of(task_metadata, hf_subset)
        name = f"{corpus._fingerprint} {lang}"
        if self._corpus is None or self._corpus[0] != name:
            self._corpus = name, texts_of(corpus, lang)

    def search(
        self,
        queries: datasets.Dataset,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        top_k: int,
        top_ranked: dict[str, list[str]] | None = None,
        **kwargs: Any,
    ) -> dict[str, dict[str, float]]:
        """Search the corpus that was indexed last.

        :param queries: columns id and text, perhaps lang.
        :param task_metadata: says the language where the queries do not, and what prompts to use.
        :param hf_split: not used.
        :param hf_subset: the subset.
        :param top_k: documents wanted per query.
        :param top_ranked: query to the documents to rank; all if None.
        :param kwargs: not used.
        :return: query to document to score.
        """
        if self._corpus is None:
            raise ValueError("index a corpus before searching it")
        collection = _collection(self._corpus[1], texts_of(queries, language_of(task_metadata, hf_subset)))
        documents, rows = collection.documents, np.arange(len(collection.queries))
        model = self._for_task(task_metadata)
        self.work.depth = min(top_k, len(documents)) if top_ranked is None else len(documents)
        (found,) = rankings(model, collection, [_whole(collection)], self.work)
        result: dict[str, dict[str, float]] = {}
        for query, line in zip(collection.queries.ids(rows), found.lists, strict=True):
            filled = line[line != keys.EMPTY]
            names = documents.ids(documents.row_at[keys.places(filled)])
            ranked = dict(zip(names, keys.scores(filled).tolist(), strict=True))
            if top_ranked is not None:
                wanted = set(top_ranked.get(query, ()))
                ranked = dict([(name, score) for name, score in ranked.items() if name in wanted][:top_k])
            result[query] = ranked
        return result


def language_of(task_metadata: Any, subset: str) -> str:
    """Return the language of a subset, if it has one only; UNKNOWN otherwise."""
    codes = task_metadata.hf_subsets_to_langscripts.get(subset, [])
    return normalise(codes[0]) if len(set(codes)) == 1 else UNKNOWN


def texts_of(dataset: datasets.Dataset, lang: str) -> Texts:
    """Return a corpus or queries of MTEB's as texts of ours.

    :param dataset: columns id and text, perhaps title and lang.
    :param lang: the language of texts without one.
    :return: the texts, in the order given, each a group of its own.
    """
    if dataset._indices is not None:
        dataset = dataset.flatten_indices()
    if "lang" not in dataset.column_names:
        dataset = dataset.add_column("lang", [lang] * len(dataset))
    dataset = dataset.select_columns([name for name in ("id", "title", "text", "lang") if name in dataset.column_names])
    dataset = dataset.add_column("group", dataset.data.table.column("id").to_pylist())
    return Texts(dataset, shards(dataset))


def shards(dataset: datasets.Dataset) -> dict[str, str]:
    """Return a hash of each language's texts in row order, the same that a built collection has."""
    hashers: dict[str, Any] = {}
    for start in range(0, len(dataset), BATCH):
        batch = dataset[start : start + BATCH]
        titles = batch.get("title") or [""] * len(batch["text"])
        for lang, title, text in zip(batch["lang"], titles, batch["text"], strict=True):
            hasher = hashers.setdefault(lang, blake2b(digest_size=16))
            hasher.update(xxhash.xxh3_128_digest(f"{title or ''}\0{text}".encode()))
    return {lang: hasher.hexdigest() for lang, hasher in sorted(hashers.items())}


def _collection(documents: Texts, queries: Texts) -> Collection:
    import pandas as pd

    info = Info(name="mteb", title="a task of MTEB's", licence="the task's", provenance="mteb")
    qrels = pd.DataFrame({"query_group": [], "doc_group": [], "relevance": []})
    content = repr([sorted(documents.shards.items()), sorted(queries.shards.items())]).encode()
    return Collection(info, documents, queries, qrels, blake2b(content, digest_size=32).hexdigest(), {})


def _whole(collection: Collection) -> Pool:
    """Return the corpus of all documents, of which all queries are asked and nothing is judged."""
    none = np.empty(0, np.int64)
    return Pool(
        mix=Mix("union"),
        name="",
        documents={lang: collection.documents.rows(lang) for lang in collection.documents.languages},
        queries=np.arange(len(collection.queries)),
        judged_query=none,
        judged_document=none,
        judged_gain=none.astype(np.int32),
        dropped={},
    )
