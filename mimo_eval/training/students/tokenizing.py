"""Tokenizers in many languages, trained on the parallel text: byte fallback, NFKC, languages balanced by a temperature."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mimo_eval.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from mimo_eval.training.data import Parallel

Kind = Literal["bpe", "unigram"]
UNKNOWN = "<unk>"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
LONGEST = 16
"""Characters of the longest piece."""
SURPLUS = 2
"""Unigram starts from this many times the pieces that it keeps."""
ROUNDS = 4
"""Of segmenting and pruning."""


def balanced(lines: Parallel, temperature: float, most: int, seed: int) -> list[str]:
    """Draw lines for a tokenizer so that small languages are not drowned.

    A language with n lines is drawn in proportion to n^(1/temperature); lines of small languages come several times.

    :param lines: the text.
    :param temperature: 1 draws languages as they come, infinity all alike.
    :param most: lines drawn in all.
    :param seed: of the drawing.
    :return: the texts, by language.
    :raises DataError: if there is no text.
    """
    if not len(lines):
        raise DataError("there is no text to train a tokenizer on")
    rng, counts = np.random.default_rng(seed), np.bincount(lines.language, minlength=len(lines.languages))
    share = counts ** (1 / temperature) / (counts ** (1 / temperature)).sum()
    wanted = np.maximum(1, np.round(share * min(most, len(lines)))).astype(np.int64)
    drawn = []
    for number, count in enumerate(wanted):
        mine = np.flatnonzero(lines.language == number)
        drawn.append(np.resize(rng.permutation(mine), count))
    return list(lines.text(np.concatenate(drawn)).to_pylist())


def train_tokenizer(texts: Sequence[str], kind: Kind = "bpe", size: int = 32_000, lowercase: bool = True) -> Tokenizer:
    """Train a tokenizer; the same texts in the same order give the same one.

    `unigram` is trained here, by hard EM from the pieces of a larger BPE: the trainer of the library depends on the order of
    its hash tables, and is slow on scripts without spaces.

    :param texts: what it is trained on.
    :param kind: `bpe` or `unigram`.
    :param size: most pieces, bytes and the unknown token included.
    :param lowercase: whether to take capitals for small letters.
    :return: a tokenizer without unknown characters: those not in its vocabulary fall apart into bytes.
    :raises ConfigError: if the size is too small to hold the bytes.
    """
    if size < len(BYTES) + 44:
        raise ConfigError(f"a vocabulary of {size} pieces is too small: 256 bytes and the letters need at least 300")
    pieces = size - len(BYTES)
    if kind == "bpe":
        return _with_bytes(_bpe(texts, pieces, pieces // 3, lowercase))
    return _unigram(texts, pieces, lowercase)


def _bpe(texts: Sequence[str], pieces: int, letters: int, lowercase: bool) -> Tokenizer:
    from tokenizers import Tokenizer, models, trainers

    tokenizer = _prepared(Tokenizer(models.BPE(unk_token=UNKNOWN)), lowercase)
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        special_tokens=[UNKNOWN],
        limit_alphabet=letters,
        max_token_length=LONGEST,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return tokenizer


def _prepared(tokenizer: Tokenizer, lowercase: bool) -> Tokenizer:
    from tokenizers import normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    )
    return tokenizer


def _with_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """Add a piece for each byte, into which unknown characters fall apart."""
    from tokenizers import Tokenizer

    content: dict[str, Any] = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    for byte in BYTES:
        vocabulary.setdefault(byte, len(vocabulary))
    content["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(content))


def _unigram(texts: Sequence[str], pieces: int, lowercase: bool) -> Tokenizer:
    """Shrink a large BPE vocabulary: segment by the likeliest pieces, count, keep letters and what is used most."""
    larger = _bpe(texts, SURPLUS * pieces, pieces // 3, lowercase)
    words: Counter[str] = Counter()
    for text in texts:
        normal = larger.normalizer.normalize_str(text)
        words.update(word for word, _ in larger.pre_tokenizer.pre_tokenize_str(normal))
    spellings, times = list(words), list(words.values())
    counts = _used(larger, spellings, times)
    letters = [piece for piece in larger.get_vocab() if len(piece) == 1]
    for size in np.geomspace(SURPLUS * pieces, pieces, ROUNDS + 1)[1:].astype(int):
        tokenizer = _with_scores(counts, letters, int(size), lowercase)
        counts = _used(tokenizer, spellings, times)
    return _with_scores(counts, letters, pieces, lowercase)


def _used(tokenizer: Tokenizer, words: Sequence[str], times: Sequence[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    normalizer, tokenizer.normalizer = tokenizer.normalizer, None  # type: ignore[assignment]  # words are normal already
    before, tokenizer.pre_tokenizer = tokenizer.pre_tokenizer, None  # type: ignore[assignment]
    for encoding, count in zip(tokenizer.encode_batch(list(words), add_special_tokens=False), times, strict=True):
        for piece in encoding.tokens:
            counts[piece] += count
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, before
    return counts


def _with_scores(counts: Counter[str], letters: Sequence[str], size: int, lowercase: bool) -> Tokenizer:
    from tokenizers import Tokenizer, models

    alphabet = dict.fromkeys(sorted(letters))
    ranked = sorted((p for p in counts if p not in alphabet and p not in BYTES and p != UNKNOWN), key=lambda p: (-counts[p], p))
    kept = [*alphabet, *ranked[: max(0, size - len(alphabet) - 1)]]
    total = math.log(sum(counts.values()) or 1)
    scores = [(piece, math.log(max(counts[piece], 0.5)) - total) for piece in kept]
    least = min((score for _, score in scores), default=0.0) - 10
    vocabulary = [(UNKNOWN, least), *scores, *((byte, least) for byte in BYTES)]
    return _prepared(Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True)), lowercase)
