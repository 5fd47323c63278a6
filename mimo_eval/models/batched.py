"""Encoding in batches of as many tokens, instead of as many texts: the same vectors as sentence-transformers', sooner.

The texts of a call are tokenised once, in parts of similar length, on machines with cores to spare in threads ahead of the
model; each batch is padded to its own longest text and copied to the device at once; vectors stay there until the call is done.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mimo_eval.models import own_tokens
from mimo_eval.models.batching import Tokens, cut, windows
from mimo_eval.models.kernels import out_of_memory
from mimo_eval.models.own_tokens import Recipe
from mimo_eval.protocols import Role
from mimo_eval.threads import ahead

logger = logging.getLogger(__name__)

ON_CPU = 2**11
"""Tokens per batch of a CPU where the user says nothing: with 4096, all-MiniLM takes 16 % longer, since what a layer makes of
them no longer fits into the caches. Not more for more threads: then vectors would differ in their last bits from machine to
machine, and with them the order of near ties."""
ON_DEVICE = 2**14
"""Tokens per batch of a GPU, which needs many to be busy."""
LONGEST = 2**13
"""Tokens of the longest text where a model sets no bound, or hardly one."""
WINDOW = 512
"""Texts that are tokenised at a time."""
HELD = 2**26
"""Numbers of vectors that stay on the device at most, 256 MiB."""
EXAMPLES = 8
"""Texts of the first call that a model's own tokens are compared for."""


class BatchedEncoder:
    """A SentenceTransformer whose batches have about as many tokens each.

    If a batch does not fit into the device's memory, it is halved, and those after it have no more tokens than its halves.

    :param encoder: the model.
    :param name: its name, for the log.
    :param batch_size: texts of the greatest length that a batch has room for; None for what is best for most models.
    """

    def __init__(self, encoder: Any, name: str, batch_size: int | None = None) -> None:
        self.encoder, self.name = encoder, name
        longest = min(encoder.max_seq_length or LONGEST, LONGEST)
        usual = ON_CPU if encoder.device.type == "cpu" else ON_DEVICE
        self.budget: int = batch_size * longest if batch_size else usual
        self._recipes: dict[tuple[Any, ...], Recipe | None] = {}

    def encode(self, texts: Sequence[str], role: Role, prompt: str | None) -> np.ndarray | None:
        """Encode texts.

        :param texts: n texts.
        :param role: `query` or `document`.
        :param prompt: put before each; None leaves it to the model.
        :return: (n, d) float32; None if the model does more to a text than to tokenise it: then it has to be asked itself.
        """
        recipe = self._recipe(texts, role, prompt)
        if recipe is None or not len(texts):
            return None
        import torch

        found: np.ndarray | None = None
        held: list[tuple[np.ndarray, Any]] = []
        size = 0
        self.encoder.eval()
        with torch.inference_mode():
            for places, vectors in self._vectors(recipe, texts):
                if found is None:
                    found = np.empty((len(texts), vectors.shape[1]), np.float32)
                held.append((places, vectors))
                size += vectors.numel()
                if size > HELD:
                    _fetch(held, found)
                    size = 0
            if found is not None:
                _fetch(held, found)
        return found

    def _recipe(self, texts: Sequence[str], role: Role, prompt: str | None) -> Recipe | None:
        key = (role, prompt, self.encoder.max_seq_length)
        if key not in self._recipes:
            self._recipes[key] = own_tokens.find(self.encoder, role, prompt, texts[:EXAMPLES])
        return self._recipes[key]

    def _vectors(self, recipe: Recipe, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, Any]]:
        """Yield (which texts, their vectors on the device)."""
        tokenizer = self.encoder.tokenizer.backend_tokenizer
        recipe.set_up(tokenizer)

        def tokenised(places: np.ndarray) -> tuple[np.ndarray, Tokens]:
            return places, recipe.tokens(tokenizer, [texts[place] for place in places.tolist()])

        for places, tokens in ahead(tokenised, windows(texts, WINDOW), self._workers(), spare=2):
            waiting = [np.arange(len(places))]
            while waiting:
                batch = waiting.pop()
                size = len(batch) * int(tokens.lengths[batch].max())
                if size > self.budget and len(batch) > 1:
                    waiting += [batch[part] for part in cut(tokens.lengths[batch], self.budget)][::-1]
                elif (vectors := self._forward(recipe, tokens.padded(batch, recipe.pad, recipe.left))) is not None:
                    yield places[batch], vectors
                else:
                    self._halve(size)
                    waiting.append(batch)

    def _forward(self, recipe: Recipe, rectangle: np.ndarray) -> Any:
        """Return the vectors of a batch; None if a smaller one might fit into the memory."""
        import torch

        tensor = torch.from_numpy(rectangle)
        cuda = self.encoder.device.type == "cuda"
        try:
            tensor = tensor.pin_memory().to(self.encoder.device, non_blocking=True) if cuda else tensor.to(self.encoder.device)
            return self.encoder(recipe.features(tensor), **recipe.options)["sentence_embedding"].float()
        except RuntimeError as error:
            if rectangle.shape[1] == 1 or not out_of_memory(error):
                raise
        return None

    def _halve(self, size: int) -> None:
        """Let batches have half the tokens of one that did not fit."""
        import torch

        self.budget = max(1, size // 2)
        logger.warning("%s: a batch of %d tokens does not fit into memory; going on with %d", self.name, size, self.budget)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _workers(self) -> int:
        """Return the number of threads that tokenise while the model computes: on few cores they would only be in its way."""
        import torch

        spare = torch.get_num_threads() // 4 if self.encoder.device.type == "cpu" else max(1, (os.cpu_count() or 1) // 2)
        return min(4, spare)


def _fetch(held: list[tuple[np.ndarray, Any]], found: np.ndarray) -> None:
    """Copy vectors from the device to the rows of their texts, all at once."""
    import torch

    if held:
        found[np.concatenate([places for places, _ in held])] = torch.cat([vectors for _, vectors in held]).cpu().numpy()
        held.clear()
