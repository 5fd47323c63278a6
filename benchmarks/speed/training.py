"""Samples per second of MIMO's two stages beside sentence-transformers' own trainer and losses, same student and batch.

    python -m benchmarks.speed.training --vocabulary 32000 --dimension 256 --batch 256

Theirs: `SentenceTransformerTrainer` as it is, with `MSELoss` into vectors of the student's width for stage 1, and
`MultipleNegativesRankingLoss` for stage 2. Ours: `fit` with the losses of `mimo`, the projection into the teacher's space
included. Texts are invented, of 5 to 40 words; tokenising them is in both times. Each is run `--repeats` times in turn.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MSELoss, MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from mimo_eval.training.fit import fit
from mimo_eval.training.losses import Balance, Distillation, Joint, SharedProjection
from mimo_eval.training.settings import StageSettings
from mimo_eval.training.stage import Stage
from mimo_eval.training.students.tokenizing import train_tokenizer

WIDTH = 384
"""Of the teacher's vectors, as all-MiniLM-L6-v2 has them."""


def invented(count: int, words: int, seed: int) -> list[str]:
    """Return texts of words drawn by Zipf's law."""
    rng = random.Random(seed)
    letters = "aeioubcdfghklmnprstvwz"
    lexicon = ["".join(rng.choice(letters) for _ in range(rng.randint(3, 9))) for _ in range(words)]
    weights = [1 / (rank + 10) for rank in range(words)]
    return [" ".join(rng.choices(lexicon, weights, k=rng.randint(5, 40))) for _ in range(count)]


def student_of(tokenizer: Any, dimension: int) -> SentenceTransformer:
    """Return an untrained static student."""
    torch.manual_seed(0)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=dimension)], device="cpu")


def theirs(student: SentenceTransformer, rows: Dataset, loss: Any, batch: int, epochs: int) -> float:
    """Return the seconds of training by the library's trainer as it is."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=batch,
            learning_rate=1e-2,
            save_strategy="no",
            logging_steps=50,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = SentenceTransformerTrainer(model=student, args=arguments, train_dataset=rows, loss=loss)
        start = perf_counter()
        trainer.train()
        return perf_counter() - start


def ours(student: SentenceTransformer, stage: Stage, batch: int, epochs: int) -> float:
    """Return the seconds of training by `fit`, everything included."""
    start = perf_counter()
    fit(student, [stage], StageSettings(batch_size=batch, lr=1e-2, epochs=epochs))
    return perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    left, right = (invented(options.rows, 20_000, seed) for seed in (1, 2))
    tokenizer = train_tokenizer([*left, *right], "bpe", options.vocabulary)
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(options.rows, WIDTH)).astype(np.float32)
    own = targets[:, : options.dimension]
    projection = SharedProjection(0)
    numbers = np.arange(options.rows)
    first = Dataset.from_dict({"text": left, "label": numbers[:, None].tolist()})
    second = Dataset.from_dict({"query": left, "passage": right, "label": np.stack([numbers] * 3, axis=1).tolist()})
    vectors = torch.from_numpy(targets)
    stages = {
        "1": Stage("distillation", first, lambda m: Distillation(m, projection=projection(m, vectors), targets=vectors)),
        "2": Stage(
            "joint", second, lambda m: Joint(m, projection=projection(m, vectors), targets=vectors, balance=Balance(0.2))
        ),
    }
    plain = {
        "1": (Dataset.from_dict({"text": left, "label": list(own)}), MSELoss),
        "2": (Dataset.from_dict({"query": left, "passage": right}), MultipleNegativesRankingLoss),
    }
    size = tokenizer.get_vocab_size()
    print(f"{options.rows:,} rows, batch {options.batch}, {size:,} x {options.dimension}, {torch.get_num_threads()} thread(s)")
    for name, stage in stages.items():
        rows, loss = plain[name]
        times: dict[str, list[float]] = {"theirs": [], "ours": []}
        for _ in range(options.repeats):
            student = student_of(tokenizer, options.dimension)
            times["theirs"].append(theirs(student, rows, loss(student), options.batch, options.epochs))
            times["ours"].append(ours(student_of(tokenizer, options.dimension), stage, options.batch, options.epochs))
        rates = {who: options.epochs * options.rows / median(seconds) for who, seconds in times.items()}
        print(
            f"stage {name}: {loss.__name__} {rates['theirs']:,.0f} rows/s, ours {rates['ours']:,.0f} rows/s, "
            f"{rates['ours'] / rates['theirs']:.2f} times"
        )


if __name__ == "__main__":
    main()
