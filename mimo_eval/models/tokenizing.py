"""Words of any language for BM25 without Java: Snowball stems, CJK bigrams, Thai dictionary words."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import regex

STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "ne": "nepali", "nl": "dutch", "no": "norwegian", "nb": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""Snowball algorithms by language; one that the installed PyStemmer lacks is not used."""

WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
CJK = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー々]+|[\p{L}\p{M}\p{N}--[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー々]]+",
    regex.V1,
)
UNSPACED = ("th", "lo", "km", "my")


class Analyzer(NamedTuple):
    """How the texts of one language become tokens."""

    name: str
    tokens: Callable[[str], list[str]]


@cache
def analyzer(lang: str) -> Analyzer:
    """Return the analyzer of a language.

    :param lang: a short BCP 47 code.
    :return: its name, which a result records, and its function.
    """
    base = lang.split("-")[0]
    if base in ("zh", "ja", "ko", "yue"):
        return Analyzer("cjk-bigrams", cjk_bigrams)
    if base == "th":
        newmm = _newmm()
        return Analyzer("pythainlp:newmm", newmm) if newmm else Analyzer("character-bigrams", character_bigrams)
    if base in UNSPACED:
        return Analyzer("character-bigrams", character_bigrams)
    stem = _stemmer(STEMMERS.get(base, ""))
    if stem is None:
        return Analyzer("words", words)
    return Analyzer(f"snowball:{STEMMERS[base]}", lambda text: [stem(word) for word in words(text)])


def _stemmer(name: str) -> Callable[[str], str] | None:
    import Stemmer

    if name not in Stemmer.algorithms():
        return None
    return lru_cache(maxsize=200_000)(Stemmer.Stemmer(name).stemWord)


def _newmm() -> Callable[[str], list[str]] | None:
    """Return pythainlp's dictionary segmentation, or None where it is not installed."""
    try:
        from pythainlp.tokenize import word_tokenize
    except ImportError:
        return None

    def tokens(text: str) -> list[str]:
        found: list[Any] = word_tokenize(fold(text), engine="newmm", keep_whitespace=False)
        return [word for word in found if WORD.search(word)]

    return tokens


def fold(text: str) -> str:
    """Return a text in compatibility form and without case."""
    return unicodedata.normalize("NFKC", text).casefold()


def words(text: str) -> list[str]:
    """Return runs of letters, marks and digits; marks belong to words, or Hindi would fall apart."""
    return list(WORD.findall(fold(text)))


def cjk_bigrams(text: str) -> list[str]:
    """Return overlapping pairs of Chinese, Japanese and Korean characters, and words of other scripts."""
    found: list[str] = []
    for run in CJK.findall(fold(text)):
        if CJK_CHARACTER.match(run) and len(run) > 1:
            found.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            found.append(run)
    return found


CJK_CHARACTER = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ー々]")


def character_bigrams(text: str) -> list[str]:
    """Return overlapping pairs of characters of every word, for scripts without spaces."""
    return [word[i : i + 2] for word in words(text) for i in range(max(len(word) - 1, 1))]


def neutral(text: str) -> list[str]:
    """Return words, and pairs of characters in scripts without spaces: tokens that need no language."""
    found: list[str] = []
    for word in words(text):
        for run in RUNS.findall(word):
            pairs = UNSPACED_RUN.match(run) and len(run) > 1
            found.extend((run[i : i + 2] for i in range(len(run) - 1)) if pairs else (run,))
    return found


WITHOUT_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々"
UNSPACED_RUN = regex.compile(rf"[{WITHOUT_SPACES}]")
RUNS = regex.compile(rf"[{WITHOUT_SPACES}]+|[^{WITHOUT_SPACES}]+")
NEUTRAL = Analyzer("neutral: words, bigrams where there are no spaces", neutral)
