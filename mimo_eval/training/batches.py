"""Which rows stand in which batch, and the tensors of a batch. A static student's texts are tokenised once, before training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Sampler

from mimo_eval.models.prompts import own
from mimo_eval.protocols import Role
from mimo_eval.training.students.static import token_ids

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

Collate = Callable[[list[int]], dict[str, Any]]


def size_of(rows: int, batch: int, ranks: int = 1) -> int:
    """Return rows per process and batch: as asked for, or fewer where there are not so many."""
    return max(1, min(batch, rows // ranks))


def steps_of(rows: int, batch: int, epochs: float, steps: int | None = None, ranks: int = 1) -> int:
    """Return the number of steps of a stage.

    :param rows: of the stage.
    :param batch: rows per process and step.
    :param epochs: passes; a pass has whole batches only.
    :param steps: instead of passes.
    :param ranks: number of processes.
    :return: at least 1.
    """
    per_pass = max(1, rows // (size_of(rows, batch, ranks) * ranks))
    return steps if steps is not None else max(1, round(per_pass * epochs))


class Batches(Sampler[list[int]]):  # type: ignore[misc]
    """All batches of a stage, a pure function of the arguments, so that a resumed run goes on with the same.

    Each pass has its own order and whole batches only; what is left over at its end comes in other passes.

    :param rows: of the stage.
    :param batch: rows per process and step.
    :param steps: of the stage, over as many passes as it takes.
    :param seed: of the orders.
    :param shuffle: False keeps the order of rows in every pass.
    :param rank: of this process; of a step's rows each process takes its share.
    :param ranks: number of processes.
    """

    def __init__(
        self, rows: int, batch: int, steps: int, seed: int, shuffle: bool = True, rank: int = 0, ranks: int = 1
    ) -> None:
        self.rows, self.steps, self.seed, self.shuffle, self.rank, self.ranks = rows, steps, seed, shuffle, rank, ranks
        self.batch = size_of(rows, batch, ranks)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        whole = self.batch * self.ranks
        per_pass = max(1, self.rows // whole)
        order = np.arange(self.rows)
        for step in range(self.steps):
            turn, place = divmod(step, per_pass)
            if self.shuffle and place == 0:
                order = np.random.default_rng([self.seed, turn]).permutation(self.rows)
            start = place * whole + self.rank * self.batch
            yield order[np.arange(start, start + self.batch) % self.rows].tolist()


def collate_for(student: Any, rows: datasets.Dataset, max_length: int | None) -> Collate:
    """Return what makes the tensors of a batch out of row numbers, named as sentence-transformers' trainer expects.

    :param student: the model.
    :param rows: text columns and `label`.
    :param max_length: most tokens of a text; a static student's is applied here, others have their own.
    :return: a function.
    """
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    table = rows.with_format("arrow")[:]
    columns = {name: table.column(name) for name in table.column_names if name != "label"}
    prompts = {name: prompt_of(student, "query" if name.startswith("query") else "document") for name in columns}
    labels = _labels(table.column("label"), len(table))
    if isinstance(student[0], StaticEmbedding):
        return TokenRows(student[0].tokenizer, columns, prompts, labels, max_length)
    return TextRows(student.preprocess, columns, prompts, labels)


def prompt_of(student: Any, role: Role) -> str:
    """Return what a student has before texts of a role, in training as in `mimo-eval run`.

    :param student: a SentenceTransformer.
    :param role: `query` or `document`.
    :return: the text, empty if there is none.
    """
    return own(student.prompts, student.default_prompt_name, role)


def _labels(column: pa.ChunkedArray, rows: int) -> torch.Tensor:
    flat = np.concatenate([np.asarray(chunk.flatten()) for chunk in column.chunks] or [np.empty(0, np.int64)])
    return torch.from_numpy(flat.astype(np.int64).reshape(rows, -1))


class TextRows:
    """Texts that the model itself turns into tensors, batch by batch.

    :param preprocess: the model's.
    :param columns: name to texts.
    :param prompts: name to what is put before each text.
    :param labels: (rows, k).
    """

    def __init__(
        self,
        preprocess: Callable[..., Any],
        columns: dict[str, pa.ChunkedArray],
        prompts: dict[str, str],
        labels: torch.Tensor,
    ) -> None:
        self.preprocess, self.columns, self.prompts, self.labels = preprocess, columns, prompts, labels

    def __call__(self, rows: list[int]) -> dict[str, Any]:
        """Return the tensors of a batch."""
        batch: dict[str, Any] = {"label": self.labels[rows]}
        for name, texts in self.columns.items():
            features = self.preprocess(texts.take(rows).to_pylist(), prompt=self.prompts[name] or None)
            batch |= {f"{name}_{key}": value for key, value in features.items()}
        return batch


class TokenRows:
    """Texts as numbers of tokens, each different text tokenised once.

    :param tokenizer: the student's.
    :param columns: name to texts.
    :param prompts: name to what is put before each text.
    :param labels: (rows, k).
    :param most: tokens of a text.
    """

    def __init__(
        self,
        tokenizer: Any,
        columns: dict[str, pa.ChunkedArray],
        prompts: dict[str, str],
        labels: torch.Tensor,
        most: int | None = None,
    ) -> None:
        self.labels = labels
        self.columns: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for name, texts in columns.items():
            encoded = texts.combine_chunks().dictionary_encode()
            encoded = encoded.combine_chunks() if hasattr(encoded, "combine_chunks") else encoded
            ids, starts = token_ids(tokenizer, [prompts[name] + text for text in encoded.dictionary.to_pylist()], most)
            self.columns[name] = encoded.indices.to_numpy(), ids, starts

    def __call__(self, rows: Sequence[int]) -> dict[str, Any]:
        """Return the tensors of a batch."""
        chosen = np.asarray(rows)
        batch: dict[str, Any] = {"label": self.labels[chosen]}
        for name, (text, ids, starts) in self.columns.items():
            begin = starts[text[chosen]]
            count = starts[text[chosen] + 1] - begin
            offsets = np.cumsum(count) - count
            places = np.repeat(begin - offsets, count) + np.arange(count.sum())
            batch[f"{name}_input_ids"] = torch.from_numpy(ids[places].astype(np.int64))
            batch[f"{name}_offsets"] = torch.from_numpy(offsets)
        return batch
