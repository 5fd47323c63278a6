"""Re-ranking: a cross-encoder reads each query together with each of the first documents that another model found."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mimo_eval.asking import asking
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.models.fusion import combined_name, description, identity, load_bases
from mimo_eval.models.loading import HUB_ID, MODULE, Model, import_typed, model_name
from mimo_eval.models.sources import DTYPES, ModelFiles, at_least_one, check_device, first_line, shown_name
from mimo_eval.protocols import CorpusTexts, Hits

BLOCK = 16_384
"""Pairs whose texts are held in memory, and sorted by length, at a time."""
REMEMBERED = 2**26
"""Pairs of earlier collections that are kept beside the present one's; a pair takes 12 bytes."""
HEADS = ("ForSequenceClassification", "ForCausalLM")


@runtime_checkable
class Scorer(Protocol):
    """Scores pairs of texts. Used where they exist: `name`, `fingerprint() -> dict`, `describe() -> dict`."""

    def predict(self, pairs: Any) -> Any:
        """Score pairs.

        :param pairs: n (query, document).
        :return: n finite numbers, larger is better.
        """


class CrossEncoderScorer:
    """A sentence-transformers CrossEncoder.

    :param model: hub id or folder.
    :param revision: branch, tag or commit on the hub.
    :param batch_size: pairs per batch.
    :param device: such as `cpu` or `cuda:0`; chosen by torch if None.
    :param dtype: of the weights: float32, float16 or bfloat16.
    :param max_length: most tokens of a pair; the model's own if None.
    :param trust_remote_code: run Python code that comes with the model. Off unless asked for.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        batch_size: int = 32,
        device: str | None = None,
        dtype: str = "float32",
        max_length: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        if dtype not in DTYPES:
            raise ConfigError(f"unknown dtype '{dtype}'; choose {', '.join(DTYPES)}")
        at_least_one({"batch size": batch_size, "max length": max_length})
        self.model_id, self.batch_size, self.device = model, batch_size, device
        self.dtype, self.max_length, self.trust_remote_code = dtype, max_length, trust_remote_code
        self.files = ModelFiles(model, revision)
        settings = {"revision": (self.files.revision, None), "max_length": (max_length, None), "dtype": (dtype, "float32")}
        self.name = shown_name(self.files.label, settings)

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes a score."""
        return {
            "model": self.files.bare,
            "identity": self.files.identity,
            "max_length": self.max_length,
            "dtype": self.dtype,
            "versions": {p: ".".join(version(p).split(".")[:2]) for p in ("sentence-transformers", "transformers")},
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model."""
        known: dict[str, Any] = {}
        if "model" in self.__dict__:
            known = {
                "max_length": getattr(self.model, "max_seq_length" if hasattr(self.model, "max_seq_length") else "max_length"),
                "parameters": sum(p.numel() for p in self.model.parameters()),
                "device": str(self.model.device),
            }
        return {
            "name": self.name,
            "source": "folder" if self.files.local else self.model_id,
            "revision": self.files.identity,
            "dtype": self.dtype,
            "max_length": self.max_length,
            "trust_remote_code": self.trust_remote_code,
            **known,
        }

    def _check_head(self) -> None:
        """Refuse a model without a head that scores pairs: a random one would be put in its place without a word."""
        kinds = (self.files.json("config.json") or {}).get("architectures") or [HEADS[0]]
        saved_as = self.files.config.get("model_type")
        if saved_as == "CrossEncoder" or self.trust_remote_code or kinds[0].endswith(HEADS):
            return
        raise ModelError(
            f"the model '{self.model_id}' is no re-ranker: {kinds[0]} has nothing that scores a pair; choose a cross-encoder, "
            "such as BAAI/bge-reranker-v2-m3"
        )

    @cached_property
    def model(self) -> Any:
        """The loaded model."""
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        check_device(self.model_id, self.device)
        self._check_head()
        try:
            return CrossEncoder(
                self.model_id,
                revision=self.files.commit,
                device=self.device,
                max_length=self.max_length,
                trust_remote_code=self.trust_remote_code,
                model_kwargs={} if self.dtype == "float32" else {"dtype": self.dtype},
            )
        except Exception as error:
            raise ModelError(f"the model '{self.model_id}' cannot be loaded: {first_line(error)}") from error

    def predict(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """Score pairs.

        :param pairs: n (query, document).
        :return: (n,) floats; (n, labels) if the model tells more than one number.
        :raises ModelError: if the model fails.
        """
        try:
            return self.model.predict(list(pairs), batch_size=self.batch_size, show_progress_bar=False)
        except (RuntimeError, IndexError, ValueError) as error:
            raise ModelError(
                f"{self.name}: cannot score: {first_line(error)}; a smaller --batch-size or --max-length may help"
            ) from error


class Pairs:
    """Scores of (query, document) pairs, found by binary search; 12 bytes a pair."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._codes, self._scores = np.empty(0, np.uint64), np.empty(0, np.float32)

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, query_ids: Sequence[str], documents: np.ndarray) -> np.ndarray:
        """Number pairs.

        :param query_ids: n ids.
        :param documents: (n, k) rows, none negative.
        :return: (n, k) uint64; equal for equal pairs, whenever they are asked for.
        """
        numbers = [self._numbers.setdefault(id_, len(self._numbers)) for id_ in query_ids]
        return (np.array(numbers, np.uint64)[:, None] << np.uint64(32)) | documents.astype(np.uint64)

    def missing(self, codes: np.ndarray) -> np.ndarray:
        """Return a mask of the pairs that have no score."""
        if not len(self._codes):
            return np.ones(codes.shape, bool)
        found: np.ndarray = self._codes[self._place(codes)] != codes
        return found

    def add(self, codes: np.ndarray, scores: np.ndarray) -> None:
        """Add pairs, none of which is known.

        :param codes: (n,), each once.
        :param scores: (n,).
        """
        order = np.argsort(codes)
        at = np.searchsorted(self._codes, codes[order])
        self._codes = np.insert(self._codes, at, codes[order])
        self._scores = np.insert(self._scores, at, scores[order].astype(np.float32))

    def scores(self, codes: np.ndarray) -> np.ndarray:
        """Return the float32 scores of pairs that all have one."""
        found: np.ndarray = self._scores[self._place(codes)]
        return found

    def _place(self, codes: np.ndarray) -> np.ndarray:
        place: np.ndarray = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return place


class Rerank:
    """Put the first documents of another model's ranking in the order of a cross-encoder's scores.

    The others keep their order below them. A pair of a query and a document is scored once, however many corpora hold it.

    `batch_size` and `revision` are the re-ranker's alone; what else the command line gives, such as the device and the dtype,
    is the base's too.

    :param base: the model that searches: a name with arguments, a folder, a hub id, another combination.
    :param model: a CrossEncoder's hub id or folder, `module:attribute`, or anything with `predict(pairs)`.
    :param depth: how many documents per query are scored.
    :param batch_size: pairs per batch of a CrossEncoder.
    :param revision: of the re-ranker on the hub.
    :param options: options of the command line, for both models.
    """

    def __init__(
        self,
        base: str | Model,
        model: str | Scorer,
        *,
        depth: int = 100,
        batch_size: int = 32,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        for what, value in (("depth", depth), ("batch_size", batch_size)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"rerank({what}={value}): {what} must be a whole number of at least 1")
        self.bases: list[Model] = load_bases("rerank", [base], options)
        self.depth, self.batch_size = depth, batch_size
        mine = {name: options[name] for name in ("device", "dtype", "max_length", "trust_remote_code") if name in options}
        self.model = load_scorer(model, batch_size=batch_size, revision=revision, **mine)
        self._label = str(getattr(self.model, "name", None) or type(self.model).__name__)
        self.name = combined_name("rerank", [model_name(self.bases[0]), self._label], {"depth": (depth, 100)})
        self._known: dict[str, Pairs] = {}
        self._counts = {"scored": 0, "known": 0}

    @property
    def fingerprint(self) -> Callable[[], dict[str, Any]]:
        """What returns everything that changes a score; there is none if a part has none."""
        if not (hasattr(self.bases[0], "fingerprint") and hasattr(self.model, "fingerprint")):
            raise AttributeError("the base or the re-ranker has no fingerprint")
        scorer: Any = self.model
        return lambda: {
            "model": "rerank",
            "depth": self.depth,
            "reranker": scorer.fingerprint(),
            "base": identity(self.bases[0]),
        }

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model, and how many pairs were scored."""
        return {
            "kind": "rerank",
            "depth": self.depth,
            "batch_size": self.batch_size,
            "reranker": {"name": self._label, **getattr(self.model, "describe", dict)()},
            "pairs": dict(self._counts),
            "base": description(self.bases[0]),
        }

    def combine(self, found: Sequence[Hits], *, texts: CorpusTexts) -> Hits:
        """Re-score the first documents.

        :param found: the base's lists.
        :param texts: the corpus.
        :return: the same documents with new scores.
        :raises ModelError: if the re-ranker returns something unusable.
        """
        rows, base_scores = found[0]
        if not rows.size:
            return Hits(rows, base_scores)
        head = rows[:, : self.depth]
        filled = head >= 0
        pairs = self._pairs(texts.revision)
        query_ids = texts.query_ids()
        codes = pairs.codes(query_ids, np.where(filled, head, 0))
        wanted = filled & pairs.missing(codes)
        self._score(pairs, codes, wanted, head, query_ids, texts)
        self._counts["scored"] += int(wanted.sum())
        self._counts["known"] += int((filled & ~wanted).sum())
        scores = np.full(rows.shape, -np.inf, np.float32)
        scores[:, : self.depth][filled] = pairs.scores(codes[filled])
        return Hits(rows, _below(scores, rows >= 0, self.depth))

    def _pairs(self, revision: str) -> Pairs:
        """Return what is known of a collection; the longest unused of others is forgotten when there is too much."""
        mine = self._known.pop(revision, None) or Pairs()
        while self._known and sum(map(len, self._known.values())) > REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[revision] = mine
        return mine

    def _score(
        self, pairs: Pairs, codes: np.ndarray, wanted: np.ndarray, head: np.ndarray, query_ids: list[str], texts: CorpusTexts
    ) -> None:
        queries = texts.queries() if wanted.any() else []
        for line, column in _blocks(wanted):
            rows, which = np.unique(head[line, column], return_inverse=True)
            documents = texts.documents(rows)
            asked = [(queries[i], documents[j]) for i, j in zip(line, which.reshape(-1), strict=True)]
            order = np.argsort([-len(query) - len(document) for query, document in asked], kind="stable")
            names = [query_ids[i] for i in line[order]]
            with asking(self._label, "predict"):
                predicted = self.model.predict([asked[i] for i in order])
            got = self._checked(predicted, names, [asked[i][1] for i in order])
            pairs.add(codes[line, column][order], got)

    def _checked(self, scores: Any, query_ids: list[str], documents: list[str]) -> np.ndarray:
        """Refuse what a re-ranker must not return."""
        first = f"first query: '{query_ids[0]}'"
        try:
            array = np.asarray(scores.tolist() if hasattr(scores, "tolist") else scores, np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{self._label}: the scores are not an array of numbers ({error}; {first})") from error
        if array.shape == (len(query_ids), 1):
            array = array[:, 0]
        if array.ndim == 1 and len(array) != len(query_ids):
            raise ModelError(f"{self._label}: {len(array)} scores for {len(query_ids)} pairs ({first})")
        if array.ndim != 1:
            raise ModelError(f"{self._label}: expected one score a pair, got an array of shape {array.shape} ({first})")
        bad = np.flatnonzero(~np.isfinite(array))
        if len(bad):
            start = documents[bad[0]][:60]
            raise ModelError(
                f"{self._label}: NaN or infinity as the score of query '{query_ids[bad[0]]}' and the document that begins "
                f"'{start}', and {len(bad) - 1} more"
            )
        return array


def _blocks(wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (line, column) of what is wanted, some at a time."""
    line, column = np.nonzero(wanted)
    for start in range(0, len(line), BLOCK):
        yield line[start : start + BLOCK], column[start : start + BLOCK]


def _below(scores: np.ndarray, filled: np.ndarray, depth: int) -> np.ndarray:
    """Give those past the depth scores that descend from the lowest before it, apart by what float32 can tell."""
    head = scores[:, :depth]
    lowest = np.where(np.isfinite(head), head, np.inf).min(axis=1, keepdims=True)
    count = scores.shape[1] - depth
    if count > 0:
        lowest = np.where(np.isfinite(lowest), lowest, 0)
        lowest = lowest.astype(np.float64)
        step = np.maximum(1.0, np.spacing((2 * np.abs(lowest) + count).clip(max=1e38).astype(np.float32)).astype(np.float64))
        with np.errstate(over="ignore"):
            scores[:, depth:] = np.where(filled[:, depth:], lowest - step * np.arange(1, count + 1), -np.inf)
    return scores


def load_scorer(model: str | Scorer, **options: Any) -> Scorer:
    """Return a re-ranker.

    :param model: a folder, a hub id, `module:attribute` (an object with `predict`, or what makes one), or such an object.
    :param options: for a CrossEncoder.
    :return: the re-ranker.
    :raises ConfigError: if it is none of them.
    """
    value: Any = model
    if isinstance(model, str):
        if Path(model).is_dir() or HUB_ID.fullmatch(model):
            return CrossEncoderScorer(model, **options)
        if not MODULE.fullmatch(model):
            raise ConfigError(
                f"rerank: there is no folder '{model}' here; a re-ranker is a folder, a hub id such as "
                "BAAI/bge-reranker-v2-m3, or module:attribute"
            )
        value = import_typed(model)
        if inspect.isclass(value) or (callable(value) and not isinstance(value, Scorer)):
            try:
                value = value()
            except TypeError as error:
                raise ConfigError(f"'{model}' cannot be called without arguments: {error}") from error
    if not isinstance(value, Scorer):
        raise ConfigError(f"rerank: '{model}' has no predict(pairs); a re-ranker scores a list of (query, document)")
    return value
