"""Whether the tokens that a model's tokeniser makes at once, for many texts, are those that the model makes for itself.

sentence-transformers puts a prompt before each text, may add instructions, templates or markers, and cuts. Which of it a model
does is not read from its settings: it is asked for a few texts, what it makes of them is recorded, and only if the same comes
of its tokeniser alone is that used for all texts. Vectors are compared too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mimo_eval.models.batching import Tokens
from mimo_eval.models.kernels import compiling_failed
from mimo_eval.models.sources import first_line
from mimo_eval.protocols import Role

logger = logging.getLogger(__name__)

SHORT = ("a", "Übergröße: 3½ Äpfel!", "  Two  lines,\n\tone Tab. ", "日本語の短い文。", "نص عربي قصير", "हिन्दी में वाक्य", "")
"""Texts whose vectors are compared as well."""
ODD = (
    "[CLS] [SEP] [PAD] [MASK] <s> </s> <pad> <unk> <mask> <|endoftext|> <|im_start|>",
    "ภาษาไทย 한국어 Ελληνικά русский 😀 👩‍👩‍👧 e\u0301 \u200b \ufeff \x00 \u00a0 ﬁ Ⅷ LOUD",
)
LONG = ("word ", "字", "a, ")
"""Repeated until they are longer than a model takes."""
LONGEST = 4096
"""Times that they are repeated at most."""
NAMES = {"input_ids", "attention_mask", "token_type_ids"}
TOLERANCE = {"torch.float32": 1e-5}
"""Of vectors of length 1."""
HALF = 0.05
"""The same in half precision."""


@dataclass(frozen=True)
class Recipe:
    """How a model's features come of the tokens of a text."""

    prompt: str
    """Put before the text."""
    truncation: dict[str, Any] | None
    """How the tokeniser cuts."""
    pad: int
    left: bool
    names: frozenset[str]
    """Features that are tensors, of NAMES."""
    constants: dict[str, Any]
    """Features that are not."""
    options: dict[str, Any]
    """Further arguments of the model."""

    def tokens(self, tokenizer: Any, texts: Sequence[str]) -> Tokens:
        """Return the tokens of texts.

        :param tokenizer: of the library tokenizers, made ready by `set_up`.
        :param texts: n texts.
        """
        return Tokens.of(tokenizer.encode_batch_fast([self.prompt + text for text in texts] if self.prompt else list(texts)))

    def set_up(self, tokenizer: Any) -> None:
        """Let a tokeniser, which others may have used in between, cut as the model does, and leave the padding to us."""
        tokenizer.no_padding()
        if self.truncation is None:
            tokenizer.no_truncation()
        else:
            tokenizer.enable_truncation(**self.truncation)

    def features(self, rectangle: Any) -> dict[str, Any]:
        """Return what the model is given.

        :param rectangle: (2, n, longest) tensor of tokens, and of 1 where they are a text's.
        """
        ids, own = rectangle.long()
        known = {"input_ids": ids, "attention_mask": own}
        if "token_type_ids" in self.names:
            known["token_type_ids"] = ids.new_zeros(ids.shape)
        return {**self.constants, **known}


class Asked(NamedTuple):
    """What a model did when it was asked for vectors."""

    texts: list[list[str]]
    arguments: list[dict[str, Any]]
    features: list[dict[str, Any]]
    options: list[dict[str, Any]]


@contextmanager
def recorded(encoder: Any) -> Iterator[Asked]:
    """Write down what a SentenceTransformer is given and makes of it."""
    asked = Asked([], [], [], [])
    preprocess = encoder.preprocess

    def record(inputs: Any, **arguments: Any) -> Any:
        features = preprocess(inputs, **arguments)
        asked.texts.append(list(inputs))
        asked.arguments.append(arguments)
        asked.features.append(dict(features))
        return features

    encoder.preprocess = record
    hook = encoder.register_forward_pre_hook(lambda module, _, options: asked.options.append(options), with_kwargs=True)
    try:
        yield asked
    finally:
        hook.remove()
        del encoder.preprocess


def find(encoder: Any, role: Role, prompt: str | None, examples: Sequence[str] = ()) -> Recipe | None:
    """Find out how a model's features come of tokens.

    :param encoder: a SentenceTransformer.
    :param role: `query` or `document`.
    :param prompt: what its method is told; None leaves it to the model.
    :param examples: some of the texts that are to be encoded.
    :return: the recipe; None if the model does more to a text than can be found out.
    :raises RuntimeError: if torch cannot compile the model; it can be asked again when it is no longer to be compiled.
    """
    try:
        return _found(encoder, role, prompt, examples)
    except Exception as error:  # of any kind: what cannot be asked this way is not known well enough
        if compiling_failed(encoder, error):
            raise
        logger.debug("batches by sentence-transformers itself: %s", first_line(error))
        return None


def _found(encoder: Any, role: Role, prompt: str | None, examples: Sequence[str]) -> Recipe | None:
    import torch

    tokenizer = encoder.tokenizer.backend_tokenizer
    with recorded(encoder) as asked:
        expected = getattr(encoder, f"encode_{role}")(
            list(SHORT), prompt=prompt, batch_size=len(SHORT), show_progress_bar=False, convert_to_tensor=True
        )
    (texts,), (arguments,), (features,), (options,) = asked
    recipe = Recipe(
        prompt=arguments.get("prompt") or "",
        truncation=tokenizer.truncation,
        pad=tokenizer.padding["pad_id"],
        left=tokenizer.padding["direction"] == "left",
        names=frozenset(name for name, value in features.items() if isinstance(value, torch.Tensor)),
        constants={name: value for name, value in features.items() if not isinstance(value, torch.Tensor)},
        options=options,
    )
    if not {"input_ids", "attention_mask"} <= recipe.names <= NAMES:
        return None
    repeats = min(encoder.max_seq_length or LONGEST, LONGEST) + 8
    others = [list(ODD), *([part * repeats] for part in LONG), ["", LONG[0] * repeats], ["a"], *([*examples],) * bool(examples)]
    tried = [(texts, features), *((other, encoder.preprocess(other, **arguments)) for other in others)]
    if not all(_same(recipe, tokenizer, *each) for each in tried):
        return None
    with torch.inference_mode():
        recipe.set_up(tokenizer)
        tokens = recipe.tokens(tokenizer, SHORT)
        rectangle = torch.from_numpy(tokens.padded(np.arange(len(SHORT)), recipe.pad, recipe.left)).to(encoder.device)
        vectors = encoder(recipe.features(rectangle), **recipe.options)["sentence_embedding"]
        near = _near(vectors, expected, TOLERANCE.get(str(encoder.dtype), HALF))
    return recipe if near else None


def _same(recipe: Recipe, tokenizer: Any, texts: list[str], expected: dict[str, Any]) -> bool:
    """Say whether a recipe makes the same features of some texts."""
    import torch

    recipe.set_up(tokenizer)
    rectangle = recipe.tokens(tokenizer, texts).padded(np.arange(len(texts)), recipe.pad, recipe.left)
    found = recipe.features(torch.from_numpy(rectangle))
    if found.keys() != expected.keys():
        return False
    tensors = all(torch.equal(found[name], expected[name].cpu()) for name in recipe.names)
    return tensors and all(expected[name] == value for name, value in recipe.constants.items())


def _near(vectors: Any, expected: Any, tolerance: float) -> bool:
    """Say whether vectors are as long as others and point the same way, up to rounding."""
    if vectors.shape != expected.shape:
        return False
    vectors, expected = vectors.cpu().double(), expected.cpu().double()  # some devices have no doubles
    return bool(((vectors - expected).norm(dim=1) <= tolerance * expected.norm(dim=1).clamp(min=1e-9)).all())
