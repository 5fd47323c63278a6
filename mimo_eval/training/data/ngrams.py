"""Hashes of texts and of their n-grams, for millions of characters at a time.

A text is compared by its letters, marks and digits alone, after NFKC and case folding. A token is a run of them between other
characters; in scripts that do not put spaces between words each character is a token of its own. An n-gram of such a language
has as many tokens as the translation of eight English words has on average, counted in NTREX-128: 13 in Chinese (1.65 a
word), 19 in Japanese (2.34), 39 in Thai (4.91); PUD and XQuAD agree to within a tenth. Latin words inside such a text are one
token each, so a long foreign name is not mistaken for a passage.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

WORDS = 8
LENGTHS = {"zh": 13, "yue": 13, "ja": 19, "th": 39, "lo": 39, "km": 39, "my": 39, "bo": 39}
"""Tokens of an n-gram where it is not eight words; Lao, Khmer, Burmese and Tibetan are not measured, but written like Thai."""
NO_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # iteration mark and zero of Han
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana, phonetic extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
CHARACTERS = 2_000_000
"""Characters that are hashed at a time."""
APART, JOINED, SINGLE, IGNORED = 0, 1, 2, 3
END = "\n"
FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Hashes(NamedTuple):
    """What is left of some texts."""

    whole: np.ndarray
    """(texts,) uint64: hash of each text's letters, marks and digits; 0 where there are none."""
    grams: np.ndarray
    """(n,) uint64: n-grams, in the order of the texts."""
    text: np.ndarray
    """(n,) int64: the text of each n-gram."""
    place: np.ndarray
    """(n,) int64: the number of its first token within the text."""


def length_of(lang: str) -> int:
    """Return the tokens of an n-gram in a language.

    :param lang: a canonical code; a script behind it does not matter.
    :return: 8, or more where tokens are characters.
    """
    return LENGTHS.get(lang.partition("-")[0], WORDS)


def normal(text: str) -> str:
    """Return a text as it is compared: NFKC and case folding, and NFKC again, for folding undoes it."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@cache
def _classes() -> np.ndarray:
    """(0x110000,) uint8: whether a code point parts tokens, is joined to its neighbours, is a token, or does not count.

    Format characters do not count: soft hyphens, joiners, marks of direction.
    """
    kinds = np.zeros(0x110000, np.uint8)
    kinds[[i for i in range(0x32400) if unicodedata.category(chr(i))[0] in "LMN"]] = JOINED
    kinds[[i for i in range(0xE0080) if unicodedata.category(chr(i)) == "Cf"]] = IGNORED
    for first, last in NO_SPACES:
        block = kinds[first : last + 1]
        block[block == JOINED] = SINGLE
    return kinds


def hash_texts(texts: Sequence[str], lang: str) -> Hashes:
    """Hash texts of one language and their n-grams.

    :param texts: the texts.
    :param lang: their language; decides the length of n-grams.
    :return: hashes of all.
    """
    blocks = [hash_block(block, length_of(lang)) for block in _blocks(texts)]
    if not blocks:
        empty = np.empty(0, np.int64)
        return Hashes(empty.view(np.uint64), empty.view(np.uint64), empty, empty)
    starts = np.cumsum([0, *(len(block.whole) for block in blocks[:-1])])
    return Hashes(
        np.concatenate([block.whole for block in blocks]),
        np.concatenate([block.grams for block in blocks]),
        np.concatenate([block.text + start for block, start in zip(blocks, starts, strict=True)]),
        np.concatenate([block.place for block in blocks]),
    )


def _blocks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Split texts so that a block's characters fit into memory many times."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text) + 1
        if size > CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def hash_block(texts: list[str], n: int) -> Hashes:
    """Hash some texts, all at once.

    :param texts: at least one text.
    :param n: tokens of an n-gram.
    :return: their hashes.
    """
    codes = np.frombuffer(normal(END.join(text.replace(END, " ") for text in texts)).encode("utf-32-le", "replace"), np.uint32)
    kinds = _classes()[codes]
    counted = kinds != IGNORED
    codes, kinds = codes[counted], kinds[counted]
    text = np.cumsum(codes == ord(END))
    kept = np.flatnonzero(kinds)
    codes, text, kinds, gap = codes[kept], text[kept], kinds[kept], np.diff(kept, prepend=-2) > 1
    mixed = _mixed(codes.astype(np.uint64))
    whole = np.zeros(len(texts), np.uint64)
    first = np.flatnonzero(np.diff(text, prepend=-1))
    whole[text[first]] = _polynomial(mixed, first) if len(first) else 0
    starts = np.flatnonzero(gap | (kinds == SINGLE) | (np.roll(kinds, 1) == SINGLE))
    if len(starts) < n:
        return Hashes(whole, *(np.empty(0, kind) for kind in (np.uint64, np.int64, np.int64)))
    tokens, of = _mixed(_polynomial(mixed, starts)), text[starts]
    count = len(tokens) - n + 1
    grams = np.zeros(count, np.uint64)
    for i in range(n):
        grams = grams * FACTOR + tokens[i : i + count]
    inside = of[:count] == of[n - 1 :]
    place = np.arange(len(of)) - np.searchsorted(of, of)
    return Hashes(whole, _mixed(grams)[inside], of[:count][inside], place[:count][inside])


def _mixed(values: np.ndarray) -> np.ndarray:
    """Return splitmix64 of (n,) uint64: near numbers become far ones."""
    values = values + FACTOR
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def _polynomial(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Hash runs of numbers in their order.

    :param values: (n,) uint64.
    :param starts: where runs begin, ascending; the first is 0.
    :return: (runs,) uint64.
    """
    lengths = np.diff(starts, append=len(values))
    place = np.arange(len(values)) - np.repeat(starts, lengths)
    return np.add.reduceat(values * _powers(int(lengths.max()))[place], starts) + lengths.astype(np.uint64)


def _powers(count: int) -> np.ndarray:
    """Return FACTOR to the powers from 0, modulo 2^64."""
    powers = np.full(count, FACTOR, np.uint64)
    powers[0] = 1
    return np.asarray(np.multiply.accumulate(powers))


def tokens(text: str) -> list[str]:
    """Return the tokens of one text, slowly: what `hash_block` hashes, to show a match and be sure of it.

    :param text: a text.
    :return: its tokens.
    """
    kinds, found, before = _classes(), list[str](), APART
    for character in normal(text):
        kind = int(kinds[ord(character)])
        if kind == IGNORED:
            continue
        if kind == JOINED and before == JOINED:
            found[-1] += character
        elif kind != APART:
            found.append(character)
        before = kind
    return found
