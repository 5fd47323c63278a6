"""Hu et al. 2023: retrieval in one language; parallel and other text on the side bring the languages together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mimo_eval.training.data.pairing import non_parallel, same_language, translations
from mimo_eval.training.methods.contrastive import Pairs
from mimo_eval.training.methods.options import option
from mimo_eval.training.methods.rows import labelled, needed, negatives, numbers, relevant
from mimo_eval.training.stage import Material, Stage

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from mimo_eval.training.data import Retrieval
    from mimo_eval.training.losses import SharedProjection

EVERY = "every"


@dataclass(frozen=True)
class Hu2023(Pairs):
    """InfoNCE on retrieval pairs, NT-Xent on translations, language contrast on third sentences; weights are as recalled."""

    method: ClassVar[str] = "hu2023"
    language: str = option("en", f"language of the retrieval pairs, or {EVERY}")
    semantic: float = option(0.01, "weight of the semantic contrastive loss", low=0)
    contrast: float = option(0.001, "weight of the language contrastive loss", low=0)
    temperature: float = option(0.1, "of both", low=0.001)

    def main(self, material: Material, projection: SharedProjection | None) -> Stage:
        """Return the stage.

        :param material: with retrieval pairs and parallel text, from which third sentences are drawn by themselves.
        :param projection: not used.
        :return: the stage `hu2023`.
        """
        retrieval, parallel = self._pairs(material), needed(material.parallel, "data.parallel", self.method)
        count = self.count(retrieval)
        rows = same_language(retrieval, seed=material.seed, rows=count)
        anchor = None if self.language == EVERY else self.language
        pairs = translations(parallel, seed=material.seed, rows=count, anchor=anchor)
        third = non_parallel(parallel, seed=material.seed + 1, rows=count)
        more, wrong = negatives(retrieval, rows, self.negatives, material.seed)
        for name, source in (("sentence", pairs), ("translation", pairs), ("text", third)):
            more[name] = source.with_format("arrow")[:].column(name)
        passage, others = relevant(retrieval, rows)
        groups = np.stack([numbers(pairs, "group"), numbers(third, "group")], axis=1)

        def loss(model: SentenceTransformer) -> nn.Module:
            from mimo_eval.training.losses import Hu2023Loss

            return Hu2023Loss(
                model,
                negatives=self.negatives,
                semantic=self.semantic,
                language=self.contrast,
                scale=self.scale,
                temperature=self.temperature,
            )

        label = np.concatenate([passage, wrong, groups, others], axis=1)
        return Stage(self.method, labelled(rows, ["query", "passage"], label, **more), loss)

    def _pairs(self, material: Material) -> Retrieval:
        found = self.retrieval(material)
        if self.language == EVERY:
            return found
        queries, passages = (lines.language == lines.number(self.language) for lines in (found.queries, found.passages))
        return found.select(queries, passages, {"step": "select", "language": self.language})
