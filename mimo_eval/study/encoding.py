"""A static student as an encoder that tokenises each text once, however many students share the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mimo_eval.protocols import Role
from mimo_eval.training.students.static import token_ids
from mimo_eval.training.validation import Student

BLOCK = 4096
"""Texts that are embedded at a time."""


class Tokens:
    """Token ids of texts, kept in memory."""

    def __init__(self) -> None:
        self.tokenizer: Any = None
        self._content = ""
        self._ids: dict[str, np.ndarray] = {}

    def use(self, tokenizer: Any) -> None:
        """Take the tokenizer of the next student; one that is not equal to the last empties the memory.

        :param tokenizer: of a StaticEmbedding.
        """
        content = tokenizer.to_str()
        if content != self._content:
            self._content, self._ids = content, {}
        self.tokenizer = tokenizer

    def of(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the token ids of some texts.

        :param texts: n texts.
        :return: n int32 arrays.
        """
        fresh = [text for text in dict.fromkeys(texts) if text not in self._ids]
        ids, starts = token_ids(self.tokenizer, fresh)
        self._ids.update(zip(fresh, np.split(ids, starts[1:-1]), strict=True) if fresh else ())
        return [self._ids[text] for text in texts]


class StaticEncoder:
    """What `Student` is for any model, without tokenising a text twice.

    :param table: the student's StaticEmbedding.
    :param tokens: shared by all students of a study.
    """

    name = "student"

    def __init__(self, table: Any, tokens: Tokens) -> None:
        self.table, self.tokens = table, tokens
        tokens.use(table.tokenizer)

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Return (n, d) float32 means of token vectors."""
        import torch

        found = []
        for start in range(0, len(texts), BLOCK):
            ids = self.tokens.of(texts[start : start + BLOCK])
            starts = np.cumsum([0, *(len(row) for row in ids[:-1])])
            flat = torch.from_numpy(np.concatenate(ids).astype(np.int64))
            with torch.no_grad():
                weight = self.table.embedding.weight
                found.append(torch.nn.functional.embedding_bag(flat, weight, torch.from_numpy(starts), mode="mean").numpy())
        return np.concatenate(found)


def encoder_of(student: Any, tokens: Tokens) -> Any:
    """Return a student as an encoder.

    :param student: a SentenceTransformer.
    :param tokens: shared by all students of a study.
    :return: an encoder without fingerprint: its vectors are kept for one evaluation only.
    """
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    modules = list(student)
    if len(modules) == 1 and isinstance(modules[0], StaticEmbedding):
        return StaticEncoder(modules[0], tokens)
    return Student(student.eval())
