"""Re-ranking: a cross-encoder reads each query together with each of the first documents that another model found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimo_eval.asking import asking
from mimo_eval.digests import digest
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.files import cache_dir
from mimo_eval.models.cross_encoder import CrossEncoderScorer, Scorer, load_scorer
from mimo_eval.models.fusion import combined_name, description, identity, load_bases
from mimo_eval.models.loading import Model, model_name
from mimo_eval.models.pairs import Pairs
from mimo_eval.protocols import CorpusTexts, Hits

__all__ = ["CrossEncoderScorer", "Rerank", "Scorer", "load_scorer"]

BLOCK = 16_384
"""Pairs whose texts are held in memory, sorted by length, and whose scores are written, at a time."""
STEP = 1024
"""Pairs that the re-ranker is given at a time; as often progress is shown."""
REMEMBERED = 2**26
"""Pairs of earlier collections that are kept beside the present one's; a pair takes 12 bytes."""


class Rerank:
    """Put the first documents of another model's ranking in the order of a cross-encoder's scores.

    The others keep their order below them. A pair of a query and a document is scored once, however many corpora hold it, and
    kept for other runs if the re-ranker has a fingerprint.

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
        both = "device", "dtype", "backend", "attention", "compile", "max_length", "trust_remote_code", "allow_pickled_weights"
        mine = {name: options[name] for name in both if name in options}
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
        mine = self._known.pop(revision, None)
        if mine is None:
            mine = Pairs(self._folder(revision))
        while self._known and sum(map(len, self._known.values())) > REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[revision] = mine
        return mine

    def _folder(self, revision: str) -> Path | None:
        """Return where the scores of a collection's pairs are kept; None if the re-ranker cannot be told from others."""
        if not hasattr(self.model, "fingerprint"):
            return None
        key = json.dumps(self.model.fingerprint(), sort_keys=True, ensure_ascii=False)
        return cache_dir() / "pairs" / digest(key)[:20] / digest(revision)[:20]

    def _score(
        self, pairs: Pairs, codes: np.ndarray, wanted: np.ndarray, head: np.ndarray, query_ids: list[str], texts: CorpusTexts
    ) -> None:
        if not wanted.any():
            return
        queries = texts.queries()
        with texts.phase("re-rank", int(wanted.sum()), "pairs") as advance:
            for line, column in _blocks(wanted):
                rows, which = np.unique(head[line, column], return_inverse=True)
                documents = texts.documents(rows)
                asked = [(queries[i], documents[j]) for i, j in zip(line, which.reshape(-1), strict=True)]
                order = np.argsort([-len(query) - len(document) for query, document in asked], kind="stable")
                got = []
                for start in range(0, len(order), STEP):
                    some = order[start : start + STEP]
                    got.append(self._predicted([asked[i] for i in some], [query_ids[i] for i in line[some]]))
                    advance(len(some))
                pairs.add(codes[line, column][order], np.concatenate(got))

    def _predicted(self, asked: list[tuple[str, str]], query_ids: list[str]) -> np.ndarray:
        with asking(self._label, "predict"):
            predicted = self.model.predict(asked)
        return self._checked(predicted, query_ids, [document for _, document in asked])

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
