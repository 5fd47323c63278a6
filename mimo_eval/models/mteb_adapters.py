"""MTEB's models as encoders and retrievers of this package; see `mteb_models.py` for how they are found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from mimo_eval.asking import asking
from mimo_eval.languages import mteb_code
from mimo_eval.models.hits import stack
from mimo_eval.protocols import Hits, Role

SPLIT, SUBSET = "test", "default"
UNKNOWN = "und"
"""Language of texts of which a task does not say it."""
SIMILARITIES = {"cosine": "cosine", "dot": "dot"}
"""Similarities of MTEB's that vectors are compared by here; models with another one search by themselves."""


@dataclass(frozen=True)
class Described:
    """A model of MTEB's and what is known of it."""

    model: Any
    meta: Any
    name: str
    task: Any
    batch_size: int

    @property
    def pinned(self) -> bool:
        """Whether name and revision say what its weights are, so that its vectors can be kept."""
        return self.meta.revision not in (None, "no_revision_available") and self.meta.name != "no_model_name/available"

    @property
    def similarity(self) -> str | None:
        """`cosine` or `dot`; None for another one, or where the model does not say."""
        named = self.meta.similarity_fn_name
        return SIMILARITIES.get(str(getattr(named, "value", named)))

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a vector or a score."""
        from mteb.abstasks.abstask import get_abstask_prompt

        kwargs = {"loader": self.meta.loader_kwargs, "experiment": self.meta.experiment_kwargs}
        return {
            "model": self.meta.name,
            "revision": self.meta.revision,
            "settings": json.loads(json.dumps(kwargs, default=_plain, sort_keys=True)),
            "task": [self.task.name, self.task.prompt, get_abstask_prompt(self.task.name)],
            "similarity": self.similarity,
            "versions": {p: ".".join(version(p).split(".")[:2]) for p in ("mteb", "sentence-transformers", "transformers")},
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know."""
        roles: tuple[Role, Role] = ("query", "document")
        return {
            "source": self.name,
            "revision": self.meta.revision,
            "parameters": self.meta.n_parameters,
            "prompts": {role: self.prompt(role) for role in roles},
            "prompts_of_task": self.task.name,
            "batch_size": self.batch_size,
            "mteb": version("mteb"),
        }

    def prompt(self, role: Role) -> str | None:
        """Return the prompt or instruction that the model puts before texts; None where it does not say."""
        from mteb.models.abs_encoder import AbsEncoder
        from mteb.types import PromptType

        kind = PromptType(role)
        if not isinstance(self.model, AbsEncoder):
            return None
        if self.model.model_prompts:
            return str(self.model.model_prompts.get(self.model.get_prompt_name(self.task, kind) or "", ""))
        if self.model.instruction_template:
            return str(self.model.get_task_instruction(self.task, kind))
        return ""


def _plain(value: Any) -> str:
    """Return a name for what JSON cannot hold; never an address in memory."""
    named = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{named}" if named else f"{type(value).__qualname__}:{getattr(value, 'name', value)}"


class MtebEncoder:
    """An EncoderProtocol; one of which no revision is known, so that its vectors are kept for one run only."""

    def __init__(self, described: Described) -> None:
        self.described, self.name = described, described.name
        self.similarity = described.similarity

    @property
    def meta(self) -> Any:
        """MTEB's record of the model."""
        return self.described.meta

    def for_task(self, metadata: Any) -> MtebEncoder:
        """Return the same model with the prompts of another task."""
        other = copy(self)
        described = self.described
        other.described = Described(described.model, described.meta, described.name, metadata, described.batch_size)
        return other

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {"kind": "dense", "similarity": self.similarity, **self.described.describe()}

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts as MTEB's search does.

        :param texts: n texts.
        :param role: becomes MTEB's prompt type.
        :param lang: becomes the language of the task.
        :return: (n, d) float32.
        """
        from mteb.types import PromptType

        described = self.described
        with asking(self.name, "encode of mteb"):
            vectors = described.model.encode(
                batches(texts, role, described.batch_size),
                task_metadata=in_languages(described.task, [lang]),
                hf_split=SPLIT,
                hf_subset=SUBSET,
                prompt_type=PromptType(role),
                batch_size=described.batch_size,
                show_progress_bar=False,
            )
        if hasattr(vectors, "detach"):
            vectors = vectors.detach().float().cpu().numpy()
        return np.asarray(vectors, np.float32)


class PinnedEncoder(MtebEncoder):
    """One whose name and revision say what its weights are: its vectors are kept on disk."""

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector."""
        return {**self.described.fingerprint(), "role": role}


class MtebRetriever:
    """A SearchProtocol; it is given the whole mixed corpus, as in MTEB.

    Such a model holds one index at a time, so an earlier one is made again when it is searched after another.
    """

    per_language = False

    def __init__(self, described: Described, search: Any) -> None:
        self.described, self.name, self._search = described, described.name, search
        self._indexed: Any = None

    @property
    def meta(self) -> Any:
        """MTEB's record of the model."""
        return self.described.meta

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        return {"kind": "mteb search", **self.described.describe()}

    def _arguments(self, metadata: Any) -> dict[str, Any]:
        encode = {"batch_size": self.described.batch_size, "show_progress_bar": False}
        return {"task_metadata": metadata, "hf_split": SPLIT, "hf_subset": SUBSET, "encode_kwargs": encode, "num_proc": None}

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> tuple[Any, Any]:
        """Index documents; they are named by their positions."""
        from datasets import Dataset

        names = [str(position) for position in range(len(texts))]
        corpus = Dataset.from_dict({"id": names, "title": [""] * len(texts), "text": list(texts)})
        index = corpus, in_languages(self.described.task, langs)
        self._make(index)
        return index

    def _make(self, index: tuple[Any, Any]) -> None:
        self._search.index(index[0], **self._arguments(index[1]))
        self._indexed = index

    def search(self, index: tuple[Any, Any], queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Return what the model finds."""
        from datasets import Dataset

        if self._indexed is not index:
            self._make(index)
        names = [str(position) for position in range(len(queries))]
        asked = Dataset.from_dict({"id": names, "text": list(queries)})
        found = self._search.search(asked, top_k=min(k, len(index[0])), top_ranked=None, **self._arguments(index[1]))
        rows = [found.get(name, {}) for name in names]
        return stack([(np.array([*map(int, row)], np.int64), np.array([*row.values()], np.float32)) for row in rows])


class PinnedRetriever(MtebRetriever):
    """One whose name and revision say what its weights are: its results are kept."""

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score."""
        return self.described.fingerprint()


def in_languages(metadata: Any, langs: Sequence[str]) -> Any:
    """Return a task's metadata for one subset in some languages; in all of the task's where none is known."""
    codes = {mteb_code(lang) for lang in set(langs) - {UNKNOWN}}
    codes = codes or {code for known in metadata.hf_subsets_to_langscripts.values() for code in known}
    return metadata.model_copy(update={"eval_langs": sorted(codes)})


def batches(texts: Sequence[str], role: Role, batch_size: int) -> Any:
    """Return a DataLoader as MTEB gives it to encoders: batches of columns, the text in `text`.

    :param texts: the texts.
    :param role: decides the other columns.
    :param batch_size: texts per batch.
    :return: over a `datasets.Dataset`, as some encoders look at its features.
    """
    from datasets import Dataset
    from torch.utils.data import DataLoader

    stripped = [text.strip() for text in texts]
    columns = {"id": [str(i) for i in range(len(texts))], "text": stripped, "query" if role == "query" else "body": stripped}
    return DataLoader(Dataset.from_dict(columns), batch_size=batch_size)
