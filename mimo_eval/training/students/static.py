"""The static student: a table of token vectors whose mean is the embedding. Trains on two CPU cores in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mimo_eval.errors import ConfigError
from mimo_eval.training.students.tokenizing import Kind, balanced, train_tokenizer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from mimo_eval.training.data import Parallel
    from mimo_eval.training.teacher import Teacher

BLOCK = 50_000
"""Lines that are tokenised at a time."""


class StaticStudent(BaseModel):
    """A multilingual StaticEmbedding of sentence-transformers, its tokenizer trained on the parallel text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["static"] = "static"
    """This student."""
    tokenizer: Kind = "bpe"
    """How words are cut: `bpe` or `unigram`."""
    vocabulary: int = Field(default=32_000, ge=300, le=2_000_000)
    """Most pieces."""
    dimension: int = Field(default=256, ge=1, le=16_384)
    """Width of the embeddings."""
    lowercase: bool = True
    """Whether capitals are taken for small letters."""
    temperature: float = Field(default=2.0, ge=1, le=1e6)
    """A language with n lines is drawn for the tokenizer in proportion to n^(1/temperature)."""
    lines: int = Field(default=200_000, ge=1)
    """Most lines drawn for the tokenizer."""
    init: Literal["random", "teacher"] = "random"
    """First vectors: normal, or the mean of the teacher's vectors of the lines in which a token stands, by principal axes."""
    scale: float = Field(default=0.1, gt=0)
    """Root mean square of the first vectors' elements."""
    sif: float | None = Field(default=None, gt=0)
    """Weigh the first vector of a token with share p in the text by sif / (sif + p) (Arora et al. 2017); None does not."""

    def build(self, parallel: Parallel | None, teacher: Teacher | None, seed: int) -> SentenceTransformer:
        """Train the tokenizer and make the table.

        :param parallel: text for the tokenizer, and for `init: teacher`.
        :param teacher: for `init: teacher`.
        :param seed: of everything drawn.
        :return: a student on the CPU, which `SentenceTransformer(path)` loads once saved.
        :raises ConfigError: if what it needs is not given.
        """
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        if parallel is None:
            raise ConfigError("student: a static student needs data.parallel, on which its tokenizer is trained")
        texts = balanced(parallel, self.temperature, self.lines, seed)
        tokenizer = train_tokenizer(texts, self.tokenizer, self.vocabulary, self.lowercase)
        rng = np.random.default_rng(seed)
        size = (tokenizer.get_vocab_size(), self.dimension)
        weights: np.ndarray = rng.normal(0, self.scale, size).astype(np.float32)
        if self.init == "teacher":
            if teacher is None:
                raise ConfigError("student.init: teacher needs a teacher")
            weights = self.scale * from_teacher(tokenizer, parallel, teacher, weights / (10 * self.scale))
        if self.sif is not None:
            share = _shares(tokenizer, texts)
            weights *= (self.sif / (self.sif + share))[:, None].astype(np.float32)
        return SentenceTransformer(modules=[StaticEmbedding(tokenizer, torch.from_numpy(weights))], device="cpu")


def token_ids(tokenizer: Tokenizer, texts: list[str], most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Tokenise texts as a StaticEmbedding does.

    :param tokenizer: the tokenizer.
    :param texts: n texts.
    :param most: tokens kept of each text.
    :return: (tokens,) int32 of all texts in a row, and (n + 1,) int64 where each text begins.
    """
    parts, counts = [], np.zeros(len(texts) + 1, np.int64)
    for start in range(0, len(texts), BLOCK):
        encodings = tokenizer.encode_batch_fast(texts[start : start + BLOCK], add_special_tokens=False)
        ids = [encoding.ids[:most] for encoding in encodings]
        counts[start + 1 : start + 1 + len(ids)] = [len(row) for row in ids]
        parts.append(
            np.fromiter((i for row in ids for i in row), np.int32, int(counts[start + 1 : start + 1 + len(ids)].sum()))
        )
    return np.concatenate(parts) if parts else np.empty(0, np.int32), np.cumsum(counts)


def _shares(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """Return each token's share of all tokens."""
    counts = np.bincount(token_ids(tokenizer, texts)[0], minlength=tokenizer.get_vocab_size())
    return np.asarray(counts / max(counts.sum(), 1))


def from_teacher(tokenizer: Tokenizer, parallel: Parallel, teacher: Teacher, unseen: np.ndarray) -> np.ndarray:
    """Place each token at the mean of what its lines mean, by the teacher's vectors of their translations.

    :param tokenizer: the student's.
    :param parallel: text with translations into the teacher's language.
    :param teacher: gives the vectors; they are turned to their principal axes, the widest `d` of which are kept.
    :param unseen: (vocabulary, d) float32: vectors of tokens that do not occur.
    :return: (vocabulary, d) float32; the tokens that occur have a root mean square of 1 over tokens and dimensions.
    :raises ConfigError: if the teacher's vectors have fewer than d dimensions.
    """
    from scipy.sparse import csr_array

    anchors = parallel.anchor_rows(teacher.anchor)
    rows = np.flatnonzero(anchors >= 0)
    distinct, place = np.unique(anchors[rows], return_inverse=True)
    taught = teacher.rows(parallel.text(distinct).to_pylist())
    targets = _principal(teacher.vectors[taught], unseen.shape[1])
    ids, starts = token_ids(tokenizer, list(parallel.text(rows).to_pylist()))
    ones = np.ones(len(ids), np.float32)
    counts = csr_array((ones, ids, starts), shape=(len(rows), len(unseen)))
    gathered = csr_array((np.ones(len(rows), np.float32), (place, np.arange(len(rows)))), shape=(len(distinct), len(rows)))
    per_target = (gathered @ counts).T.tocsr()  # tokens by targets: each vector is taken once, not once per language
    total = np.asarray(per_target.sum(axis=1), np.float32)
    found = total > 0
    weights = unseen.copy()
    weights[found] = (per_target @ targets)[found] / total[found, None]
    weights[found] /= np.sqrt(np.square(weights[found]).mean())
    return weights


def _principal(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Return centred vectors along their widest axes; each axis's sign makes its largest coefficient positive."""
    if vectors.shape[1] < dimension:
        raise ConfigError(
            f"student.dimension: {dimension}, but the teacher's vectors have {vectors.shape[1]}; init: teacher needs no more"
        )
    centred = vectors - vectors.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :dimension]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dimension)])
    return np.asarray(centred @ axes, np.float32)
