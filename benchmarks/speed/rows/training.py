"""Row 11: MIMO's two stages beside sentence-transformers' own trainer and losses, same student, texts and batches.

Theirs: `SentenceTransformerTrainer` as it is, with `MSELoss` into vectors of the student's width for stage 1, and
`MultipleNegativesRankingLoss` for stage 2. Ours: `fit` with the losses of `mimo`, the projection into the teacher's space
included. Texts are invented, of 5 to 40 words; tokenising them is in both times. What is trained differs, so nothing but time
is compared.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.harness import Finding, Row, Settings, in_turn, ratios, rounded

ROWS = (Row(11, "training a static student, MIMO's stages 1 and 2", "sentence-transformers' trainer, MSELoss and MNRL"),)
TEXTS, QUICK = 10_000, 2_000
VOCABULARY, DIMENSION, BATCH = 32_000, 256, 256
TEACHER = 384
"""Width of the teacher's vectors, as all-MiniLM-L6-v2 has them."""
RATE = 1e-2


class Pairs(NamedTuple):
    """What both sides are trained on."""

    left: list[str]
    right: list[str]
    targets: np.ndarray
    """(texts, TEACHER) float32: vectors of the left texts."""
    tokenizer: Any

    @classmethod
    def invented(cls, count: int) -> Pairs:
        """Invent pairs, and train a tokenizer on them."""
        from mimo_eval.training.students.tokenizing import train_tokenizer

        left, right = (invented(count, 20_000, seed) for seed in (1, 2))
        targets = np.random.default_rng(0).standard_normal((count, TEACHER), np.float32)
        return cls(left, right, targets, train_tokenizer([*left, *right], "bpe", VOCABULARY))

    def student(self) -> Any:
        """Return an untrained static student."""
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        torch.manual_seed(0)
        return SentenceTransformer(modules=[StaticEmbedding(self.tokenizer, embedding_dim=DIMENSION)], device="cpu")


def measure(settings: Settings) -> Iterator[Finding]:
    """Train for one epoch by each side, in turn."""
    pairs = Pairs.invented(QUICK if settings.quick else TEXTS)
    rows = {"texts": f"{len(pairs.left):,}", "batch": BATCH, "vocabulary": pairs.tokenizer.get_vocab_size()}
    for name, ours, theirs in (("stage 1 / MSELoss", distil, by_mse), ("stage 2 / MNRL", joint, by_mnrl)):
        seconds = in_turn(settings.repeats, ours=ours(pairs), theirs=theirs(pairs))
        shown = {who: f"{rounded(taken)} s" for who, taken in seconds.items()}
        yield Finding(11, name, ratios(seconds["ours"], seconds["theirs"]), detail=rows | shown)


def distil(pairs: Pairs) -> Callable[[], None]:
    """Return our first stage: vectors of the left texts drawn towards their teacher's."""
    import torch
    from datasets import Dataset

    from mimo_eval.training.losses import Distillation, SharedProjection
    from mimo_eval.training.stage import Stage

    vectors, projection = torch.from_numpy(pairs.targets), SharedProjection(0)
    rows = Dataset.from_dict({"text": pairs.left, "label": np.arange(len(pairs.left))[:, None].tolist()})
    stage = Stage("distillation", rows, lambda m: Distillation(m, projection=projection(m, vectors), targets=vectors))
    return _fit(pairs, stage)


def joint(pairs: Pairs) -> Callable[[], None]:
    """Return our second stage: pairs found among the batch, and the teacher's space kept."""
    import torch
    from datasets import Dataset

    from mimo_eval.training.losses import Balance, Joint, SharedProjection
    from mimo_eval.training.stage import Stage

    vectors, projection = torch.from_numpy(pairs.targets), SharedProjection(0)
    labels = np.stack([np.arange(len(pairs.left))] * 3, axis=1).tolist()
    rows = Dataset.from_dict({"query": pairs.left, "passage": pairs.right, "label": labels})
    stage = Stage("joint", rows, lambda m: Joint(m, projection=projection(m, vectors), targets=vectors, balance=Balance(0.2)))
    return _fit(pairs, stage)


def _fit(pairs: Pairs, stage: Any) -> Callable[[], None]:
    from mimo_eval.training.fit import fit
    from mimo_eval.training.settings import StageSettings

    return lambda: fit(pairs.student(), [stage], StageSettings(batch_size=BATCH, lr=RATE, epochs=1))


def by_mse(pairs: Pairs) -> Callable[[], None]:
    """Return the library's distillation, into as many of the teacher's dimensions as the student has."""
    from datasets import Dataset
    from sentence_transformers.sentence_transformer.losses import MSELoss

    return _train(pairs, Dataset.from_dict({"text": pairs.left, "label": list(pairs.targets[:, :DIMENSION])}), MSELoss)


def by_mnrl(pairs: Pairs) -> Callable[[], None]:
    """Return the library's training on pairs."""
    from datasets import Dataset
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return _train(pairs, Dataset.from_dict({"query": pairs.left, "passage": pairs.right}), MultipleNegativesRankingLoss)


def _train(pairs: Pairs, rows: Any, loss: Callable[[Any], Any]) -> Callable[[], None]:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    def train() -> None:
        with tempfile.TemporaryDirectory() as folder:
            arguments = SentenceTransformerTrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=BATCH,
                learning_rate=RATE,
                save_strategy="no",
                logging_steps=50,
                report_to="none",
                use_cpu=True,
                disable_tqdm=True,
                dataloader_pin_memory=False,
            )
            student = pairs.student()
            SentenceTransformerTrainer(model=student, args=arguments, train_dataset=rows, loss=loss(student)).train()

    return train


def invented(count: int, words: int, seed: int) -> list[str]:
    """Return texts of words drawn by Zipf's law."""
    rng = random.Random(seed)
    letters = "aeioubcdfghklmnprstvwz"
    lexicon = ["".join(rng.choice(letters) for _ in range(rng.randint(3, 9))) for _ in range(words)]
    weights = [1 / (rank + 10) for rank in range(words)]
    return [" ".join(rng.choices(lexicon, weights, k=rng.randint(5, 40))) for _ in range(count)]
